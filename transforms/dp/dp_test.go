// SPDX-License-Identifier: Apache-2.0

package dp

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
)

// sampled is a Poisson-sampled Gaussian in millionths.
func sampled(num, den, noise, count int64) Mechanism {
	return Mechanism{Kind: Gaussian, Noise: noise, Sampling: Poisson, Rate: Rate{num, den}, Count: count}
}

// whole is a mechanism without sampling.
func unsampled(kind string, noise, count int64) Mechanism {
	return Mechanism{Kind: kind, Noise: noise, Sampling: NoSampling, Rate: One, Count: count}
}

func of(adjacency string, m ...Mechanism) *Composition {
	return &Composition{Adjacency: adjacency, Mechanisms: m}
}

// TestZeroValuesDeny: nothing is bounded that was not described.
func TestZeroValuesDeny(t *testing.T) {
	for name, c := range map[string]*Composition{
		"composition": {}, "no mechanism": {Adjacency: AddOrRemove}, "mechanism": of(AddOrRemove, Mechanism{}), "adjacency": of("", unsampled(Gaussian, Micro, 1)),
		"other adjacency": of("add", unsampled(Gaussian, Micro, 1)),
	} {
		if b, err := Epsilon(c, 1e-5, RDP); !errors.Is(err, ErrMechanism) || b != (Bound{}) {
			t.Errorf("%s: %+v, %v", name, b, err)
		}
		if _, err := Renyi(c); !errors.Is(err, ErrMechanism) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestBadMechanisms: each change of a good description makes it bad.
func TestBadMechanisms(t *testing.T) {
	good := map[string]Mechanism{
		"gaussian": sampled(1, 100, Micro, 10), "laplace": unsampled(Laplace, Micro, 1), "discrete": {Kind: DiscreteLaplace, Noise: Micro, Sensitivity: 1, Sampling: NoSampling, Rate: One, Count: 1},
		"tree": {Kind: Tree, Noise: Micro, Size: 8, Sampling: NoSampling, Rate: One, Count: 1}, "k-rr": {Kind: RandomisedResponse, Noise: 5, Size: 2, Sampling: NoSampling, Rate: One, Count: 1},
		"pure": {Kind: Pure, Epsilon: 1, Sampling: NoSampling, Rate: One, Count: 1}, "approximate": {Kind: Approximate, Epsilon: 1, Delta: 1, Sampling: NoSampling, Rate: One, Count: 1},
	}
	for name, change := range map[string]func(*Mechanism){
		"kind": func(m *Mechanism) { m.Kind = "gauss" }, "negative noise": func(m *Mechanism) { m.Noise = -1 }, "sampling": func(m *Mechanism) { m.Sampling = "" },
		"rate 0": func(m *Mechanism) { m.Rate.Num = 0 }, "rate over 1": func(m *Mechanism) { m.Rate.Num = m.Rate.Den + 1 }, "negative rate": func(m *Mechanism) { m.Rate = Rate{-1, -2} },
		"count 0": func(m *Mechanism) { m.Count = 0 }, "count": func(m *Mechanism) { m.Count = MaxCount + 1 }, "negative δ": func(m *Mechanism) { m.Delta = -1 }, "δ 1": func(m *Mechanism) { m.Delta = Pico },
		"both": func(m *Mechanism) { m.Noise, m.Epsilon = 5, 5 }, "neither": func(m *Mechanism) { m.Noise, m.Epsilon = 0, 0 }, "rate without sampling": func(m *Mechanism) { m.Sampling, m.Rate = NoSampling, Rate{1, 2} },
		"sensitivity": func(m *Mechanism) { m.Sensitivity = -1 }, "size": func(m *Mechanism) { m.Size = -1 }, "both sizes": func(m *Mechanism) { m.Size, m.Sensitivity = 3, 3 },
	} {
		for kind, m := range good {
			if err := m.Validate(); err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
			change(&m)
			if err := m.Validate(); !errors.Is(err, ErrMechanism) {
				t.Errorf("%s, %s: %v", kind, name, err)
			}
		}
	}
}

// TestBadDeltas: δ outside of (0, 1), used up, or no number.
func TestBadDeltas(t *testing.T) {
	m := unsampled(Gaussian, Micro, 1)
	for _, a := range []string{RDP, PLD} {
		for _, d := range []float64{0, -1e-5, 1, 2, math.NaN(), math.Inf(1), math.Inf(-1)} {
			if b, err := Epsilon(of(AddOrRemove, m), d, a); !errors.Is(err, ErrAccountant) {
				t.Errorf("%s, δ %v: %+v, %v", a, d, b, err)
			}
		}
		own := m
		own.Delta = 10_000_000 // 10⁻⁵
		if b, err := Epsilon(of(AddOrRemove, own), 1e-5, a); !errors.Is(err, ErrAccountant) {
			t.Errorf("%s, δ used up: %+v, %v", a, b, err)
		}
		less, err := Epsilon(of(AddOrRemove, own), 2e-5, a)
		if err != nil {
			t.Fatal(err)
		}
		all, err := Epsilon(of(AddOrRemove, m), 1e-5, a)
		if err != nil || math.Abs(less.Epsilon-all.Epsilon) > 1e-9 {
			t.Errorf("%s: ε %v of what is left of δ, %v, %v", a, less, all, err)
		}
	}
	for _, a := range []string{"", "rdp", "rdp/2"} {
		if b, err := Epsilon(of(AddOrRemove, m), 1e-5, a); !errors.Is(err, ErrAccountant) {
			t.Errorf("accountant %q: %+v, %v", a, b, err)
		}
	}
}

// TestOwnDeltasSaturate: a sum of deltas never wraps around.
func TestOwnDeltasSaturate(t *testing.T) {
	c := of(AddOrRemove)
	for range MaxMechanisms {
		m := unsampled(Gaussian, Micro, 1)
		m.Delta = Pico - 1
		c.Mechanisms = append(c.Mechanisms, m)
	}
	if d := OwnDelta(c); d != Pico {
		t.Errorf("δ %d", d)
	}
	if _, err := Epsilon(c, 0.999, RDP); !errors.Is(err, ErrAccountant) {
		t.Error(err)
	}
}

// TestInfiniteIsAnError: too little noise, too often, has no ε, rather than an infinite one.
func TestInfiniteIsAnError(t *testing.T) {
	for _, a := range []string{RDP, PLD} {
		for _, m := range []Mechanism{sampled(1, 2, 1, MaxCount), sampled(99, 100, 1, 1), {Kind: Pure, Epsilon: maxInteger, Sampling: Poisson, Rate: Rate{1, 2}, Count: MaxCount}} {
			b, err := Epsilon(of(AddOrRemove, m), 1e-5, a)
			if err == nil && (math.IsInf(b.Epsilon, 0) || math.IsNaN(b.Epsilon) || b.Epsilon < 1000) || err != nil && !errors.Is(err, ErrAccountant) {
				t.Errorf("%s, %+v: %+v, %v", a, m, b, err)
			}
		}
	}
}

func TestMicros(t *testing.T) {
	for _, e := range []float64{math.NaN(), math.Inf(1), -1, 1e300} {
		if u, err := Micros(e); !errors.Is(err, ErrAccountant) {
			t.Errorf("%v: %d, %v", e, u, err)
		}
	}
	if u, err := Micros(1.0000001); err != nil || u != 1_000_001 {
		t.Errorf("%d, %v", u, err)
	}
}

// TestMechanismSaysEverything: no field of a signed mechanism is left out, and all are integers or words.
func TestMechanismSaysEverything(t *testing.T) {
	b, err := json.Marshal(Mechanism{})
	if want := `{"kind":"","noise":0,"sensitivity":0,"size":0,"epsilon":0,"delta":0,"sampling":"","rate":{"num":0,"den":0},"count":0}`; err != nil || string(b) != want {
		t.Errorf("%s, %v", b, err)
	}
}

func TestVersionNamesAccountants(t *testing.T) {
	if v := Version(); !strings.Contains(v, RDP) || !strings.Contains(v, PLD) {
		t.Error(v)
	}
}

// FuzzEpsilon: whatever is described, a bound is finite and not negative or there is an error of this package; and more
// applications never have a smaller one.
func FuzzEpsilon(f *testing.F) {
	f.Add(uint8(0), uint8(1), true, int64(1_100_000), int64(0), int64(0), int64(0), int64(1), int64(100), int64(1000))
	f.Add(uint8(1), uint8(0), false, int64(1_000_000), int64(0), int64(0), int64(0), int64(1), int64(1), int64(10))
	f.Add(uint8(3), uint8(1), true, int64(300_000), int64(7), int64(0), int64(0), int64(1), int64(3), int64(10))
	f.Add(uint8(4), uint8(0), false, int64(1_130_000), int64(0), int64(1600), int64(0), int64(1), int64(1), int64(1))
	f.Add(uint8(5), uint8(2), false, int64(100_000), int64(0), int64(10), int64(0), int64(1), int64(2), int64(1))
	f.Add(uint8(6), uint8(2), false, int64(0), int64(0), int64(0), int64(maxInteger), int64(1), int64(2), int64(MaxCount))
	f.Add(uint8(0), uint8(2), false, int64(1), int64(0), int64(0), int64(0), int64(maxInteger-1), int64(maxInteger), int64(MaxCount))
	f.Fuzz(func(t *testing.T, kind, sampling uint8, add bool, noise, sensitivity, size, epsilon, num, den, count int64) {
		kinds := []string{Gaussian, Laplace, DiscreteGaussian, DiscreteLaplace, Tree, RandomisedResponse, Pure}
		m := Mechanism{
			Kind: kinds[int(kind)%len(kinds)], Noise: noise, Sensitivity: sensitivity, Size: size, Epsilon: epsilon,
			Sampling: []string{NoSampling, Poisson, FixedSize}[sampling%3], Rate: Rate{num, den}, Count: count,
		}
		c := of(ReplaceOne, m)
		if add {
			c.Adjacency = AddOrRemove
		}
		b, err := Epsilon(c, 1e-6, RDP)
		if err != nil {
			if !errors.Is(err, ErrMechanism) && !errors.Is(err, ErrAccountant) {
				t.Error(err)
			}
			return
		}
		if !(b.Epsilon >= 0) || math.IsInf(b.Epsilon, 1) {
			t.Errorf("ε %v", b.Epsilon)
		}
		if count == 1 {
			return
		}
		c.Mechanisms[0].Count = 1
		if one, err := Epsilon(c, 1e-6, RDP); err != nil || one.Epsilon > b.Epsilon*(1+margin) {
			t.Errorf("ε %v of one, %v of %d: %v", one.Epsilon, b.Epsilon, count, err)
		}
	})
}
