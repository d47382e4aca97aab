// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// TestLicencesThatContradict: a job over datasets whose licences cannot be kept together is refused before any owner is
// asked for anything, in words that name both clauses.
func TestLicencesThatContradict(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, 100, nil)
	alike := w.offer(w.creator, dataset.KindDataset)
	alike.Name = "texts"
	alike.Terms.Licence.SPDX, alike.Terms.Licence.ShareAlike = "CC-BY-SA-4.0", true
	bound := w.offer(w.creator, dataset.KindDataset)
	bound.Name = "photos"
	bound.Terms.Licence.SPDX, bound.Terms.Licence.Commercial = "CC-BY-NC-4.0", false
	a, b := w.packNumbers(alike), w.packNumbers(bound)
	asked := 0
	w.relay = func(address string, msg []byte) ([]byte, error) {
		asked++
		return w.forward(address, msg)
	}
	w.signJob(func(j *job.Job) {
		j.Datasets = append(j.Datasets[:0:0], a.ID, b.ID)
		j.Use.Derive = true
	})
	_, no := w.run(reader{})
	if no == nil || no.Code != grant.CodeDenied || no.Retry || asked != 0 {
		t.Fatalf("%+v, brokers were asked %d times", no, asked)
	}
	for _, word := range []string{"licence-conflict", "texts", "share-alike", "photos", "non-commercial"} {
		if !strings.Contains(no.Message, word) {
			t.Errorf("%q does not say %q", no.Message, word)
		}
	}
	w.signJob(func(j *job.Job) { j.Datasets = append(j.Datasets[:0:0], a.ID, b.ID) })
	if res, no := w.run(reader{}); res == nil || res.Outcome != "completed" {
		t.Errorf("results that stay with the buyer need no agreement: %+v", no)
	}
}

// packNumbers packs some records under an offer.
func (w *world) packNumbers(m dataset.Manifest) *dataset.Packed {
	return w.pack(w.creator, dataset.PackConfig{Source: strings.NewReader(string(numbers(100))), Manifest: m})
}
