// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/enclave/sandbox"
	"github.com/glovebox-dev/glovebox/internal/door"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// statement reads the usage statement out of a result, verified under the lease key in its evidence.
func (w *world) statement(r *door.Result) (*usage.Statement, *envelope.Digest) {
	w.t.Helper()
	ev, err := attestation.ParseEvidence(r.Evidence)
	check(w.t, err)
	v, digest, err := usage.Verify(r.Usage, ev.Claims.SigningKey)
	check(w.t, err)
	return &v.Predicate, digest
}

// open decrypts a finished result as the buyer would.
func (w *world) open(r *door.Result) map[string]string {
	w.t.Helper()
	file := append(bytes.Clone(r.Header), w.payload...)
	s, digest := w.statement(r)
	if digest == nil || *digest != envelope.Sum(file) {
		w.t.Fatal("the usage attestation is about another file")
	}
	plain, err := age.Decrypt(bytes.NewReader(file), w.identity)
	check(w.t, err)
	out, salt, files := map[string]string{}, envelope.Nonce{}, []usage.File{}
	for t := tar.NewReader(plain); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		check(w.t, err)
		b, err := io.ReadAll(t)
		check(w.t, err)
		if h.Name == usage.SaltName {
			check(w.t, salt.UnmarshalText(b))
			continue
		}
		out[h.Name] = string(b)
		files = append(files, usage.File{Name: h.Name, Digest: envelope.Sum(b)})
	}
	if *s.Commitment != usage.Commitment(salt, files) {
		w.t.Fatal("commitment does not hold")
	}
	return out
}

// leastBeats is how many heartbeats so many leaves take: the grant allows the first.
func leastBeats(leaves, allowance int64) int64 { return (leaves+allowance-1)/allowance - 1 }

func TestJobCompletes(t *testing.T) {
	w := newWorld(t, nil)
	r, a := w.run(reader{})
	if a != nil || r == nil {
		t.Fatalf("abandoned: %+v", a)
	}
	model := sha256.Sum256(w.records)
	if diff := cmp.Diff(map[string]string{"model.bin": string(model[:]), logName: "said"}, w.open(r)); diff != "" {
		t.Fatal(diff)
	}
	s, _ := w.statement(r)
	size := w.data.Manifest.Tree.Size
	data := s.Packages[1]
	want := usage.Package{
		Manifest: w.data.ID, Grant: data.Grant, Policy: data.Policy, Leaves: []grant.Range{{First: 0, Count: size}}, ReadRoot: &w.data.Manifest.Tree.Root,
		Reads: size, Bytes: data.Bytes, Records: 20_000, Billable: 20_000, Epochs: 1, Heartbeat: data.Heartbeat,
	}
	if diff := cmp.Diff(want, data); diff != "" {
		t.Fatal(diff)
	}
	if size < 6 || data.Heartbeat < leastBeats(size, w.data.Manifest.Terms.Allowance) {
		t.Fatalf("%d heartbeats for %d leaves: progress was not leased", data.Heartbeat, size)
	}
	c, err := grant.VerifyCommit(r.Commits[1], w.data.Manifest.Broker.Key)
	check(t, err)
	if c.Predicate.Amount != 100+2*20_000 {
		t.Fatalf("charged %d", c.Predicate.Amount)
	}
	if s.Assurance != "simulated" || s.Runtime != job.RuntimeWASM || s.Attempt != 1 {
		t.Fatalf("%+v", s)
	}
}

// A second enclave with the same job gets a lease of its own only after the first one's ended; a completed job never.
func TestJobRunsOnce(t *testing.T) {
	w := newWorld(t, nil)
	if r, a := w.run(reader{}); r == nil {
		t.Fatalf("%+v", a)
	}
	r, a := w.run(reader{})
	if r != nil || a == nil || a.Code != grant.CodeDenied || a.Retry || len(a.Denial) == 0 {
		t.Fatalf("second run: finished %v, %+v", r != nil, a)
	}
	while := newWorld(t, nil)
	while.run(reader{during: func() {
		if err := while.enclave(reader{}).serveOne(t.Context(), &door.Assignment{Token: "u", Job: while.job}); err != nil {
			t.Error(err)
		}
		if while.result != nil || while.abandon == nil || !while.abandon.Retry {
			t.Errorf("two live leases for one job: %+v", while.abandon)
		}
	}})
}

