// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"errors"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// ErrCharge means a price times the records used is beyond every amount.
var ErrCharge = errors.New("usage: amount overflows")

// Charge is what a run costs by the terms: price per billable record plus price per use if it completed, nothing if it
// failed.
func Charge(p dataset.Price, outcome string, billable int64) (records, amount int64, err error) {
	if outcome != OutcomeCompleted {
		return 0, 0, nil
	}
	if billable < 0 || p.PerRecord < 0 || p.PerUse < 0 {
		return 0, 0, ErrCharge
	}
	amount = addCapped(product(p.PerRecord, billable), p.PerUse)
	if amount > job.MaxAmount {
		return 0, 0, ErrCharge
	}
	return billable, amount, nil
}

// product multiplies amounts that are not negative and stays at job.MaxAmount+1 rather than overflow.
func product(x, y int64) int64 {
	if x > 0 && y > job.MaxAmount/x {
		return job.MaxAmount + 1
	}
	return x * y
}

// addCapped adds two amounts that are not negative and stays at job.MaxAmount+1, beyond every allowed sum, rather than
// overflow.
func addCapped(x, y int64) int64 {
	if x > job.MaxAmount || y > job.MaxAmount-x {
		return job.MaxAmount + 1
	}
	return x + y
}
