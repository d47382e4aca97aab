// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/enclave/fuel"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// wantRan demands that an outcome says what was executed, and with so much fuel.
func wantRan(t *testing.T, o *Outcome, module []byte, units int64) {
	t.Helper()
	if o.Original != envelope.Sum(module) || o.Rewritten.IsZero() || o.Rewritten == o.Original || o.Costs != fuel.CostTable {
		t.Errorf("executed %s as %s by %q", o.Original, o.Rewritten, o.Costs)
	}
	if o.Fuel != units {
		t.Errorf("%d units of fuel, want %d", o.Fuel, units)
	}
}

// wantNothingRan demands an outcome of a module that was not admitted.
func wantNothingRan(t *testing.T, o *Outcome) {
	t.Helper()
	if !o.Original.IsZero() || !o.Rewritten.IsZero() || o.Costs != "" || o.Fuel != 0 {
		t.Errorf("executed %s as %s by %q with %d units", o.Original, o.Rewritten, o.Costs, o.Fuel)
	}
}

// TestOutOfFuel: what never ends by itself does so without being killed, and has used all it was given.
func TestOutOfFuel(t *testing.T) {
	for name, m := range map[string]wasmModule{
		"loop":       {code: opForEver},
		"recursion":  {code: callFn(0)},
		"fills":      {memory: []uint64{1000}, code: slices.Concat([]byte{0x03, 0x40}, i32const(0), i32const(1), i32const(1000<<16), []byte{0xfc, 0x0b, 0, 0x0c, 0, 0x0b})},
		"start loop": {code: opForEver, start: true},
	} {
		t.Run(name, func(t *testing.T) {
			sp := spec(m.bytes())
			sp.Fuel = 10_000
			o := outcome(t, sp, nil)
			wantReason(t, o, ReasonFuel)
			wantRan(t, o, sp.Module, sp.Fuel)
		})
	}
}

// TestJustEnoughFuel: what a run used is enough for it, and one unit less is not.
func TestJustEnoughFuel(t *testing.T) {
	sp := spec(wasmModule{memory: []uint64{1}, code: slices.Concat(i32const(0), i32const(7), i32const(1000), []byte{0xfc, 0x0b, 0})}.bytes())
	used := outcome(t, sp, nil)
	wantReason(t, used, ReasonNone)
	if sp.Fuel = used.Fuel; used.Fuel < 2 {
		t.Fatalf("%d units of fuel", used.Fuel)
	}
	again := outcome(t, sp, nil)
	wantReason(t, again, ReasonNone)
	wantRan(t, again, sp.Module, used.Fuel)
	sp.Fuel--
	less := outcome(t, sp, nil)
	wantReason(t, less, ReasonFuel)
	wantRan(t, less, sp.Module, sp.Fuel)
}

// TestEmptyModuleUsesFuel: nothing completes for nothing, or no statement of it would be believed.
func TestEmptyModuleUsesFuel(t *testing.T) {
	o := outcome(t, spec(wasmModule{}.bytes()), nil)
	wantReason(t, o, ReasonNone)
	if o.Fuel < 1 {
		t.Errorf("%d units of fuel", o.Fuel)
	}
}

// TestKilledAfterAdmission: what a killed worker ran is known, what it used is not, and so nothing is claimed.
func TestKilledAfterAdmission(t *testing.T) {
	sp := spec(wasmModule{code: opForEver}.bytes())
	sp.Wall = time.Second
	o := outcome(t, sp, nil)
	wantReason(t, o, ReasonWall)
	wantRan(t, o, sp.Module, 0)

	sp = readerSpec()
	broken, err := newSpawner(t).Run(t.Context(), sp, hookData(func(context.Context, []byte) (int, error) {
		return 0, context.Canceled
	}))
	if err == nil || broken == nil {
		t.Fatalf("outcome %+v, err %v", broken, err)
	}
	wantRan(t, broken, sp.Module, 0)
}

// TestNotAdmitted: a module that is refused, or cannot begin, has run nothing.
func TestNotAdmitted(t *testing.T) {
	for reason, m := range map[string][]byte{
		ReasonModule: bytes.Repeat([]byte{'x'}, 100),
		ReasonMemory: wasmModule{memory: []uint64{2048}}.bytes(),
	} {
		o := outcome(t, spec(m), nil)
		wantReason(t, o, reason)
		wantNothingRan(t, o)
	}
}

// TestFailedRunsCountFuel: a guest that ends badly of its own has used what it used.
func TestFailedRunsCountFuel(t *testing.T) {
	for reason, m := range map[string][]byte{
		ReasonTrap:   wasmModule{code: opUnreachable}.bytes(),
		ReasonMemory: wasmModule{memory: []uint64{1}, code: growForEver(1)}.bytes(),
		ReasonOutput: writer("result", 1<<10+1, 1),
	} {
		o := outcome(t, spec(m), nil)
		wantReason(t, o, reason)
		if o.Fuel < 1 {
			t.Errorf("%s: %d units", reason, o.Fuel)
		}
		wantRan(t, o, m, o.Fuel)
	}
}
