// SPDX-License-Identifier: Apache-2.0

package release

import "fmt"

// Room refuses queries that have no room for so many records, which must be a bound that is public: that there are more of them than
// fit would tell, if it were found out from the records. Ask it before the first is read; its errors wrap [ErrQueries].
func (q *Queries) Room(records int64) error {
	if records > MaxUnits {
		return fmt.Errorf("%w: up to %d records, and sums have room for %d", ErrQueries, records, int64(MaxUnits))
	}
	for _, one := range q.list {
		if _, ok := one.(*logisticQuery); ok && records > MaxRows {
			return fmt.Errorf("%w: query %q: up to %d records, and a logistic regression has room for %d: ask for fewer records", ErrQueries, one.base().Name, records, MaxRows)
		}
	}
	return nil
}
