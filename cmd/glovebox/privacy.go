// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/transforms/dp"
)

func newPrivacy() *cobra.Command {
	cmd := &cobra.Command{
		Use: "privacy", Short: "Work out what noise buys: ε, noise, or steps", Args: noArgs, RunE: needVerb,
		Long: `Differential privacy bounds what results tell of any one person: whoever sees them can tell whether she is in the data little
better than without them, by a factor of at most e^ε, but for a probability of δ. A small ε tells little: below 1 is strong, above 10 says
hardly anything. δ is to be far below one in the number of persons.

A training step samples each record with the sampling rate, adds up gradients of bounded length, and adds Gaussian noise: the noise
multiplier is its standard deviation over that bound. These commands work out one of ε, noise and steps from the others, by the same
accountants that brokers, enclaves and auditors use. They read no data and no directory.`,
	}
	cmd.AddCommand(newPrivacyEpsilon(), newPrivacyNoise(), newPrivacySteps())
	return cmd
}

// privacyFlags describe one mechanism, and what it is accounted by.
type privacyFlags struct {
	mechanism, sampling, rate, adjacency, accountant string
	noise, delta, epsilon                            float64
	steps, records, size, sensitivity                int64
	json                                             bool
	needed                                           []string
}

// privacyAnswer is what the three commands print. Bounds are rounded up.
type privacyAnswer struct {
	Epsilon         float64 `json:"epsilon"`
	Delta           float64 `json:"delta"`
	Order           float64 `json:"order"` // of Rényi divergence; 0 by PLD
	Accountant      string  `json:"accountant"`
	Adjacency       string  `json:"adjacency"`
	Mechanism       string  `json:"mechanism"`
	Sampling        string  `json:"sampling"`
	SamplingRate    float64 `json:"samplingRate"`
	NoiseMultiplier float64 `json:"noiseMultiplier"`
	Steps           int64   `json:"steps"`
}

const privacyExample = "--sampling-rate 256/60000 "

func newPrivacyEpsilon() *cobra.Command {
	var p privacyFlags
	cmd := &cobra.Command{
		Use: "epsilon", Short: "What ε so many steps come to with so much noise", Args: noArgs,
		Example: "  glovebox creator privacy epsilon " + privacyExample + "--noise-multiplier 1.1 --steps 14063 --delta 1e-5 --accountant pld",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.run(cmd, func(m *dp.Mechanism) error { return p.needNoise(m) })
		},
	}
	p.register(cmd, "noise-multiplier", "steps")
	return cmd
}

func newPrivacyNoise() *cobra.Command {
	var p privacyFlags
	cmd := &cobra.Command{
		Use: "noise", Short: "The least noise for an ε", Args: noArgs,
		Example: "  glovebox creator privacy noise --epsilon 3 " + privacyExample + "--steps 14063 --delta 1e-5",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.run(cmd, func(m *dp.Mechanism) (err error) {
				if m.Kind == dp.RandomisedResponse {
					return Errorf(KindUsage, "give --noise-multiplier, the probability of a random answer, to privacy epsilon").because("noise is not calibrated for %s", m.Kind)
				}
				m.Noise, err = dp.Noise(p.composition(m), p.epsilon, p.delta, p.accountant)
				p.noise = float64(m.Noise) / dp.Micro
				return err
			})
		},
	}
	p.register(cmd, "epsilon", "steps")
	return cmd
}

func newPrivacySteps() *cobra.Command {
	var p privacyFlags
	cmd := &cobra.Command{
		Use: "steps", Short: "The most steps for an ε", Args: noArgs,
		Example: "  glovebox creator privacy steps --epsilon 3 " + privacyExample + "--noise-multiplier 1.1 --delta 1e-5",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.run(cmd, func(m *dp.Mechanism) (err error) {
				if err := p.needNoise(m); err != nil {
					return err
				}
				m.Count = 0
				m.Count, err = dp.Steps(p.composition(m), p.epsilon, p.delta, p.accountant)
				p.steps = m.Count
				return err
			})
		},
	}
	p.register(cmd, "epsilon", "noise-multiplier")
	return cmd
}

