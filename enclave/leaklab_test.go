// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/enclave/sandbox"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/door"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
)

const (
	leakSegment = 60 << 10 // raw bytes; the guest knows it too
	leakRecords = 10_000   // beside the secret one
	leakEpochs  = 2
)

// secret is the record that must not get out.
type secret [32]byte

func (s secret) number(bits int) (n int) {
	for i := range bits {
		n = n<<1 | int(s[i/8]>>(7-i%8)&1)
	}
	return n
}

// lab is where the leak suite's guests run: worlds that differ in nothing but the record to be carried out, a real
// spawner, and everything that anybody outside of the enclave gets to see.
type lab struct {
	t       testing.TB
	spawner *sandbox.Spawner
	worlds  []*leakWorld
	silent  *leakWorld // its owner keeps logs off
	runs    map[string]*seen
}

// leakWorld is a world whose first record is secret.
type leakWorld struct {
	*world
	n      int
	secret secret
	asked  []int         // segments of the dataset that the host was asked for, in order
	delay  time.Duration // of the host's answers
}

// seen is all that one run showed.
type seen struct {
	secret    secret
	statement *usage.Statement // to everybody
	asked     []int            // to the host: segments, in order
	payload   int              // to the host: bytes of the result
	took      time.Duration    // to the host
	due       []due            // of each package
	entries   []tar.Header     // to the buyer
	files     map[string]string
}

// due is what a package's statement must say after the leaves that were asked for. Keys and blobs differ from world to world.
type due struct {
	bytes int64
	root  envelope.Digest
}

// leaker compiles the guest, once.
var leaker = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "leaker")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "guest.wasm")
	cmd := exec.Command("clang", "--target=wasm32", "-nostdlib", "-O2", "-Wall", "-Werror", "-o", out, "testdata/leaker/leaker.c")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, err
	}
	return os.ReadFile(out)
})

// needClang skips where there is no clang for WebAssembly; CI must have it unless it says otherwise.
func needClang(t *testing.T) {
	t.Helper()
	if _, err := leaker(); err != nil {
		if os.Getenv("CI") == "true" && os.Getenv("GLOVEBOX_NO_CLANG") == "" {
			t.Fatal(err)
		}
		t.Skipf("no clang and lld for WebAssembly: %v", err)
	}
}

// newLab makes that many worlds. The first bits of their records differ, so that channels of one or two bits are tried with
// different values.
func newLab(t testing.TB, worlds int) *lab {
	t.Helper()
	module, err := leaker()
	check(t, err)
	l := &lab{t: t, runs: map[string]*seen{}}
	l.spawner, err = sandbox.StartSpawner(sandbox.Config{})
	check(t, err)
	t.Cleanup(l.spawner.Close)
	for n, first := range []byte{1, 2, 0, 3}[:worlds] {
		l.worlds = append(l.worlds, newLeakWorld(t, n, first, module, grant.LogsSealed))
	}
	l.silent = newLeakWorld(t, worlds, 1, module, grant.LogsOff)
	return l
}

func newLeakWorld(t testing.TB, n int, first byte, module []byte, logs string) *leakWorld {
	w := &leakWorld{n: n}
	rand.Read(w.secret[:]) //nolint:errcheck // never fails
	w.secret[0] = w.secret[0]&0x3f | first<<6
	var csv bytes.Buffer
	fmt.Fprintf(&csv, "id,value\n0,%x\n", w.secret)
	for i := range leakRecords {
		fmt.Fprintf(&csv, "%d,%x\n", i, sha256.Sum256([]byte(fmt.Sprint("record", i))))
	}
	w.world = newWorldFrom(t, made{
		records: csv.Bytes(), module: module, segment: leakSegment,
		terms: func(m *dataset.Terms) { m.Logs, m.MaxUses, m.MaxEpochs = logs, 10_000, leakEpochs },
	})
	w.blobs, w.patience = w, 10*time.Second
	return w
}

// ReadAt shows the host what is asked for.
func (w *leakWorld) ReadAt(ctx context.Context, d envelope.Digest, p []byte, off int64) (int, error) {
	for i, s := range w.data.Manifest.Segments {
		if s.Blob == d {
			w.mu.Lock()
			w.asked = append(w.asked, i)
			w.mu.Unlock()
			time.Sleep(w.delay)
		}
	}
	return w.store.ReadAt(ctx, d, p, off)
}

