// SPDX-License-Identifier: Apache-2.0

// Package crashtest lets the disk under a ledger fail in every way that disks do, and holds what is left against what was
// acknowledged.
//
// Trust domain: none, it holds tests only.
package crashtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/broker/ledger"
	"github.com/glovebox-dev/glovebox/broker/ledger/crashtest/faultfs"
	"github.com/glovebox-dev/glovebox/broker/ledger/privacy"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// What the terms of the workload's two packages allow; all of it is asked for more often than that.
const (
	maxUses     = 4
	buyerUses   = 3
	permitCount = 5
	capMicro    = 5_500_000 // ε of the population
	buyerMicro  = 3_000_000
	cost        = privacy.Nano // ε that each job reserves; a completed one reports half
	price       = 1000
	fatBytes    = 400 << 10 // four pages of these make SQLite checkpoint
	population  = "people"
	side        = 5 // jobs side by side
)

// plan is what the program under test is told.
type plan struct {
	Dir        string               `json:"dir"`
	Key        string               `json:"key"` // file
	Buyers     []envelope.PublicKey `json:"buyers"`
	Jobs       int                  `json:"jobs"`
	Concurrent bool                 `json:"concurrent"`
	Tries      int                  `json:"tries"`  // of an update that the disk refuses
	Linger     bool                 `json:"linger"` // at the end it waits to be killed
}

const planVariable = "GLOVEBOX_LEDGER_CRASH"

