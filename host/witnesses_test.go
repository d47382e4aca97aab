// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"connectrpc.com/connect"

	pb "github.com/glovebox-dev/glovebox/host/api/glovebox/v1"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/tlog"
)

// fakeWitness is one as the log sees it: it checks nothing but what the test wants, and can be made to misbehave.
type fakeWitness struct {
	*tlog.Cosigner
	srv *httptest.Server

	mu      sync.Mutex
	size    int64
	asked   atomic.Int64
	proofs  []int                                                  // hashes in each request
	bend    func(w http.ResponseWriter, r tlog.AddCheckpoint) bool // true: it has answered
	lastReq tlog.AddCheckpoint
}

func newFakeWitness(t *testing.T, name string) *fakeWitness {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c, err := tlog.NewCosigner(name, key)
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeWitness{Cosigner: c}
	f.srv = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(f.srv.Close)
	return f
}

func (f *fakeWitness) serve(w http.ResponseWriter, req *http.Request) {
	f.asked.Add(1)
	b, err := io.ReadAll(io.LimitReader(req.Body, tlog.MaxAddCheckpoint+1))
	r, perr := tlog.ParseAddCheckpoint(string(b))
	if err != nil || perr != nil || req.URL.Path != "/w/add-checkpoint" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lastReq, f.proofs = r, append(f.proofs, len(r.Proof))
	if f.bend != nil && f.bend(w, r) {
		return
	}
	if r.Old != f.size {
		w.Header().Set("Content-Type", tlog.SizeType)
		w.WriteHeader(http.StatusConflict)
		fmt.Fprintf(w, "%d\n", f.size)
		return
	}
	size, err := tlog.ParseSize(strings.Split(r.Checkpoint, "\n")[1])
	line, cerr := f.Cosign(r.Checkpoint, 1_800_000_000)
	if err != nil || cerr != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	f.size = size
	io.WriteString(w, line) //nolint:errcheck // a test's
}

func (f *fakeWitness) misbehave(bend func(http.ResponseWriter, tlog.AddCheckpoint) bool) {
	f.mu.Lock()
	f.bend = bend
	f.mu.Unlock()
}

// witnessed is a configuration with these witnesses.
func witnessed(threshold int, of ...*fakeWitness) func(*Config) {
	return func(c *Config) {
		c.WitnessThreshold = threshold
		for _, f := range of {
			c.Witnesses = append(c.Witnesses, Witness{URL: f.srv.URL + "/w", Key: f.String()})
		}
	}
}

// append logs a fresh record and waits until it is published.
func (w *world) append() envelope.Digest {
	w.t.Helper()
	b, id := w.grantRecord(w.broker)
	if err := w.c.AppendRecord(context.Background(), b, w.broker.Public()); err != nil {
		w.t.Fatal(err)
	}
	w.published()
	return id
}

// proof asks for a statement's inclusion under a cosigned checkpoint.
func (w *world) proof(id envelope.Digest) (tlog.Proof, []byte, error) {
	r, err := w.c.Log.Inclusion(context.Background(), connect.NewRequest(&pb.InclusionRequest{
		Entry: &pb.InclusionRequest_Statement{Statement: id.String()}, Cosigned: true,
	}))
	if err != nil {
		return tlog.Proof{}, nil, err
	}
	p := tlog.Proof{Index: r.Msg.Index, Size: r.Msg.Size, Checkpoint: string(r.Msg.Checkpoint)}
	for _, h := range r.Msg.Hashes {
		p.Hashes = append(p.Hashes, envelope.Digest(h))
	}
	return p, r.Msg.Body, nil
}

func (w *world) proven(id envelope.Digest, by *tlog.Witnesses) tlog.Proof {
	w.t.Helper()
	var p tlog.Proof
	eventually(w.t, "cosigned", func() bool {
		var body []byte
		var err error
		if p, body, err = w.proof(id); err != nil {
			return false
		}
		_, _, err = by.VerifyInclusion(w.h.seq.log, body, p)
		return err == nil
	})
	return p
}

