// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/dataset"
)

// TestDataOfOneRecord is released to no job that hides one record among others, whatever its ε: there are none.
func TestDataOfOneRecord(t *testing.T) {
	t.Parallel()
	w := training(t, nil)
	for records, want := range map[int][]string{1: {"privacy-units"}, 2: nil} {
		w.data = w.creator.pack(dataset.KindDataset, withTerms(offerTraining),
			func(c *dataset.PackConfig) { c.Source = strings.NewReader("a,b\n" + strings.Repeat("1,x\n", records)) })
		w.trainingJob(nil)
		if p := w.plan(); p.Allowed != (want == nil) {
			t.Errorf("%d records: plan %+v", records, p.Reasons)
		}
		e := w.newEnclave(nil)
		must(t, e.release(w.code))
		err := e.release(w.data)
		if want == nil {
			must(t, err)
			continue
		}
		if got := rules(t, err); !slices.Equal(got, want) {
			t.Errorf("%d records: %v", records, got)
		}
	}
}
