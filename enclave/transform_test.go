// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/enclave/sandbox"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/door"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/builtin"
	"github.com/glovebox-dev/glovebox/transforms/tx"
)

// canary is what must not reach the code.
const canary = "zelda.fitzroy@corp.example.com"

// mails are so many records of CSV, each with the canary.
func mails(records int) []byte {
	var b bytes.Buffer
	b.WriteString("id,text\n")
	for i := range records {
		fmt.Fprintf(&b, "%d,\"write to %s, she knows %x\"\n", i, canary, sha256.Sum256([]byte{byte(i), byte(i >> 8)}))
	}
	return b.Bytes()
}

func pin(t testing.TB, name string, config any) dataset.Step {
	t.Helper()
	s, err := builtin.Pin(name, config)
	check(t, err)
	return s
}

func redactMail(t testing.TB) dataset.Step {
	return pin(t, "redact", map[string]any{"fields": []string{"text"}, "detect": []string{"EMAIL_ADDRESS"}})
}

// inMode makes a world whose terms allow one mode, by these steps.
func inMode(t testing.TB, mode string, records []byte, change func(*dataset.Manifest), steps ...dataset.Step) *world {
	t.Helper()
	return newWorldFrom(t, made{
		records: records, module: []byte("\x00asm-for-a-fake-runner"),
		terms: func(m *dataset.Terms) { m.Modes = []string{mode} },
		offer: func(m *dataset.Manifest) {
			m.Terms.Steps = []dataset.ModeSteps{{Mode: mode, Steps: steps}}
			if change != nil {
				change(m)
			}
		},
		job: func(j *job.Job) { j.Mode, j.Epochs = mode, 2 },
	})
}

// copier is a runner that keeps what the code would see, pass by pass.
type copier struct {
	reader
	seen   *[][]byte
	module func(s *dataset.Step, module []byte) (transforms.Module, error)
}

func newCopier(passes int) copier { return copier{reader: reader{passes: passes}, seen: new([][]byte)} }

func (c copier) Run(ctx context.Context, s sandbox.Spec, d sandbox.Data) (*sandbox.Outcome, error) {
	return c.reader.Run(ctx, s, watched{d, c.seen})
}

func (c copier) Module(_ context.Context, s *dataset.Step, module []byte, _ transforms.Schema, _ tx.Lent) (transforms.Module, error) {
	if c.module == nil {
		return nil, transforms.ErrModule
	}
	return c.module(s, module)
}

// watched is data that somebody looks at.
type watched struct {
	sandbox.Data
	seen *[][]byte
}

func (w watched) Range(ctx context.Context, file int, off int64, most int) ([]byte, int, error) {
	b, before, err := w.Data.Range(ctx, file, off, most)
	if err == nil {
		if off == 0 {
			*w.seen = append(*w.seen, nil)
		}
		last := &(*w.seen)[len(*w.seen)-1]
		*last = append(*last, b[before:]...)
	}
	return b, before, err
}

// attested is the statement of a run, which must be what the creator's terms and grant say.
func (w *world) attested(res *door.Result) *usage.Statement {
	w.t.Helper()
	if res == nil {
		w.t.Fatalf("no result: %+v", w.abandon)
	}
	p, err := envelope.Peek[usage.Statement](res.Usage, envelope.UsageType)
	check(w.t, err)
	g, err := envelope.Peek[grant.Grant](res.Grants[1], envelope.GrantType)
	check(w.t, err)
	for _, no := range slices.Concat(usage.CheckSteps(&g.Predicate.Obligations, w.data.Manifest),
		usage.CheckMetered(&p.Predicate.Packages[1], w.data.Manifest, &g.Predicate.Obligations, p.Predicate.Outcome),
		usage.CheckTransforms(&p.Predicate, 1, w.data.Manifest, &g.Predicate.Obligations)) {
		w.t.Errorf("%s: %s", no.Rule, no.Message)
	}
	return &p.Predicate
}