func believe(t *testing.T, threshold int, of ...*fakeWitness) *tlog.Witnesses {
	t.Helper()
	var keys []string
	for _, f := range of {
		keys = append(keys, f.String())
	}
	w, err := tlog.NewWitnesses(threshold, keys...)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestCheckpointsAreCosigned(t *testing.T) {
	a, b := newFakeWitness(t, "a.test"), newFakeWitness(t, "b.test")
	w := newWorld(t, anywhere, witnessed(1, a, b))
	both := believe(t, 2, a, b)
	first := w.append()
	w.proven(first, both)
	for range 3 {
		w.proven(w.append(), both)
	}
	// The first entry is proven in the later tree too, and the file that static readers see is cosigned.
	if p := w.proven(first, both); p.Size != 4 {
		t.Errorf("proof in a tree of %d, want 4", p.Size)
	}
	r, err := http.Get(w.srv.URL + "/log/checkpoint")
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r.Body)
	r.Body.Close()
	if _, _, cerr := both.Cosigned(w.h.seq.log, string(text)); err != nil || cerr != nil {
		t.Errorf("%s: %v, %v", text, err, cerr)
	}
	st, err := w.c.Status(context.Background())
	if err != nil || st.LogCosigned != 4 || len(st.LogWitnesses) != 2 || st.LogWitnesses[0].Size != 4 || st.LogWitnesses[0].Time == 0 || st.LogWitnesses[0].Fault != "" {
		t.Errorf("%v, %v", st, err)
	}
	// A restarted host knows what was cosigned without asking, and asks on from there.
	a.misbehave(refuse(http.StatusServiceUnavailable))
	b.misbehave(refuse(http.StatusServiceUnavailable))
	w.restart()
	if p, body, err := w.proof(first); err != nil {
		t.Error(err)
	} else if _, _, err := both.VerifyInclusion(w.h.seq.log, body, p); err != nil {
		t.Error(err)
	}
	a.misbehave(nil)
	b.misbehave(nil)
	w.proven(w.append(), both)
}

func refuse(code int) func(http.ResponseWriter, tlog.AddCheckpoint) bool {
	return func(w http.ResponseWriter, _ tlog.AddCheckpoint) bool {
		w.WriteHeader(code)
		return true
	}
}

func TestLogWithoutWitnesses(t *testing.T) {
	w := newWorld(t, anywhere, nil)
	id := w.append()
	if _, _, err := w.proof(id); connect.CodeOf(err) != connect.CodeFailedPrecondition {
		t.Errorf("%v", err)
	}
	if st, err := w.c.Status(context.Background()); err != nil || len(st.LogWitnesses) != 0 || st.LogCosigned != 0 {
		t.Errorf("%v, %v", st, err)
	}
}

// TestHostileWitness: whatever one witness does, the log lives, the other's word counts, and the operator sees why.
func TestHostileWitness(t *testing.T) {
	stall := make(chan struct{})
	defer close(stall)
	answer := func(text string) func(http.ResponseWriter, tlog.AddCheckpoint) bool {
		return func(w http.ResponseWriter, _ tlog.AddCheckpoint) bool {
			io.WriteString(w, text) //nolint:errcheck // a test's
			return true
		}
	}
	conflict := func(body string) func(http.ResponseWriter, tlog.AddCheckpoint) bool {
		return func(w http.ResponseWriter, _ tlog.AddCheckpoint) bool {
			w.Header().Set("Content-Type", tlog.SizeType)
			w.WriteHeader(http.StatusConflict)
			io.WriteString(w, body) //nolint:errcheck // a test's
			return true
		}
	}
	old := ""
	for name, bend := range map[string]func(http.ResponseWriter, tlog.AddCheckpoint) bool{
		"refuses":           refuse(http.StatusForbidden),
		"knows no such log": refuse(http.StatusNotFound),
		"says nothing":      answer(""),
		"signs garbage":     answer("— b.test AAAA\n"),
		"talks":             answer(strings.Repeat("words\n", 100)),
		"without end":       answer(strings.Repeat("x", 1<<20)),
		"redirects": func(w http.ResponseWriter, _ tlog.AddCheckpoint) bool {
			w.Header().Set("Location", "/")
			w.WriteHeader(307)
			return true
		},
		"always another size": conflict("7\n"),
		"a larger size":       conflict("9007199254740991\n"),
		"no size":             conflict("-1\n"),
		"a size that is none": conflict("many\n"),
		"409 without a size":  refuse(http.StatusConflict),
		"is slow":             func(http.ResponseWriter, tlog.AddCheckpoint) bool { <-stall; return true },
		"signs an older size": func(w http.ResponseWriter, _ tlog.AddCheckpoint) bool { io.WriteString(w, old); return true }, //nolint:errcheck // a test's
	} {
		t.Run(name, func(t *testing.T) {
			a, b := newFakeWitness(t, "a.test"), newFakeWitness(t, "b.test")
			if name == "is slow" {
				t.Cleanup(b.srv.CloseClientConnections)
			}
			b.misbehave(bend)
			w := newWorld(t, anywhere, witnessed(1, a, b))
			w.proven(w.append(), believe(t, 1, a))
			w.proven(w.append(), believe(t, 1, a))
			if _, _, ok := w.h.seq.feeder.cosigned(); !ok {
				t.Error("nothing is cosigned")
			}
			if name == "is slow" {
				return
			}
			eventually(t, "a fault is shown", func() bool {
				st, err := w.c.Status(context.Background())
				return err == nil && st.LogWitnesses[1].Fault != "" && st.LogWitnesses[0].Fault == ""
			})
			text, _, _ := w.h.seq.feeder.cosigned()
			if _, _, err := believe(t, 1, b).Cosigned(w.h.seq.log, text); err == nil {
				t.Error("b's word is there")
			}
		})
	}
}

