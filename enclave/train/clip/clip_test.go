// SPDX-License-Identifier: Apache-2.0

package clip

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

// eachPath runs a test with the assembly, where there is any, and without.
func eachPath(t *testing.T, test func(t *testing.T, simd bool)) {
	t.Run("go", func(t *testing.T) { test(t, false) })
	t.Run("simd", func(t *testing.T) {
		if !haveSIMD() {
			t.Skip("this processor has no AVX2: only the plain Go path runs here")
		}
		test(t, true)
	})
}

func newSum(t testing.TB, simd bool, n int, norm float64) *Sum {
	t.Helper()
	s, err := New(n, norm)
	if err != nil {
		t.Fatal(err)
	}
	s.simd = simd
	return s
}

// longer compares the L2 norm of v with a bound, exactly.
func longer(v []int64, bound int64) bool {
	sum := new(big.Int)
	for _, x := range v {
		b := big.NewInt(x)
		sum.Add(sum, b.Mul(b, b))
	}
	b := big.NewInt(bound)
	return sum.Cmp(b.Mul(b, b)) > 0
}

// alone is what one unit of some records adds to an empty sum.
func alone(t testing.TB, simd bool, norm float64, records ...[]float32) []int64 {
	s := newSum(t, simd, len(records[0]), norm)
	for _, r := range records {
		s.Add(r)
	}
	s.End()
	return slices.Clone(s.Total())
}

func repeated(n int, v float32) []float32 { return slices.Repeat([]float32{v}, n) }

var (
	inf = float32(math.Inf(1))
	nan = float32(math.NaN())
)

// TestHostileGradientsAreBounded: whatever is called a gradient adds a vector of at most Norm, and nothing if it is no number.
func TestHostileGradientsAreBounded(t *testing.T) {
	const n = 1000
	spike := make([]float32, n)
	spike[n-1] = math.MaxFloat32
	mixed := repeated(n, math.MaxFloat32)
	for i := range mixed {
		mixed[i] *= float32(1 - 2*(i%2))
	}
	inside, infinite := repeated(n, 1), repeated(n, 1)
	inside[n-1], infinite[0] = nan, -inf
	for name, c := range map[string]struct {
		records [][]float32
		nothing bool
	}{
		"huge":                {[][]float32{repeated(n, math.MaxFloat32)}, false},
		"huge of both signs":  {[][]float32{mixed}, false},
		"one huge":            {[][]float32{spike}, false},
		"at the norm":         {[][]float32{repeated(n, float32(1/math.Sqrt(n)))}, false},
		"just beyond":         {[][]float32{repeated(n, float32(1.0001/math.Sqrt(n)))}, false},
		"denormal":            {[][]float32{repeated(n, math.SmallestNonzeroFloat32)}, true},
		"zeros":               {[][]float32{make([]float32, n)}, true},
		"negative zeros":      {[][]float32{repeated(n, float32(math.Copysign(0, -1)))}, true},
		"a NaN":               {[][]float32{inside}, true},
		"an infinity":         {[][]float32{infinite}, true},
		"a sum that is none":  {[][]float32{repeated(n, 3e38), repeated(n, 3e38)}, true},
		"infinities to a NaN": {[][]float32{repeated(n, inf), repeated(n, -inf)}, true},
		"a NaN second":        {[][]float32{repeated(n, 1), inside}, true},
		"two huge":            {[][]float32{repeated(n, 1e38), repeated(n, 1e38)}, false},
		"short":               {[][]float32{repeated(n, 1), repeated(n-1, 1)}, true},
		"long":                {[][]float32{repeated(n, 1), repeated(n+1, 1)}, true},
		"none":                {[][]float32{repeated(n, 1), nil}, true},
	} {
		eachPath(t, func(t *testing.T, simd bool) {
			for _, norm := range []float64{1, 1e-30, 1e30, 0.1} {
				got := alone(t, simd, norm, c.records...)
				if longer(got, Norm) {
					t.Errorf("%s, norm %v: longer than Norm", name, norm)
				}
				if nothing := !slices.ContainsFunc(got, func(v int64) bool { return v != 0 }); norm == 1 && nothing != c.nothing {
					t.Errorf("%s: adds nothing %t, want %t", name, nothing, c.nothing)
				}
			}
		})
	}
}