// TestCodeSeesRedactedRecords: what arrives is redacted, alike in every epoch, and the attestation says what was done.
func TestCodeSeesRedactedRecords(t *testing.T) {
	const records = 5000 // several batches
	w := inMode(t, dataset.ModeRedacted, mails(records), nil, redactMail(t))
	c := newCopier(2)
	res, _ := w.run(c)
	s := w.attested(res)
	if s.Outcome != usage.OutcomeCompleted {
		t.Fatalf("%s: %s", s.Outcome, s.Reason)
	}
	seen := *c.seen
	if len(seen) != 2 || !bytes.Equal(seen[0], seen[1]) || len(seen[0]) <= batchBytes {
		t.Fatalf("%d passes", len(seen))
	}
	if bytes.Contains(seen[0], []byte("zelda")) || bytes.Count(seen[0], []byte("<EMAIL_ADDRESS>")) != records || !bytes.HasPrefix(seen[0], []byte("id,text\n0,")) {
		t.Errorf("the code saw %.200s", seen[0])
	}
	did := s.Transforms[0]
	if len(s.Transforms) != 1 || did.Step != "redact" || did.RecordsIn != records || did.RecordsOut != records || did.Sealed ||
		!slices.Equal(did.Findings, []dataset.Count{{Name: "EMAIL_ADDRESS", Count: records}}) {
		t.Errorf("%+v", s.Transforms)
	}
	u := s.Packages[1]
	if u.Records != 2*records || u.Billable != 2*records || u.Epochs != 2 || u.Reads != w.data.Manifest.Tree.Size {
		t.Errorf("%+v", u)
	}
}

// TestTokensAreOfTheGrant: tokens are the same within a job and others in the next.
func TestTokensAreOfTheGrant(t *testing.T) {
	step := pin(t, "redact", map[string]any{
		"fields": []string{"text"}, "detect": []string{"EMAIL_ADDRESS"}, "operators": map[string]any{"default": map[string]any{"op": "hash", "scope": "grant"}},
	})
	w := inMode(t, dataset.ModePseudonymised, mails(2), nil, step)
	var runs [][]byte
	for range 2 {
		c := newCopier(1)
		w.signJob(func(j *job.Job) { j.Mode = dataset.ModePseudonymised })
		res, _ := w.run(c)
		if s := w.attested(res); s.Outcome != usage.OutcomeCompleted {
			t.Fatal(s.Reason)
		}
		lines := bytes.Split((*c.seen)[0], []byte("\n"))
		a, _, _ := bytes.Cut(lines[1][2:], []byte(", she"))
		b, _, _ := bytes.Cut(lines[2][2:], []byte(", she"))
		if !bytes.Equal(a, b) || bytes.Contains(a, []byte("zelda")) {
			t.Errorf("%q and %q", a, b)
		}
		runs = append(runs, a)
	}
	if bytes.Equal(runs[0], runs[1]) {
		t.Errorf("two grants, one token: %q", runs[0])
	}
}

// ended expects a run that failed, and gave the code nothing.
func (w *world) ended(r Runner, seen *[][]byte, reason string) {
	w.t.Helper()
	res, _ := w.run(r)
	s := w.attested(res)
	if s.Outcome != usage.OutcomeFailed || s.Reason != reason || len(*seen) != 0 || w.payload != nil || len(res.Header) != 0 {
		w.t.Errorf("%s for %q, want %q; %d passes", s.Outcome, s.Reason, reason, len(*seen))
	}
	if s.Packages[1].Records != 0 || len(s.Transforms) != 0 {
		w.t.Errorf("%+v %+v", s.Packages[1], s.Transforms)
	}
}

