// SPDX-License-Identifier: Apache-2.0

package dataset_test

import (
	"testing"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/dataset/storetest"
)

func TestDirStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) dataset.Store {
		s, err := dataset.NewDirStore(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}
