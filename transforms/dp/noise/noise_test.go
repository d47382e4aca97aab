// SPDX-License-Identifier: Apache-2.0

package noise

import (
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/glovebox-dev/glovebox/transforms/dp"
	"github.com/glovebox-dev/glovebox/transforms/dp/sampler"
)

// TestNeverLess: the scale, as an exact rational, is at least what the mechanism says, and not much more.
func TestNeverLess(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		s := Sensitivity{L1: big.NewInt(1 + r.Int64N(1<<r.IntN(30))), L2: big.NewInt(1 + r.Int64N(1<<r.IntN(30))), Root: big.NewInt(1 + r.Int64N(1000))}
		spend, shares := 1+r.Int64N(1<<(10+r.IntN(20))), 1+r.Int64N(5)
		l, err := Laplace(spend, shares, s)
		if err == nil {
			// scale·(ε/shares) ≥ sensitivity
			check(t, &l, Product(shares, s.L1.Int64(), dp.Micro), big.NewInt(spend), 1)
		}
		g, err := Gaussian(spend, shares, s)
		if err != nil {
			t.Fatal(err)
		}
		square := Product(spend, spend, shares)
		square.Mul(square, s.L2).Mul(square, s.L2).Mul(square, s.Root)
		check(t, &g, square, Product(dp.Micro, dp.Micro), 2)
	}
}

// check compares a power of the scale with num/den.
func check(t *testing.T, n *Noise, num, den *big.Int, power int) {
	t.Helper()
	got, want := big.NewRat(1, 1), new(big.Rat).SetFrac(num, den)
	for range power {
		got.Mul(got, new(big.Rat).SetFrac(new(big.Int).SetUint64(n.Scale.Num), new(big.Int).SetUint64(n.Scale.Den)))
	}
	g, _ := got.Float64()
	w, _ := want.Float64()
	step := 1 / float64(n.Scale.Den) // what one more would be
	if got.Cmp(want) < 0 || math.Pow(g, 1/float64(power)) > math.Pow(w, 1/float64(power))*(1+1e-5)+step+2e-6*n.Float(1)/(float64(n.Mechanism.Noise)/dp.Micro) {
		t.Fatalf("%+v: scale %v for %v", n, g, w)
	}
}

func TestRefused(t *testing.T) {
	one := Scalar(big.NewInt(1))
	huge := Scalar(new(big.Int).Lsh(big.NewInt(1), 60))
	for name, err := range map[string]error{
		"no epsilon":           second(Laplace(0, 1, one)),
		"negative":             second(Laplace(-1, 1, one)),
		"no shares":            second(Gaussian(1, 0, one)),
		"no multiplier":        second(Gaussian(0, 1, one)),
		"huge":                 second(Laplace(1, 1, huge)),
		"huge Gaussian":        second(Gaussian(dp.Micro, 1, huge)),
		"no sensitivity":       second(Laplace(1, 1, Scalar(new(big.Int)))),
		"nothing moves":        second(Gaussian(1, 1, Scalar(new(big.Int)))),
		"too much noise":       second(Gaussian(1<<62, 100, one)),
		"nothing":              second(Of(dp.Mechanism{}, one)),
		"pure":                 second(Of(dp.Mechanism{Kind: dp.Pure, Epsilon: 1, Sampling: dp.NoSampling, Rate: dp.One, Count: 1}, one)),
		"twice":                second(Of(dp.Mechanism{Kind: dp.Gaussian, Noise: 1, Sampling: dp.NoSampling, Rate: dp.One, Count: 2}, one)),
		"sampled":              second(Of(dp.Mechanism{Kind: dp.Gaussian, Noise: 1, Sampling: dp.Poisson, Rate: dp.Rate{Num: 1, Den: 2}, Count: 1}, one)),
		"other sensitivity":    second(Of(dp.Mechanism{Kind: dp.DiscreteLaplace, Noise: 1, Sensitivity: 2, Sampling: dp.NoSampling, Rate: dp.One, Count: 1}, one)),
		"continuous Laplace's": second(Of(dp.Mechanism{Kind: dp.Laplace, Noise: 1, Sampling: dp.NoSampling, Rate: dp.One, Count: 1}, one)),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	var zero Noise
	if _, err := zero.Draw(sampler.NewSource(rand.NewChaCha8([32]byte{}))); !errors.Is(err, ErrKind) {
		t.Errorf("the zero noise: %v", err)
	}
	n, err := Laplace(1, 1, one)
	if err != nil {
		t.Fatal(err)
	}
	if err := zero.Ahead(sampler.NewSource(rand.NewChaCha8([32]byte{})), 1); !errors.Is(err, ErrKind) {
		t.Errorf("no noise, drawn ahead: %v", err)
	}
	if _, err := zero.Draw(nil); err == nil {
		t.Error("what could not be drawn ahead is noise")
	}
	if _, err := n.Draw(nil); !errors.Is(err, sampler.ErrEntropy) {
		t.Errorf("no source: %v", err)
	}
}

func second(_ Noise, err error) error { return err }

// TestMargin: noise is beyond its margin about as often as it says.
func TestMargin(t *testing.T) {
	for _, make := range []func(int64, int64, Sensitivity) (Noise, error){Laplace, Gaussian} {
		n, err := make(dp.Micro/2, 1, Scalar(big.NewInt(1000)))
		if err != nil {
			t.Fatal(err)
		}
		s, beyond := sampler.NewSource(rand.NewChaCha8([32]byte{1})), 0
		for range 20_000 {
			v, err := n.Draw(s)
			if err != nil {
				t.Fatal(err)
			}
			if math.Abs(float64(v)) > n.Margin(0.05) {
				beyond++
			}
		}
		if beyond < 800 || beyond > 1200 {
			t.Errorf("%s: %d of 20,000 beyond the margin, want about 1,000", n.Mechanism.Kind, beyond)
		}
	}
}

// TestWidest: the widest noise that is let through can be drawn, and does not overflow.
func TestWidest(t *testing.T) {
	for _, make := range []func(int64, int64, Sensitivity) (Noise, error){Laplace, Gaussian} {
		n, err := make(dp.Micro, 1, Scalar(big.NewInt(maxSensitivity)))
		if err != nil {
			t.Fatal(err)
		}
		s := sampler.NewSource(rand.NewChaCha8([32]byte{2}))
		for range 1000 {
			if v, err := n.Draw(s); err != nil || math.Abs(float64(v)) > 1<<60 {
				t.Fatalf("%s: %d, %v", n.Mechanism.Kind, v, err)
			}
		}
	}
}

// TestWipedNoiseIsNotGiven: what was drawn ahead and wiped is gone, and nothing is drawn in its place.
func TestWipedNoiseIsNotGiven(t *testing.T) {
	n, err := Laplace(1_000_000, 1, Scalar(big.NewInt(1)))
	if err != nil {
		t.Fatal(err)
	}
	n.Wipe()
	src := sampler.NewSource(rand.NewChaCha8([32]byte{1}))
	if err := n.Ahead(src, 2); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Draw(src); err != nil {
		t.Fatal(err)
	}
	n.Wipe()
	if _, err := n.Draw(src); !errors.Is(err, sampler.ErrPool) {
		t.Errorf("%v", err)
	}
}