// TestNothingLeft: a dataset of which every record is quarantined ends the job, it is not an empty dataset.
func TestNothingLeft(t *testing.T) {
	scan := pin(t, "scan", map[string]any{"detect": []string{"EMAIL_ADDRESS"}, "act": "quarantine"})
	c := newCopier(1)
	inMode(t, dataset.ModeRedacted, mails(10), nil, scan).ended(c, c.seen, usage.ReasonTransform)
}

// TestScanEndsTheRun: a scan that may end the run does.
func TestScanEndsTheRun(t *testing.T) {
	scan := pin(t, "scan", map[string]any{"detect": []string{"EMAIL_ADDRESS"}, "act": "fail"})
	c := newCopier(1)
	inMode(t, dataset.ModeRedacted, mails(10), nil, scan).ended(c, c.seen, usage.ReasonTransform)
}

// TestOtherBuiltIn: an enclave that has another method than the pinned one asks nobody for anything.
func TestOtherBuiltIn(t *testing.T) {
	step := redactMail(t)
	step.Digest = envelope.Sum([]byte("another release"))
	w := inMode(t, dataset.ModeRedacted, mails(10), nil, step)
	w.relay = func(string, []byte) ([]byte, error) {
		t.Error("a broker was asked")
		return nil, errors.New("unused")
	}
	if res, a := w.run(newCopier(1)); res != nil || a == nil || a.Retry || !strings.Contains(a.Message, "pin step") {
		t.Errorf("%+v %+v", res, a)
	}
}

// TestGrantAgainstTerms: a broker that obliges to other steps than its owner signed is refused, and so is one that lets the
// code see records in another mode.
func TestGrantAgainstTerms(t *testing.T) {
	for name, change := range map[string]func(*grant.Obligations){
		"no steps":      func(o *grant.Obligations) { o.Transforms = []envelope.Digest{} },
		"another step":  func(o *grant.Obligations) { o.Transforms[0] = envelope.Sum([]byte("x")) },
		"one more":      func(o *grant.Obligations) { o.Transforms = append(o.Transforms, envelope.Sum([]byte("x"))) },
		"raw":           func(o *grant.Obligations) { o.Mode, o.Transforms = dataset.ModeRaw, []envelope.Digest{} },
		"pseudonymised": func(o *grant.Obligations) { o.Mode = dataset.ModePseudonymised },
	} {
		t.Run(name, func(t *testing.T) {
			w := inMode(t, dataset.ModeRedacted, mails(10), nil, redactMail(t))
			w.forge(func(r *grant.Reply, key *envelope.Signer) error {
				if r.Release == nil {
					return nil
				}
				p, err := envelope.Peek[grant.Grant](r.Release.Grant, envelope.GrantType)
				if err != nil {
					return err
				}
				change(&p.Predicate.Obligations)
				r.Release.Grant, _, err = grant.Sign(&p.Predicate, key)
				return err
			})
			c := newCopier(1)
			res, _ := w.run(c)
			if res == nil {
				t.Fatal("no statement")
			}
			p, err := envelope.Peek[usage.Statement](res.Usage, envelope.UsageType)
			check(t, err)
			// The code's own broker released; the creator's is asked again until patience ends, and no key of hers was taken.
			if s := p.Predicate; s.Reason != usage.ReasonUnavailable || len(s.Packages) != 1 || len(*c.seen) != 0 {
				t.Errorf("%s %s, %d packages, %d passes", s.Outcome, s.Reason, len(s.Packages), len(*c.seen))
			}
		})
	}
}

// fakeModule gives back what a function makes of each record.
type fakeModule struct {
	each func(record []byte) ([][]byte, error)
}

func (m fakeModule) Batch(_ context.Context, in [][]byte) (out [][]byte, r transforms.ModuleReport, err error) {
	for _, record := range in {
		made, err := m.each(record)
		if err != nil {
			return nil, r, err
		}
		out = append(out, made...)
	}
	r.Fuel = int64(len(in))
	return out, r, nil
}

