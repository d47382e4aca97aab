// SPDX-License-Identifier: Apache-2.0

package dp

import (
	"errors"
	"math"
	"sync"
	"testing"
)

// TestFilterStopsBeforeItExceeds: the last step that fits does, the next one changes nothing, and what is cheaper may still fit.
func TestFilterStopsBeforeItExceeds(t *testing.T) {
	const delta = 1e-5
	step := sampled(1, 100, Micro, 1)
	n, err := Steps(of(AddOrRemove, sampled(1, 100, Micro, 0)), 2, delta, RDP)
	if err != nil || n < 100 {
		t.Fatal(n, err)
	}
	f, err := NewFilter(2, delta, AddOrRemove)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := f.Spend(step); err != nil {
			t.Fatalf("step %d of %d: %v", i, n, err)
		}
	}
	for range 3 {
		if err := f.Spend(step); !errors.Is(err, ErrBudget) {
			t.Fatal(err)
		}
	}
	if err := f.Spend(unsampled(Gaussian, 1_000_000*Micro, 1)); err != nil {
		t.Errorf("what costs nearly nothing: %v", err)
	}
	b, err := Epsilon(of(AddOrRemove, sampled(1, 100, Micro, n)), delta, RDP)
	if err != nil || b.Epsilon > 2 {
		t.Errorf("%+v, %v", b, err)
	}
}

