// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation/usage/usagetest"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/tlog"
)

// world is a log and its witness.
type world struct {
	t   *testing.T
	dir string
	log *usagetest.Log
	w   *Witness
}

func newWorld(t *testing.T, entries int) *world {
	t.Helper()
	x := &world{t: t, dir: filepath.Join(t.TempDir(), "witness"), log: newLog(t, entries)}
	if _, err := Create(x.dir, "w.example.org/witness"); err != nil {
		t.Fatal(err)
	}
	x.open()
	t.Cleanup(func() { x.w.Close() })
	return x
}

func newLog(t *testing.T, entries int) *usagetest.Log {
	t.Helper()
	l, err := usagetest.NewLog(entries)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (x *world) open() {
	x.t.Helper()
	var err error
	if x.w, err = Open(x.dir, []*tlog.Log{x.log.Log}); err != nil {
		x.t.Fatal(err)
	}
}

func (x *world) restart() {
	x.t.Helper()
	if err := x.w.Close(); err != nil {
		x.t.Fatal(err)
	}
	x.open()
}

func (x *world) checkpoint() string {
	x.t.Helper()
	text, err := x.log.Checkpoint()
	if err != nil {
		x.t.Fatal(err)
	}
	return text
}

// request asks for the log as it is now.
func (x *world) request(old int64) tlog.AddCheckpoint {
	r := tlog.AddCheckpoint{Old: old, Checkpoint: x.checkpoint()}
	if old > 0 {
		r.Proof = x.log.Consistency(old)
	}
	return r
}

func (x *world) add(r tlog.AddCheckpoint) error {
	x.t.Helper()
	line, err := x.w.Add(context.Background(), r)
	if err != nil {
		return err
	}
	p, err := tlog.NewWitnesses(1, x.w.Key())
	if err != nil {
		x.t.Fatal(err)
	}
	if _, _, err := p.Cosigned(x.log.Log, r.Checkpoint+line); err != nil {
		x.t.Fatalf("a cosignature that does not verify: %v", err)
	}
	return nil
}

func TestSignsAGrowingLog(t *testing.T) {
	x := newWorld(t, 3)
	if err := x.add(x.request(0)); err != nil {
		t.Fatal(err)
	}
	for i := range int64(5) {
		x.log.Append(fmt.Appendf(nil, "%d", i))
		if i == 2 {
			x.restart()
		}
		if err := x.add(x.request(3 + i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := x.add(x.request(8)); err != nil {
		t.Errorf("the same again: %v", err)
	}
	text, ok := x.w.Latest(x.log.Origin())
	if cp, err := x.log.ParseCheckpoint(text); !ok || err != nil || cp.Size != 8 {
		t.Errorf("latest %q", text)
	}
}

func TestRefusals(t *testing.T) {
	x := newWorld(t, 5)
	if err := x.add(x.request(0)); err != nil {
		t.Fatal(err)
	}
	good := x.request(5)
	x.log.Append([]byte("more"))
	grown := x.request(5)
	other := newLog(t, 9)
	foreign, err := other.Checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	before, _ := x.w.Latest(x.log.Origin())
	for name, c := range map[string]struct {
		r   tlog.AddCheckpoint
		err error
	}{
		"another origin":         {tlog.AddCheckpoint{Old: 5, Checkpoint: strings.Replace(grown.Checkpoint, "log.", "lag.", 1)}, errUnknown},
		"no checkpoint":          {tlog.AddCheckpoint{Old: 5}, errUnknown},
		"another log's key":      {tlog.AddCheckpoint{Old: 5, Checkpoint: foreign}, errSignature},
		"an altered size":        {tlog.AddCheckpoint{Old: 5, Checkpoint: strings.Replace(grown.Checkpoint, "\n6\n", "\n7\n", 1), Proof: grown.Proof}, errSignature},
		"smaller than it claims": {tlog.AddCheckpoint{Old: 6, Checkpoint: good.Checkpoint}, errSmaller},
		"without a proof":        {tlog.AddCheckpoint{Old: 5, Checkpoint: grown.Checkpoint}, errProof},
		"a longer proof":         {tlog.AddCheckpoint{Old: 5, Checkpoint: grown.Checkpoint, Proof: append([]envelope.Digest{{}}, grown.Proof...)}, errProof},
		"a proof of nothing":     {tlog.AddCheckpoint{Old: 5, Checkpoint: good.Checkpoint, Proof: grown.Proof}, errProof},
	} {
		if err := x.add(c.r); !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", name, err, c.err)
		}
	}
	for name, old := range map[string]int64{"as if new": 0, "an older size": 4, "the size to come": 6} {
		if c, ok := errors.AsType[conflict](x.add(tlog.AddCheckpoint{Old: old, Checkpoint: grown.Checkpoint})); !ok || c.known != 5 {
			t.Errorf("%s: %v", name, c)
		}
	}
	if after, _ := x.w.Latest(x.log.Origin()); after != before {
		t.Error("a refused request changed the state")
	}
	if err := x.add(tlog.AddCheckpoint{Checkpoint: grown.Checkpoint, Proof: grown.Proof}); err == nil {
		t.Error("signed a known log as if it were new")
	}
}

// TestFirstNeedsNoProof: a log that the witness does not know yet is signed without a proof; one that comes with one all the same
// is a mistake, which C2SP tlog-witness has refused.
func TestFirstNeedsNoProof(t *testing.T) {
	x := newWorld(t, 5)
	r := x.request(0)
	r.Proof = []envelope.Digest{{1}}
	if err := x.add(r); !errors.Is(err, errProof) {
		t.Errorf("a proof that proves nothing: %v", err)
	}
	if _, ok := x.w.Latest(x.log.Origin()); ok {
		t.Error("a refused request changed the state")
	}
	if err := x.add(x.request(0)); err != nil {
		t.Error(err)
	}
}

// TestRequestIsBounded: no more of a request is read than one may have.
func TestRequestIsBounded(t *testing.T) {
	x := newWorld(t, 3)
	body := &counted{r: io.LimitReader(endless{}, 1<<26)}
	w := httptest.NewRecorder()
	x.w.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/add-checkpoint", body))
	if w.Code != http.StatusBadRequest || body.n > 2*tlog.MaxAddCheckpoint {
		t.Errorf("status %d after %d bytes", w.Code, body.n)
	}
}

// endless is text without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'A'
	}
	return len(p), nil
}

type counted struct {
	r io.Reader
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// TestForkBelowWitness: the same key signs two trees. Whichever the witness saw first is the only one it ever signs.
func TestForkBelowWitness(t *testing.T) {
	x := newWorld(t, 4)
	fork := x.log.Fork(x.log.Size())
	if err := x.add(x.request(0)); err != nil {
		t.Fatal(err)
	}
	x.log.Append([]byte("for the buyer"))
	fork.Append([]byte("for the auditor"))
	if err := x.add(x.request(4)); err != nil {
		t.Fatal(err)
	}
	other, err := fork.Checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := x.add(tlog.AddCheckpoint{Old: 5, Checkpoint: other}); !errors.Is(err, errProof) {
			t.Errorf("another tree of the same size: %v", err)
		}
		if err := x.add(tlog.AddCheckpoint{Old: 4, Checkpoint: other, Proof: fork.Consistency(4)}); err == nil {
			t.Error("signed the second view")
		}
		x.restart()
	}
	fork.Append([]byte("and on"))
	if other, err = fork.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	if err := x.add(tlog.AddCheckpoint{Old: 5, Checkpoint: other, Proof: fork.Consistency(5)}); !errors.Is(err, errProof) {
		t.Errorf("the other tree, grown: %v", err)
	}
}

// TestTwoViewsAtOnce: two trees of one size are submitted at once, many times; one of them is signed.
func TestTwoViewsAtOnce(t *testing.T) {
	for range 20 {
		x := newWorld(t, 2)
		fork := x.log.Fork(x.log.Size())
		x.log.Append([]byte("a"))
		fork.Append([]byte("b"))
		other, err := fork.Checkpoint()
		if err != nil {
			t.Fatal(err)
		}
		var signed sync.Map
		var wg sync.WaitGroup
		for _, text := range []string{x.checkpoint(), other, x.checkpoint(), other} {
			wg.Go(func() {
				if _, err := x.w.Add(context.Background(), tlog.AddCheckpoint{Checkpoint: text}); err == nil {
					signed.Store(text, true)
				}
			})
		}
		wg.Wait()
		n := 0
		signed.Range(func(any, any) bool { n++; return true })
		if n != 1 {
			t.Fatalf("%d views signed", n)
		}
	}
}

// TestNothingLeavesBeforeItIsDurable: when the disk fails, there is no signature, then or later, until a restart has read
// what the disk holds.
func TestNothingLeavesBeforeItIsDurable(t *testing.T) {
	x := newWorld(t, 4)
	if err := x.add(x.request(0)); err != nil {
		t.Fatal(err)
	}
	fork := x.log.Fork(x.log.Size())
	x.log.Append([]byte("a"))
	fork.Append([]byte("b"))
	x.w.write = func(path string, b []byte) error { // it is written, but the answer is lost
		if err := writeFile(path, b); err != nil {
			t.Fatal(err)
		}
		return errors.New("input/output error")
	}
	if err := x.add(x.request(4)); !errors.Is(err, errBroken) {
		t.Fatalf("signed: %v", err)
	}
	x.w.write = writeFile
	other, err := fork.Checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	second := tlog.AddCheckpoint{Old: 4, Checkpoint: other, Proof: fork.Consistency(4)}
	if err := x.add(second); !errors.Is(err, errBroken) {
		t.Errorf("signed another after a failure: %v", err)
	}
	x.restart()
	if err := x.add(second); err == nil {
		t.Error("signed the second view after a restart")
	}
	if err := x.add(x.request(5)); err != nil {
		t.Errorf("the first view, which is on the disk: %v", err)
	}
}

// TestLostState: a witness that does not know what it signed does not sign.
func TestLostState(t *testing.T) {
	x := newWorld(t, 4)
	if err := x.add(x.request(0)); err != nil {
		t.Fatal(err)
	}
	if err := x.w.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(x.dir, stateFile)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	own := newWorld(t, 4)
	if err := own.add(own.request(0)); err != nil {
		t.Fatal(err)
	}
	foreign, err := os.ReadFile(filepath.Join(own.dir, stateFile))
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"empty": {}, "words": []byte("words"), "cut": good[:len(good)/2], "another witness's": foreign,
		"another version":     []byte(strings.Replace(string(good), `"version":1`, `"version":2`, 1)),
		"a field more":        []byte(strings.Replace(string(good), `"version":1`, `"version":1,"x":1`, 1)),
		"another size":        []byte(strings.Replace(string(good), `\n4\n`, `\n5\n`, 1)),
		"without our word":    []byte(`{"version":1,"logs":[{"origin":"log.example.org","checkpoint":` + quote(x.checkpoint()) + `}]}`),
		"a log that is twice": []byte(strings.Replace(string(good), `"logs":[`, `"logs":[`+string(good[strings.Index(string(good), `[{`)+1:strings.LastIndex(string(good), `]`)])+`,`, 1)),
	} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if w, err := Open(x.dir, []*tlog.Log{x.log.Log}); !errors.Is(err, ErrState) {
			t.Errorf("%s: %v", name, err)
			if err == nil {
				w.Close()
			}
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(x.dir, []*tlog.Log{x.log.Log}); !errors.Is(err, ErrState) {
		t.Errorf("lost: %v", err)
	}
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	x.open()
}

func quote(s string) string { return `"` + strings.ReplaceAll(s, "\n", `\n`) + `"` }

// TestLogThatWasDropped: a log that leaves the configuration and comes back is not a new one.
func TestLogThatWasDropped(t *testing.T) {
	x := newWorld(t, 4)
	if err := x.add(x.request(0)); err != nil {
		t.Fatal(err)
	}
	x.w.Close()
	second := newLog(t, 2)
	l, err := tlog.NewLogFromKey("second.example.org", second.Key())
	if err != nil {
		t.Fatal(err)
	}
	w, err := Open(x.dir, []*tlog.Log{l})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Add(context.Background(), x.request(4)); !errors.Is(err, errUnknown) {
		t.Errorf("%v", err)
	}
	if err := w.save("second.example.org", "x"); err != nil { // any write keeps the others
		t.Fatal(err)
	}
	w.Close()
	x.open()
	if text, ok := x.w.Latest(x.log.Origin()); !ok || !strings.Contains(text, "\n4\n") {
		t.Errorf("forgot %q", text)
	}
}

func TestOneProcess(t *testing.T) {
	x := newWorld(t, 1)
	if _, err := Open(x.dir, nil); !errors.Is(err, ErrLocked) {
		t.Errorf("twice: %v", err)
	}
	if _, err := Create(x.dir, "w.example.org"); !errors.Is(err, ErrExists) {
		t.Errorf("made again: %v", err)
	}
	if _, err := Open(t.TempDir(), nil); !errors.Is(err, ErrMissing) {
		t.Errorf("none: %v", err)
	}
	if _, err := Create(filepath.Join(t.TempDir(), "w"), "a name"); !errors.Is(err, tlog.ErrKey) {
		t.Errorf("a bad name: %v", err)
	}
	if key, err := ReadKey(x.dir); err != nil || key != x.w.Key() {
		t.Errorf("%s, %v", key, err)
	}
	x.w.Close()
	if _, err := Open(x.dir, []*tlog.Log{x.log.Log, x.log.Log}); !errors.Is(err, ErrConfig) {
		t.Errorf("one log twice: %v", err)
	}
	self, err := tlog.NewLogFromKey("w.example.org", x.w.cosigner.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(x.dir, []*tlog.Log{self}); !errors.Is(err, ErrConfig) {
		t.Errorf("its own log: %v", err)
	}
	if st, err := os.Stat(filepath.Join(x.dir, keyFile)); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("key: %v, %v", st.Mode(), err)
	}
	if err := os.Chmod(filepath.Join(x.dir, keyFile), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(x.dir, nil); !errors.Is(err, envelope.ErrKeyMode) {
		t.Errorf("a key that others can read: %v", err)
	}
}

// TestHTTP goes through C2SP tlog-witness as a client sees it.
func TestHTTP(t *testing.T) {
	x := newWorld(t, 3)
	x.w.now = func() time.Time { return time.Unix(1_800_000_000, 0) }
	srv := httptest.NewServer(http.StripPrefix("/witness", x.w.Handler()))
	defer srv.Close()
	post := func(body string) (int, string, string) {
		t.Helper()
		r, err := http.Post(srv.URL+"/witness/add-checkpoint", "text/plain", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, r.Header.Get("Content-Type"), string(b)
	}
	get := func(path string) (int, string) {
		t.Helper()
		r, err := http.Get(srv.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, string(b)
	}
	latest := "/witness/" + envelope.Sum([]byte(x.log.Origin())).Hex() + "/checkpoint"
	if code, _ := get(latest); code != http.StatusNotFound {
		t.Errorf("latest before the first: %d", code)
	}
	if code, _, body := post(x.request(0).String()); code != http.StatusOK || !strings.HasPrefix(body, "— w.example.org/witness ") {
		t.Fatalf("%d %s", code, body)
	}
	first := x.request(3)
	if code, text := get(latest); code != http.StatusOK || !strings.HasPrefix(text, first.Checkpoint) || strings.Count(text, "— ") != 2 {
		t.Errorf("latest: %d %s", code, text)
	}
	x.log.Append([]byte("x"))
	grown := x.request(3)
	if code, typ, body := post(x.request(0).String()); code != http.StatusConflict || typ != tlog.SizeType || body != "3\n" {
		t.Errorf("conflict: %d %s %q", code, typ, body)
	}
	for name, c := range map[string]struct {
		body string
		code int
	}{
		"nothing":            {"", 400},
		"no size":            {strings.Replace(grown.String(), "old 3", "old", 1), 400},
		"a size with a zero": {strings.Replace(grown.String(), "old 3", "old 03", 1), 400},
		"a negative size":    {strings.Replace(grown.String(), "old 3", "old -3", 1), 400},
		"a word for a hash":  {"old 3\nwords\n\n" + grown.Checkpoint, 400},
		"too many hashes":    {tlog.AddCheckpoint{Old: 3, Proof: make([]envelope.Digest, 64), Checkpoint: grown.Checkpoint}.String(), 400},
		"without end":        {"old 3\n" + strings.Repeat("A", 1<<20), 400},
		"larger than it has": {tlog.AddCheckpoint{Old: 5, Checkpoint: grown.Checkpoint}.String(), 400},
		"another origin":     {strings.Replace(grown.String(), "log.", "lag.", 1), 404},
		"no signature":       {grown.String()[:strings.Index(grown.String(), "— ")], 403},
		"a false proof":      {tlog.AddCheckpoint{Old: 3, Proof: make([]envelope.Digest, 2), Checkpoint: grown.Checkpoint}.String(), 422},
	} {
		if code, _, body := post(c.body); code != c.code {
			t.Errorf("%s: %d %s, want %d", name, code, body, c.code)
		}
	}
	if code, _, _ := post(grown.String()); code != http.StatusOK {
		t.Errorf("after all that: %d", code)
	}
	for path, code := range map[string]int{"/witness/add-checkpoint": 405, "/witness/": 404, "/witness/abc/checkpoint": 404, "/witness/../witness.key": 404} {
		if got, _ := get(path); got != code {
			t.Errorf("GET %s: %d, want %d", path, got, code)
		}
	}
}

// FuzzAddCheckpoint: a request that parses is written again byte for byte.
func FuzzAddCheckpoint(f *testing.F) {
	l, err := usagetest.NewLog(5)
	if err != nil {
		f.Fatal(err)
	}
	text, err := l.Checkpoint()
	if err != nil {
		f.Fatal(err)
	}
	for _, r := range []tlog.AddCheckpoint{{Checkpoint: text}, {Old: 3, Proof: l.Consistency(3), Checkpoint: text}, {Old: 9}} {
		f.Add(r.String())
	}
	f.Add("old 1\n\n")
	f.Fuzz(func(t *testing.T, s string) {
		if r, err := tlog.ParseAddCheckpoint(s); err == nil && r.String() != s {
			t.Errorf("%q became %q", s, r.String())
		}
	})
}