// leakJob is the job whose figures the table of bounds is computed for.
func leakJob(try, calibrate string) func(*job.Job) {
	return func(j *job.Job) {
		j.Epochs = leakEpochs
		j.Limits = job.Limits{MemoryBytes: 256 << 20, WallSeconds: 60, OutputBytes: 1 << 16, Fuel: 1 << 40}
		j.Outputs = []job.Output{{Name: "model.bin", Class: "model", MaxBytes: 4 << 10}, {Name: "metrics.json", Class: "metrics", MaxBytes: 1 << 10}}
		j.Params = map[string]string{"TRY": try}
		if calibrate != "" {
			j.Params["CALIBRATE"] = calibrate
		}
		j.Seed = envelope.Nonce{1}
		switch try {
		case "ending":
			j.Limits.Fuel, j.Limits.MemoryBytes = 1<<32, 128<<20
		case "killed":
			j.Limits.WallSeconds = 3
		}
	}
}

// run has the guest try a channel on a world's record, or show what a known one looks like. Runs are kept.
func (l *lab) run(w *leakWorld, try, calibrate string) *seen {
	l.t.Helper()
	key := fmt.Sprint(w.n, try, calibrate)
	if s := l.runs[key]; s != nil {
		return s
	}
	w.signJob(leakJob(try, calibrate))
	w.asked = nil
	began := time.Now()
	r, a := w.attempt(l.spawner, try)
	s := &seen{secret: w.secret, took: time.Since(began), payload: len(w.payload), asked: w.asked}
	if r == nil {
		l.t.Fatalf("%s: abandoned: %s: %s", try, a.Code, a.Message)
	}
	s.statement, _ = w.statement(r)
	s.due = w.due(s.asked)
	if s.statement.Outcome == usage.OutcomeCompleted {
		s.entries, s.files = w.unpack(r)
	}
	w.nothingInTheClear(try, r)
	l.runs[key] = s
	return s
}

// attempt is one attempt on the job. But for the tries that take time no heartbeats are sent for its passing, so that those of
// reading can be compared.
func (w *leakWorld) attempt(r Runner, try string) (*door.Result, *door.Abandon) {
	w.t.Helper()
	w.result, w.abandon, w.payload = nil, nil, nil
	e := w.enclave(r)
	if try != "spin" {
		e.t.heartbeat = time.Hour
	}
	check(w.t, e.serveOne(w.t.Context(), &door.Assignment{Token: "t", Job: w.job}))
	return w.result, w.abandon
}

// due is computed from the segments asked for, which have one leaf each; the code is read whole.
func (w *leakWorld) due(asked []int) []due {
	w.t.Helper()
	var code, data due
	code.root = w.code.Manifest.Tree.Root
	for _, s := range w.code.Manifest.Segments {
		code.bytes += s.Bytes
	}
	m := meter{hashes: map[int64]envelope.Digest{}}
	var indices []int64
	for _, i := range asked {
		s := &w.data.Manifest.Segments[i]
		data.bytes += s.Bytes
		if _, ok := m.hashes[int64(i)]; ok {
			continue
		}
		leaf := make([]byte, s.Bytes)
		if _, err := w.store.ReadAt(w.t.Context(), s.Blob, leaf, 0); err != nil && !errors.Is(err, io.EOF) {
			w.t.Fatal(err)
		}
		m.hashes[int64(i)] = envelope.Digest(tlog.RecordHash(leaf))
		indices = append(indices, int64(i))
	}
	slices.Sort(indices)
	var err error
	data.root, err = m.root(indices)
	check(w.t, err)
	return []due{code, data}
}

// unpack opens the result and keeps what a tar archive says beside the contents.
func (w *leakWorld) unpack(r *door.Result) (entries []tar.Header, files map[string]string) {
	w.t.Helper()
	files = w.open(r)
	plain, err := age.Decrypt(io.MultiReader(bytes.NewReader(r.Header), bytes.NewReader(w.payload)), w.identity)
	check(w.t, err)
	for t := tar.NewReader(plain); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return entries, files
		}
		check(w.t, err)
		entries = append(entries, *h)
	}
}

// nothingInTheClear: whatever a guest tries, the record is in nothing that the host holds.
func (w *leakWorld) nothingInTheClear(try string, r *door.Result) {
	w.t.Helper()
	_, statement, _, err := envelope.Parts(r.Usage)
	check(w.t, err)
	all, err := json.Marshal(w.progress)
	check(w.t, err)
	all = bytes.Join([][]byte{all, statement, r.Evidence, r.Ticket, r.Header, w.payload, []byte(r.Reason)}, nil)
	for form, b := range map[string][]byte{"raw": w.secret[:8], "hexadecimal": []byte(hex.EncodeToString(w.secret[:8]))} {
		if bytes.Contains(all, b) {
			w.t.Errorf("%s: the host holds the record, %s", try, form)
		}
	}
}