func (m fakeModule) Flush(context.Context) ([][]byte, transforms.ModuleReport, error) {
	return nil, transforms.ModuleReport{}, nil
}

func (m fakeModule) Close() error { return nil }

// withModule is a world whose mode redacted has a module before the redaction, and the host has its bytes.
func withModule(t *testing.T, shape string, records int, scan bool) (*world, []byte) {
	t.Helper()
	module := []byte("\x00asm-module of the creator's")
	step := dataset.Step{Name: dataset.StepModule, Digest: sha256.Sum256(module), ABI: dataset.ABITransform, Shape: shape, Config: json.RawMessage(`{}`)}
	steps := []dataset.Step{step, redactMail(t)}
	if scan {
		steps = []dataset.Step{step, pin(t, "scan", map[string]any{"detect": []string{"EMAIL_ADDRESS"}, "act": "quarantine"})}
	}
	w := inMode(t, dataset.ModeRedacted, mails(records), nil, steps...)
	_, _, err := w.store.Put(t.Context(), bytes.NewReader(module))
	check(t, err)
	return w, module
}

func same(record []byte) ([][]byte, error) { return [][]byte{record}, nil }

// TestModuleOfTheCreators: a module whose bytes are the pinned ones runs, and its fuel is attested.
func TestModuleOfTheCreators(t *testing.T) {
	w, module := withModule(t, dataset.ShapeMap, 100, false)
	c := newCopier(1)
	c.module = func(s *dataset.Step, got []byte) (transforms.Module, error) {
		if !bytes.Equal(got, module) || s.Shape != dataset.ShapeMap {
			t.Errorf("started %q as %s", got, s.Shape)
		}
		return fakeModule{same}, nil
	}
	res, _ := w.run(c)
	s := w.attested(res)
	if s.Outcome != usage.OutcomeCompleted || len(s.Transforms) != 2 || s.Transforms[0].Fuel != 100 || bytes.Contains((*c.seen)[0], []byte("zelda")) {
		t.Errorf("%s %+v", s.Reason, s.Transforms)
	}
}

// TestScanDecidesAfterAModule: what a module of the creator's let through is looked at again by a built-in.
func TestScanDecidesAfterAModule(t *testing.T) {
	w, _ := withModule(t, dataset.ShapeMap, 10, true)
	c := newCopier(1)
	c.module = func(*dataset.Step, []byte) (transforms.Module, error) {
		return fakeModule{func(record []byte) ([][]byte, error) {
			if record[0] == '3' {
				return same(record) // forgotten
			}
			return same(bytes.ReplaceAll(record, []byte(canary), []byte("nobody")))
		}}, nil
	}
	res, _ := w.run(c)
	s := w.attested(res)
	if s.Outcome != usage.OutcomeCompleted || bytes.Contains((*c.seen)[0], []byte("zelda")) || bytes.Count((*c.seen)[0], []byte("nobody")) != 9 {
		t.Fatalf("%s: %q", s.Reason, *c.seen)
	}
	if last := s.Transforms[1]; last.RecordsOut != 9 || dataset.SumCounts(last.Quarantined) != 1 || s.Packages[1].Billable != 9 {
		t.Errorf("%+v %+v", last, s.Packages[1])
	}
}

// TestMoreRecordsThanWentIn: what a module multiplies is not billed twice.
func TestMoreRecordsThanWentIn(t *testing.T) {
	w, _ := withModule(t, dataset.ShapeAny, 50, false)
	c := newCopier(1)
	c.module = func(*dataset.Step, []byte) (transforms.Module, error) {
		return fakeModule{func(record []byte) ([][]byte, error) { return [][]byte{record, record, record}, nil }}, nil
	}
	res, _ := w.run(c)
	s := w.attested(res)
	if u := s.Packages[1]; s.Outcome != usage.OutcomeCompleted || s.Transforms[1].RecordsOut != 150 || u.Billable != 50 {
		t.Errorf("%s %+v %+v", s.Reason, s.Transforms, u)
	}
}