// TestBadRecordSpoilsItsUnitOnly: what follows a unit that counts as nothing counts.
func TestBadRecordSpoilsItsUnitOnly(t *testing.T) {
	eachPath(t, func(t *testing.T, simd bool) {
		s := newSum(t, simd, 20, 1)
		for range 2 {
			s.Add(repeated(20, nan))
			s.Add(repeated(20, 0.125))
			s.End()
			s.Add(repeated(19, 1))
			s.End()
			s.Add(repeated(20, 0.125))
			s.End()
			s.End() // a unit without records
		}
		if want := slices.Repeat([]int64{Norm / 4}, 20); !slices.Equal(s.Total(), want) {
			t.Errorf("total %v, want %v", s.Total(), want)
		}
		s.Reset()
		if slices.ContainsFunc(s.Total(), func(v int64) bool { return v != 0 }) {
			t.Error("a reset sum is not empty")
		}
	})
}

// TestWithinTheNormIsExact: what is not clipped is only rounded, towards zero.
func TestWithinTheNormIsExact(t *testing.T) {
	eachPath(t, func(t *testing.T, simd bool) {
		g := []float32{0.5, -0.25, 1.9 / Norm, -1.9 / Norm, 0, 1e-30}
		if got, want := alone(t, simd, 1, g), []int64{Norm / 2, -Norm / 4, 1, -1, 0, 0}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		if got, want := alone(t, simd, 2, g, g), []int64{Norm / 2, -Norm / 4, 1, -1, 0, 0}; !slices.Equal(got, want) {
			t.Errorf("two records: got %v, want %v", got, want)
		}
	})
}

// TestContributorWithAMillionRecords is one unit, however much it has.
func TestContributorWithAMillionRecords(t *testing.T) {
	eachPath(t, func(t *testing.T, simd bool) {
		s, r, g := newSum(t, simd, 33, 1), rand.New(rand.NewPCG(1, 2)), make([]float32, 33)
		for range 1_000_000 {
			for i := range g {
				g[i] = float32(r.NormFloat64()) + 1
			}
			s.Add(g)
		}
		s.End()
		if longer(s.Total(), Norm) || s.Total()[0] == 0 {
			t.Error("a million records are not one unit")
		}
	})
}

// TestManyUnitsDoNotOverflow goes beyond what 32 bits hold.
func TestManyUnitsDoNotOverflow(t *testing.T) {
	const units = 3*maxPending + 5
	eachPath(t, func(t *testing.T, simd bool) {
		s := newSum(t, simd, 17, 1)
		one := make([]float32, 17)
		one[0], one[16] = 0.6, -0.8
		for range units {
			s.Add(one)
			s.End()
		}
		part := alone(t, simd, 1, one)
		if got := s.Total(); got[0] != units*part[0] || got[16] != units*part[16] || part[0] < Norm*59/100 {
			t.Errorf("total %v, want %d of %v", got, units, part)
		}
	})
}

// TestPathsAgree: the same integers, with and without the assembly, for all lengths and kinds of numbers.
func TestPathsAgree(t *testing.T) {
	if !haveSIMD() {
		t.Skip("this processor has no AVX2: only the plain Go path runs here")
	}
	r := rand.New(rand.NewPCG(3, 4))
	for round := range 3000 {
		n, norm := 1+r.IntN(100), math.Exp(20*r.Float64()-10)
		a, b := newSum(t, false, n, norm), newSum(t, true, n, norm)
		for range 1 + r.IntN(3) {
			for range 1 + r.IntN(3) {
				g := make([]float32, n)
				for i := range g {
					g[i] = float32(r.NormFloat64() * math.Exp(float64(round%10)*(r.Float64()-0.5)))
				}
				a.Add(g)
				b.Add(g)
			}
			a.End()
			b.End()
			g := make([]float32, n)
			for i := range g {
				g[i] = float32(r.NormFloat64())
			}
			a.AddUnit(g)
			b.AddUnit(g)
		}
		if !slices.Equal(a.Total(), b.Total()) {
			t.Fatalf("%d elements, norm %v: %v and %v", n, norm, a.Total(), b.Total())
		}
	}
}

