// SPDX-License-Identifier: Apache-2.0

package train

import (
	"bytes"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/glovebox-dev/glovebox/transforms/dp"
)

// stream is uniform bytes that are the same in every run: a test of chance that holds, holds always.
func stream(seed byte) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{seed}) }

// chiSquare wants counts to be as expected: the statistic's Wilson-Hilferty score is below six standard deviations.
func chiSquare(t *testing.T, what string, got []int, want []float64) {
	t.Helper()
	x := 0.0
	for i, n := range got {
		d := float64(n) - want[i]
		x += d * d / want[i]
	}
	k := float64(len(got) - 1)
	if z := (math.Cbrt(x/k) - 1 + 2/(9*k)) / math.Sqrt(2/(9*k)); z > 6 {
		t.Errorf("%s: chi-square %.1f for %.0f degrees of freedom, %.1f deviations", what, x, k, z)
	}
}

func binomial(n, k int, p float64) float64 {
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return math.Exp(a - b - c + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p))
}

// TestPoissonBatches: sizes are binomial, every unit is in as many batches as any other, and pairs are independent.
func TestPoissonBatches(t *testing.T) {
	const n, draws = 40, 200_000
	for i, rate := range []dp.Rate{{Num: 1, Den: 4}, {Num: 3, Den: 7}, {Num: 1, Den: 1 << 33}, {Num: 1<<53 - 2, Den: 1<<53 - 1}} {
		s, p := NewSampler(stream(byte(i))), rate.Float()
		sizes, units, pairs := make([]int, n+1), make([]int, n), make([]int, 4)
		for range draws {
			b, err := s.Poisson(n, rate, nil)
			if err != nil {
				t.Fatal(err)
			}
			sizes[len(b)]++
			for k, u := range b {
				units[u]++
				if k > 0 && b[k-1] >= u {
					t.Fatalf("not ascending: %v", b)
				}
			}
			pair := 0
			for k, u := range []int{0, n - 1} {
				if slices.Contains(b, u) {
					pair |= 1 << k
				}
			}
			pairs[pair]++
		}
		if p < 1e-9 || p > 1-1e-9 {
			want := 0
			if p > 0.5 {
				want = n
			}
			if sizes[want] < draws-1 {
				t.Errorf("rate %v: sizes %v", rate, sizes)
			}
			continue
		}
		var got []int
		var want []float64
		rest, restWant := 0, 0.0
		for k, c := range sizes {
			if w := draws * binomial(n, k, p); w >= 10 {
				got, want = append(got, c), append(want, w)
			} else {
				rest, restWant = rest+c, restWant+w
			}
		}
		chiSquare(t, "sizes", append(got, rest), append(want, max(restWant, 1e-3)))
		chiSquare(t, "pairs", pairs, []float64{draws * (1 - p) * (1 - p), draws * p * (1 - p), draws * p * (1 - p), draws * p * p})
		for u, c := range units {
			if d := (float64(c) - draws*p) / math.Sqrt(draws*p*(1-p)); math.Abs(d) > 6 {
				t.Errorf("rate %v: unit %d is in %d batches of %d", rate, u, c, draws)
			}
		}
	}
}

// TestPoissonRateIsExact: where 32 bits do not decide, the next ones do: the words are the digits of the rate.
func TestPoissonRateIsExact(t *testing.T) {
	word := func(ws ...uint32) io.Reader {
		var b bytes.Buffer
		for _, w := range ws {
			b.Write([]byte{byte(w), byte(w >> 8), byte(w >> 16), byte(w >> 24)})
		}
		return &b
	}
	const third = 0x55555555 // 1/3 is 0.01010101… in binary
	for _, c := range []struct {
		rate  dp.Rate
		words []uint32
		in    bool
	}{
		{dp.Rate{Num: 1, Den: 3}, []uint32{third - 1}, true},
		{dp.Rate{Num: 1, Den: 3}, []uint32{third + 1}, false},
		{dp.Rate{Num: 1, Den: 3}, []uint32{third, third, third - 1}, true},
		{dp.Rate{Num: 1, Den: 3}, []uint32{third, third, third + 1}, false},
		{dp.Rate{Num: 1, Den: 2}, []uint32{1 << 31}, false}, // equal is not below
		{dp.Rate{Num: 1, Den: 2}, []uint32{1<<31 - 1}, true},
		{dp.One, []uint32{math.MaxUint32}, true},
		{dp.Rate{Num: 1, Den: 1 << 40}, []uint32{0, 1<<24 - 1}, true},
		{dp.Rate{Num: 1, Den: 1 << 40}, []uint32{0, 1 << 24}, false},
	} {
		got, err := NewSampler(word(c.words...)).Poisson(1, c.rate, nil)
		if err != nil || (len(got) == 1) != c.in {
			t.Errorf("%v, %x: %v, %v", c.rate, c.words, got, err)
		}
	}
	if _, err := NewSampler(word(third)).Poisson(1, dp.Rate{Num: 1, Den: 3}, nil); !errors.Is(err, ErrSeam) {
		t.Errorf("bytes that end: %v", err)
	}
	for _, r := range []dp.Rate{{}, {Num: 2, Den: 1}, {Num: -1, Den: 2}, {Num: 1}} {
		if _, err := NewSampler(stream(1)).Poisson(1, r, nil); !errors.Is(err, ErrSeam) {
			t.Errorf("%v: %v", r, err)
		}
	}
}

func TestFixedBatches(t *testing.T) {
	const n, k, draws = 7, 3, 200_000
	s, seen := NewSampler(stream(9)), map[[k]int]int{}
	for range draws {
		b, err := s.Fixed(n, k, []int{-1})
		if err != nil || len(b) != k+1 || b[0] != -1 || !slices.IsSorted(b) {
			t.Fatal(b, err)
		}
		seen[[k]int(b[1:])]++
	}
	var got []int
	var want []float64
	for set, c := range seen {
		if set[0] == set[1] || set[1] == set[2] || set[0] < 0 || set[2] >= n {
			t.Fatalf("not a set: %v", set)
		}
		got, want = append(got, c), append(want, draws/35.0)
	}
	if len(got) != 35 {
		t.Fatalf("%d sets of 35", len(got))
	}
	chiSquare(t, "sets", got, want)
	for _, c := range [][2]int{{3, 0}, {3, 4}, {0, 1}} {
		if _, err := s.Fixed(c[0], c[1], nil); !errors.Is(err, ErrSeam) {
			t.Errorf("%v: %v", c, err)
		}
	}
	if b, err := s.Fixed(n, n, nil); err != nil || len(b) != n {
		t.Errorf("all: %v %v", b, err)
	}
}

// TestSamplesAreKnown: the samples of fixed bytes, so that nobody changes what is drawn without knowing.
func TestSamplesAreKnown(t *testing.T) {
	s := NewSampler(stream(42))
	a, err := s.Poisson(32, dp.Rate{Num: 1, Den: 4}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.Fixed(32, 5, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(a, knownPoisson) || !slices.Equal(b, knownFixed) {
		t.Errorf("%v %v", a, b)
	}
}

func BenchmarkPoisson60000(b *testing.B) {
	s, into := NewSampler(stream(1)), make([]int, 0, 60_000)
	for b.Loop() {
		if _, err := s.Poisson(60_000, dp.Rate{Num: 1, Den: 60}, into); err != nil {
			b.Fatal(err)
		}
	}
}

var (
	knownPoisson = []int{3, 4, 6, 11, 17, 31}
	knownFixed   = []int{9, 18, 21, 26, 27}
)
