// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/broker"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// crashJob is a job that survives its broker: it sends the same message again until it is answered.
type crashJob struct {
	c       *crashes
	w       *world
	kind    string // how it will end
	e       *enclave
	attempt int
	beats   int // left to send
	revoked bool
	ask     *crashAsk // under way
}

type crashAsk struct {
	job     *crashJob
	e       *enclave
	message []byte
	first   time.Duration // when it was first sent, since the test began
}

// crashAck is an answer that arrived.
type crashAck struct {
	*crashAsk
	run   int
	end   time.Duration // when the answer was here
	reply []byte
	r     *grant.Reply
}

func (j *crashJob) begin() {
	sign := j.w.newJob
	if j.c.training {
		sign = j.w.trainingJob
	}
	sign(func(x *job.Job) {
		if j.kind == "deny" {
			x.Purpose = "resale"
		}
	})
	j.again()
}

// again is the next attempt: fresh keys, fresh challenges.
func (j *crashJob) again() {
	j.attempt++
	j.e = j.w.unattested()
	n, err := j.w.challenge(j.w.code)
	must(j.c.t, err)
	j.e.binding.Owners = []attestation.Owner{{Audience: j.w.code.Manifest.Broker.Key, Nonce: n, Manifest: j.w.code.ID}}
	j.send(&grant.Message{Challenge: &grant.ChallengeRequest{Manifest: j.w.data.ID, Job: j.w.jobID}})
}

func (j *crashJob) send(m *grant.Message) {
	j.ask = &crashAsk{j, j.e, encode(j.c.t, m), time.Since(j.c.began)}
}

// proceed asks and follows the answers to the job's end; false if the broker died first.
func (j *crashJob) proceed(rng *rand.Rand, stop <-chan struct{}) bool {
	c := j.c
	for j.ask != nil {
		a := &crashAck{crashAsk: j.ask, run: c.run}
		var err error
		if a.reply, err = c.postTwice(j.ask.message, rng.IntN(5) == 0); err != nil {
			return false
		}
		a.end = time.Since(c.began)
		if a.r, err = grant.ParseReply(a.reply); err != nil {
			c.t.Errorf("answer %q: %v", a.reply, err)
			return true
		}
		if a.r.Error != nil && a.r.Error.Code == grant.CodeTryAgain {
			select {
			case <-stop:
				return false
			case <-time.After(2 * time.Millisecond):
			}
			continue
		}
		c.sync()
		j.ask = nil
		j.follow(a)
		c.mu.Lock()
		c.acks = append(c.acks, a)
		c.mu.Unlock()
		select {
		case c.heard <- struct{}{}:
		default:
		}
	}
	return true
}

// postTwice posts a message, or the same message twice at once: whatever answers come, they are the same.
func (c *crashes) postTwice(message []byte, twice bool) ([]byte, error) {
	if m, err := grant.ParseMessage(message); !twice || err != nil || m.Challenge != nil {
		return c.post(message)
	}
	other := make(chan []byte, 1)
	go func() {
		b, err := c.post(message)
		if err != nil {
			b = nil // half an answer is none
		}
		other <- b
	}()
	one, err := c.post(message)
	two := <-other
	if err != nil && two == nil {
		return nil, err
	}
	if err != nil {
		return two, nil
	}
	if two != nil && !sameAnswer(one, two) && !tryAgain(one) && !tryAgain(two) {
		c.t.Errorf("one message, two answers:\n%s\n%s", one, two)
	}
	return one, nil
}

func tryAgain(reply []byte) bool {
	r, err := grant.ParseReply(reply)
	return err == nil && r.Error != nil && r.Error.Code == grant.CodeTryAgain
}

// sameAnswer: the same bytes, or two refusals that are not both on record: the clock goes on.
func sameAnswer(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	x, err1 := grant.ParseReply(a)
	y, err2 := grant.ParseReply(b)
	return err1 == nil && err2 == nil && x.Error != nil && y.Error != nil && (len(x.Error.Denial) == 0 || len(y.Error.Denial) == 0)
}

// follow takes an answer and sets what to ask next; nothing at the job's end.
func (j *crashJob) follow(a *crashAck) {
	switch {
	case a.r.Challenge != nil:
		j.attest(a.r.Challenge)
	case a.r.Release != nil:
		j.e.accept(j.w.data, a.r.Release)
		if j.kind == "revoke" {
			j.c.revoke(j)
		}
		j.beat()
	case a.r.Allowance != nil:
		j.e.beats[j.w.data.ID]++
		v, err := grant.VerifyAllowance(a.r.Allowance, j.w.data.Manifest.Broker.Key)
		must(j.c.t, err)
		if v.Predicate.Stop == grant.StopRevoked {
			j.revoked = true
		}
		if j.beats--; j.beats > 0 && v.Predicate.Stop == "" {
			j.beat()
		} else if j.kind != "abandon" {
			j.finish()
		}
	case a.r.Commit != nil:
		if j.kind == "rerun" && j.attempt == 1 {
			j.again()
		}
	}
}

// attest binds the evidence to the challenge and gets the run ticket from the buyer's broker.
func (j *crashJob) attest(challenge []byte) {
	t, w := j.c.t, j.w
	v, err := grant.VerifyChallenge(challenge, w.data.Manifest.Broker.Key)
	must(t, err)
	j.e.binding.Owners = append(j.e.binding.Owners, attestation.Owner{
		Audience: w.data.Manifest.Broker.Key, Nonce: v.Predicate.Nonce, Manifest: w.data.ID,
	})
	j.e.attest(func(*quote) {})
	err = j.e.release(w.code)
	if errors.Is(err, broker.ErrNonce) || errors.Is(err, broker.ErrNonceExpired) { // time runs fast, or did
		j.attempt--
		j.again()
		return
	}
	must(t, err)
	j.send(&grant.Message{Release: j.e.request(w.data)})
}

func (j *crashJob) beat() {
	id := j.w.data.ID
	j.send(&grant.Message{Heartbeat: j.e.signHeartbeat(j.w.data, j.e.beats[id]+1, 1)})
}

// finish commits, at the buyer's broker too, which lets the next attempt begin.
func (j *crashJob) finish() {
	change, failed := func(*usage.Statement) {}, failed
	if j.c.training {
		change, failed = j.e.trained(trainingSteps), j.e.stopped(crashSteps)
	}
	if j.kind == "fail" || j.revoked || (j.kind == "rerun" && j.attempt == 1) {
		change = failed
	}
	signed := j.e.usage(change)
	_, err := j.e.commit(j.w.code, signed)
	must(j.c.t, err)
	j.send(&grant.Message{Commit: signed, Package: &j.w.data.ID})
}

// revoke puts the owner's revocation of a job where her broker looks.
func (c *crashes) revoke(j *crashJob) {
	id, err := config.AddRevocation(c.w.creator.dir, &grant.Revocation{Job: &j.w.jobID, Reason: "withdrawn", Time: c.clock.now().UnixMilli()})
	must(c.t, err)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.totals.revoked++
	if c.disk != nil {
		must(c.t, c.disk.Put(filepath.Join("revocations", id.Hex()+".dsse"), filepath.Join(c.w.creator.cfg.Layout().Revocations(), id.Hex()+".dsse")))
	}
}