// rest is everything that a run shows beside what rows of the table give a bound for (fuel, time, memory), and the texts that are
// meant for the buyer. Names of job, lease and keys are drawn by others than the guest. Bytes and the root of what was read depend
// on a world's keys; whether they are what is due does not.
func (s *seen) rest(contents bool) string {
	st := *s.statement
	st.Job, st.Binding, st.Evidence, st.Commitment = envelope.Digest{1}, envelope.Digest{1}, envelope.Digest{1}, nil
	st.Measured, st.Time = usage.Measured{Steps: st.Measured.Steps}, usage.Time{}
	if st.Execution != nil {
		x := *st.Execution
		x.Fuel = 0
		st.Execution = &x
	}
	st.Packages = append([]usage.Package{}, st.Packages...)
	for i := range st.Packages {
		p := &st.Packages[i]
		p.Manifest, p.Grant, p.Policy = envelope.Digest{1}, envelope.Digest{1}, envelope.Digest{1}
		if p.Bytes -= s.due[i].bytes; p.ReadRoot != nil && *p.ReadRoot == s.due[i].root {
			p.ReadRoot = nil
		}
	}
	b, err := json.Marshal(st)
	if err != nil {
		return err.Error()
	}
	text := fmt.Sprintf("%s\npayload %d\nasked %v\nentries %+v\n", b, s.payload, s.asked, s.entries)
	if contents {
		text += fmt.Sprintf("contents %q\n", s.files)
	}
	return text
}

// same runs a try on every record and gives the bits that tell the runs apart: none if they show the same.
func (l *lab) same(try, reason string) float64 {
	l.t.Helper()
	var views []string
	for _, w := range l.worlds {
		views = append(views, l.ended(l.run(w, try, ""), try, reason).rest(try != "say"))
	}
	return l.distinct(try, views...)
}

// ended holds a run against the reason it must end with, or else the try was not made.
func (l *lab) ended(s *seen, try, reason string) *seen {
	l.t.Helper()
	if s.statement.Reason != reason {
		l.t.Errorf("%s ended with reason %q, want %q", try, s.statement.Reason, reason)
	}
	return s
}

func (l *lab) distinct(try string, views ...string) float64 {
	l.t.Helper()
	kinds := map[string]bool{}
	for _, v := range views {
		kinds[v] = true
	}
	if len(kinds) > 1 {
		l.t.Logf("%s: %d kinds of view:\n%s", try, len(kinds), strings.Join(views, "\n"))
	}
	return math.Log2(float64(len(kinds)))
}

// number runs a try that sends the first bits of the record, and gives how many of them arrived in every world.
func (l *lab) number(try string, bits int, decode func(*seen) int) float64 {
	l.t.Helper()
	arrived := bits
	for _, w := range l.worlds {
		s := l.run(w, try, "")
		if got, sent := decode(s), s.secret.number(bits); got != sent {
			l.t.Logf("%s: sent %d, decoded %d", try, sent, got)
			arrived = 0
		}
	}
	return float64(arrived)
}

// scaled decodes a figure that grows evenly with the number sent, from what none and the most look like: a number of that
// many bits, all ones.
func (l *lab) scaled(try string, bits int, figure func(*seen) float64) func(*seen) int {
	ones := fmt.Sprintf("%04x", 0xffff<<(16-bits)&0xffff)
	return func(s *seen) int {
		none, most := figure(l.run(l.worlds[0], try, "0000")), figure(l.run(l.worlds[0], try, ones))
		return int(math.Round((figure(s) - none) / (most - none) * float64(int(1)<<bits-1)))
	}
}

// coarse sends the first bit of the record as much or little of a figure that other things move too. It is read by majority.
func (l *lab) coarse(try string, figure func(*seen) float64) float64 {
	l.t.Helper()
	return l.patiently(try, 1, func() float64 {
		between := math.Sqrt(figure(l.run(l.worlds[0], try, "0000")) * figure(l.run(l.worlds[0], try, "8000")))
		for _, w := range l.worlds {
			var votes [2]int
			for n := 0; max(votes[0], votes[1]) < 2; n++ {
				vote := 0
				if figure(l.take(w, try, n)) > between {
					vote = 1
				}
				votes[vote]++
			}
			if votes[w.secret.number(1)] < 2 {
				l.t.Logf("%s: sent %d, votes %v", try, w.secret.number(1), votes)
				return 0
			}
		}
		return 1
	})
}

// take is the nth of several runs of one try.
func (l *lab) take(w *leakWorld, try string, n int) *seen {
	l.t.Helper()
	key := fmt.Sprint(w.n, try, "take ", n)
	if l.runs[key] == nil {
		delete(l.runs, fmt.Sprint(w.n, try, ""))
		l.runs[key] = l.run(w, try, "")
	}
	return l.runs[key]
}

// patiently measures up to three times: other programs on the machine may drown what is sent.
func (l *lab) patiently(try string, sent float64, measure func() float64) (arrived float64) {
	l.t.Helper()
	for range 3 {
		if arrived = measure(); arrived >= sent {
			break
		}
		for key := range l.runs {
			if strings.Contains(key, try) {
				delete(l.runs, key)
			}
		}
	}
	return arrived
}
