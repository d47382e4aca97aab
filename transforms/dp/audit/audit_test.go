// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

func near(a, b, relative float64) bool { return math.Abs(a-b) <= relative*math.Abs(b) }

// TestOneRunReference compares with values of the program in appendix D of Steinke, Nasr and Jagielski 2023.
func TestOneRunReference(t *testing.T) {
	for _, c := range []struct {
		canaries, guesses, correct int
		epsilon, delta, want       float64
	}{
		{1000, 200, 150, 0.5, 0, 8.91818292052e-05},
		{1000, 200, 150, 0.5, 1e-5, 0.000621207835839},
		{1000, 200, 190, 2, 1e-5, 0.00162733162156},
	} {
		if got, err := OneRunP(c.canaries, c.guesses, c.correct, c.epsilon, c.delta); err != nil || !near(got, c.want, 1e-9) {
			t.Errorf("%+v: %.14g, %v", c, got, err)
		}
	}
}

// TestClopperPearsonReference compares with values of SciPy's beta.ppf.
func TestClopperPearsonReference(t *testing.T) {
	for _, c := range []struct {
		k, n        int
		alpha, want float64
	}{{0, 100, 0.05, 0.029513049607}, {3, 100, 0.05, 0.0757107937498}, {10, 1000, 0.01, 0.0200426059009}} {
		got, err := Upper(c.k, c.n, c.alpha)
		if err != nil || !near(got, c.want, 1e-9) {
			t.Errorf("%+v: %.12g, %v", c, got, err)
		}
		if low, err := Lower(c.n-c.k, c.n, c.alpha); err != nil || !near(1-low, c.want, 1e-9) {
			t.Errorf("%+v: from below %.12g, %v", c, 1-low, err)
		}
	}
	for _, k := range []int{0, 10} {
		low, err := Lower(k, 10, 0.05)
		high, err2 := Upper(k, 10, 0.05)
		if err != nil || err2 != nil || k == 0 && low != 0 || k == 10 && high != 1 || low >= high {
			t.Errorf("%d of 10: from %v to %v", k, low, high)
		}
	}
}

// TestBinomial compares with sums of whole numbers.
func TestBinomial(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 300 {
		n, den := 1+r.IntN(120), int64(1000)
		num := 1 + r.Int64N(den-1)
		k := r.IntN(n + 1)
		sum := new(big.Rat)
		for i := k; i <= n; i++ {
			term := new(big.Rat).SetInt(new(big.Int).Binomial(int64(n), int64(i)))
			for j := range n {
				p := num
				if j >= i {
					p = den - num
				}
				term.Mul(term, big.NewRat(p, den))
			}
			if i == k {
				if want, _ := term.Float64(); !near(exactly(k, n, float64(num)/float64(den), float64(den-num)/float64(den)), want, 1e-11) {
					t.Fatalf("%d of %d at %d/%d: want %v", k, n, num, den, want)
				}
			}
			sum.Add(sum, term)
		}
		want, _ := sum.Float64()
		if got := atLeast(k, n, float64(num)/float64(den), float64(den-num)/float64(den)); !near(got, want, 1e-9) {
			t.Fatalf("%d of %d or more at %d/%d: %v, want %v", k, n, num, den, got, want)
		}
	}
}

// coins are the numbers of successes in n trials.
func coins(r *rand.Rand, n int, p float64) (k int) {
	for range n {
		if r.Float64() < p {
			k++
		}
	}
	return k
}