func TestFailedRunsAreAttested(t *testing.T) {
	for name, c := range map[string]struct {
		job    func(*job.Job)
		runner Runner
		reason string
	}{
		"trap":               {nil, reader{change: func(o *sandbox.Outcome) { o.Reason = usage.ReasonTrap; o.Outputs = nil }}, usage.ReasonTrap},
		"undeclared":         {nil, reader{change: func(o *sandbox.Outcome) { o.Outputs[0].Name = "other" }}, usage.ReasonOutput},
		"twice":              {nil, reader{change: func(o *sandbox.Outcome) { o.Outputs = append(o.Outputs, o.Outputs[0]) }}, usage.ReasonOutput},
		"too large":          {nil, reader{change: func(o *sandbox.Outcome) { o.Outputs[0].Data = make([]byte, 1<<12+1) }}, usage.ReasonOutput},
		"one epoch too many": {nil, reader{passes: 2}, usage.ReasonNotPermitted},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.job)
			r, a := w.run(c.runner)
			if r == nil {
				t.Fatalf("abandoned: %+v", a)
			}
			s, digest := w.statement(r)
			if s.Outcome != usage.OutcomeFailed || s.Reason != c.reason || digest != nil || len(r.Header) != 0 || len(w.payload) != 0 {
				t.Fatalf("outcome %q reason %q, header %d, payload %d", s.Outcome, s.Reason, len(r.Header), len(w.payload))
			}
			if s.Packages[1].Records < 20_000 {
				t.Fatalf("%d records attested", s.Packages[1].Records)
			}
			com, err := grant.VerifyCommit(r.Commits[1], w.data.Manifest.Broker.Key)
			check(t, err)
			if com.Predicate.Amount != 0 {
				t.Fatal("a failed run was charged")
			}
		})
	}
}

func TestTwoEpochs(t *testing.T) {
	w := newWorld(t, func(j *job.Job) { j.Epochs = 2 })
	r, a := w.run(reader{passes: 2})
	if r == nil {
		t.Fatalf("%+v", a)
	}
	s, _ := w.statement(r)
	if p := s.Packages[1]; p.Epochs != 2 || p.Billable != 40_000 || p.Reads != 2*w.data.Manifest.Tree.Size {
		t.Fatalf("%+v", p)
	}
}

// A revocation stops the job in flight and still yields a usage attestation.
func TestRevokedWhileRunning(t *testing.T) {
	w := newWorld(t, func(j *job.Job) { j.Epochs = 2 })
	r, a := w.run(reader{passes: 2, during: func() {
		_, err := config.AddRevocation(w.creator.dir, &grant.Revocation{Manifest: &w.data.ID, Reason: "test", Time: time.Now().UnixMilli()})
		check(t, err)
	}})
	if r == nil {
		t.Fatalf("abandoned: %+v", a)
	}
	if s, _ := w.statement(r); s.Outcome != usage.OutcomeFailed || s.Reason != usage.ReasonStopped || len(r.Header) != 0 {
		t.Fatalf("%+v", s)
	}
}

// A host that wants a run to end gets it attested.
func TestHostCancels(t *testing.T) {
	w := newWorldOf(t, 2_000, nil)
	r, a := w.run(reader{during: func() {
		w.mu.Lock()
		w.cancel = true
		w.mu.Unlock()
		w.await(func() bool { return w.cancels > 1 }) // the second question comes after the first answer was acted on
	}})
	if r == nil {
		t.Fatalf("abandoned: %+v", a)
	}
	if s, _ := w.statement(r); s.Reason != usage.ReasonStopped || len(r.Header) != 0 {
		t.Fatalf("%+v", s)
	}
}

// A host that cannot keep the payload gets an attestation of failure, and the brokers close their leases.
func TestHostDiskFull(t *testing.T) {
	w := newWorldOf(t, 2_000, nil)
	w.full = true
	r, a := w.run(reader{})
	if r == nil {
		t.Fatalf("abandoned: %+v", a)
	}
	if s, _ := w.statement(r); s.Reason != usage.ReasonUnavailable || len(r.Header) != 0 || len(r.Commits) != 2 {
		t.Fatalf("%+v", s)
	}
}

