// SPDX-License-Identifier: Apache-2.0

package release

import (
	"math/big"
	"math/bits"

	"github.com/glovebox-dev/glovebox/transforms/dp/noise"
	"github.com/glovebox-dev/glovebox/transforms/dp/sampler"
)

// part is one mechanism of a query.
type part struct {
	of string
	noise.Noise
	draws int // of the noise, 0 if records decide how many
}

// part is the noise for one of so many equal shares of what the query may spend.
func (c *common) part(of string, shares int64, s noise.Sensitivity) (part, error) {
	add, spend := noise.Laplace, c.epsilon
	if c.noise > 0 {
		add, spend = noise.Gaussian, c.noise
	}
	n, err := add(spend, shares, s)
	return part{of, n, 1}, err
}

// said is what a result says of the noise, where per integers are one.
func (p *part) said(per float64) Noise {
	return Noise{Of: p.of, Kind: p.Mechanism.Kind, Scale: p.Float(per)}
}

// total is a sum of integers of 128 bits: it cannot overflow, for there are at most 2³¹ of 64 bits each. The order in which
// they come does not matter, as it would to floats, and to sums that stop at a bound.
type total struct {
	high int64
	low  uint64
}

func (t *total) add(n int64) {
	var carry uint64
	t.low, carry = bits.Add64(t.low, uint64(n), 0)
	t.high += n>>63 + int64(carry)
}

// noised is the sum with noise. Only what has noise becomes a float.
func (t *total) noised(p *part, s *sampler.Source) (float64, error) {
	n, err := p.Draw(s)
	if err != nil {
		return 0, err
	}
	t.add(n)
	v := new(big.Int).Lsh(big.NewInt(t.high), 64)
	f, _ := new(big.Float).SetInt(v.Add(v, new(big.Int).SetUint64(t.low))).Float64()
	return f, nil
}
