// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/attestation/usage/usagetest"
	"github.com/glovebox-dev/glovebox/broker"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/tlog"
)

// prover is the creator's log, or a host that makes up what it likes.
type prover func(statement envelope.Digest) (tlog.Proof, error)

func (p prover) Prove(_ context.Context, statement envelope.Digest) (tlog.Proof, error) {
	return p(statement)
}

// publicWorld is a world whose creator commits only what two witnesses have seen.
type publicWorld struct {
	*world
	log      *usagetest.Log
	prove    prover // what the broker is told; nil: nothing yet
	asked    int
	stranger *tlog.Cosigner
}

func newPublicWorld(t *testing.T) *publicWorld {
	t.Helper()
	p := &publicWorld{world: newWorld(t)}
	var err error
	p.log, err = usagetest.NewLog(3)
	must(t, err)
	vkey, err := note.NewEd25519VerifierKey(p.log.Origin(), p.log.Key())
	must(t, err)
	demand := &config.Log{Key: vkey, Threshold: 2}
	for _, name := range []string{"one.example.net", "two.example.net"} {
		w, err := usagetest.NewWitness(name)
		must(t, err)
		p.log.Witnesses, demand.Witnesses = append(p.log.Witnesses, w), append(demand.Witnesses, w.String())
	}
	p.stranger, err = usagetest.NewWitness("three.example.net")
	must(t, err)
	p.log.Time = p.clock.now().Unix()
	p.creator.cfg.LogURL, p.creator.cfg.Log = "http://log.example", demand
	p.creator.prover = prover(func(statement envelope.Digest) (tlog.Proof, error) {
		p.asked++
		if p.prove == nil {
			return tlog.Proof{}, errors.New("not yet")
		}
		return p.prove(statement)
	})
	p.creator.restart()
	return p
}

// logged appends a signed statement of the creator's broker to a log and proves it.
func (p *publicWorld) logged(l *usagetest.Log, signed []byte) (tlog.Proof, error) {
	body, err := tlog.Body(signed, p.creator.Key())
	must(p.t, err)
	return l.Proof(l.Append(body))
}

// TestCommitWaitsForWitnesses: not before the proof, once, over restarts, and then for good.
func TestCommitWaitsForWitnesses(t *testing.T) {
	p := newPublicWorld(t)
	e := p.released()
	signed := e.usage(nil)
	for range 2 {
		_, err := e.commit(p.data, signed)
		want(t, err, broker.ErrUnlogged)
		p.creator.restart()
	}
	p.prove = func(envelope.Digest) (tlog.Proof, error) { return p.logged(p.log, e.raw[p.data.ID]) }
	c, err := e.commit(p.data, signed)
	must(t, err)
	if c.Witnessed == nil || c.Grant != e.grants[p.data.ID].ID || c.Amount != perUse+rows*perRecord {
		t.Fatalf("%+v", c)
	}
	p.creator.restart()
	p.prove = nil
	asked := p.asked
	again, err := e.commit(p.data, signed)
	if err != nil || again.Sequence != c.Sequence || p.asked != asked {
		t.Errorf("the same statement again: %+v, %v, asked %d times", again, err, p.asked-asked)
	}
	// The buyer's broker asks for nothing, and says so.
	if c, err := e.commit(p.code, signed); err != nil || c.Witnessed != nil {
		t.Errorf("without a log: %+v, %v", c, err)
	}
}

