// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"fmt"
	"math/big"
)

// affordable refuses a job whose packages together may cost more than its spend cap. A broker sees its own packages
// only; the enclave sees all the terms that the job pins, before anything is released.
func (r *attempt) affordable() error {
	j, most := &r.job.Predicate, new(big.Int)
	currency := ""
	for i, p := range r.packages {
		price, passes := p.m.Terms.Price, int64(1)
		if i > 0 {
			passes = int64(j.Epochs)
		}
		if price.PerUse == 0 && price.PerRecord == 0 {
			continue
		}
		if currency == "" {
			currency = price.Currency
		}
		if price.Currency != currency {
			return fmt.Errorf("%w: packages priced in %s and in %s cannot share one spend cap", ErrJob, currency, price.Currency)
		}
		records := new(big.Int).Mul(big.NewInt(p.m.Records), big.NewInt(passes))
		most.Add(most, big.NewInt(price.PerUse)).Add(most, records.Mul(records, big.NewInt(price.PerRecord)))
	}
	if most.Cmp(big.NewInt(j.SpendCap)) > 0 {
		return fmt.Errorf("%w: the packages may cost %s millionths of %s, the job's spend cap is %d", ErrJob, most, currency, j.SpendCap)
	}
	return nil
}
