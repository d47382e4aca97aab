// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"testing"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// TestErasedLeafIsRead: a statement that has delivered an erased leaf is found, wherever in its ranges the leaf is.
func TestErasedLeafIsRead(t *testing.T) {
	erased := []dataset.Span{{First: 2, Count: 2}, {First: 8, Count: 1}}
	for _, c := range []struct {
		leaves []grant.Range
		found  bool
	}{
		{nil, false},
		{[]grant.Range{{First: 0, Count: 2}, {First: 4, Count: 4}, {First: 9, Count: 5}}, false},
		{[]grant.Range{{First: 0, Count: 3}}, true},
		{[]grant.Range{{First: 3, Count: 1}}, true},
		{[]grant.Range{{First: 0, Count: 2}, {First: 4, Count: 5}}, true},
		{[]grant.Range{{First: 8, Count: 1}}, true},
		{[]grant.Range{{First: 0, Count: 20}}, true},
	} {
		var p problems
		p.living(c.leaves, erased)
		if (len(p) == 1 && p[0].Rule == "use.erased") != c.found || len(p) > 1 {
			t.Errorf("%v: %v", c.leaves, p)
		}
	}
	var p problems
	if p.living([]grant.Range{{First: 0, Count: 9}}, nil); len(p) != 0 {
		t.Errorf("nothing is erased: %v", p)
	}
}
