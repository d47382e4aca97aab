// SPDX-License-Identifier: Apache-2.0

package aggregate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/transforms/dp"
	"github.com/glovebox-dev/glovebox/transforms/dp/sampler"
)

func source(seed byte) *sampler.Source { return sampler.NewSource(rand.NewChaCha8([32]byte{seed})) }

func mean(shards, numbers int64) *job.Aggregate {
	return &job.Aggregate{Shards: shards, Kind: job.AggregateMean, Numbers: numbers, Lower: -2 * dp.Micro, Upper: 3 * dp.Micro}
}

func median(shards, numbers int64) *job.Aggregate {
	a := mean(shards, numbers)
	a.Kind = job.AggregateMedian
	return a
}

func votes(shards, choices int64) *job.Aggregate {
	return &job.Aggregate{Shards: shards, Kind: job.AggregateVote, Numbers: choices}
}

func plan(t testing.TB, a *job.Aggregate, b Budget) *Plan {
	t.Helper()
	ms, err := Mechanisms(a, dp.AddOrRemove, b)
	if err != nil {
		t.Fatal(err)
	}
	if err := (&dp.Composition{Adjacency: dp.AddOrRemove, Mechanisms: ms}).Validate(); err != nil {
		t.Fatal(err)
	}
	p, err := New(a, ms)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// of adds answers up, nil for a shard without one.
func (p *Plan) of(answers [][]byte) (*Tally, error) {
	t := p.Tally()
	for _, b := range answers {
		if err := t.Add(p.Read(b)); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (p *Plan) aggregate(answers [][]byte, src *sampler.Source) ([]byte, error) {
	t, err := p.of(answers)
	if err != nil {
		return nil, err
	}
	return t.Result(src)
}

func result(t testing.TB, p *Plan, answers [][]byte, seed byte) (r Result) {
	t.Helper()
	b, err := p.aggregate(answers, source(seed))
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		t.Fatal(err)
	}
	return r
}

func repeated(n int, answer string) (out [][]byte) {
	for range n {
		out = append(out, []byte(answer))
	}
	return out
}

func TestMean(t *testing.T) {
	for _, b := range []Budget{{Epsilon: dp.Micro}, {Noise: dp.Micro}} {
		r := result(t, plan(t, mean(1000, 2), b), repeated(1000, "1.5\n-0.25\n"), 1)
		for i, want := range []float64{1.5, -0.25} {
			if math.Abs(r.Values[i]-want) > 3*r.Margin || r.Margin > 0.05 || r.Scale <= 0 {
				t.Errorf("%+v", r)
			}
		}
	}
}

func TestMedian(t *testing.T) {
	answers := repeated(500, "1")
	for i := range 40 {
		answers[i] = []byte([]string{"9e99", "nan", "-3", "", "2"}[i%5])
	}
	r := result(t, plan(t, median(500, 1), Budget{Epsilon: dp.Micro}), answers, 2)
	if math.Abs(r.Values[0]-1) > 0.01 || r.Scale != 0 || r.Margin != 0 {
		t.Errorf("%+v", r)
	}
}

func TestVote(t *testing.T) {
	answers := repeated(100, "2")
	for i := range 30 {
		answers[i] = []byte("1\n")
	}
	r := result(t, plan(t, votes(100, 3), Budget{Epsilon: dp.Micro}), answers, 3)
	if *r.Winner != 2 || math.Abs(r.Votes[2]-70) > 20 || math.Abs(r.Votes[0]) > 20 || len(r.Votes) != 3 {
		t.Errorf("%+v", r)
	}
}

// bad are answers that are none.
var bad = []string{
	"", "\n", "1", "1\n2\n3", "1\n\n2", "NaN\n1", "Inf\n1", "1\nx", "0x1\n1", "1 2", "1,2", "\x00\x01", "1\n1e99999999999", strings.Repeat("1", 1<<12),
	"1\n" + strings.Repeat("0", 200) + "1",
}

// TestMalformedAnswers: what is no answer counts as the default, and is never an error.
func TestMalformedAnswers(t *testing.T) {
	p := plan(t, mean(2, 2), Budget{Epsilon: dp.Micro})
	for _, b := range append(bad, "") {
		got := p.sums(append([][]byte{[]byte(b)}, nil))
		if want := 2 * Default(&p.a); p.Read([]byte(b)) != nil || got[0] != want || got[1] != want {
			t.Errorf("%.20q: %v, want twice %d", b, got, want)
		}
	}
	for text, want := range map[string][]int64{
		"1\n2": {1_000_000, 2_000_000}, "1\r\n2\r\n": {1_000_000, 2_000_000}, " 1 \n+2e-1\n\n": {1_000_000, 200_000},
		"9e99\n-9e99": {3_000_000, -2_000_000}, "1e-99\n-1e-99": {0, -1}, "3.0000001\n-2.1": {3_000_000, -2_000_000},
	} {
		if got := p.Read([]byte(text)); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
	v := plan(t, votes(2, 3), Budget{Epsilon: dp.Micro})
	for _, text := range append(bad[3:], "-1", "3", "0.5", "", "nan", "1e400") {
		if c, ok := v.choice([]byte(text)); ok {
			t.Errorf("%.20q is choice %d", text, c)
		}
	}
	for text, want := range map[string]int64{"0": 0, "2\n": 2, "1.0": 1} {
		if c, ok := v.choice([]byte(text)); !ok || c != want {
			t.Errorf("%q is choice %d, %v", text, c, ok)
		}
	}
	result(t, p, [][]byte{nil, nil}, 1)
	result(t, v, [][]byte{nil, []byte("x")}, 1)
	result(t, plan(t, median(2, 1), Budget{Epsilon: dp.Micro}), [][]byte{nil, nil}, 1)
}

// sums is what mean and vote add noise to.
func (p *Plan) sums(answers [][]byte) (out []int64) {
	t, err := p.of(answers)
	if err != nil {
		panic(err)
	}
	for i := range t.sums {
		out = append(out, t.sums[i].big().Int64())
	}
	return out
}

// TestGuestThatKnowsItsTarget: whatever the code answers when a certain record is in its shard, and it may answer the worst, all
// sums move by what the noise is made for, and not more. The least that any answer is worth shows that the test can fail.
func TestGuestThatKnowsItsTarget(t *testing.T) {
	worst := append([]string{"1e300\n1e300", "-1e300\n-1e300", "-1e300\n1e300", "0\n0", "0", "1", "2", "3"}, bad...)
	for _, a := range []*job.Aggregate{mean(10, 2), votes(10, 3)} {
		for _, b := range []Budget{{Epsilon: dp.Micro}, {Noise: dp.Micro}} {
			p, far := plan(t, a, b), 0.0
			for _, x := range worst {
				for _, y := range worst {
					u, v := repeated(10, "1\n1"), repeated(10, "1\n1")
					u[3], v[3] = []byte(x), []byte(y)
					var l1, l2 float64
					for i, s := range p.sums(u) {
						d := math.Abs(float64(s - p.sums(v)[i]))
						l1, l2 = l1+d, l2+d*d
					}
					if b.Noise > 0 {
						l1 = math.Sqrt(l2)
					}
					far = max(far, l1)
				}
			}
			if made := p.add.Float(1); far > made*(1+1e-9) || far < made*0.99 {
				t.Errorf("%s, %+v: answers move by %v, the noise is for %v", a.Kind, b, far, made)
			}
		}
	}
}

// TestSmoothSensitivity: S is at least how far the median moves when one answer is replaced, and grows by at most exp(β).
func TestSmoothSensitivity(t *testing.T) {
	const lower, upper = 0, 20
	for _, epsilon := range []int64{100_000, dp.Micro, 8 * dp.Micro} {
		for _, n := range []int{2, 3, 4, 5} {
			w := weights(n, epsilon)
			grow := math.Exp(float64(epsilon) / dp.Micro / 8)
			r, tight := rand.New(rand.NewPCG(1, uint64(n))), false
			for range 3000 {
				x := make([]int64, n)
				for i := range x {
					x[i] = r.Int64N(upper + 1)
					if r.IntN(2) == 0 {
						x[i] = []int64{lower, 10, upper}[r.IntN(3)]
					}
				}
				y := slices.Clone(x)
				y[r.IntN(n)] = r.Int64N(upper + 1)
				slices.Sort(x)
				slices.Sort(y)
				mx, sx := smooth(x, lower, upper, w)
				my, sy := smooth(y, lower, upper, w)
				fx, _ := new(big.Float).SetInt(sx).Float64()
				fy, _ := new(big.Float).SetInt(sy).Float64()
				if move := math.Abs(float64(mx - my)); move > fx/whole || move > fy/whole {
					t.Fatalf("%v, %v: the median moves by %v, S is %v and %v", x, y, move, fx/whole, fy/whole)
				}
				if fx > fy*grow || fy > fx*grow {
					t.Fatalf("%v, %v: S is %v and %v: more than %v times", x, y, fx/whole, fy/whole, grow)
				}
				tight = tight || fx > fy*(1+(grow-1)*0.9)
			}
			if !tight && epsilon < 2*dp.Micro {
				t.Errorf("epsilon %d, %d answers: S never grew as it may: this test would not see it grow more", epsilon, n)
			}
		}
	}
}

// TestNoiseOfMedians compares what is drawn with the distribution function.
func TestNoiseOfMedians(t *testing.T) {
	p := plan(t, median(3, 1), Budget{Epsilon: dp.Micro})
	for _, wide := range []int64{2, 300} {
		s := new(big.Int).Lsh(big.NewInt(wide), weightBits)
		s.Div(s, big.NewInt(10)) // σ is ten times that
		const n = 100_000
		src, above := source(5), map[int64]int{}
		cuts := []int64{-1000, -300, -50, -1, 0, 1, 2, 50, 300, 1000}
		for range n {
			v, err := p.heavy(s, src)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range cuts {
				if v.Cmp(big.NewInt(c)) >= 0 {
					above[c]++
				}
			}
		}
		for _, c := range cuts {
			// ⌊σZ⌋ ≥ c is σZ ≥ c.
			want := math.Pow(1+math.Abs(float64(c))/float64(wide), -tail) / 2
			if c < 0 {
				want = 1 - want
			}
			if d := math.Abs(float64(above[c])-n*want) / math.Sqrt(max(n*want*(1-want), 1)); d > 5.6 {
				t.Errorf("σ %d, at least %d: %d of %d, want %v: %v deviations", wide, c, above[c], n, n*want, d)
			}
		}
	}
}

// TestMedianIsPrivate computes, for pairs of answers that differ in one, the exact density of what is released at many places, and
// holds it against ε.
func TestMedianIsPrivate(t *testing.T) {
	const epsilon = 2 * dp.Micro
	density := func(x []int64, y float64) float64 {
		slices.Sort(x)
		m, s := smooth(x, 0, 1000, weights(len(x), epsilon))
		f, _ := new(big.Float).SetInt(s).Float64()
		sigma := f / whole / (float64(epsilon) / dp.Micro / 10)
		return 2 * math.Pow(1+math.Abs(y-float64(m))/sigma, -5) / sigma
	}
	r, most := rand.New(rand.NewPCG(3, 4)), 0.0
	for range 2000 {
		x := make([]int64, 3+r.IntN(6))
		for i := range x {
			x[i] = r.Int64N(1001)
		}
		z := slices.Clone(x)
		z[r.IntN(len(z))] = r.Int64N(2) * 1000
		for y := -3000.0; y < 4000; y += 61 {
			most = max(most, math.Abs(math.Log(density(x, y)/density(z, y))))
		}
	}
	if most > 2 || most < 0.5 {
		t.Errorf("ε is %v, want at most 2 and not very much less", most)
	}
}

func TestRefused(t *testing.T) {
	ok, _ := Mechanisms(mean(10, 2), dp.AddOrRemove, Budget{Epsilon: dp.Micro})
	for name, err := range map[string]error{
		"no adjacency":      second(Mechanisms(mean(10, 1), "", Budget{Epsilon: 1})),
		"no budget":         second(Mechanisms(mean(10, 1), dp.ReplaceOne, Budget{})),
		"both":              second(Mechanisms(mean(10, 1), dp.ReplaceOne, Budget{1, 1})),
		"negative":          second(Mechanisms(mean(10, 1), dp.ReplaceOne, Budget{-1, 1})),
		"nothing":           second(Mechanisms(nil, dp.ReplaceOne, Budget{Epsilon: 1})),
		"one shard":         second(Mechanisms(mean(1, 1), dp.ReplaceOne, Budget{Epsilon: 1})),
		"no numbers":        second(Mechanisms(mean(10, 0), dp.ReplaceOne, Budget{Epsilon: 1})),
		"one choice":        second(Mechanisms(votes(10, 1), dp.ReplaceOne, Budget{Epsilon: 1})),
		"Gaussian median":   second(Mechanisms(median(10, 1), dp.ReplaceOne, Budget{Noise: dp.Micro})),
		"too little":        second(Mechanisms(median(10, 100), dp.ReplaceOne, Budget{Epsilon: dp.Micro / 100})),
		"too many":          second(Mechanisms(median(job.MaxShards, 100), dp.ReplaceOne, Budget{Epsilon: dp.Micro})),
		"too many means":    second(Mechanisms(mean(job.MaxShards, 257), dp.ReplaceOne, Budget{Epsilon: dp.Micro})),
		"does not fit":      second(Mechanisms(&job.Aggregate{Shards: 2, Kind: job.AggregateMean, Numbers: 4096, Lower: -job.MaxBoundary, Upper: job.MaxBoundary}, dp.ReplaceOne, Budget{Epsilon: 1})),
		"bounds":            second(Mechanisms(&job.Aggregate{Shards: 2, Kind: job.AggregateMean, Numbers: 1}, dp.ReplaceOne, Budget{Epsilon: 1})),
		"no mechanism":      failed(New(mean(10, 2), nil)),
		"two":               failed(New(mean(10, 2), append(ok, ok...))),
		"another's":         failed(New(mean(10, 1), ok)),
		"another kind":      failed(New(votes(10, 2), ok)),
		"of a median":       failed(New(median(10, 2), ok)),
		"fewer of a median": failed(New(median(10, 2), []dp.Mechanism{{Kind: dp.Pure, Epsilon: dp.Micro, Sampling: dp.NoSampling, Rate: dp.One, Count: 1}})),
		"sampled":           failed(New(votes(10, 2), []dp.Mechanism{{Kind: dp.Gaussian, Noise: 1, Sampling: dp.Poisson, Rate: dp.Rate{Num: 1, Den: 2}, Count: 1}})),
		"pure":              failed(New(votes(10, 2), []dp.Mechanism{{Kind: dp.Pure, Epsilon: 1, Sampling: dp.NoSampling, Rate: dp.One, Count: 2}})),
	} {
		if !errors.Is(err, ErrAggregate) {
			t.Errorf("%s: %v", name, err)
		}
	}
	p := plan(t, mean(3, 1), Budget{Epsilon: dp.Micro})
	for _, n := range []int{2, 4} {
		if _, err := p.aggregate(make([][]byte, n), source(1)); !errors.Is(err, ErrAnswers) {
			t.Errorf("%d answers of three: %v", n, err)
		}
	}
	for _, a := range []*job.Aggregate{mean(2, 1), median(2, 1), votes(2, 2)} {
		for _, s := range []*sampler.Source{nil, sampler.NewSource(bytes.NewReader(nil))} {
			if b, err := plan(t, a, Budget{Epsilon: dp.Micro}).aggregate(make([][]byte, 2), s); !errors.Is(err, sampler.ErrEntropy) {
				t.Errorf("%s without entropy: %s, %v", a.Kind, b, err)
			}
		}
	}
}

func second(_ []dp.Mechanism, err error) error { return err }
func failed(_ *Plan, err error) error          { return err }

// TestWidestSums: the widest answers of the most shards do not overflow.
func TestWidestSums(t *testing.T) {
	a := &job.Aggregate{Shards: job.MaxShards, Kind: job.AggregateMean, Numbers: 1, Lower: -job.MaxBoundary, Upper: job.MaxBoundary}
	r := result(t, plan(t, a, Budget{Epsilon: dp.Micro}), repeated(job.MaxShards, "9e99"), 1)
	if want := float64(job.MaxBoundary) / dp.Micro; math.Abs(r.Values[0]-want) > want/1000 {
		t.Errorf("%v", r.Values)
	}
}

// TestSumsAreExact: in 128 bits, of either sign, as with integers that have no end.
func TestSumsAreExact(t *testing.T) {
	r, want, got := rand.New(rand.NewPCG(7, 8)), new(big.Int), sum{}
	for range 10_000 {
		v := int64(r.Uint64()) >> r.IntN(64)
		if r.IntN(3) == 0 {
			v = []int64{math.MinInt64, math.MaxInt64, -1}[r.IntN(3)]
		}
		want.Add(want, big.NewInt(v))
		if got.add(v); got.big().Cmp(want) != 0 {
			t.Fatalf("%v, want %v", got.big(), want)
		}
	}
}

// TestAnswersAreHeldInSoMuch: what is held of answers follows from the job, whatever and however many they are: no file of any, and
// of means and votes not even the numbers.
func TestAnswersAreHeldInSoMuch(t *testing.T) {
	long := []byte(strings.Repeat("0.3333333333333333333333333333333333333333333333333333333333333\n", 8))
	for _, a := range []*job.Aggregate{mean(1000, 8), votes(1000, 8), median(100, 8)} {
		p := plan(t, a, Budget{Epsilon: dp.Micro})
		room := func(answers [][]byte) int {
			tally, err := p.of(answers)
			if err != nil {
				t.Fatal(err)
			}
			return 16*cap(tally.sums) + 8*cap(tally.all)
		}
		none, all := room(make([][]byte, a.Shards)), room(repeated(int(a.Shards), string(long)))
		if most := 8 * int(a.Numbers*a.Shards); none != all || all > most || a.Kind != job.AggregateMedian && all > 16*8 {
			t.Errorf("%s: %d bytes without answers, %d with all", a.Kind, none, all)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	for _, b := range bad {
		f.Add([]byte(b))
	}
	f.Add([]byte("1\n-2.5e-3\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p := plan(t, mean(2, 2), Budget{Epsilon: dp.Micro})
		got := p.Read(b)
		if len(got) != 0 && len(got) != 2 {
			t.Fatalf("%q: %d numbers", b, len(got))
		}
		for _, v := range got {
			if v < p.a.Lower || v > p.a.Upper {
				t.Fatalf("%q: %d", b, v)
			}
		}
		v := plan(t, votes(2, 5), Budget{Epsilon: dp.Micro})
		if c, ok := v.choice(b); ok && (c < 0 || c > 4) {
			t.Fatalf("%q: %d", b, c)
		}
	})
}

func BenchmarkMedian(b *testing.B) {
	for _, n := range []int64{100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			p := plan(b, median(n, 1), Budget{Epsilon: dp.Micro})
			for b.Loop() {
				result(b, p, repeated(int(n), "1"), 1)
			}
		})
	}
}