func (p *privacyFlags) register(cmd *cobra.Command, needed ...string) {
	f := cmd.Flags()
	for _, n := range needed {
		switch n {
		case "epsilon":
			f.Float64Var(&p.epsilon, n, 0, "the ε that may be reached")
		case "noise-multiplier":
			f.Float64Var(&p.noise, n, 0, "standard deviation (of Laplace noise: scale) over the most that one unit changes; of k-rr the probability of a random answer")
		case "steps":
			f.Int64Var(&p.steps, n, 0, "how often it is applied")
		}
	}
	f.StringVar(&p.rate, "sampling-rate", "1", "probability that a unit is in a step: 0.01 or 256/60000")
	f.Float64Var(&p.delta, "delta", 0, "the δ")
	f.StringVar(&p.accountant, "accountant", "rdp", "how ε is computed: rdp, which also adds up over jobs, or pld, which is tighter")
	f.StringVar(&p.adjacency, "adjacency", dp.AddOrRemove, "what one unit more or less is: "+dp.AddOrRemove+" or "+dp.ReplaceOne)
	f.StringVar(&p.mechanism, "mechanism", dp.Gaussian, "gaussian, laplace, discrete-gaussian, discrete-laplace, tree or k-rr")
	f.StringVar(&p.sampling, "sampling", dp.Poisson, "how units come into a step: poisson, each by itself, or fixed-size, as many each time")
	f.Int64Var(&p.records, "records", 0, "units in the data, which δ must be below one in")
	f.Int64Var(&p.size, "size", 0, "steps below a tree, or answers of k-rr")
	f.Int64Var(&p.sensitivity, "sensitivity", 0, "most that one unit changes, of discrete mechanisms")
	p.needed = append(needed, "delta")
	jsonFlag(cmd, &p.json)
}

// run checks the flags, has unknown fill in what was asked for, and shows the bound.
func (p *privacyFlags) run(cmd *cobra.Command, unknown func(*dp.Mechanism) error) error {
	m, rate, err := p.check(cmd)
	if err != nil {
		return err
	}
	if err := unknown(m); err != nil {
		return privacyError(err)
	}
	b, err := dp.EpsilonOf(*m, p.noise, rate, p.adjacency, p.delta, p.accountant)
	if err != nil {
		return privacyError(err)
	}
	if p.steps == dp.MaxCount && !cmd.Flags().Changed("steps") {
		say(cmd, "%d steps are the most that is looked for; ε would allow more", p.steps)
	}
	a := privacyAnswer{
		Epsilon: b.Epsilon, Delta: p.delta, Order: b.Order, Accountant: b.Accountant, Adjacency: p.adjacency, Mechanism: m.Kind, Sampling: m.Sampling,
		SamplingRate: rate, NoiseMultiplier: p.noise, Steps: p.steps,
	}
	return show(cmd, p.json, a, func(w io.Writer) { showPrivacy(w, &a) })
}

func showPrivacy(w io.Writer, a *privacyAnswer) {
	how := a.Accountant
	if a.Order > 0 {
		how += fmt.Sprintf(", order %v", a.Order)
	}
	sampled := "without sampling"
	if a.Sampling != dp.NoSampling {
		sampled = fmt.Sprintf("%s sampling at %v", a.Sampling, a.SamplingRate)
	}
	table(w,
		[]string{"epsilon", fmt.Sprintf("%.7f", math.Ceil(a.Epsilon*1e7)/1e7), how},
		[]string{"delta", strconv.FormatFloat(a.Delta, 'g', -1, 64), a.Adjacency},
		[]string{"noise multiplier", strconv.FormatFloat(a.NoiseMultiplier, 'f', -1, 64), a.Mechanism},
		[]string{"steps", strconv.FormatInt(a.Steps, 10), sampled})
}

