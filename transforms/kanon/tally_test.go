// SPDX-License-Identifier: Apache-2.0

package kanon

import (
	"errors"
	"testing"

	"github.com/glovebox-dev/glovebox/transforms"
)

// TestCombinationsWithoutEnd: records that have nothing in common end the run before they take all memory.
func TestCombinationsWithoutEnd(t *testing.T) {
	few := newTally(1)
	few.most = 4
	for i := range byte(2) {
		few.class(id{i})
		few.first(id{i})
	}
	if err := few.full(); err != nil {
		t.Fatal(err)
	}
	few.first(id{0})
	few.class(id{1})
	if err := few.full(); err != nil {
		t.Fatal("what is there already was counted again")
	}
	few.first(id{9})
	if err := few.full(); !errors.Is(err, transforms.ErrEnv) {
		t.Error(err)
	}
}
