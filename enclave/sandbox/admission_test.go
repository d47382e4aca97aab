// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// sendOnly is a worker that sends b.
func sendOnly(b ...[]byte) func(io.Reader, io.Writer, io.Writer) {
	return func(_ io.Reader, _, out io.Writer) { _, _ = out.Write(slices.Concat(b...)) }
}

// outcomeOf is what a worker sends that comes to r, after its admission.
func outcomeOf(r result) []byte { return sent(artefact{result: r})[len(says(truth())):] }

// TestWorkerLiesAboutTheModule: a worker that names another module than it was given, or costs nobody knows, is killed and
// nothing it said gets into the outcome.
func TestWorkerLiesAboutTheModule(t *testing.T) {
	other := func(change func(*admission)) []byte {
		a := truth()
		change(&a)
		return says(a)
	}
	rest := outcomeOf(result{Fuel: 1})
	for name, first := range map[string][]byte{
		"another module":         other(func(a *admission) { a.Original = envelope.Sum([]byte("other")) }),
		"no module":              other(func(a *admission) { a.Original = envelope.Digest{} }),
		"nothing rewritten":      other(func(a *admission) { a.Rewritten = envelope.Digest{} }),
		"older costs":            other(func(a *admission) { a.Costs = "fuel/0" }),
		"no costs":               other(func(a *admission) { a.Costs = "" }),
		"huge":                   other(func(a *admission) { a.Costs = strings.Repeat("x", maxAdmission) }),
		"another field":          bytes.Replace(says(truth()), []byte(`"costs"`), []byte(`"coats"`), 1),
		"empty":                  {kindAdmission, 0, 0, 0, 0},
		"not canonical":          bytes.Replace(says(truth()), []byte(`{"costs"`), []byte(`{ "cost"`), 1),
		"length without content": {kindAdmission, 0xff, 0xff, 0xff, 0xff},
	} {
		t.Run(name, func(t *testing.T) {
			if r := wantHostile(t, sendOnly(first, rest)); r.admitted != nil {
				t.Errorf("believed %+v", r.admitted)
			}
		})
	}
}

// TestAdmissionTwiceOrLate: an admission comes once and before the result, or the worker is lying about one of them.
func TestAdmissionTwiceOrLate(t *testing.T) {
	a, rest := says(truth()), outcomeOf(result{Fuel: 1})
	end := len(rest) - 5
	for name, b := range map[string][]byte{
		"twice":              slices.Concat(a, a, rest),
		"after the result":   slices.Concat(rest[:bytes.IndexByte(rest, '}')+1], a, rest[bytes.IndexByte(rest, '}')+1:]),
		"after the logs":     slices.Concat(a, rest[:end], a, rest[end:]),
		"after the end":      slices.Concat(a, rest, a),
		"never":              rest,
		"never, of a trap":   outcomeOf(result{Reason: ReasonTrap}),
		"never, of no fuel":  outcomeOf(result{Reason: ReasonFuel, Fuel: 1 << 40}),
		"but module refused": slices.Concat(a, outcomeOf(result{Reason: ReasonModule})),
	} {
		t.Run(name, func(t *testing.T) { wantHostile(t, sendOnly(b)) })
	}
}

// TestWorkerClaimsImpossibleFuel: no count beyond the job's limit or below zero, and none that does not go with the reason.
func TestWorkerClaimsImpossibleFuel(t *testing.T) {
	limit := spec(nil).Fuel
	for name, r := range map[string]result{
		"above the limit":          {Fuel: limit + 1},
		"far above":                {Fuel: 1<<53 - 1},
		"negative":                 {Fuel: -1},
		"none, and completed":      {},
		"out of fuel with some":    {Reason: ReasonFuel, Fuel: limit - 1},
		"out of fuel with none":    {Reason: ReasonFuel},
		"trap above the limit":     {Reason: ReasonTrap, Fuel: limit + 1},
		"trap below zero":          {Reason: ReasonTrap, Fuel: -1},
		"memory above the limit":   {Reason: ReasonMemory, Fuel: limit + 1},
		"output below zero":        {Reason: ReasonOutput, Fuel: -1},
		"wall, which is not its":   {Reason: ReasonWall, Fuel: 1},
		"worker, which is not its": {Reason: ReasonWorker, Fuel: 1},
	} {
		t.Run(name, func(t *testing.T) {
			if run := wantHostile(t, sendOnly(says(truth()), outcomeOf(r))); run.admitted == nil {
				t.Error("what was about to run is not known any more")
			}
		})
	}
	for name, r := range map[string]result{"module": {Reason: ReasonModule, Fuel: 1}, "memory": {Reason: ReasonMemory, Fuel: 1}} {
		t.Run("not admitted but ran: "+name, func(t *testing.T) { wantHostile(t, sendOnly(outcomeOf(r))) })
	}
}

// TestWorkerStopsAtEveryByte: a worker that falls silent or dies anywhere in what it sends never has a result, and what
// was about to run is known from the whole admission on, with no fuel.
func TestWorkerStopsAtEveryByte(t *testing.T) {
	all := honest(Artefact{"result", []byte("abc")})
	for n := range len(all) {
		sp := spec(hostileModule)
		p := fakeWorker(t, func(_ io.Reader, _, out io.Writer) { _, _ = out.Write(all[:n]) })
		r := &run{process: p, spec: &sp}
		if n%2 == 0 {
			p.kill()
		}
		a, err := r.do(t.Context(), time.Now().Add(20*time.Millisecond))
		if a != nil || err != nil {
			t.Fatalf("%d bytes: %+v, %v", n, a, err)
		}
		if reason, _ := r.reason(exitReport{}); reason != ReasonWall && reason != ReasonWorker {
			t.Errorf("%d bytes: reason %q", n, reason)
		}
		if r.hostile != nil {
			t.Errorf("%d bytes: an honest beginning taken for hostile: %v", n, r.hostile)
		}
		if whole := n >= len(says(truth())); n%2 == 1 && whole != (r.admitted != nil) {
			t.Errorf("%d bytes of %d: admission %+v", n, len(says(truth())), r.admitted)
		}
		p.close()
	}
}