// TestFilterFitsWhatWasDeclared: a filter of the ε of a composition admits all of it, step by step, and no step more.
func TestFilterFitsWhatWasDeclared(t *testing.T) {
	steps, score := sampled(4, 1000, 1_300_000, 3750), unsampled(Gaussian, 20*Micro, 1)
	b, err := Epsilon(of(AddOrRemove, steps, score), 1e-5, RDP)
	if err != nil {
		t.Fatal(err)
	}
	f, err := NewFilter(b.Epsilon, 1e-5, AddOrRemove)
	if err != nil {
		t.Fatal(err)
	}
	each := steps
	each.Count = 1
	for i := range steps.Count {
		if err := f.Spend(each); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
	if err := f.Spend(score); err != nil {
		t.Fatal(err)
	}
	if err := f.Spend(each); !errors.Is(err, ErrBudget) {
		t.Error(err)
	}
}

// TestRacingForTheLastOfTheBudget: of many at once, as many get through as one after the other.
func TestRacingForTheLastOfTheBudget(t *testing.T) {
	m := unsampled(Gaussian, 10*Micro, 1)
	n, err := Steps(of(AddOrRemove, unsampled(Gaussian, 10*Micro, 0)), 1, 1e-6, RDP)
	if err != nil {
		t.Fatal(err)
	}
	f, err := NewFilter(1, 1e-6, AddOrRemove)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var through int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range n {
				if err := f.Spend(m); err == nil {
					mu.Lock()
					through++
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	if through != n {
		t.Errorf("%d got through, want %d", through, n)
	}
}

func TestFilterRefuses(t *testing.T) {
	for _, v := range [][2]float64{{0, 1e-5}, {-1, 1e-5}, {math.NaN(), 1e-5}, {math.Inf(1), 1e-5}, {1, 0}, {1, 1}, {1, math.NaN()}} {
		if f, err := NewFilter(v[0], v[1], AddOrRemove); err == nil {
			t.Errorf("%v: %v", v, f)
		}
		if o, err := NewOdometer(v[1], ""); err == nil {
			t.Errorf("%v: %v", v, o)
		}
	}
	if _, err := NewFilter(1, 1e-5, ""); !errors.Is(err, ErrMechanism) {
		t.Error(err)
	}
	var zero Filter
	if err := zero.Spend(unsampled(Gaussian, Micro, 1)); !errors.Is(err, ErrBudget) {
		t.Errorf("zero filter: %v", err)
	}
	var none Odometer
	if e, err := none.Epsilon(); err == nil {
		t.Errorf("zero odometer: %v", e)
	}
	f, err := NewFilter(100, 1e-5, AddOrRemove)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Spend(Mechanism{}); !errors.Is(err, ErrMechanism) {
		t.Error(err)
	}
	if err := f.Spend(Mechanism{Kind: Tree, Noise: Micro, Size: 3, Sampling: NoSampling, Rate: One, Count: 1}); !errors.Is(err, ErrAccountant) {
		t.Error(err)
	}
	own := unsampled(Gaussian, 100*Micro, 1)
	own.Delta = 6_000_000
	if err := f.Spend(own); err != nil {
		t.Error(err)
	}
	if err := f.Spend(own); !errors.Is(err, ErrBudget) {
		t.Errorf("δ used up: %v", err)
	}
}

// TestOdometer: readings never fall, and are above what the same would have come to if it had been declared.
func TestOdometer(t *testing.T) {
	o, err := NewOdometer(1e-5, AddOrRemove)
	if err != nil {
		t.Fatal(err)
	}
	if e, err := o.Epsilon(); e != 0 || err != nil {
		t.Errorf("at the start: %v, %v", e, err)
	}
	last := 0.0
	for n := int64(1); n <= 1000; n *= 10 {
		if err := o.Spend(sampled(1, 100, Micro, n)); err != nil {
			t.Fatal(err)
		}
		e, err := o.Epsilon()
		b, err2 := Epsilon(of(AddOrRemove, sampled(1, 100, Micro, n)), 1e-5, RDP)
		if err != nil || err2 != nil || e < last || e < b.Epsilon || e > 3*b.Epsilon+1 {
			t.Errorf("after %d: reads %v, %v; declared %v, %v", n, e, err, b, err2)
		}
		last = e
	}
	if err := o.Spend(unsampled(Gaussian, 1, MaxCount)); err != nil {
		t.Fatal(err)
	}
	if e, err := o.Epsilon(); !errors.Is(err, ErrAccountant) {
		t.Errorf("reads %v, %v", e, err)
	}
}

// TestNoise: the least, to the millionth.
func TestNoise(t *testing.T) {
	for _, v := range []struct {
		num, den, steps int64
		epsilon         float64
		rdp, pld        float64 // dp-accounting's, rounded to the nearest
	}{{1, 100, 1000, 1, 1.513122, 1.414631}, {256, 60000, 14063, 3, 1.014022, 0.968441}} {
		for accountant, want := range map[string]float64{RDP: v.rdp, PLD: v.pld} {
			c := of(AddOrRemove, sampled(v.num, v.den, 0, v.steps))
			n, err := Noise(c, v.epsilon, 1e-5, accountant)
			if got := float64(n) / Micro; err != nil || got < want-1e-6 || got > want+2e-6 || c.Mechanisms[0].Noise != 0 {
				t.Errorf("%+v, %s: %v, %v", v, accountant, got, err)
			}
			if e, err := Epsilon(of(AddOrRemove, sampled(v.num, v.den, n, v.steps)), 1e-5, accountant); err != nil || e.Epsilon > v.epsilon {
				t.Errorf("%+v, %s: ε %v, %v", v, accountant, e, err)
			}
			if e, err := Epsilon(of(AddOrRemove, sampled(v.num, v.den, n-1, v.steps)), 1e-5, accountant); err != nil || e.Epsilon <= v.epsilon {
				t.Errorf("%+v, %s: less noise would do: ε %v, %v", v, accountant, e, err)
			}
		}
	}
}

func TestCalibrationRefuses(t *testing.T) {
	free := func() *Composition { return of(AddOrRemove, sampled(1, 100, 0, 10)) }
	for _, e := range []float64{0, -1, math.NaN(), math.Inf(1)} {
		if n, err := Noise(free(), e, 1e-5, RDP); !errors.Is(err, ErrAccountant) {
			t.Errorf("ε %v: %d, %v", e, n, err)
		}
	}
	for _, d := range []float64{0, 1, math.NaN()} {
		if n, err := Noise(free(), 1, d, RDP); !errors.Is(err, ErrAccountant) {
			t.Errorf("δ %v: %d, %v", d, n, err)
		}
	}
	if n, err := Noise(of(AddOrRemove, sampled(1, 100, 5, 10)), 1, 1e-5, RDP); !errors.Is(err, ErrMechanism) {
		t.Errorf("nothing unknown: %d, %v", n, err)
	}
	if n, err := Noise(of(AddOrRemove, sampled(1, 100, 0, 10), unsampled(Gaussian, Micro, 100)), 1, 1e-5, RDP); !errors.Is(err, ErrAccountant) {
		t.Errorf("spent by what is known: %d, %v", n, err)
	}
	if n, err := Steps(of(AddOrRemove, unsampled(Gaussian, Micro, 0)), 0.1, 1e-5, RDP); !errors.Is(err, ErrAccountant) {
		t.Errorf("not even one step: %d, %v", n, err)
	}
	if n, err := Steps(of(AddOrRemove, unsampled(Gaussian, maxNoise, 0)), 100, 1e-5, RDP); err != nil || n != MaxCount {
		t.Errorf("any number of steps: %d, %v", n, err)
	}
	for name, f := range map[string]func() (float64, error){
		"ρ":        func() (float64, error) { return ConcentratedEpsilon(math.NaN(), 1e-5) },
		"δ":        func() (float64, error) { return ConcentratedEpsilon(1, 0) },
		"sampling": func() (float64, error) { return Rho(of(AddOrRemove, sampled(1, 2, Micro, 1))) },
		"nothing":  func() (float64, error) { return Rho(&Composition{}) },
	} {
		if e, err := f(); err == nil {
			t.Errorf("%s: %v", name, e)
		}
	}
}

// TestZeroConcentrated: ε of ρ is just below that of the same divergences at fixed orders.
func TestZeroConcentrated(t *testing.T) {
	c := of(AddOrRemove, unsampled(Gaussian, 5*Micro, 10), Mechanism{Kind: DiscreteGaussian, Noise: 7 * Micro, Sensitivity: 3, Sampling: NoSampling, Rate: One, Count: 4})
	rho, err := Rho(c)
	if want := 10/(2*25.0) + 4/(2*49.0); err != nil || math.Abs(rho-want) > 1e-12 {
		t.Fatal(rho, err)
	}
	e, err := ConcentratedEpsilon(rho, 1e-6)
	b, err2 := Epsilon(c, 1e-6, RDP)
	if err != nil || err2 != nil || e > b.Epsilon+1e-9 || e < b.Epsilon-1e-2 {
		t.Errorf("ε %v, %v; at fixed orders %v, %v", e, err, b, err2)
	}
	if simple := rho + 2*math.Sqrt(rho*math.Log(1e6)); e > simple {
		t.Errorf("ε %v, by the simple conversion %v", e, simple)
	}
}