// TestModuleFails: a module that traps, lies about its records or is not the pinned one ends the job before the code starts.
func TestModuleFails(t *testing.T) {
	for name, each := range map[string]func([]byte) ([][]byte, error){
		"traps":      func([]byte) ([][]byte, error) { return nil, &tx.ModuleError{Reason: "trap"} },
		"one less":   func(r []byte) ([][]byte, error) { return nil, nil },
		"not a line": func(r []byte) ([][]byte, error) { return same([]byte("1,\"a\nb")) },
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := withModule(t, dataset.ShapeMap, 10, false)
			c := newCopier(1)
			c.module = func(*dataset.Step, []byte) (transforms.Module, error) { return fakeModule{each}, nil }
			w.ended(c, c.seen, usage.ReasonTransform)
		})
	}
}

// otherModule is a host that gives other bytes under a module's digest.
type otherModule struct {
	dataset.BlobReader
	id envelope.Digest
	b  []byte
}

func (o otherModule) ReadAt(ctx context.Context, d envelope.Digest, p []byte, off int64) (int, error) {
	if d != o.id {
		return o.BlobReader.ReadAt(ctx, d, p, off)
	}
	return copy(p, o.b[min(off, int64(len(o.b))):]), nil
}

func TestHostSwapsModule(t *testing.T) {
	for name, change := range map[string]func(b []byte) []byte{
		"another": func(b []byte) []byte { return append([]byte{1}, b[1:]...) },
		"longer":  func(b []byte) []byte { return append(b, 0) },
		"none":    func([]byte) []byte { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			w, module := withModule(t, dataset.ShapeMap, 10, false)
			w.blobs = otherModule{w.store, sha256.Sum256(module), change(bytes.Clone(module))}
			c := newCopier(1)
			c.module = func(*dataset.Step, []byte) (transforms.Module, error) {
				t.Error("it was started")
				return fakeModule{same}, nil
			}
			w.ended(c, c.seen, usage.ReasonTransform)
		})
	}
}

// TestRecordAcrossBatches: a record longer than a batch arrives whole, and counts once.
func TestRecordAcrossBatches(t *testing.T) {
	var b bytes.Buffer
	b.WriteString("id,text\n")
	for i := range 3 {
		fmt.Fprintf(&b, "%d,%s %s\n", i, strings.Repeat("x", 3*batchBytes/2), canary)
	}
	w := inMode(t, dataset.ModeRedacted, b.Bytes(), nil, redactMail(t))
	c := newCopier(2)
	res, _ := w.run(c)
	s := w.attested(res)
	want := bytes.ReplaceAll(b.Bytes(), []byte(canary), []byte("<EMAIL_ADDRESS>"))
	if s.Outcome != usage.OutcomeCompleted || s.Packages[1].Records != 6 || !bytes.Equal((*c.seen)[1], want) {
		t.Errorf("%s, %d records, %d bytes of %d", s.Reason, s.Packages[1].Records, len((*c.seen)[0]), len(want))
	}
}

// TestStoppedWhileTransforming: a host that cancels while records go through steps gets a statement, and the code nothing.
func TestStoppedWhileTransforming(t *testing.T) {
	w, _ := withModule(t, dataset.ShapeMap, 10, false)
	c := newCopier(1)
	c.module = func(*dataset.Step, []byte) (transforms.Module, error) {
		return fakeModule{func(r []byte) ([][]byte, error) {
			w.mu.Lock()
			w.cancel = true
			w.mu.Unlock()
			w.await(func() bool { return w.cancels > 0 })
			return same(r)
		}}, nil
	}
	res, _ := w.run(c)
	if s := w.attested(res); s.Reason != usage.ReasonStopped || len(*c.seen) != 0 {
		t.Errorf("%q, %d passes", s.Reason, len(*c.seen))
	}
}