// TestBoundsHoldAsOftenAsTheySay: of experiments whose truth is known, no more than alpha say too much.
func TestBoundsHoldAsOftenAsTheySay(t *testing.T) {
	const alpha = 0.05
	rounds := 1000
	if testing.Short() {
		rounds = 300
	}
	r, wrong := rand.New(rand.NewPCG(2, 2)), 0
	for range rounds {
		high, err := Upper(coins(r, 50, 0.1), 50, alpha)
		if err != nil {
			t.Fatal(err)
		}
		if high < 0.1 {
			wrong++
		}
	}
	most := int(float64(rounds)*alpha + 6*math.Sqrt(float64(rounds)*alpha))
	if wrong > most || wrong == 0 {
		t.Errorf("the upper bound is wrong %d times of %d", wrong, rounds)
	}
	// Randomised response of ε: both experiments, at its worst.
	const epsilon = 1.0
	p, runs, one := 1/(1+math.Exp(-epsilon)), 0, 0
	for range rounds {
		with, without := make([]float64, 200), make([]float64, 200)
		for i := range with {
			with[i], without[i] = float64(coins(r, 1, p)), float64(coins(r, 1, 1-p))
		}
		low, err := Runs(with, without, 0, alpha)
		if err != nil {
			t.Fatal(err)
		}
		if low > epsilon {
			runs++
		}
		if low, err = OneRun(200, 200, coins(r, 200, p), 0, alpha); err != nil {
			t.Fatal(err)
		} else if low > epsilon {
			one++
		}
	}
	if runs > most || one > most || one == 0 {
		t.Errorf("above the truth: %d by runs, %d by one run, of %d", runs, one, rounds)
	}
}

// gaussian are scores of two data sets whose sums are one apart, with noise.
func gaussian(r *rand.Rand, n int, sigma float64) (with, without []float64) {
	for range n {
		with, without = append(with, 1+sigma*r.NormFloat64()), append(without, sigma*r.NormFloat64())
	}
	return with, without
}

// TestBoundsComeNear: the bounds are not only low. Noise of 1 has ε = 2.30 at δ = 10⁻², and μ = 1.
func TestBoundsComeNear(t *testing.T) {
	with, without := gaussian(rand.New(rand.NewPCG(3, 3)), 200_000, 1)
	if e, err := Runs(with, without, 1e-2, 1e-6); err != nil || e < 2.0 || e > 2.31 {
		t.Errorf("epsilon %v, %v", e, err)
	}
	if mu, err := RunsGaussian(with, without, 1e-6); err != nil || mu < 0.95 || mu > 1 {
		t.Errorf("mu %v, %v", mu, err)
	}
	// The same where the rare event is of the data set without.
	for i := range with {
		with[i], without[i] = -without[i], -with[i]
	}
	if e, err := Runs(with, without, 1e-2, 1e-6); err != nil || e < 2.0 || e > 2.31 {
		t.Errorf("mirrored: epsilon %v, %v", e, err)
	}
}

// TestOneSidedEvents: what only the absence of a canary shows is seen too.
func TestOneSidedEvents(t *testing.T) {
	with, without := make([]float64, 4000), make([]float64, 4000)
	for i := range without {
		without[i] = -float64(i / 2 % 2) // low in half of the runs
	}
	low, err := Runs(with, without, 0, 1e-6)
	if err != nil || low < 4 {
		t.Errorf("without: %v, %v", low, err)
	}
	same, err := Runs(with, with, 0, 1e-6)
	if err != nil || same != 0 {
		t.Errorf("two alike: %v, %v", same, err)
	}
}

// TestHalvesOfRuns: one half chooses, the other bounds, and each of two probabilities has half of alpha.
func TestHalvesOfRuns(t *testing.T) {
	const n, alpha, delta = 500, 0.01, 0.05
	with, without := make([]float64, 2*n), make([]float64, 2*n)
	for i := range with {
		with[i] = 1
	}
	low := math.Pow(alpha/2, 1./n) // of n in n, for none in n it is what is left
	want := math.Log((low - delta) / (1 - low))
	if got, err := Runs(with, without, delta, alpha); err != nil || !near(got, want, 1e-9) {
		t.Errorf("told apart each time: %v, %v, want %v", got, err, want)
	}
	for i := 1; i < len(with); i += 2 {
		with[i] = 0
	}
	if got, err := Runs(with, without, delta, alpha); err != nil || got != 0 {
		t.Errorf("told apart in the half that chooses: %v, %v", got, err)
	}
}