// TestUnitOfOneIsNotCopied: AddUnit comes to what Add and End do, whatever came before and whatever it is given, and so does what follows.
func TestUnitOfOneIsNotCopied(t *testing.T) {
	eachPath(t, func(t *testing.T, simd bool) {
		r := rand.New(rand.NewPCG(5, 6))
		odd := []float32{float32(math.NaN()), float32(math.Inf(-1)), math.MaxFloat32, math.SmallestNonzeroFloat32, float32(math.Copysign(0, -1))}
		for range 2000 {
			n, norm := 1+r.IntN(100), math.Exp(20*r.Float64()-10)
			a, b := newSum(t, simd, n, norm), newSum(t, simd, n, norm)
			for range 6 {
				g := make([]float32, n+r.IntN(20)/19)
				for i := range g {
					g[i] = float32(r.NormFloat64() * 10)
				}
				if r.IntN(4) == 0 {
					g[r.IntN(n)] = odd[r.IntN(len(odd))]
				}
				a.Add(g)
				if r.IntN(4) == 0 { // its unit goes on
					b.Add(g)
					continue
				}
				a.End()
				b.AddUnit(g)
			}
			if !slices.Equal(a.Total(), b.Total()) || a.units != b.units {
				t.Fatalf("%d elements, norm %v: %d units %v and %d %v", n, norm, a.units, a.Total(), b.units, b.Total())
			}
		}
		full := newSum(t, simd, 1, 1)
		full.units = MaxUnits
		if full.AddUnit([]float32{1}); full.Total()[0] != 0 {
			t.Error("more than MaxUnits")
		}
	})
}

// TestWorkerWritesMeanwhile: memory that changes while it is read cannot lengthen what is added.
func TestWorkerWritesMeanwhile(t *testing.T) {
	if raceEnabled {
		t.Skip("the race is what this test makes")
	}
	eachPath(t, func(t *testing.T, simd bool) {
		const n = 1 << 12
		g, stop := make([]float32, n), make(chan struct{})
		var done sync.WaitGroup
		done.Go(func() {
			for v := float32(1e-3); ; v = 1e30 * (1e-3 / v) {
				select {
				case <-stop:
					return
				default:
				}
				for i := range g {
					g[i] = v
				}
			}
		})
		s := newSum(t, simd, n, 1)
		for i := range 600 {
			s.Reset()
			for range 1 + i%2 {
				s.Add(g)
			}
			s.End()
			if longer(s.Total(), Norm) {
				t.Error("longer than Norm")
				break
			}
		}
		close(stop)
		done.Wait()
	})
}

func TestWorkersTotal(t *testing.T) {
	s := newSum(t, haveSIMD(), 3, 1)
	if err := s.AddTotal([]int64{3 * Norm, 0, 0}, 3); err != nil {
		t.Fatal(err)
	}
	s.Add([]float32{0, 0.5, 0})
	s.End()
	if err := s.AddTotal([]int64{0, -4 * Norm, 3 * Norm}, 5); err != nil {
		t.Fatal(err)
	}
	want := []int64{3 * Norm, -4*Norm + Norm/2, 3 * Norm}
	for name, c := range map[string]struct {
		total []int64
		units int
	}{
		"an element beyond":     {[]int64{0, 2*Norm + 1, 0}, 2},
		"one below":             {[]int64{0, -2*Norm - 1, 0}, 2},
		"elements that are not": {[]int64{Norm, Norm, 0}, 1},
		"the most":              {[]int64{math.MaxInt64, 0, 0}, MaxUnits / 2},
		"the least":             {[]int64{math.MinInt64, 0, 0}, MaxUnits / 2},
		"something of none":     {[]int64{1, 0, 0}, 0},
		"short":                 {[]int64{0, 0}, 1},
		"long":                  {[]int64{0, 0, 0, 0}, 1},
		"fewer than none":       {[]int64{0, 0, 0}, -1},
		"too many units":        {[]int64{0, 0, 0}, MaxUnits},
	} {
		if err := s.AddTotal(c.total, c.units); !errors.Is(err, ErrTotal) {
			t.Errorf("%s: %v", name, err)
		}
		if !slices.Equal(s.Total(), want) {
			t.Fatalf("%s: the total is %v, want %v", name, s.Total(), want)
		}
	}
}