// TestMain turns the test binary into the program under test.
func TestMain(m *testing.M) {
	text := os.Getenv(planVariable)
	if text == "" {
		os.Exit(m.Run())
	}
	if err := child(text); err != nil {
		fmt.Printf("failed open: %q\n", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func child(text string) error {
	var p plan
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return err
	}
	if err := faultfs.Mount(); err != nil {
		return err
	}
	s, err := envelope.LoadKeyFile(p.Key, envelope.RoleBroker)
	if err != nil {
		return err
	}
	l, err := ledger.Open(context.Background(), files(p.Dir))
	if err != nil {
		return err
	}
	w := &work{plan: p, l: l, s: s}
	w.run()
	fmt.Println("done")
	if p.Linger {
		time.Sleep(time.Hour)
	}
	return l.Close()
}

func files(dir string) ledger.Config {
	return ledger.Config{Path: filepath.Join(dir, "ledger.db"), Head: filepath.Join(dir, "ledger.head"), Lock: filepath.Join(dir, "ledger.lock")}
}

// work does what a broker does, with less around it: every step can be asked for again and gives the same answer.
type work struct {
	plan
	l  *ledger.Ledger
	s  *envelope.Signer
	mu sync.Mutex
}

// say tells the outside. What was said counts as acknowledged.
func (w *work) say(a ack) {
	line, err := json.Marshal(a)
	if err != nil {
		panic(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	os.Stdout.Write(append(line, '\n')) //nolint:errcheck // nobody listens
}

// ack is a step whose answer was heard outside.
type ack struct {
	Step     string `json:"step"`
	Job      int    `json:"job"`
	Reply    []byte `json:"reply"`
	Revision int64  `json:"revision"` // that a reader saw
}

// kinds are how jobs go on after their nonce; job n is of kind n modulo their number.
func kinds() [][]string {
	return [][]string{
		{"nonce", "grant", "seal", "beat", "beat", "commit"},
		{"nonce", "grant", "seal", "lose"},
		{"nonce", "grant", "seal", "commit-unread"},
		{"fat"},
		{"nonce", "grant", "lose-unsealed"},
		{"nonce", "deny"},
		{"withdraw"},
	}
}

func steps(n int) []string { return kinds()[n%len(kinds())] }

func (w *work) run() {
	if !w.Concurrent {
		for step := range 6 {
			for n := range w.Jobs {
				if step < len(steps(n)) {
					w.do(n, step)
				}
			}
		}
		return
	}
	var jobs, readers sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		readers.Go(func() { w.watch(stop) })
	}
	for first := range side {
		jobs.Go(func() {
			for n := first; n < w.Jobs; n += side {
				for step := range steps(n) {
					w.do(n, step)
				}
			}
		})
	}
	jobs.Wait()
	close(stop)
	readers.Wait()
}

// watch reads beside the writer and tells what it saw whenever the ledger has moved on: that is acknowledged too.
func (w *work) watch(stop <-chan struct{}) {
	last := int64(0)
	for n := 0; ; n = (n + 1) % w.Jobs {
		select {
		case <-stop:
			return
		default:
		}
		a := ack{Step: "look", Job: n}
		err := w.l.View(context.Background(), func(t *ledger.Tx) (err error) {
			if _, _, a.Revision, err = t.Head(); err != nil {
				return err
			}
			l, err := t.LeaseOf(manifest(n), id("binding", n))
			if err == nil {
				a.Reply = fmt.Appendf(nil, "%s %d %x", l.State, l.Sequence, l.Sealed)
			}
			if errors.Is(err, ledger.ErrNotFound) {
				err = nil
			}
			return err
		})
		if err == nil && a.Revision > last {
			last = a.Revision
			w.say(a)
		}
		time.Sleep(200 * time.Microsecond)
	}
}

// do runs one step of a job until the disk lets it.
func (w *work) do(n, step int) {
	name := steps(n)[step]
	for try := 0; ; try++ {
		reply, err := w.step(name, n, step)
		if err == nil {
			w.say(ack{Step: name, Job: n, Reply: reply})
			return
		}
		if errors.Is(err, errEnded) {
			return
		}
		if try >= w.Tries || !errors.Is(err, ledger.ErrWrite) {
			fmt.Printf("failed %s %d: %q\n", name, n, err)
			os.Exit(1)
		}
		time.Sleep(time.Millisecond)
	}
}

var (
	errRefused = errors.New("over budget")
	errEnded   = errors.New("the job was denied")
)

func id(kind string, n int) envelope.Digest { return envelope.Sum(fmt.Appendf(nil, "%s %d", kind, n)) }

func nonce(n int) envelope.Nonce { return envelope.Nonce(id("nonce", n)) }

func manifest(n int) envelope.Digest { return id("manifest", n%2) }

func permit(n int) envelope.Digest { return id("permit", n%2) }

func (w *plan) buyer(n int) envelope.PublicKey { return w.Buyers[n%len(w.Buyers)] }

func (w *work) step(name string, n, step int) (reply []byte, err error) {
	do := map[string]func(*ledger.Tx, int) ([]byte, error){
		"nonce": w.nonce, "grant": w.grant, "seal": w.seal, "commit": w.commit, "commit-unread": w.commit, "lose": w.lose,
		"lose-unsealed": w.lose, "deny": w.deny, "withdraw": w.withdraw, "fat": w.fat,
		"beat": func(t *ledger.Tx, n int) ([]byte, error) { return w.beat(t, n, int64(step-2)) },
	}[name]
	update := func(f func(*ledger.Tx, int) ([]byte, error)) error {
		return w.l.Update(context.Background(), func(t *ledger.Tx) (err error) {
			reply, err = f(t, n)
			return err
		})
	}
	err = update(do)
	if errors.Is(err, errRefused) {
		err = update(w.deny)
	}
	return reply, err
}

func (w *work) nonce(t *ledger.Tx, n int) ([]byte, error) {
	if _, err := t.Nonce(nonce(n)); !errors.Is(err, ledger.ErrNotFound) {
		return nil, err
	}
	return nil, t.AddNonce(&ledger.Nonce{Nonce: nonce(n), Manifest: manifest(n), Job: id("job", n), Issued: 1, Expires: 1 << 50})
}

// append puts a statement in the next place of a job's package.
func (w *work) append(t *ledger.Tx, n int, sign func(sequence int64, previous *envelope.Digest) ([]byte, envelope.Digest, error)) ([]byte, envelope.Digest, error) {
	sequence, previous, err := t.Next(manifest(n))
	if err != nil {
		return nil, envelope.Digest{}, err
	}
	signed, id, err := sign(sequence, previous)
	if err != nil {
		return nil, id, err
	}
	return signed, id, t.Append(manifest(n), signed, w.s.Public())
}

// lease finds a job's lease, or says that the job was denied one.
func (w *work) lease(t *ledger.Tx, n int) (*ledger.Lease, error) {
	l, err := t.LeaseOf(manifest(n), id("binding", n))
	if errors.Is(err, ledger.ErrNotFound) {
		return nil, errEnded
	}
	return l, err
}

func (w *work) grant(t *ledger.Tx, n int) ([]byte, error) {
	if l, err := t.LeaseOf(manifest(n), id("binding", n)); !errors.Is(err, ledger.ErrNotFound) {
		if err != nil {
			return nil, err
		}
		return l.SignedGrant, nil
	}
	if d, err := t.Denial(manifest(n), id("binding", n)); !errors.Is(err, ledger.ErrNotFound) {
		return d, err
	}
	p := permit(n)
	l := &ledger.Lease{
		Manifest: manifest(n), Job: id("job", n), Binding: id("binding", n), Attempt: 1, Buyer: w.buyer(n), Assurance: "simulated",
		Evidence: id("evidence", n), Policy: id("policy", 0), SigningKey: w.s.Public(), Permit: &p, Issued: 1, State: ledger.Live,
		Obligations: grant.Obligations{
			Mode: grant.ModeRaw, Transforms: []envelope.Digest{}, Leaves: grant.Ranges{{First: 0, Count: 10}}, Epochs: 1, Logs: grant.LogsOff, Allowance: 10, Expires: 1000,
		},
	}
	var err error
	l.SignedGrant, l.Grant, err = w.append(t, n, func(sequence int64, previous *envelope.Digest) ([]byte, envelope.Digest, error) {
		return grant.Sign(&grant.Grant{
			Binding: l.Binding, Evidence: l.Evidence, Job: l.Job, Manifest: l.Manifest, Buyer: l.Buyer, Attempt: l.Attempt,
			Assurance: l.Assurance, Reference: "r", Policy: l.Policy, Sequence: sequence, Previous: previous, Issued: l.Issued,
			Population: population, Obligations: l.Obligations,
		}, w.s)
	})
	if err != nil {
		return nil, err
	}
	if err := w.reserve(t, n, l.Grant); err != nil {
		return nil, err // the record is taken back too
	}
	return l.SignedGrant, t.AddLease(l)
}

// reserve takes one of everything that is counted, or nothing.
func (w *work) reserve(t *ledger.Tx, n int, grantID envelope.Digest) error {
	m, job := manifest(n), id("job", n)
	uses, err := t.Uses(m, job)
	if err != nil {
		return err
	}
	ofBuyer, err := t.BuyerUses(m, w.buyer(n), job)
	if err != nil {
		return err
	}
	if uses >= maxUses || ofBuyer >= buyerUses {
		return errRefused
	}
	for _, f := range []func() error{
		func() error { _, err := t.Spend(ledger.Permit, permit(n), job, permitCount); return err },
		func() error { _, err := t.Spend(ledger.Receipt, id("receipt", n), job, 1); return err },
		func() error { return t.UseCapability(id("capability", n), grantID) },
		func() error {
			_, err := t.ReservePrivacy(&ledger.Reservation{
				Population: ledger.Population{Name: population, Unit: "person", Adjacency: "add-remove", Cap: capMicro, BuyerCap: buyerMicro},
				Grant:      grantID, Manifest: m, Job: job, Buyer: w.buyer(n), Cost: privacy.Cost{Pure: cost}, Time: 1,
			})
			return err
		},
		func() error { return t.SetAccount(m, job, ledger.Account{Reserved: price}) },
		func() error { return t.UseNonce(nonce(n), id("binding", n)) },
		func() error { return t.AddJob(job, []byte("job")) },
	} {
		if err := f(); errors.Is(err, ledger.ErrSpent) || errors.Is(err, ledger.ErrBudget) {
			return errRefused
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (w *work) seal(t *ledger.Tx, n int) ([]byte, error) {
	l, err := w.lease(t, n)
	if err != nil || len(l.Sealed) > 0 {
		return sealed(l), err
	}
	secret := envelope.NewNonce()
	l.Sealed = secret[:]
	return l.Sealed, t.SetLease(l)
}

func sealed(l *ledger.Lease) []byte {
	if l == nil {
		return nil
	}
	return l.Sealed
}

func (w *work) beat(t *ledger.Tx, n int, sequence int64) ([]byte, error) {
	l, err := w.lease(t, n)
	if err != nil {
		return nil, err
	}
	if l.Sequence >= sequence {
		if l.Sequence > sequence {
			return nil, nil // only the last is answered again
		}
		return l.Allowance, nil
	}
	answer := envelope.NewNonce()
	l.Sequence, l.Allowance, l.Delivered = sequence, answer[:], sequence
	return l.Allowance, t.SetLease(l)
}

// commit ends a lease: one that read something pays, and reports half of the privacy it had reserved.
func (w *work) commit(t *ledger.Tx, n int) ([]byte, error) {
	l, err := w.lease(t, n)
	if err != nil || l.Usage != nil {
		return answer(l), err
	}
	usage := id("usage", n)
	l.Usage, l.State = &usage, ledger.Completed
	a, spent := ledger.Account{Charged: price, Used: true}, privacy.Cost{Pure: cost / 2}
	if steps(n)[len(steps(n))-1] == "commit-unread" {
		l.State, a, spent = ledger.Failed, ledger.Account{}, privacy.Cost{}
		if err := w.giveBack(t, n); err != nil {
			return nil, err
		}
	}
	l.Commit, _, err = w.append(t, n, func(sequence int64, previous *envelope.Digest) ([]byte, envelope.Digest, error) {
		return grant.Sign(&grant.Commit{
			Binding: l.Binding, Grant: l.Grant, Job: l.Job, Manifest: l.Manifest, Usage: usage, Outcome: string(l.State), Amount: a.Charged,
			Currency: "EUR", Sequence: sequence, Previous: previous, Time: 1,
		}, w.s)
	})
	if err != nil {
		return nil, err
	}
	u := ledger.Usage{Grant: l.Grant, Usage: usage, Job: l.Job, Manifest: l.Manifest, Buyer: l.Buyer, Outcome: string(l.State), Time: 1, Signed: []byte("usage")}
	return l.Commit, errors.Join(t.CommitPrivacy(l.Grant, &spent), t.AddUsage(&u), t.SetAccount(l.Manifest, l.Job, a), t.SetLease(l))
}

func answer(l *ledger.Lease) []byte {
	if l == nil {
		return nil
	}
	return l.Commit
}

// giveBack returns what is returned when nothing was delivered.
func (w *work) giveBack(t *ledger.Tx, n int) error {
	return errors.Join(t.Return(ledger.Permit, permit(n), id("job", n)), t.Return(ledger.Receipt, id("receipt", n), id("job", n)))
}

// lose ends a lease unheard: privacy and use stay spent if the key was out.
func (w *work) lose(t *ledger.Tx, n int) ([]byte, error) {
	l, err := w.lease(t, n)
	if err != nil || l.State == ledger.Lost {
		return answer(l), err
	}
	l.Commit, _, err = w.append(t, n, func(sequence int64, previous *envelope.Digest) ([]byte, envelope.Digest, error) {
		return grant.Sign(&grant.LeaseLost{
			Binding: l.Binding, Grant: l.Grant, Job: l.Job, Manifest: l.Manifest, Attempt: l.Attempt, LastHeartbeat: l.Sequence,
			Reason: grant.LostSilent, Sequence: sequence, Previous: previous, Time: 1,
		}, w.s)
	})
	if err != nil {
		return nil, err
	}
	l.State = ledger.Lost
	a := ledger.Account{Used: len(l.Sealed) > 0}
	if a.Used {
		err = t.KeepPrivacy(l.Grant)
	} else {
		err = errors.Join(t.CommitPrivacy(l.Grant, &privacy.Cost{}), w.giveBack(t, n))
	}
	return l.Commit, errors.Join(err, t.SetAccount(l.Manifest, l.Job, a), t.SetLease(l))
}

func (w *work) deny(t *ledger.Tx, n int) ([]byte, error) {
	if d, err := t.Denial(manifest(n), id("binding", n)); !errors.Is(err, ledger.ErrNotFound) {
		return d, err
	}
	signed, _, err := w.append(t, n, func(sequence int64, previous *envelope.Digest) ([]byte, envelope.Digest, error) {
		return w.denial(n, sequence, previous)
	})
	if err != nil {
		return nil, err
	}
	return signed, t.AddDenial(manifest(n), id("binding", n), signed)
}

func (w *work) denial(n int, sequence int64, previous *envelope.Digest) ([]byte, envelope.Digest, error) {
	return grant.Sign(&grant.Denial{
		Job: id("job", n), Manifest: manifest(n), Reasons: []grant.Reason{{Rule: "r", Message: "no", Satisfy: "s"}},
		Sequence: sequence, Previous: previous, Time: 1,
	}, w.s)
}

// withdraw records a statement by somebody else, outside the packages' chains.
func (w *work) withdraw(t *ledger.Tx, n int) ([]byte, error) {
	if done, err := t.Withdrawn(ledger.WithdrawnJob, id("job", n).String()); err != nil || done {
		return nil, err
	}
	signed, _, err := w.denial(n, 1, nil)
	if err != nil {
		return nil, err
	}
	return nil, errors.Join(t.AppendForeign(signed, w.s.Public()), t.Withdraw(ledger.WithdrawnJob, id("job", n).String(), id("statement", n)),
		t.SetMeta(ledger.MetaPublished, int64(n)))
}

// fat fills the write-ahead log.
func (w *work) fat(t *ledger.Tx, n int) ([]byte, error) {
	if _, err := t.Job(id("fat", n)); !errors.Is(err, ledger.ErrNotFound) {
		return nil, err
	}
	return nil, t.AddJob(id("fat", n), fat(n))
}

func fat(n int) []byte {
	b := make([]byte, fatBytes)
	for i := range b {
		b[i] = byte(i * (n + 1) >> 3)
	}
	return b
}