func TestOneRunBoundsInvertTheChance(t *testing.T) {
	for _, c := range []struct {
		canaries, guesses, correct int
		delta                      float64
	}{{1000, 200, 190, 1e-6}, {1000, 1000, 900, 0}, {100_000, 2000, 1900, 1e-8}, {10, 10, 10, 0}} {
		low, err := OneRun(c.canaries, c.guesses, c.correct, c.delta, 0.01)
		if err != nil {
			t.Fatal(err)
		}
		at, _ := OneRunP(c.canaries, c.guesses, c.correct, low, c.delta)
		above, _ := OneRunP(c.canaries, c.guesses, c.correct, low+1e-6, c.delta)
		if low <= 0 || at > 0.01 || above <= 0.01 {
			t.Errorf("%+v: epsilon %v has chance %v, one above %v", c, low, at, above)
		}
	}
	if low, err := OneRun(1000, 100, 50, 0, 0.01); err != nil || low != 0 {
		t.Errorf("half are right: %v, %v", low, err)
	}
	if p, err := OneRunP(1<<20, 1<<20, 1<<20, 0, 1e-5); err != nil || !(p >= 0 && p <= 1) {
		t.Errorf("many: %v, %v", p, err)
	}
}

func TestGuess(t *testing.T) {
	scores, in := []float64{5, 1, 4, 2, 3, 0}, []bool{true, false, true, true, false, false}
	for guesses, want := range map[int]int{2: 2, 4: 4, 6: 4} {
		if got, err := Guess(scores, in, guesses); err != nil || got != want {
			t.Errorf("%d guesses: %d right, %v, want %d", guesses, got, err, want)
		}
	}
	for _, guesses := range []int{0, 1, 3, 8, -2} {
		if _, err := Guess(scores, in, guesses); !errors.Is(err, ErrExperiment) {
			t.Errorf("%d guesses: %v", guesses, err)
		}
	}
	if _, err := Guess([]float64{1, math.NaN()}, []bool{true, false}, 2); !errors.Is(err, ErrExperiment) {
		t.Error(err)
	}
	if _, err := Guess(scores, in[1:], 2); !errors.Is(err, ErrExperiment) {
		t.Error(err)
	}
}

func TestExperimentsThatSayNothing(t *testing.T) {
	nan, scores := math.NaN(), []float64{1, 2, 3, 4}
	for name, f := range map[string]func() (float64, error){
		"more than all":      func() (float64, error) { return Upper(11, 10, 0.1) },
		"fewer than none":    func() (float64, error) { return Lower(-1, 10, 0.1) },
		"of none":            func() (float64, error) { return Upper(0, 0, 0.1) },
		"no doubt":           func() (float64, error) { return Upper(1, 10, 0) },
		"all doubt":          func() (float64, error) { return Lower(1, 10, 1) },
		"doubt of NaN":       func() (float64, error) { return Upper(1, 10, nan) },
		"few runs":           func() (float64, error) { return Runs(scores[:3], scores, 0, 0.1) },
		"few runs without":   func() (float64, error) { return RunsGaussian(scores, scores[:3], 0.1) },
		"a NaN":              func() (float64, error) { return Runs([]float64{1, 2, nan, 3}, scores, 0, 0.1) },
		"a NaN without":      func() (float64, error) { return Runs(scores, []float64{1, 2, nan, 3}, 0, 0.1) },
		"delta of one":       func() (float64, error) { return Runs(scores, scores, 1, 0.1) },
		"delta below zero":   func() (float64, error) { return Runs(scores, scores, -1e-9, 0.1) },
		"delta of NaN":       func() (float64, error) { return Runs(scores, scores, nan, 0.1) },
		"alpha of NaN":       func() (float64, error) { return RunsGaussian(scores, scores, nan) },
		"too many guesses":   func() (float64, error) { return OneRunP(10, 11, 5, 1, 0) },
		"too many are right": func() (float64, error) { return OneRunP(10, 5, 6, 1, 0) },
		"epsilon below zero": func() (float64, error) { return OneRunP(10, 5, 4, -1, 0) },
		"epsilon of NaN":     func() (float64, error) { return OneRunP(10, 5, 4, nan, 0) },
		"epsilon too large":  func() (float64, error) { return OneRunP(10, 5, 4, math.Inf(1), 0) },
		"delta above one":    func() (float64, error) { return OneRunP(10, 5, 4, 1, 1.5) },
		"one run's alpha":    func() (float64, error) { return OneRun(10, 5, 4, 0, 0) },
		"one run's delta":    func() (float64, error) { return OneRun(10, 5, 4, nan, 0.1) },
	} {
		if got, err := f(); got != 0 || !errors.Is(err, ErrExperiment) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}
