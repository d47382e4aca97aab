// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	mrand "math/rand/v2"
	"slices"
	"testing"
)

// normalBelow is the chance that a normal deviate is below z.
func normalBelow(z float64) float64 { return math.Erfc(-z/math.Sqrt2) / 2 }

// deviation says how far draws are from a normal distribution that was rounded, as a normal deviate: by a chi-square of cells of
// sigma/20, or of single numbers where sigma is small; by how many are far out; and by the largest distance between the two
// cumulative distributions (Kolmogorov and Smirnov; Dvoretzky, Kiefer and Wolfowitz, with Massart's constant).
func deviation(draws []int64, sigma float64) float64 {
	cell := max(1, sigma/20)
	edge := func(i int64) float64 { return math.Ceil((float64(i) - 0.5) * cell) } // the first number of the cell
	cells := make([]int64, len(draws))
	for i, x := range draws {
		c := int64(math.Round(float64(x) / cell))
		for float64(x) < edge(c) {
			c--
		}
		for float64(x) >= edge(c+1) {
			c++
		}
		cells[i] = c
	}
	worst := chiSquare(cells, func(i int64) float64 {
		if i < 0 {
			i = -i // tails lose no digits on this side, and the two are alike
		}
		return normalBelow(-(edge(i)-0.5)/sigma) - normalBelow(-(edge(i+1)-0.5)/sigma)
	})
	n := float64(len(draws))
	for _, z := range []float64{3, 3.5, 4} {
		limit, seen := math.Ceil(z*sigma), 0.0
		for _, x := range draws {
			if math.Abs(float64(x)) >= limit {
				seen++
			}
		}
		if expected := 2 * n * normalBelow(-(limit-0.5)/sigma); expected > 30 {
			worst = max(worst, math.Abs(seen-expected)/math.Sqrt(expected))
		}
	}
	sorted, distance := slices.Clone(draws), 0.0
	slices.Sort(sorted)
	for i := 0; i < len(sorted); {
		x := sorted[i]
		before := float64(i) / n
		for i < len(sorted) && sorted[i] == x {
			i++
		}
		low, high := normalBelow((float64(x)-0.5)/sigma), normalBelow((float64(x)+0.5)/sigma)
		distance = max(distance, math.Abs(before-low), math.Abs(float64(i)/n-high))
	}
	return max(worst, distance*2*math.Sqrt(n)) // both as likely as a deviate beyond, or less
}

