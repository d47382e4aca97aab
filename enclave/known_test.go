// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"bytes"
	"errors"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/door"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// TestKnownManifests: what was verified is not asked for again, and nothing else is known: not what failed, not what the host gave
// under another digest, not the same package signed by somebody else, and not in another enclave.
func TestKnownManifests(t *testing.T) {
	w := newWorldOf(t, 500, nil)
	accept := func(e *Enclave) (*attempt, error) {
		return e.accept(t.Context(), &door.Assignment{Token: "t", Job: w.job})
	}
	data, code := w.signed[w.data.ID], w.signed[w.code.ID]
	other, err := envelope.GenerateSigner(envelope.RoleOwner)
	check(t, err)
	_, payload, sig, err := envelope.Parts(data)
	check(t, err)
	_, _, another, err := envelope.Parts(code)
	check(t, err)
	unsigned, err := envelope.Join(envelope.PayloadType, payload, another)
	check(t, err)
	v, err := dataset.Verify(data)
	check(t, err)
	stolen := v.Predicate
	stolen.Owner = other.Public()
	taken, takenID, err := envelope.Sign(other, envelope.ManifestType, v.Subject, &stolen)
	check(t, err)
	changed, err := envelope.Join(envelope.PayloadType, bytes.Replace(payload, []byte(`"maxEpochs":2`), []byte(`"maxEpochs":3`), 1), sig)
	check(t, err)

	e := w.enclave(reader{})
	for name, bad := range map[string][]byte{
		"nothing": nil, "another manifest": code, "another's signature": unsigned, "another owner's": taken, "changed": changed,
	} {
		w.signed[w.data.ID] = bad
		if _, err := accept(e); !errors.Is(err, ErrJob) {
			t.Errorf("%s: %v", name, err)
		}
		if e.known.get(w.data.ID) != nil || e.known.get(takenID) != nil {
			t.Errorf("%s: remembered", name)
		}
	}
	w.signed[w.data.ID] = data
	first, err := accept(e)
	check(t, err)
	w.signed[w.data.ID], w.signed[w.code.ID] = unsigned, nil
	again, err := accept(e)
	if err != nil || !bytes.Equal(again.packages[1].signed, data) || !bytes.Equal(again.packages[0].signed, code) {
		t.Errorf("asked again: %v", err)
	}
	if again != nil && (again.packages[1] == first.packages[1] || again.lease == first.lease) {
		t.Error("two jobs share more than manifests")
	}
	if e.known.get(takenID) != nil {
		t.Error("another owner's manifest is known by the first one's")
	}
	if _, err := accept(w.enclave(reader{})); !errors.Is(err, ErrJob) {
		t.Errorf("another enclave: %v", err)
	}
	w.signJob(func(j *job.Job) { j.Code, j.Datasets[0] = w.data.ID, w.code.ID })
	if _, err := accept(e); !errors.Is(err, ErrJob) {
		t.Errorf("data as code: %v", err)
	}
}

// TestKnownIsBounded: what was used longest ago is forgotten first.
func TestKnownIsBounded(t *testing.T) {
	id := func(i int) envelope.Digest { return envelope.Sum([]byte{byte(i)}) }
	var k known
	for i := range maxKnown {
		k.keep(&knownManifest{id: id(i), signed: make([]byte, 10)})
	}
	if k.get(id(0)) == nil {
		t.Fatal("the first is gone too soon")
	}
	k.keep(&knownManifest{id: id(maxKnown), signed: make([]byte, 10)})
	if k.get(id(1)) != nil || k.get(id(0)) == nil || len(k.list) != maxKnown || k.bytes != 10*maxKnown {
		t.Errorf("%d known, %d bytes", len(k.list), k.bytes)
	}
	k.keep(&knownManifest{id: id(200), signed: make([]byte, maxKnownBytes)})
	if len(k.list) != 1 || k.bytes != maxKnownBytes || k.get(id(200)) == nil {
		t.Errorf("%d known, %d bytes", len(k.list), k.bytes)
	}
	k.keep(&knownManifest{id: id(201), signed: make([]byte, maxKnownBytes+1)})
	if len(k.list) != 0 || k.bytes != 0 {
		t.Errorf("%d known, %d bytes", len(k.list), k.bytes)
	}
}