// TestWitnessComesBack: an entry made while the witness was away is cosigned when it is back, without another entry.
func TestWitnessComesBack(t *testing.T) {
	a := newFakeWitness(t, "a.test")
	a.misbehave(refuse(http.StatusBadGateway))
	w := newWorld(t, anywhere, witnessed(1, a))
	id := w.append()
	if _, _, err := w.proof(id); connect.CodeOf(err) != connect.CodeUnavailable {
		t.Errorf("before: %v", err)
	}
	eventually(t, "asked", func() bool { return a.asked.Load() > 1 })
	a.misbehave(nil)
	w.proven(id, believe(t, 1, a))
}

// TestProofsBeyondOneTile: consistency and inclusion in trees of more than one tile, from sizes that are no longer the
// latest.
func TestProofsBeyondOneTile(t *testing.T) {
	a := newFakeWitness(t, "a.test")
	w := newWorld(t, anywhere, witnessed(1, a))
	w.proven(w.append(), believe(t, 1, a))
	a.misbehave(refuse(http.StatusServiceUnavailable))
	for range 300 {
		b, _ := w.grantRecord(w.broker)
		if err := w.c.AppendRecord(context.Background(), b, w.broker.Public()); err != nil {
			t.Fatal(err)
		}
	}
	last := w.append()
	a.misbehave(nil)
	p := w.proven(last, believe(t, 1, a))
	if p.Size != 302 {
		t.Errorf("size %d", p.Size)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if n := a.lastReq.Old; n != 1 || len(a.lastReq.Proof) == 0 {
		t.Errorf("the last question was from size %d with %d hashes", n, len(a.lastReq.Proof))
	}
}

// TestOlderLogUnderWitness: the operator puts an older copy of the log back. The witness does not sign it, and the status
// says what happened.
func TestOlderLogUnderWitness(t *testing.T) {
	a := newFakeWitness(t, "a.test")
	w := newWorld(t, anywhere, witnessed(1, a))
	w.proven(w.append(), believe(t, 1, a))
	a.mu.Lock()
	a.size = 40 // it has seen more than this host has
	a.mu.Unlock()
	w.append()
	eventually(t, "a fault", func() bool {
		st, err := w.c.Status(context.Background())
		return err == nil && strings.Contains(st.LogWitnesses[0].Fault, "cosigned a log of 40 entries")
	})
	if _, size, _ := w.h.seq.feeder.cosigned(); size != 1 {
		t.Errorf("cosigned size %d", size)
	}
}

func TestWitnessConfig(t *testing.T) {
	a := newFakeWitness(t, "a.test")
	for name, change := range map[string]func(*Config){
		"threshold of none":    func(c *Config) { c.WitnessThreshold = 1 },
		"no threshold":         witnessed(0, a),
		"too high a threshold": witnessed(2, a),
		"one twice":            witnessed(1, a, a),
		"not a key":            func(c *Config) { c.Witnesses, c.WitnessThreshold = []Witness{{URL: "http://x", Key: "x"}}, 1 },
	} {
		cfg := Config{Dir: t.TempDir(), Origin: "log.test"}
		change(&cfg)
		if h, err := New(context.Background(), cfg); err == nil {
			h.Close()
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestCosignedFileIsChecked: what lies on the disk is not believed for lying there.
func TestCosignedFileIsChecked(t *testing.T) {
	a := newFakeWitness(t, "a.test")
	w := newWorld(t, anywhere, witnessed(1, a))
	w.proven(w.append(), believe(t, 1, a))
	a.misbehave(refuse(http.StatusServiceUnavailable))
	w.stop()
	path := filepath.Join(w.cfg.Dir, cosignedFile)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"empty": "", "words": "words\n\n— ", "without the witness": string(good[:strings.Index(string(good), "— a.test")]),
		"flipped": string(good[:len(good)-8]) + "AAAA" + string(good[len(good)-4:]),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		w.open()
		if _, _, ok := w.h.seq.feeder.cosigned(); ok {
			t.Errorf("%s: believed", name)
		}
		w.stop()
	}
}