func vector(t *testing.T, n int, fill func([]int64) error) []int64 {
	t.Helper()
	out := make([]int64, n)
	if err := fill(out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestRoundedGaussianIsItsDistribution(t *testing.T) {
	for i, sigma := range []Rat{{1, 4}, {1, 1}, {3, 2}, {10, 1}, {1234, 7}, {11 << 20, 10}, {100_000_000, 1}, {MaxScale - 1, 1}, {MaxTerm, 1 << 20}} {
		s := seeded(byte(100 + i))
		got := vector(t, size(t), func(dst []int64) error { return s.FillRounded(dst, sigma) })
		if d := deviation(got, float64(sigma.Num)/float64(sigma.Den)); d > far {
			t.Errorf("sigma %v: %.1f deviations off", sigma, d)
		}
	}
}

func TestGaussianVectorIsItsDistribution(t *testing.T) {
	for i, v := range []Rat{{1, 20}, {1, 2}, {1, 1}, {10, 3}, {400, 1}, {54321, 100}, {1 << 12, 1}, {123456789, 1000}, {1 << 20, 1}} {
		s := seeded(byte(110 + i))
		got := vector(t, size(t), func(dst []int64) error { return s.FillGaussian(dst, v) })
		if d := chiSquare(got, gaussianPMF(v)); d > far {
			t.Errorf("variance %v: %.1f deviations off", v, d)
		}
	}
	for i, v := range []Rat{{1 << 40, 1}, {MaxTerm, 1}, {MaxTerm - 1, 3}} { // a wide one is a rounded one, within 10⁻¹⁰⁰
		s := seeded(byte(120 + i))
		got := vector(t, size(t), func(dst []int64) error { return s.FillGaussian(dst, v) })
		if d := deviation(got, math.Sqrt(float64(v.Num)/float64(v.Den))); d > far {
			t.Errorf("variance %v: %.1f deviations off", v, d)
		}
	}
}

func TestLaplaceVectorIsItsDistribution(t *testing.T) {
	for i, scale := range []Rat{{1, 10}, {1, 1}, {2, 3}, {7, 2}, {33, 2}, {100, 7}, {1000, 1}, {123456789, 1000000}} {
		s := seeded(byte(130 + i))
		got := vector(t, size(t), func(dst []int64) error { return s.FillLaplace(dst, scale) })
		if d := chiSquare(got, laplacePMF(scale)); d > far {
			t.Errorf("scale %v: %.1f deviations off", scale, d)
		}
	}
	for i, scale := range []Rat{{1 << 40, 3}, {MaxScale - 1, 1}, {MaxTerm, 1 << 10}} { // by cells of a twentieth
		s, cell := seeded(byte(140+i)), float64(scale.Num)/float64(scale.Den)/20
		got := vector(t, size(t), func(dst []int64) error { return s.FillLaplace(dst, scale) })
		for j, x := range got {
			got[j] = int64(math.Round(float64(x) / cell))
		}
		pmf := func(i int64) float64 {
			a := math.Abs(float64(i))
			if a == 0 {
				return -math.Expm1(-0.5 / 20)
			}
			return (math.Exp(-(a-0.5)/20) - math.Exp(-(a+0.5)/20)) / 2
		}
		if d := chiSquare(got, pmf); d > far {
			t.Errorf("scale %v: %.1f deviations off", scale, d)
		}
	}
}

// TestRoundedMutantsAreSeen shows that the tests above can see what they should.
func TestRoundedMutantsAreSeen(t *testing.T) {
	again := func(s *Source, sigma Rat, keep func(int64) bool) func(dst []int64) error {
		return func(dst []int64) error {
			for i := range dst {
				for {
					x, err := s.RoundedGaussian(sigma)
					if err != nil {
						return err
					}
					if dst[i] = x; keep(x) {
						break
					}
				}
			}
			return nil
		}
	}
	const wide = 1 << 20
	for name, m := range map[string]struct {
		sigma float64
		fill  func(s *Source) func([]int64) error
	}{
		"sigma larger by a hundredth": {wide, func(s *Source) func([]int64) error {
			return again(s, Rat{101 * wide, 100}, func(int64) bool { return true })
		}},
		"sigma smaller by a hundredth": {2, func(s *Source) func([]int64) error { return again(s, Rat{99, 50}, func(int64) bool { return true }) }},
		"tails cut at four sigma": {wide, func(s *Source) func([]int64) error {
			return again(s, Rat{wide, 1}, func(x int64) bool { return max(x, -x) < 4*wide })
		}},
		"tails cut on one side": {10, func(s *Source) func([]int64) error {
			return again(s, Rat{10, 1}, func(x int64) bool { return x > -33 })
		}},
		"rounded down": {2, func(s *Source) func([]int64) error {
			return func(dst []int64) error {
				err := s.FillRounded(dst, Rat{2000, 1})
				for i, x := range dst {
					dst[i] = int64(math.Floor(float64(x) / 1000))
				}
				return err
			}
		}},
		"rounded to even": {1, func(s *Source) func([]int64) error {
			return func(dst []int64) error {
				err := s.FillRounded(dst, Rat{2, 1}) // of a half each, of which every other is a tie
				for i, x := range dst {
					dst[i] = int64(math.RoundToEven(float64(x) / 2))
				}
				return err
			}
		}},
		"discrete, not rounded": {0.5, func(s *Source) func([]int64) error {
			return func(dst []int64) error { return s.FillGaussian(dst, Rat{1, 4}) }
		}},
	} {
		got := vector(t, 1_000_000, m.fill(seeded(61)))
		if d := deviation(got, m.sigma); d <= far {
			t.Errorf("%s passes: %.1f deviations off", name, d)
		}
	}
}

func TestVectorsKnownAnswers(t *testing.T) {
	s := seeded(7)
	var b bytes.Buffer
	for _, fill := range []func([]int64) error{
		func(d []int64) error { return s.FillRounded(d, Rat{3, 2}) },
		func(d []int64) error { return s.FillRounded(d, Rat{1 << 20, 1}) },
		func(d []int64) error { return s.FillRounded(d, Rat{MaxTerm - 1, 1001}) },
		func(d []int64) error { return s.FillGaussian(d, Rat{400, 7}) },
		func(d []int64) error { return s.FillGaussian(d, Rat{1 << 40, 1}) },
		func(d []int64) error { return s.FillLaplace(d, Rat{50, 3}) },
		func(d []int64) error { return s.FillLaplace(d, Rat{1 << 40, 3}) },
	} {
		fmt.Fprintln(&b, vector(t, 6, fill))
	}
	const want = `[0 1 -1 -1 -2 3]
[998887 -661960 266947 684660 2059125 327018]
[-6696634951964537 -9981929584229725 9545241216136959 -6574105991509566 -6045665586565648 -938107082123572]
[-7 -4 -12 -1 5 6]
[1014183 -1927802 753981 -1756151 1247731 739755]
[11 3 -11 -21 12 -1]
[495818372035 -296154929641 495823445582 56699108221 26242060527 -152971107772]
`
	if b.String() != want {
		t.Errorf("the draws from a fixed stream changed:\n%s", b.String())
	}
}

// TestShortWaysAgreeWithLong draws the same bytes with and without the short ways.
func TestShortWaysAgreeWithLong(t *testing.T) {
	for i, sigma := range []Rat{{1, 1 << 40}, {1, 3}, {1, 1}, {3 << 20, 2}, {MaxScale - 1, 1}, {MaxTerm, 1<<9 + 1}} {
		a, b := seeded(byte(i)), seeded(byte(i))
		b.slow = true
		x := vector(t, 20_000, func(d []int64) error { return a.FillRounded(d, sigma) })
		y := vector(t, 20_000, func(d []int64) error { return b.FillRounded(d, sigma) })
		if !slices.Equal(x, y) || a.at != b.at || a.acc != b.acc {
			t.Errorf("sigma %v: the ways differ", sigma)
		}
	}
}

// TestShortWaysKnowTheirLimits tries what lies next to where the answer changes: the short way says the same or nothing.
func TestShortWaysKnowTheirLimits(t *testing.T) {
	r := mrand.New(mrand.NewChaCha8([32]byte{8}))
	told := 0
	for range 20_000 {
		d := deviate{k: r.Uint64N(600), x: r.Uint64() >> 1}
		x := new(big.Int).SetUint64(d.x)
		gamma := new(big.Int).SetUint64(2 * d.k)
		gamma.Lsh(gamma, 63).Add(gamma, x).Mul(gamma, x).Rsh(gamma, 126+gammaBits-64)
		for _, off := range []uint64{0, 1, 2, 3, 1 << 12, 1 << 20} {
			for _, u := range []uint64{gamma.Uint64() - min(off, gamma.Uint64()), gamma.Uint64() + off} {
				if below, known := d.gammaShort(u); known {
					told++
					s := seeded(1)
					if s.gammaBig(&d, u) != below {
						t.Fatalf("k %d, x %d, coin %d: %t", d.k, d.x, u, below)
					}
					d.more = nil
				}
			}
		}
	}
	for range 20_000 {
		sigma := Rat{1 + r.Uint64N(1<<(1+r.IntN(62))), 1 + r.Uint64N(1<<(1+r.IntN(62)))}
		if sigma.Num/sigma.Den >= MaxScale {
			continue
		}
		g, err := newRounding(sigma)
		if err != nil {
			t.Fatal(err)
		}
		// The half at or above a random deviate, and x such that this is where it is.
		d := deviate{k: r.Uint64N(600), x: r.Uint64() >> 1}
		near := new(big.Int).SetUint64(d.k)
		near.Lsh(near, 63).Add(near, new(big.Int).SetUint64(d.x)).Mul(near, new(big.Int).SetUint64(sigma.Num))
		unit := new(big.Int).Lsh(new(big.Int).SetUint64(sigma.Den), 63+stepBits-1) // of a half
		halves := near.Div(near, unit)
		halves.SetBit(halves, 0, 1)
		at := halves.Mul(halves, unit)
		at.Div(at, new(big.Int).SetUint64(sigma.Num))
		d.k, d.x = new(big.Int).Rsh(at, 63).Uint64(), new(big.Int).And(at, big.NewInt(math.MaxInt64)).Uint64()
		for _, off := range []int64{0, -1, 1, -1 << 10, 1 << 10, -1 << 20, 1 << 20, -1 << 40, 1 << 40} {
			e := deviate{k: d.k, x: uint64(min(max(int64(d.x)+off, 0), math.MaxInt64))}
			if v, known := g.short(&e); known {
				told++
				if w := g.long(seeded(2), &e); w != v {
					t.Fatalf("sigma %v, k %d, x %d: %d, want %d", sigma, e.k, e.x, v, w)
				}
			}
		}
	}
	if told < 100_000 {
		t.Errorf("only %d were told", told)
	}
}

// words is a source of some words.
func words(w ...uint64) *Source {
	b := make([]byte, bufferBytes)
	for i, v := range w {
		binary.LittleEndian.PutUint64(b[8*i:], v)
	}
	return NewSource(bytes.NewReader(b))
}

// TestRoundingNearHalves: which way it goes is decided by as many bits as it takes, and never before.
func TestRoundingNearHalves(t *testing.T) {
	const third = math.MaxUint64 / 3 // 0101…
	for _, c := range []struct {
		sigma Rat
		k, x  uint64
		more  []uint64
		want  int64
		read  int
	}{
		{Rat{64, 1}, 5, 1 << 62, nil, 6, 0},                               // k+x is a half or more
		{Rat{64, 1}, 5, 1<<62 - 1, nil, 5, 0},                             // k+x is less than a half
		{Rat{3, 1}, 10, 2*third>>1 - 0, []uint64{third - 1}, 0, 1},        // 3/64·(10+2/3) is a half
		{Rat{3, 1}, 10, 2 * third >> 1, []uint64{third, 2 * third}, 1, 2}, // more than it
		{Rat{3, 1}, 10, 2 * third >> 1, []uint64{third, third, third, 0}, 0, 4},
		{Rat{1, MaxTerm}, 600, 1 << 60, nil, 0, 0},
	} {
		g, err := newRounding(c.sigma)
		if err != nil {
			t.Fatal(err)
		}
		s := words(c.more...)
		d := &deviate{k: c.k, x: c.x}
		if got := g.round(s, d); got != c.want || len(d.more) != c.read {
			t.Errorf("sigma %v, k %d, x %d: %d after %d words, want %d after %d", c.sigma, c.k, c.x, got, len(d.more), c.want, c.read)
		}
	}
}

// TestCumulativeProbabilities compares with big floats, summed in the plain way.
func TestCumulativeProbabilities(t *testing.T) {
	const precision = 600
	for _, c := range []struct {
		num, den int64
		power    int
	}{{1, 1 << gammaBits, 2}, {1, 8, 2}, {7, 3, 2}, {1, 16, 1}, {5, 2, 1}, {40, 1, 1}, {1000, 7, 2}} {
		table := newStairs(big.NewInt(c.num), big.NewInt(c.den), c.power)
		f := func() *big.Float { return new(big.Float).SetPrec(precision) }
		a := f().Quo(f().SetInt64(c.num), f().SetInt64(c.den))
		exp := func(x *big.Float) *big.Float { // exp(-x)
			y, sum, term := f().SetMantExp(x, -20), f().SetInt64(1), f().SetInt64(1)
			for i := int64(1); i < 100; i++ {
				term.Mul(term, y).Quo(term, f().SetInt64(-i))
				sum.Add(sum, term)
			}
			for range 20 {
				sum.Mul(sum, sum)
			}
			return sum
		}
		var weights []*big.Float
		all := f()
		for k := int64(0); ; k++ {
			at := f().Mul(a, f().SetInt64(k))
			if c.power == 2 {
				at.Mul(at, f().SetInt64(k))
			}
			w := exp(at)
			if all.Add(all, w); w.Sign() == 0 || w.MantExp(nil) < -400 {
				break
			}
			weights = append(weights, w)
		}
		for _, n := range []uint{64, 192} {
			sum := f()
			for k, got := range table.cumulative(n) {
				sum.Add(sum, weights[k])
				want, _ := f().SetMantExp(f().Quo(sum, all), int(n)).Int(nil)
				if got.Cmp(want) != 0 {
					t.Fatalf("exp(-%d/%d·k^%d): C(%d) to %d bits is %x, want %x", c.num, c.den, c.power, k, n, got, want)
				}
			}
		}
	}
}

// TestUndecidedStepsAreRefined: where 64 bits do not tell k, more do, and the right way.
func TestUndecidedStepsAreRefined(t *testing.T) {
	table := newStairs(big.NewInt(1), big.NewInt(1<<gammaBits), 2)
	long := table.cumulative(192)
	r := mrand.New(mrand.NewChaCha8([32]byte{10}))
	try := func(v ...uint64) {
		t.Helper()
		at := new(big.Int)
		for _, w := range v {
			at.Lsh(at, 64).Or(at, new(big.Int).SetUint64(w))
		}
		want := 0
		for want < len(long) && at.Cmp(long[want]) >= 0 {
			want++
		}
		if got := table.draw(words(v...)); got != uint64(want) {
			t.Errorf("%x: %d, want %d", v, got, want)
		}
	}
	for k, c := range table.below {
		next := new(big.Int).And(new(big.Int).Rsh(long[k], 64), new(big.Int).SetUint64(math.MaxUint64)).Uint64()
		last := new(big.Int).And(long[k], new(big.Int).SetUint64(math.MaxUint64)).Uint64()
		try(c-1, r.Uint64(), r.Uint64())
		try(c, next-1, r.Uint64())
		try(c, next+1, r.Uint64())
		try(c, next, last-1)
		try(c, next, last+1)
		try(c, r.Uint64(), r.Uint64())
		if c != math.MaxUint64 {
			try(c+1, r.Uint64(), r.Uint64())
		}
	}
	for range 10_000 {
		try(r.Uint64(), r.Uint64(), r.Uint64())
	}
	if s := NewSource(stuck(255)); table.draw(s) != 0 || !errors.Is(s.err, ErrEntropy) {
		t.Error("ones without an end are a number")
	}
}

// TestRareSteps keeps far steps, that draws do not come to, as often as it should.
func TestRareSteps(t *testing.T) {
	often := func(name string, p float64, draw func(s *Source) bool) {
		s, n, seen := seeded(11), float64(size(t)/10), 0.0
		for range size(t) / 10 {
			s.steps = 0
			if draw(s) {
				seen++
			}
		}
		if dev := math.Abs(seen-n*p) / math.Sqrt(n*p*(1-p)); dev > far || s.err != nil {
			t.Errorf("%s: %.0f of %.0f, want %.0f; %v", name, seen, n, n*p, s.err)
		}
	}
	for _, k := range []uint64{0, 3, 500, 1023, 1024, 2000, maxStep - 1} {
		d := deviate{k: k, x: 3 << 61} // x is 3/4
		often(fmt.Sprint("γ of ", k), 0.75*(2*float64(k)+0.75)/(1<<gammaBits), func(s *Source) bool {
			d.more = nil
			return s.gamma(&d)
		})
	}
	c := cached{of: Rat{1 << 40, 3}, width: 13}
	for _, k := range []uint64{0, 5, 1023, 1024, 1500} {
		const j = 6000
		gamma := j * (2*float64(k)*8192 + j) / 2 * 3 / (1 << 40)
		often(fmt.Sprint("part of ", k), math.Exp(-gamma), func(s *Source) bool { return c.keepGaussian(s, k, j) })
	}
}

// TestFirstBitsOfACoin: they tell that it is not below γ only if it is not, whatever x is.
func TestFirstBitsOfACoin(t *testing.T) {
	for k := uint64(0); k < maxStep; k++ {
		d := deviate{k: k, x: math.MaxInt64} // γ is next to (2k+1)/8192
		if !words((2*k+1)*8 - 1).gamma(&d) {
			t.Fatalf("%d: a coin below γ is not", k)
		}
		if words((2*k + 1) * 8).gamma(&d) {
			t.Fatalf("%d: a coin above γ is below", k)
		}
	}
}

// TestStepsBeyondAll: steps that no uniform source comes to are an error, not another distribution.
func TestStepsBeyondAll(t *testing.T) {
	far := &stairs{below: make([]uint64, 1<<14), num: big.NewInt(1), den: big.NewInt(1), power: 1}
	far.below[len(far.below)-1] = math.MaxUint64
	s, dst := seeded(1), []int64{1}
	s.normal = far
	if err := s.FillRounded(dst, Rat{1, 1}); !errors.Is(err, ErrEntropy) || dst[0] != 0 {
		t.Errorf("rounded: %d, %v", dst[0], err)
	}
	s = seeded(1)
	s.lap = cached{of: Rat{1, 1}, table: far}
	if err := s.FillLaplace(dst, Rat{1, 1}); !errors.Is(err, ErrEntropy) || dst[0] != 0 {
		t.Errorf("laplace: %d, %v", dst[0], err)
	}
}

var fills = map[string]func(*Source, []int64, Rat) error{"rounded": (*Source).FillRounded, "gaussian": (*Source).FillGaussian, "laplace": (*Source).FillLaplace}

// TestVectorsFailClosed: no noise without entropy or from a bad parameter, and nothing that looks like some.
func TestVectorsFailClosed(t *testing.T) {
	for name, fill := range fills {
		check := func(what string, s *Source, p Rat, want error) {
			t.Helper()
			dst := slices.Repeat([]int64{77}, 3000)
			if err := fill(s, dst, p); !errors.Is(err, want) {
				t.Errorf("%s, %s: %v", name, what, err)
			}
			if slices.ContainsFunc(dst, func(x int64) bool { return x != 0 }) {
				t.Errorf("%s, %s: something beside an error", name, what)
			}
		}
		for _, p := range []Rat{{}, {0, 1}, {1, 0}, {MaxTerm + 1, 1}, {1, MaxTerm + 1}, {math.MaxUint64, math.MaxUint64}} {
			check(fmt.Sprint(p), seeded(1), p, ErrParameter)
		}
		if name != "gaussian" {
			check("too wide", seeded(1), Rat{MaxScale, 1}, ErrParameter)
		}
		for what, r := range map[string]io.Reader{"none": nil, "empty": bytes.NewReader(nil), "ends": io.LimitReader(rand.Reader, 2*bufferBytes), "ones": stuck(255)} {
			s := NewSource(r)
			check(what, s, Rat{100_000, 3}, ErrEntropy)
			check(what+", again", s, Rat{100_000, 3}, ErrEntropy)
		}
		for b := range 256 { // whatever the byte: an end
			for _, p := range []Rat{{1, 5}, {10_000_000, 3}} {
				_ = fill(NewSource(stuck(b)), make([]int64, 3), p)
			}
		}
	}
}

func TestVectorsOfNothing(t *testing.T) {
	for name, fill := range fills {
		if err := fill(seeded(1), nil, Rat{5, 1}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzVectors(f *testing.F) {
	f.Add(uint64(3), uint64(2), []byte{1})
	f.Add(uint64(MaxTerm), uint64(1), []byte{255, 0, 9})
	f.Add(uint64(1), uint64(MaxTerm), bytes.Repeat([]byte{255}, 100))
	f.Add(uint64(0), uint64(0), []byte{})
	f.Fuzz(func(t *testing.T, num, den uint64, b []byte) {
		for name, fill := range fills {
			dst := make([]int64, 4)
			err := fill(NewSource(io.MultiReader(bytes.NewReader(b), io.LimitReader(mrand.NewChaCha8([32]byte{1}), bufferBytes), bytes.NewReader(b))), dst, Rat{num, den})
			if err != nil && slices.ContainsFunc(dst, func(x int64) bool { return x != 0 }) {
				t.Fatal(name, "a draw beside an error")
			}
		}
	})
}

func BenchmarkVector(b *testing.B) {
	dst := make([]int64, 100_000)
	for name, fill := range fills {
		for _, p := range []Rat{{1, 1}, {1 << 20, 1}, {100_000_000, 1}} {
			b.Run(fmt.Sprintf("%s,%d", name, p.Num), func(b *testing.B) {
				s := NewSource(rand.Reader)
				for b.Loop() {
					if err := fill(s, dst, p); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkRoundedGaussian(b *testing.B) {
	s := NewSource(rand.Reader)
	for b.Loop() {
		if _, err := s.RoundedGaussian(Rat{11 << 20, 10}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTable(b *testing.B) {
	for b.Loop() {
		newStairs(big.NewInt(1), big.NewInt(1<<gammaBits), 2)
	}
}
