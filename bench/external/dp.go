// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os/exec"
	"strings"
	"time"

	"github.com/glovebox-dev/glovebox/transforms/dp"
)

// What the accountants may differ by, and times ε where that is more than one. Below a δ of 10⁻⁷ dp-accounting's PLD is too large by more:
// it takes differences of nearly equal floats.
const (
	tolerance = 1e-6
	exact     = 1e-8
)

// setting is one composition, and the δ at which its ε is asked for.
type setting struct {
	dp.Composition
	Delta float64 `json:"delta"`
}

// accountants compares RDP and PLD with dp-accounting on random settings.
func accountants(ctx context.Context, w io.Writer, cases int, seed uint64) error {
	bin, err := python(ctx, w, "dp-accounting", "external/requirements.txt")
	if errors.Is(err, errMissing) {
		fmt.Fprintf(w, "SKIP: %d settings of the privacy accountant are not compared: dp-accounting %v\n", cases, err)
		return nil
	}
	if err != nil {
		return err
	}
	r := rand.New(rand.NewPCG(seed, 7))
	all := make([]setting, cases)
	for i := range all {
		all[i] = draw(r, i)
	}
	start := time.Now()
	theirs, err := reference(ctx, bin, all)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "privacy accountant: %d random settings, seed %d, against dp-accounting 0.6.0, which took %v\n", cases, seed, time.Since(start).Round(time.Second))
	bad := 0
	for n, accountant := range []string{dp.RDP, dp.PLD} {
		wrong, err := compare(w, all, theirs, n, accountant)
		if err != nil {
			return err
		}
		bad += wrong
	}
	if bad > 0 {
		return fmt.Errorf("%d bounds differ from dp-accounting's by more than they may", bad)
	}
	return nil
}

func reference(ctx context.Context, bin string, all []setting) ([][2]*float64, error) {
	in, err := json.Marshal(all)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, bin, "external/dp.py")
	cmd.Stdin = bytes.NewReader(in)
	var failed bytes.Buffer
	cmd.Stderr = &failed
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("dp.py: %w: %s", err, lastLine(failed.Bytes()))
	}
	var theirs [][2]*float64
	if err := json.Unmarshal(out, &theirs); err != nil {
		return nil, fmt.Errorf("dp.py: %w", err)
	}
	if len(theirs) != len(all) {
		return nil, fmt.Errorf("dp.py: %d answers to %d settings", len(theirs), len(all))
	}
	return theirs, nil
}

// compare prints the worst deviations of one accountant and says how many are out of tolerance. Where only one of the two has a
// bound there is nothing to compare.
func compare(w io.Writer, all []setting, theirs [][2]*float64, n int, accountant string) (wrong int, err error) {
	compared, above, below := 0, 0.0, 0.0
	var ours time.Duration
	for i := range all {
		if theirs[i][n] == nil {
			continue
		}
		want := *theirs[i][n]
		start := time.Now()
		got, err := dp.Epsilon(&all[i].Composition, all[i].Delta, accountant)
		ours += time.Since(start)
		if err != nil {
			return 0, fmt.Errorf("%s of %s: %w", accountant, describe(&all[i]), err)
		}
		compared++
		d := got.Epsilon - want
		above, below = max(above, d), min(below, d)
		allowed := tolerance
		if accountant == dp.RDP {
			allowed = exact
		}
		if math.Abs(d) > allowed*max(1, want) {
			wrong++
			fmt.Fprintf(w, "  %s: ε %.10g, dp-accounting %.10g, differs by %.3g: %s\n", accountant, got.Epsilon, want, d, describe(&all[i]))
		}
	}
	if compared == 0 {
		return 0, fmt.Errorf("%s: nothing was compared", accountant)
	}
	fmt.Fprintf(w, "  %s: %d compared, worst %.2g above and %.2g below; ours took %v each\n", accountant, compared, above, -below, (ours / time.Duration(compared)).Round(10*time.Microsecond))
	return wrong, nil
}

func describe(s *setting) string {
	b, err := json.Marshal(s)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// draw makes the i-th setting: of every kind of mechanism and sampling that dp-accounting knows, and compositions of several.
func draw(r *rand.Rand, i int) setting {
	s := setting{Composition: dp.Composition{Adjacency: dp.AddOrRemove}, Delta: math.Pow(10, -4-float64(r.IntN(4)))}
	kinds := strings.Fields("gauss gauss gauss gauss gauss plain laplace sampled-laplace discrete-laplace discrete-gaussian tree fixed fixed k-rr several several")
	kind := kinds[i%len(kinds)]
	if kind == "several" {
		for range 2 + r.IntN(2) {
			s.Mechanisms = append(s.Mechanisms, mechanism(r, kinds[r.IntN(8)]))
		}
		return s
	}
	if kind == "tree" || kind == "fixed" || kind == "k-rr" {
		s.Adjacency = dp.ReplaceOne
	}
	s.Mechanisms = []dp.Mechanism{mechanism(r, kind)}
	return s
}

// between is a number whose logarithm is uniform.
func between(r *rand.Rand, lo, hi float64) float64 {
	return lo * math.Exp(r.Float64()*math.Log(hi/lo))
}

func mechanism(r *rand.Rand, kind string) dp.Mechanism {
	micros := func(x float64) int64 { return int64(math.Round(x * dp.Micro)) }
	m := dp.Mechanism{Kind: dp.Gaussian, Sampling: dp.NoSampling, Rate: dp.One, Count: int64(between(r, 1, 1000))}
	rate := dp.Rate{Num: int64(between(r, 10, 3000)), Den: 10000}
	switch kind {
	case "gauss":
		m.Sampling, m.Rate = dp.Poisson, dp.Rate{Num: int64(between(r, 100, 100_000)), Den: 1_000_000}
		m.Noise, m.Count = micros(between(r, 0.6, 8)), int64(between(r, 1, 30_000))
	case "plain":
		m.Noise = micros(between(r, 1, 50) * math.Sqrt(float64(m.Count)))
	case "laplace":
		m.Kind, m.Noise = dp.Laplace, micros(between(r, 0.3, 10)*math.Sqrt(float64(m.Count)))
	case "sampled-laplace":
		m.Kind, m.Noise, m.Sampling, m.Rate = dp.Laplace, micros(between(r, 0.3, 10)), dp.Poisson, rate
	case "discrete-laplace":
		m.Kind, m.Sensitivity = dp.DiscreteLaplace, 1+r.Int64N(20)
		m.Noise = micros(between(r, 0.3, 10) * math.Sqrt(float64(m.Count)))
	case "discrete-gaussian":
		m.Kind, m.Sensitivity = dp.DiscreteGaussian, 1
		m.Noise = micros(between(r, 0.5, 5) * math.Sqrt(float64(m.Count)))
	case "tree":
		m.Kind, m.Size, m.Count, m.Noise = dp.Tree, int64(between(r, 1, 100_000)), 1, micros(between(r, 0.6, 20))
	case "fixed":
		m.Sampling, m.Rate, m.Noise = dp.FixedSize, rate, micros(between(r, 0.6, 8))
	case "k-rr":
		m.Kind, m.Size, m.Count, m.Noise = dp.RandomisedResponse, 2+r.Int64N(30), 1, micros(0.05+0.9*r.Float64())
	}
	return m
}