// TestSparseModule: a code package of a few bytes must not make the enclave allocate what it claims to be.
func TestSparseModule(t *testing.T) {
	gnu := make([]byte, 1536) // an old GNU sparse entry of one gigabyte, all hole
	copy(gnu, mainModule)
	copy(gnu[100:], "0000644\x000000000\x000000000\x00")
	copy(gnu[124:], "00000000000\x0000000000000\x00")
	gnu[156] = 'S'
	copy(gnu[257:], "ustar  \x00")
	copy(gnu[386:], "00000000000\x0000000000000\x00")
	copy(gnu[483:], "10000000000\x00")
	sum := int64(8 * ' ')
	for i, b := range gnu[:512] {
		if i < 148 || i >= 156 {
			sum += int64(b)
		}
	}
	copy(gnu[148:], fmt.Sprintf("%06o\x00 ", sum))
	if h, err := tar.NewReader(bytes.NewReader(gnu)).Next(); err != nil || h.Size != 1<<30 {
		t.Fatalf("the attack is not one: %+v %v", h, err)
	}
	var large bytes.Buffer
	w := tar.NewWriter(&large)
	check(t, w.WriteHeader(&tar.Header{Name: mainModule, Size: sandbox.MaxModule + 1}))
	for name, b := range map[string][]byte{"sparse": gnu, "larger than allowed": large.Bytes(), "empty": nil} {
		if _, err := findFiles(bytes.NewReader(b), mainModule, map[string]int64{mainModule: sandbox.MaxModule}); !errors.Is(err, errModule) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestGreedyBroker: a commit that charges something else than the terms do opens no gate.
func TestGreedyBroker(t *testing.T) {
	for name, change := range map[string]func(*grant.Commit){
		"amount":   func(c *grant.Commit) { c.Amount++ },
		"currency": func(c *grant.Commit) { c.Currency = "XXX" },
		"records":  func(c *grant.Commit) { c.Records-- },
		"sequence": func(c *grant.Commit) { c.Sequence, c.Previous = 1, nil },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorldOf(t, 500, nil)
			w.forge(func(r *grant.Reply, key *envelope.Signer) (err error) {
				if len(r.Commit) == 0 {
					return nil
				}
				v, err := grant.VerifyCommit(r.Commit, key.Public())
				check(t, err)
				change(&v.Predicate)
				r.Commit, _, err = grant.Sign(&v.Predicate, key)
				return err
			})
			if r, a := w.run(reader{}); r != nil || !a.Retry {
				t.Fatalf("finished %v, %+v", r != nil, a)
			}
		})
	}
}

// TestGenerousBroker: a broker cannot grant more than its owner's signed terms, nor let a heartbeat allow more than the
// grant says.
func TestGenerousBroker(t *testing.T) {
	for name, change := range map[string]func(*grant.Grant){
		"epochs":       func(g *grant.Grant) { g.Obligations.Epochs = 3 },
		"output bytes": func(g *grant.Grant) { g.Obligations.MaxOutput = 2 << 20 },
		"output class": func(g *grant.Grant) { g.Obligations.Outputs = []string{"model", "table"} },
		"allowance":    func(g *grant.Grant) { g.Obligations.Allowance = 4 },
		"lease":        func(g *grant.Grant) { g.Obligations.Expires += 3600_000 },
		"leaves":       func(g *grant.Grant) { g.Obligations.Leaves[0].Count++ },
		"account":      func(g *grant.Grant) { g.Population = "another" },
		"capability":   func(g *grant.Grant) { d := envelope.Sum([]byte("made up")); g.Entitlement = &d },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorldOf(t, 500, nil)
			w.forge(func(r *grant.Reply, key *envelope.Signer) (err error) {
				if r.Release == nil {
					return nil
				}
				v, err := grant.VerifyGrant(r.Release.Grant, key.Public())
				check(t, err)
				change(&v.Predicate)
				r.Release.Grant, _, err = grant.Sign(&v.Predicate, key)
				return err
			})
			r, a := w.run(reader{})
			if r == nil {
				t.Fatalf("%+v", a)
			}
			if s, _ := w.statement(r); s.Outcome == usage.OutcomeCompleted || len(s.Packages) != 1 {
				t.Fatalf("%+v", s)
			}
		})
	}
	w := newWorldOf(t, 20_000, nil)
	w.forge(func(r *grant.Reply, key *envelope.Signer) (err error) {
		if len(r.Allowance) == 0 {
			return nil
		}
		v, err := grant.VerifyAllowance(r.Allowance, key.Public())
		check(t, err)
		v.Predicate.Leaves = 1 << 40
		r.Allowance, _, err = grant.Sign(&v.Predicate, key)
		return err
	})
	if r, a := w.run(reader{}); r == nil || len(r.Header) == 0 {
		t.Fatalf("finished %v, %+v", r != nil, a)
	} else if s, _ := w.statement(r); s.Packages[1].Heartbeat < leastBeats(w.data.Manifest.Tree.Size, w.data.Manifest.Terms.Allowance) {
		t.Fatalf("%d heartbeats: an allowance beyond the grant's was believed", s.Packages[1].Heartbeat)
	}
}

