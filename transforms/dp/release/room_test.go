// SPDX-License-Identifier: Apache-2.0

package release

import (
	"errors"
	"testing"
)

// TestThresholdOfALogisticRegression: whether there is an answer must not hang on how many records match, so that the most that may is
// refused before any is read.
func TestThresholdOfALogisticRegression(t *testing.T) {
	logistic, count := &Queries{list: []query{&logisticQuery{}}}, &Queries{list: []query{&countQuery{}}}
	for i, c := range []struct {
		q       *Queries
		records int64
		ok      bool
	}{
		{logistic, 0, true},
		{logistic, MaxRows, true},
		{logistic, MaxRows + 1, false},
		{count, MaxRows + 1, true},
		{count, MaxUnits, true},
		{count, MaxUnits + 1, false},
	} {
		if err := c.q.Room(c.records); (err == nil) != c.ok || err != nil && !errors.Is(err, ErrQueries) {
			t.Errorf("%d: %v", i, err)
		}
	}
}
