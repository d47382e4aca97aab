// SPDX-License-Identifier: Apache-2.0

// Package dp says what differentially private mechanisms may reveal: ε at a δ, of what was applied to data and how often.
//
// Trust domain: shared by creators, brokers, enclaves and auditors; pure. Its one job: the same [Composition] gives everybody
// the same bound, and never one below what was spent. docs/privacy.md says which results it rests on.
package dp

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// Errors of this package. All mean: there is no guarantee.
var (
	// ErrMechanism is a description that is incomplete, out of range, or of nothing this release can account for.
	ErrMechanism = errors.New("dp: not a mechanism")
	// ErrAccountant is an accountant that cannot bound this composition.
	ErrAccountant = errors.New("dp: no bound")
)

// What one change of the data is, between two data sets that must look alike.
const (
	AddOrRemove = "add-or-remove" // one unit more or less
	ReplaceOne  = "replace-one"   // one unit changed to any other
)

// Accountants. Each has the version of its method: another method is another name.
const (
	RDP = "rdp/1" // Rényi differential privacy at Google's default orders
	PLD = "pld/1" // privacy loss distributions, connect-the-dots, interval 10⁻⁴; only for what was declared in advance
)

// Kinds of mechanisms.
const (
	// Gaussian is noise of N(0, (Noise·s)²) on a sum of L2 sensitivity s, or a rounding of it.
	Gaussian = "gaussian"
	// Laplace is noise of scale Noise·s on a sum of L1 sensitivity s.
	Laplace = "laplace"
	// DiscreteGaussian and DiscreteLaplace are noise on integers whose sensitivity is Sensitivity.
	DiscreteGaussian = "discrete-gaussian"
	DiscreteLaplace  = "discrete-laplace"
	// Tree is tree aggregation (DP-FTRL): Gaussian noise on every node of a tree over Size steps, of which a unit is in one.
	Tree = "tree"
	// RandomisedResponse is k-ary: with probability Noise one of Size values, uniformly, else the true one.
	RandomisedResponse = "k-rr"
	// Pure and Approximate are known by what they guarantee: Epsilon, and Delta.
	Pure        = "pure"
	Approximate = "approximate"
)

// How units come into a mechanism.
const (
	NoSampling = "none"
	Poisson    = "poisson"    // each with probability Rate, independently
	FixedSize  = "fixed-size" // Rate.Num out of Rate.Den, without replacement
)

// Rate is a probability, exactly.
type Rate struct {
	Num int64 `json:"num"`
	Den int64 `json:"den"`
}

// One is the rate without sampling.
var One = Rate{1, 1}

// Float is the rate as a number.
func (r Rate) Float() float64 { return float64(r.Num) / float64(r.Den) }

// Mechanism is one mechanism, applied Count times, adaptively. It is data of signed statements: integers only, and every
// field is said. What a kind does not have is 0, and Rate is [One].
type Mechanism struct {
	Kind        string `json:"kind"`
	Noise       int64  `json:"noise"`       // noise multiplier: noise over sensitivity, millionths; of k-rr a probability
	Sensitivity int64  `json:"sensitivity"` // of discrete kinds, in their integers
	Size        int64  `json:"size"`        // steps below one tree; values of k-rr
	Epsilon     int64  `json:"epsilon"`     // millionths, of pure and approximate
	Delta       int64  `json:"delta"`       // 10⁻¹², of all applications together; of approximate, and of samplers that are not exact: (1+e^ε) times their distance from exact ones
	Sampling    string `json:"sampling"`
	Rate        Rate   `json:"rate"`
	Count       int64  `json:"count"`
}

// Composition is all that touched the data of one account.
type Composition struct {
	Adjacency  string      `json:"adjacency"`
	Mechanisms []Mechanism `json:"mechanisms"`
}

// Units and bounds.
const (
	Micro         = 1_000_000         // of noise multipliers and ε
	Pico          = 1_000_000_000_000 // of δ
	MaxMechanisms = 1024
	MaxCount      = 1 << 32
	maxInteger    = 1<<53 - 1 // that canonical JSON keeps exact
)