// check refuses what has no meaning, in words, before the accountant does.
func (p *privacyFlags) check(cmd *cobra.Command) (*dp.Mechanism, float64, error) {
	bad := func(hint, format string, args ...any) (*dp.Mechanism, float64, error) {
		return nil, 0, Errorf(KindUsage, "%s", hint).because(format, args...)
	}
	for _, n := range p.needed {
		if !cmd.Flags().Changed(n) {
			return bad("run the command with --help to see an example", "--%s is missing", n)
		}
	}
	rate, float, ok := parseRate(p.rate)
	switch {
	case !ok:
		return bad("it is a probability: more than 1e-300 and at most 1, as 0.01 or 256/60000", "--sampling-rate %s", p.rate)
	case !(p.delta > 0 && p.delta < 1):
		return bad("δ is a probability, and far below one in the number of units: 1e-6 for 100,000", "--delta %v is not between 0 and 1", p.delta)
	case cmd.Flags().Changed("records") && p.records < 1:
		return bad("give how many units of privacy the data has", "--records %d", p.records)
	case p.records > 0 && p.delta >= 1/float64(p.records):
		return bad(fmt.Sprintf("choose --delta well below %.3g: with one in n, a mechanism may publish some unit whole", 1/float64(p.records)),
			"--delta %v is not below one in %d records", p.delta, p.records)
	case cmd.Flags().Changed("epsilon") && (!(p.epsilon > 0) || math.IsInf(p.epsilon, 0)):
		return bad("ε is a positive number; below 1 is strong, above 10 says hardly anything", "--epsilon %v", p.epsilon)
	case cmd.Flags().Changed("steps") && (p.steps < 1 || p.steps > dp.MaxCount):
		return bad(fmt.Sprintf("give a whole number from 1 to %d", int64(dp.MaxCount)), "--steps %d", p.steps)
	case p.accountant != "rdp" && p.accountant != "pld" && p.accountant != dp.RDP && p.accountant != dp.PLD:
		return bad("rdp adds up over jobs; pld is tighter", "--accountant %s", p.accountant)
	}
	if !strings.Contains(p.accountant, "/") {
		p.accountant += "/1"
	}
	m := &dp.Mechanism{Kind: p.mechanism, Size: p.size, Sensitivity: p.sensitivity, Sampling: p.sampling, Rate: rate, Count: p.steps}
	if rate.Num == rate.Den {
		m.Sampling, m.Rate, float = dp.NoSampling, dp.One, 1
	}
	trial := *m
	trial.Noise, trial.Count = 1, 1
	switch discrete := m.Kind == dp.DiscreteGaussian || m.Kind == dp.DiscreteLaplace; {
	case (m.Kind == dp.Tree || m.Sampling == dp.FixedSize) && p.adjacency != dp.ReplaceOne:
		return bad("add --adjacency "+dp.ReplaceOne, "trees and samples of a fixed size are accounted for under %s only", dp.ReplaceOne)
	case discrete && p.sensitivity < 1:
		return bad("give the most that one unit changes, for example --sensitivity 1", "--sensitivity is missing for %s", m.Kind)
	case m.Kind == dp.DiscreteGaussian && p.sensitivity > 1 && p.accountant == dp.PLD:
		return bad("use --accountant rdp", "of %s, %s bounds sensitivity 1 only", m.Kind, p.accountant)
	}
	if err := p.composition(&trial).Validate(); err != nil {
		return nil, 0, usageError(err)
	}
	return m, float, nil
}

func (p *privacyFlags) composition(m *dp.Mechanism) *dp.Composition {
	return &dp.Composition{Adjacency: p.adjacency, Mechanisms: []dp.Mechanism{*m}}
}

// needNoise puts the noise multiplier into m, in millionths and rounded down.
func (p *privacyFlags) needNoise(m *dp.Mechanism) error {
	u := math.Floor(p.noise * dp.Micro)
	if !(u >= 1) || u > 1<<53-1 {
		return Errorf(KindUsage, "without noise nothing is private; training commonly uses 0.5 to 5").because("--noise-multiplier %v, want a number from 0.000001 to 9007199254", p.noise)
	}
	if m.Noise = int64(u); m.Kind == dp.RandomisedResponse && p.noise > 1 {
		return Errorf(KindUsage, "of k-rr it is the probability of a random answer, at most 1").because("--noise-multiplier %v", p.noise)
	}
	return nil
}

// privacyError has a hint for what no accountant bounds.
func privacyError(err error) error {
	if _, ok := errors.AsType[*Error](err); ok || !errors.Is(err, dp.ErrAccountant) && !errors.Is(err, dp.ErrMechanism) {
		return err
	}
	return Errorf(KindUsage, "choose more noise, fewer steps, a lower rate, another δ or another --accountant").from(err)
}

// rateDenominator is of rates that are given as a decimal fraction.
const rateDenominator = 1_000_000_000_000_000

// parseRate reads a probability, more than 0 and at most 1, as a decimal number or a fraction. The rate is rounded up, the float is not.
func parseRate(s string) (dp.Rate, float64, bool) {
	if len(s) > 64 {
		return dp.Rate{}, 0, false
	}
	if f, err := strconv.ParseFloat(s, 64); !strings.Contains(s, "/") && (err != nil || !(f > 1e-300 && f <= 1)) {
		return dp.Rate{}, 0, false // before exponents are expanded
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok || r.Sign() <= 0 || r.Cmp(big.NewRat(1, 1)) > 0 {
		return dp.Rate{}, 0, false
	}
	float, _ := r.Float64()
	if r.Denom().IsInt64() && r.Denom().Int64() < 1<<53 {
		return dp.Rate{Num: r.Num().Int64(), Den: r.Denom().Int64()}, float, true
	}
	n := new(big.Int).Mul(r.Num(), big.NewInt(rateDenominator))
	n.Add(n, new(big.Int).Sub(r.Denom(), big.NewInt(1))).Quo(n, r.Denom())
	return dp.Rate{Num: n.Int64(), Den: rateDenominator}, float, true
}
