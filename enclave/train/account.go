// SPDX-License-Identifier: Apache-2.0

package train

import (
	"fmt"

	"github.com/glovebox-dev/glovebox/transforms/dp"
)

// account is the engine's own count of what it spends, beside the brokers'. It is asked before each application, and a training
// that would do more than was granted ends there.
type account struct {
	declared []dp.Mechanism
	began    []int64
	filter   *dp.Filter
}

// rounding is how far two who compute ε may be apart, in millionths.
const rounding = 2

// newAccount opens an account of what is granted. Mechanisms that are accounted for by privacy loss distributions are those
// that were declared and no others, and what all of them come to is computed before the first: a filter, which knows Rényi
// divergence only, then holds them to what that makes of the same.
func newAccount(c *Config) (*account, error) {
	p := &c.Privacy
	a := &account{declared: p.Mechanisms, began: make([]int64, len(p.Mechanisms))}
	epsilon, delta := float64(c.Granted+rounding)/dp.Micro, float64(p.Delta)/dp.Pico
	if p.Accountant == dp.PLD {
		b, err := dp.Epsilon(p.Composition(), delta, dp.PLD)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrConfig, err)
		}
		if b.Epsilon > epsilon {
			return nil, fmt.Errorf("%w: %v is declared, %v granted", dp.ErrBudget, b.Epsilon, epsilon)
		}
		if b, err = dp.Epsilon(p.Composition(), delta, dp.RDP); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrConfig, err)
		}
		epsilon = b.Epsilon + float64(rounding)/dp.Micro
	}
	var err error
	if a.filter, err = dp.NewFilter(epsilon, delta, p.Adjacency); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return a, nil
}

// application debits one application of a mechanism, or refuses it. What a mechanism's own delta is is paid with the first.
func (a *account) application(i int) error {
	m := a.declared[i]
	if a.began[i] >= m.Count {
		return fmt.Errorf("%w: mechanism %d is declared %d times", dp.ErrBudget, i, m.Count)
	}
	if m.Count = 1; a.began[i] > 0 {
		m.Delta = 0
	}
	if err := a.filter.Spend(m); err != nil {
		return err
	}
	a.began[i]++
	return nil
}