// TestSlowBroker: while one owner's broker takes its time, the others' leases are kept alive.
func TestSlowBroker(t *testing.T) {
	w := newWorldOf(t, 500, nil)
	w.patience = time.Minute
	beats := 0
	w.relay = func(address string, msg []byte) ([]byte, error) {
		m, err := grant.ParseMessage(msg)
		check(t, err)
		if len(m.Heartbeat) > 0 && address == w.buyer.cfg.Address {
			beats++
		}
		if m.Release != nil && address == w.creator.cfg.Address && beats < 3 {
			return nil, fmt.Errorf("%w: not yet", door.ErrRefused)
		}
		return w.forward(address, msg)
	}
	if r, a := w.run(reader{}); r == nil || len(r.Header) == 0 {
		t.Fatalf("finished %v, %+v after %d heartbeats", r != nil, a, beats)
	}
}

// TestCommitOrder: the code's broker, whose commit ends a job for good, is asked last.
func TestCommitOrder(t *testing.T) {
	w := newWorldOf(t, 500, nil)
	w.relay = func(address string, msg []byte) ([]byte, error) {
		m, err := grant.ParseMessage(msg)
		check(t, err)
		if len(m.Commit) > 0 && address == w.buyer.cfg.Address {
			return nil, fmt.Errorf("%w: gone", door.ErrRefused)
		}
		return w.forward(address, msg)
	}
	if r, a := w.run(reader{}); r != nil || !a.Retry {
		t.Fatalf("finished %v, %+v", r != nil, a)
	}
	// The creator has committed and charged; the buyer's lease is lost in time, and the job runs again at no second charge.
	w.relay = nil
	w.buyer.lose(t)
	r, a := w.run(reader{})
	if r == nil || len(r.Header) == 0 {
		t.Fatalf("finished %v, %+v", r != nil, a)
	}
	w.open(r)
	if s, _ := w.statement(r); s.Attempt != 2 {
		t.Fatalf("attempt %d", s.Attempt)
	}
}

// TestHostRefusesFinish: a committed result is handed over again until the host takes it.
func TestHostRefusesFinish(t *testing.T) {
	w := newWorldOf(t, 500, nil)
	w.refuseFinish = 3
	if r, a := w.run(reader{}); r == nil || len(r.Header) == 0 {
		t.Fatalf("finished %v, %+v", r != nil, a)
	}
}

func TestHostSwapsChunk(t *testing.T) {
	for name, m := range map[string]func(p []byte, off int64) int64{
		"flips a bit":       func(p []byte, off int64) int64 { return off },
		"serves another":    func(_ []byte, off int64) int64 { return off + 65600 },
		"serves the header": func(_ []byte, _ int64) int64 { return 0 },
	} {
		t.Run(name, func(t *testing.T) {
			v := newWorld(t, nil)
			seg := v.data.Manifest.Segments[0]
			v.blobs = mangled(func(d envelope.Digest, p []byte, off int64) (int, error) {
				if d != seg.Blob || off < 65600 {
					return v.store.ReadAt(t.Context(), d, p, off)
				}
				n, err := v.store.ReadAt(t.Context(), d, p, m(p, off))
				if name == "flips a bit" {
					p[n/2] ^= 1
				}
				return n, err
			})
			r, a := v.run(reader{})
			if r == nil {
				t.Fatalf("%+v", a)
			}
			if s, _ := v.statement(r); s.Reason != usage.ReasonDataset || len(r.Header) != 0 {
				t.Fatalf("%+v", s)
			}
		})
	}
}

func TestHostGivesAnotherManifest(t *testing.T) {
	w := newWorld(t, nil)
	w.signed[w.data.ID] = w.code.Signed
	if r, a := w.run(reader{}); r != nil || !strings.Contains(a.Message, "the host gave manifest") {
		t.Fatalf("finished %v, %+v", r != nil, a)
	}
}

// One broker sees its own packages only, so the enclave adds up what all of them may cost.
func TestSpendCapCoversAllPackages(t *testing.T) {
	w := newWorldOf(t, 100, func(j *job.Job) { j.SpendCap = 100 + 2*100 - 1 })
	if r, a := w.run(reader{}); r != nil || a.Retry || !strings.Contains(a.Message, "spend cap") {
		t.Fatalf("finished %v, %+v", r != nil, a)
	}
	w = newWorldOf(t, 100, func(j *job.Job) { j.SpendCap = 100 + 2*100 })
	if r, a := w.run(reader{}); r == nil {
		t.Fatalf("%+v", a)
	}
}

func TestEmptyConfigRefused(t *testing.T) {
	if _, err := New(Config{}); !errors.Is(err, ErrConfig) {
		t.Fatal(err)
	}
}

// mangled is a hostile blob store.
type mangled func(d envelope.Digest, p []byte, off int64) (int, error)

func (m mangled) ReadAt(_ context.Context, d envelope.Digest, p []byte, off int64) (int, error) {
	return m(d, p, off)
}
