// SPDX-License-Identifier: Apache-2.0

package report

import (
	"math"
	"testing"
)

func TestProject(t *testing.T) {
	const now = 1_000 * day
	weekly := []int64{now - 20*day, now - 10*day, now - 5*day, now - 90*day}
	for name, c := range map[string]struct {
		spent, left int64
		times       []int64
		known       bool
		until       int64
	}{
		"ten a day":          {200, 100, weekly, true, now + 10*day},
		"nothing left":       {200, 0, weekly, true, now},
		"two releases":       {200, 100, weekly[1:3], false, 0},
		"none":               {0, 100, nil, false, 0},
		"all today":          {3, 100, []int64{now - 3, now - 2, now - 1}, false, 0},
		"free":               {0, 100, weekly, false, 0},
		"for ever":           {1, math.MaxInt64, weekly, true, 0},
		"too long ago":       {3, 3, []int64{1, 2, 3, 4}, false, 0},
		"in the future only": {3, 3, []int64{now + 1, now + 2, now + 3}, false, 0},
	} {
		f := Project(now, 30, c.spent, c.left, c.times)
		if f.Known != c.known || f.Until != c.until || f.Why == "" {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

func TestTallyOverflow(t *testing.T) {
	a := Tally{Bytes: math.MaxInt64}
	if a.Add(&Tally{Bytes: 1}) {
		t.Error("wrapped")
	}
	b := Tally{Charged: 1}
	if !b.Add(&Tally{Charged: 2, Unheard: 3}) || b != (Tally{Charged: 3, Unheard: 3}) {
		t.Errorf("%+v", b)
	}
}