// TestFalseProofs: none of these makes the broker commit.
func TestFalseProofs(t *testing.T) {
	p := newPublicWorld(t)
	e := p.released()
	own, signed := e.raw[p.data.ID], e.usage(nil)
	foreign, err := usagetest.NewLog(3)
	must(t, err)
	foreign.Witnesses, foreign.Time = p.log.Witnesses, p.log.Time
	onlyEntry := p.log.Fork(0)
	under := func(ws ...*tlog.Cosigner) func() (tlog.Proof, error) {
		return func() (tlog.Proof, error) {
			l := p.log.Fork(3)
			l.Witnesses = ws
			return p.logged(l, own)
		}
	}
	w := p.log.Witnesses
	for name, f := range map[string]func() (tlog.Proof, error){
		"TestGrantInAnotherLog":    func() (tlog.Proof, error) { return p.logged(foreign, own) },
		"TestGrantInAFork":         under(),
		"TestTooFewCosignatures":   under(w[0]),
		"TestUnknownWitness":       under(w[0], p.stranger),
		"TestOneWitnessTwice":      under(w[0], w[0]),
		"TestNoProof":              func() (tlog.Proof, error) { return tlog.Proof{}, nil },
		"TestProofOfAnotherGrant":  func() (tlog.Proof, error) { return p.log.Proof(p.log.Append([]byte("another entry"))) },
		"TestGrantByAnotherBroker": func() (tlog.Proof, error) { b, _ := tlog.Body(own, p.buyer.Key()); return p.log.Proof(p.log.Append(b)) },
		"TestProofOfAnotherIndex":  func() (tlog.Proof, error) { q, err := p.logged(p.log.Fork(3), own); q.Index--; return q, err },
		"TestStaleCheckpoint": func() (tlog.Proof, error) {
			q, err := p.log.Proof(0)
			r, _ := p.logged(p.log, own)
			q.Hashes = r.Hashes
			return q, err
		},
		"TestNoListOfHashes": func() (tlog.Proof, error) { // which no auditor would accept in the commit
			q, err := p.logged(onlyEntry, own)
			q.Hashes = nil
			return q, err
		},
		"TestProofWithAnError":      func() (tlog.Proof, error) { q, _ := p.logged(p.log, own); return q, errors.New("not yet") },
		"TestProofOfTheBuyersGrant": func() (tlog.Proof, error) { return p.logged(p.log, e.raw[p.code.ID]) },
	} {
		p.prove = func(envelope.Digest) (tlog.Proof, error) { return f() }
		if _, err := e.commit(p.data, signed); !errors.Is(err, broker.ErrUnlogged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	p.prove = func(envelope.Digest) (tlog.Proof, error) { return under(w...)() }
	if _, err := e.commit(p.data, signed); err != nil {
		t.Errorf("the true proof: %v", err)
	}
}

// TestAttackPoisonedLine: under the checkpoint that the broker signs are the log's line and those of its own witnesses.
func TestAttackPoisonedLine(t *testing.T) {
	p := newPublicWorld(t)
	e := p.released()
	var honest string
	p.prove = func(envelope.Digest) (tlog.Proof, error) {
		q, err := p.logged(p.log, e.raw[p.data.ID])
		must(t, err)
		honest = q.Checkpoint
		line, err := p.stranger.Cosign(honest, 1)
		q.Checkpoint += line
		return q, err
	}
	c, err := e.commit(p.data, e.usage(nil))
	must(t, err)
	if c.Witnessed == nil || c.Witnessed.Checkpoint != honest {
		t.Errorf("committed to %+v", c.Witnessed)
	}
}

// TestAttackWitnessClock: a witness who says that it is tomorrow, or yesterday, makes no run that auditors refuse for good: the broker
// waits for one who does not.
func TestAttackWitnessClock(t *testing.T) {
	p := newPublicWorld(t)
	e := p.released()
	signed := e.usage(nil)
	right, wrong := p.log.Witnesses[0], p.log.Witnesses[1]
	now := p.clock.now().Unix()
	for _, c := range []struct {
		at  int64
		err error
	}{{now + 24*3600, broker.ErrUnlogged}, {now - 24*3600, broker.ErrUnlogged}, {now + 302, broker.ErrUnlogged}, {now + 60, nil}} {
		p.prove = func(envelope.Digest) (tlog.Proof, error) {
			l := p.log.Fork(3)
			l.Witnesses = []*tlog.Cosigner{right}
			q, err := p.logged(l, e.raw[p.data.ID])
			must(t, err)
			line, err := wrong.Cosign(q.Checkpoint, c.at)
			q.Checkpoint += line
			return q, err
		}
		if _, err := e.commit(p.data, signed); !errors.Is(err, c.err) {
			t.Errorf("of a witness whose clock is %d s ahead: %v", c.at-now, err)
		}
	}
}

// refuser is a log that takes nothing, or everything.
type refuser struct{ well bool }

func (r *refuser) Publish(context.Context, []byte, envelope.PublicKey) error {
	if r.well {
		return nil
	}
	return broker.ErrRefused
}

// TestGrantIsNotPassedOver: a log that refuses for a while must not make a live run's commit impossible.
func TestGrantIsNotPassedOver(t *testing.T) {
	for name, after := range map[string]func(*publicWorld, *refuser) int{
		"the log is well again": func(_ *publicWorld, r *refuser) int { r.well = true; return 1 },
		"the lease is lost": func(p *publicWorld, _ *refuser) int {
			p.clock.advance(testTimeout + time.Second)
			must(p.t, p.creator.ExpireLeases(p.t.Context()))
			return 1
		},
		"nobody asks for it": func(p *publicWorld, _ *refuser) int {
			p.creator.cfg.Log = nil
			p.creator.restart()
			return 1
		},
		"nothing changed": func(*publicWorld, *refuser) int { return 0 },
	} {
		p, log := newPublicWorld(t), &refuser{}
		p.creator.pub = log
		p.creator.restart()
		p.released()
		if n, err := p.creator.PublishSome(t.Context(), true); n != 0 || !errors.Is(err, broker.ErrRefused) {
			t.Errorf("%s: %d records passed over, %v", name, n, err)
		}
		want := after(p, log)
		if n, err := p.creator.PublishSome(t.Context(), true); n != want {
			t.Errorf("%s: %d records done, %v; want %d", name, n, err, want)
		}
	}
}

// TestWitnessesAwayChangeNothingElse: a bad statement is refused at once, a lost lease stays lost, and the answer says
// what is waited for.
func TestWitnessesAwayChangeNothingElse(t *testing.T) {
	p := newPublicWorld(t)
	e := p.released()
	_, err := e.commit(p.data, e.usage(func(s *usage.Statement) { s.Packages[1].Reads = 1 << 20 }))
	want(t, err, broker.ErrUsage)
	if p.asked != 0 {
		t.Error("the log was asked about a statement that is refused anyway")
	}
	msg, err := envelope.Canonical(&grant.Message{Commit: e.usage(nil)})
	must(t, err)
	r, err := grant.ParseReply(p.creator.Exchange(t.Context(), msg))
	must(t, err)
	if r.Error == nil || r.Error.Code != grant.CodeUnlogged || r.Error.Hint == "" {
		t.Errorf("%+v", r.Error)
	}
	p.clock.advance(testTimeout + time.Second)
	must(t, p.creator.ExpireLeases(t.Context()))
	_, err = e.commit(p.data, e.usage(nil))
	want(t, err, broker.ErrLease)
}

// TestSilentLogKeepsFewWaiting: a log that does not answer holds so many commits and no more; the others are told to come again,
// so that heartbeats get their turn.
func TestSilentLogKeepsFewWaiting(t *testing.T) {
	p := newPublicWorld(t)
	e := p.released()
	signed := e.usage(nil)
	asked, answer := make(chan struct{}, 2*broker.MaxProving), make(chan struct{})
	p.creator.prover = prover(func(envelope.Digest) (tlog.Proof, error) {
		asked <- struct{}{}
		<-answer
		return tlog.Proof{}, errors.New("not yet")
	})
	p.creator.restart()
	var waiting sync.WaitGroup
	for range broker.MaxProving {
		waiting.Go(func() { e.commit(p.data, signed) }) //nolint:errcheck // they are in the way, and that is all
	}
	for range broker.MaxProving {
		<-asked
	}
	late := make(chan error, 1)
	go func() {
		_, err := e.commit(p.data, signed)
		late <- err
	}()
	select {
	case err := <-late:
		want(t, err, broker.ErrBusy)
	case <-asked:
		t.Error("the log was asked once more")
	}
	close(answer)
	waiting.Wait()
}

// TestHTTPProver reads a host's answer, and no nonsense.
func TestHTTPProver(t *testing.T) {
	var status int
	var body string
	question := `{"statement":"` + envelope.Sum([]byte("g")).String() + `","cosigned":true}`
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/glovebox.v1.LogService/Inclusion" {
			t.Errorf("%s %s", r.Method, r.URL.Path)
		}
		if h := r.Header; h.Get("Content-Type") != "application/json" || h.Get("Connect-Protocol-Version") != "1" {
			t.Errorf("header %v", h)
		}
		if b, err := io.ReadAll(r.Body); err != nil || string(b) != question {
			t.Errorf("asked %q, %v; want %q", b, err, question)
		}
		w.WriteHeader(status)
		w.Write([]byte(body)) //nolint:errcheck // a test's client
	}))
	defer srv.Close()
	b := broker.NewHTTPProver(srv.URL + "/")
	ask := func(s int, text string) (tlog.Proof, error) {
		status, body = s, text
		return b.Prove(t.Context(), envelope.Sum([]byte("g")))
	}
	hash := envelope.Sum([]byte("h"))
	good := `{"index":"4","size":"5","hashes":["` + base64.StdEncoding.EncodeToString(hash[:]) + `"],"checkpoint":"Y3A=","body":"AA=="}`
	if p, err := ask(200, good); err != nil || p.Index != 4 || p.Size != 5 || len(p.Hashes) != 1 || p.Hashes[0] != hash || p.Checkpoint != "cp" {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := ask(200, good+strings.Repeat(" ", broker.MaxProof-len(good))); err != nil {
		t.Errorf("as long as can be: %v", err)
	}
	for name, c := range map[string]struct {
		status int
		text   string
	}{
		"a byte too long": {200, good + strings.Repeat(" ", broker.MaxProof+1-len(good))},
		"not ready":       {503, good}, "no JSON": {200, "proof"}, "a short hash": {200, `{"hashes":["AA=="]}`},
		"a number that is none": {200, `{"index":"x"}`}, "endless": {200, strings.Repeat(" ", 1<<20) + good}, "an end too late": {200, good + strings.Repeat(" ", 1<<20)},
		"a long hash": {200, `{"hashes":["` + base64.StdEncoding.EncodeToString(make([]byte, 33)) + `"]}`},
	} {
		if _, err := ask(c.status, c.text); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	elsewhere := httptest.NewServer(http.RedirectHandler(srv.URL+"/glovebox.v1.LogService/Inclusion", http.StatusTemporaryRedirect))
	defer elsewhere.Close()
	status, body = 200, good
	if _, err := broker.NewHTTPProver(elsewhere.URL).Prove(t.Context(), envelope.Sum([]byte("g"))); err == nil {
		t.Error("another server was asked, which the owner did not name")
	}
}

// TestProofWait: whoever is asked for a proof, directly or over HTTP, has some seconds and no more.
func TestProofWait(t *testing.T) {
	p := newPublicWorld(t)
	e := p.released()
	asked := false
	p.creator.prover = waiter(func(ctx context.Context) {
		asked = true
		if by, ok := ctx.Deadline(); !ok || time.Until(by) > broker.ProofWait {
			t.Errorf("until %v, %t", by, ok)
		}
	})
	p.creator.restart()
	_, err := e.commit(p.data, e.usage(nil))
	want(t, err, broker.ErrUnlogged)
	if !asked {
		t.Error("nobody was asked")
	}
}

// waiter is a log that looks how long it may take, and does not know.
type waiter func(ctx context.Context)

func (w waiter) Prove(ctx context.Context, _ envelope.Digest) (tlog.Proof, error) {
	w(ctx)
	return tlog.Proof{}, errors.New("not yet")
}

// TestEndlessProof: an answer without end is not read to its end.
func TestEndlessProof(t *testing.T) {
	cut := make(chan bool, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		chunk := make([]byte, 1<<20)
		for range 64 { // more than lies in sockets
			if _, err := w.Write(chunk); err != nil {
				cut <- true
				return
			}
		}
		cut <- false
	}))
	defer srv.Close()
	_, err := broker.NewHTTPProver(srv.URL).Prove(t.Context(), envelope.Sum([]byte("g")))
	if !errors.Is(err, envelope.ErrTooLarge) || !<-cut {
		t.Errorf("read on: %v", err)
	}
}

func TestLogSettings(t *testing.T) {
	p := newPublicWorld(t)
	for name, spoil := range map[string]func(c *config.Config){
		"no URL":           func(c *config.Config) { c.LogURL = "" },
		"no key":           func(c *config.Config) { c.Log.Key = "" },
		"no witness":       func(c *config.Config) { c.Log.Witnesses = nil },
		"threshold of 0":   func(c *config.Config) { c.Log.Threshold = 0 },
		"too high a count": func(c *config.Config) { c.Log.Threshold = 3 },
	} {
		c, l := *p.creator.cfg, *p.creator.cfg.Log
		c.Log = &l
		spoil(&c)
		if err := c.Validate(); !errors.Is(err, config.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	must(t, p.creator.Close())
	p.creator.prover = nil
	if _, err := p.creator.open(); !errors.Is(err, config.ErrConfig) {
		t.Errorf("nobody to ask: %v", err)
	}
	p.creator.cfg.Log = nil
	p.creator.start()
}