// TestWithinIsExact at the border, where floats would not be.
func TestWithinIsExact(t *testing.T) {
	const bound = MaxUnits * Norm
	for _, c := range []struct {
		v  []int64
		in bool
	}{
		{[]int64{bound, 0}, true},
		{[]int64{bound, 1}, false},
		{[]int64{-bound, -1}, false},
		{slices.Repeat([]int64{bound / 4096}, MaxParams), true},
		{append(slices.Repeat([]int64{bound / 4096}, MaxParams-1), bound/4096+1), false},
	} {
		if within(c.v, bound) != c.in {
			t.Errorf("%d elements of about %d: want %t", len(c.v), c.v[0], c.in)
		}
	}
}

// TestManyWorkersTotals: the bound of units is for all totals of a sum together, and no square wraps around.
func TestManyWorkersTotals(t *testing.T) {
	s := newSum(t, haveSIMD(), 4, 1)
	if err := s.AddTotal(slices.Repeat([]int64{math.MinInt64}, 4), 1); !errors.Is(err, ErrTotal) {
		t.Errorf("squares that come to 2¹²⁸: %v", err)
	}
	if err := s.AddTotal([]int64{MaxUnits * Norm, 0, 0, 0}, MaxUnits); err != nil {
		t.Fatal(err)
	}
	if err := s.AddTotal([]int64{1, 0, 0, 0}, 1); !errors.Is(err, ErrTotal) {
		t.Errorf("one unit beyond the bound: %v", err)
	}
	s.Add([]float32{1, 0, 0, 0})
	s.End()
	if got := s.Total()[0]; got != MaxUnits*Norm {
		t.Errorf("total %d", got)
	}
}

func TestBadSizesAndNorms(t *testing.T) {
	for _, c := range []struct {
		n    int
		norm float64
	}{{0, 1}, {-1, 1}, {MaxParams + 1, 1}, {1, 0}, {1, -1}, {1, math.NaN()}, {1, math.Inf(1)}, {1, math.Inf(-1)}, {1, 5e-324}} {
		if s, err := New(c.n, c.norm); s != nil || !errors.Is(err, ErrBound) {
			t.Errorf("%d elements, norm %v: %v", c.n, c.norm, err)
		}
	}
}

func FuzzUnitIsBounded(f *testing.F) {
	f.Add(1.0, []byte{0, 0, 128, 127, 1, 2, 3, 4}, uint8(1))
	f.Add(1e-9, []byte{255, 255, 127, 127, 255, 255, 127, 255, 1, 0, 0, 0}, uint8(2))
	f.Add(3e38, []byte{0, 0, 192, 127}, uint8(3))
	f.Fuzz(func(t *testing.T, norm float64, b []byte, times uint8) {
		n := len(b) / 4 * 5 // beyond a block of sixteen soon
		if n == 0 || n > 1<<16 {
			return
		}
		g := make([]float32, n)
		for i := range g {
			j := i % (len(b) / 4) * 4
			g[i] = math.Float32frombits(uint32(b[j]) | uint32(b[j+1])<<8 | uint32(b[j+2])<<16 | uint32(b[j+3])<<24)
		}
		s, err := New(n, norm)
		if err != nil {
			return
		}
		for range times {
			s.Add(g)
		}
		s.End()
		if longer(s.Total(), Norm) {
			t.Fatal("longer than Norm")
		}
		plain := newSum(t, false, n, norm)
		for range times {
			plain.Add(g)
		}
		plain.End()
		if !slices.Equal(plain.Total(), s.Total()) {
			t.Fatal("the paths differ")
		}
	})
}

func BenchmarkUnit(b *testing.B) {
	for _, n := range []int{7850, 100_000} {
		g := make([]float32, n)
		for i := range g {
			g[i] = float32(i%100) - 50
		}
		for _, simd := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d,simd=%t", n, simd && haveSIMD()), func(b *testing.B) {
				s := newSum(b, simd && haveSIMD(), n, 1)
				for b.Loop() {
					s.Add(g)
					s.End()
				}
			})
			b.Run(fmt.Sprintf("%d,simd=%t,once", n, simd && haveSIMD()), func(b *testing.B) {
				s := newSum(b, simd && haveSIMD(), n, 1)
				for b.Loop() {
					s.AddUnit(g)
				}
			})
		}
	}
}