// Validate refuses what could not be accounted for. Zero values are refused.
func (c *Composition) Validate() error {
	if c.Adjacency != AddOrRemove && c.Adjacency != ReplaceOne {
		return fmt.Errorf("%w: adjacency %q, want %s or %s", ErrMechanism, c.Adjacency, AddOrRemove, ReplaceOne)
	}
	if len(c.Mechanisms) == 0 || len(c.Mechanisms) > MaxMechanisms {
		return fmt.Errorf("%w: %d mechanisms, want 1 to %d", ErrMechanism, len(c.Mechanisms), MaxMechanisms)
	}
	for i := range c.Mechanisms {
		if err := c.Mechanisms[i].Validate(); err != nil {
			return fmt.Errorf("mechanism %d: %w", i, err)
		}
	}
	return nil
}

// Validate refuses a description with anything missing, superfluous or out of range.
func (m *Mechanism) Validate() error {
	bad := func(f string, a ...any) error {
		return fmt.Errorf("%w: %s: %s", ErrMechanism, m.Kind, fmt.Sprintf(f, a...))
	}
	noisy := slices.Contains([]string{Gaussian, Laplace, DiscreteGaussian, DiscreteLaplace, Tree, RandomisedResponse}, m.Kind)
	discrete := m.Kind == DiscreteGaussian || m.Kind == DiscreteLaplace
	sized := m.Kind == Tree || m.Kind == RandomisedResponse
	known := m.Kind == Pure || m.Kind == Approximate
	switch {
	case !noisy && !known:
		return fmt.Errorf("%w: kind %q", ErrMechanism, m.Kind)
	case noisy != (m.Noise > 0) || m.Noise < 0 || m.Noise > maxInteger:
		return bad("noise of %d millionths", m.Noise)
	case m.Kind == RandomisedResponse && m.Noise > Micro:
		return bad("probability of %d millionths", m.Noise)
	case discrete != (m.Sensitivity > 0) || m.Sensitivity < 0 || m.Sensitivity > maxInteger:
		return bad("sensitivity of %d", m.Sensitivity)
	case sized != (m.Size > 0) || m.Size < 0 || m.Size > MaxCount || m.Kind == RandomisedResponse && m.Size < 2:
		return bad("size of %d", m.Size)
	case known != (m.Epsilon > 0) || m.Epsilon < 0 || m.Epsilon > maxInteger:
		return bad("epsilon of %d millionths", m.Epsilon)
	case m.Delta < 0 || m.Delta >= Pico || m.Kind == Approximate && m.Delta == 0 || m.Kind == Pure && m.Delta != 0:
		return bad("delta of %d", m.Delta)
	case m.Count < 1 || m.Count > MaxCount:
		return bad("%d times", m.Count)
	}
	return m.validateSampling(bad)
}

func (m *Mechanism) validateSampling(bad func(string, ...any) error) error {
	r := m.Rate
	switch {
	case m.Sampling != NoSampling && m.Sampling != Poisson && m.Sampling != FixedSize:
		return bad("sampling %q", m.Sampling)
	case r.Num < 1 || r.Den < r.Num || r.Den > maxInteger:
		return bad("rate of %d/%d, want more than 0 and at most 1", r.Num, r.Den)
	case m.Sampling == NoSampling && r != One:
		return bad("rate of %d/%d without sampling", r.Num, r.Den)
	case m.Sampling != NoSampling && m.Kind == Tree:
		return bad("a tree has no sampling")
	}
	return nil
}

// Micros is ε in millionths, rounded up. What is no number of a bound is refused.
func Micros(epsilon float64) (int64, error) {
	u := math.Ceil(epsilon * Micro)
	if !(epsilon >= 0) || u > maxInteger {
		return 0, fmt.Errorf("%w: epsilon %v", ErrAccountant, epsilon)
	}
	return int64(u), nil
}
