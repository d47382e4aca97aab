// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/tpm/verify"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

func TestEndorsementRoundTrip(t *testing.T) {
	want := newMachine(t, "a").endorsement(t, attestation.AssuranceTPM)
	s := broker(t, "mine")
	got, err := verify.ParseEndorsement(sign(t, want, s).Body, s.Public())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.AKEndorsement); diff != "" {
		t.Error(diff)
	}
	if _, err := verify.ParseEndorsement(sign(t, want, s).Body, broker(t, "other").Public()); !errors.Is(err, envelope.ErrSignature) {
		t.Errorf("another broker: %v", err)
	}
}

func TestEndorsementFieldsRefused(t *testing.T) {
	m := newMachine(t, "a")
	for name, change := range map[string]func(*grant.AKEndorsement){
		"another Name":   func(e *grant.AKEndorsement) { e.AKName = newMachine(t, "b").endorsement(t, "tpm").AKName },
		"another public": func(e *grant.AKEndorsement) { e.AKPublic = newMachine(t, "b").tpm.AKPublic() },
		"assurance tee":  func(e *grant.AKEndorsement) { e.Assurance = string(attestation.AssuranceTEE) },
		"simulated":      func(e *grant.AKEndorsement) { e.Assurance = string(attestation.AssuranceSimulated) },
		"eight days":     func(e *grant.AKEndorsement) { e.Expires = e.Issued + 8*24*3600*1000 },
		"no life":        func(e *grant.AKEndorsement) { e.Expires = e.Issued },
	} {
		e := m.endorsement(t, attestation.AssuranceTPM)
		change(&e)
		if _, err := verify.SignEndorsement(e, broker(t, "mine")); !errors.Is(err, verify.ErrEndorsed) {
			t.Errorf("%s: signed: %v", name, err)
		}
		if _, err := verify.ParseEndorsement(forceSign(t, e, nil), broker(t, "mine").Public()); !errors.Is(err, verify.ErrEndorsed) {
			t.Errorf("%s: parsed: %v", name, err)
		}
	}
	if _, err := verify.SignEndorsement(m.endorsement(t, "tpm"), attestationtest.Signer(t, envelope.RoleOwner, "o")); !errors.Is(err, envelope.ErrRole) {
		t.Errorf("key of another role: %v", err)
	}
}

// forceSign signs what [verify.SignEndorsement] would not; nil subjects stand for the right one.
func forceSign(t *testing.T, predicate any, subjects []envelope.Subject) []byte {
	t.Helper()
	if subjects == nil {
		good := sign(t, newMachine(t, "a").endorsement(t, "tpm"), broker(t, "mine"))
		v, err := envelope.Peek[grant.AKEndorsement](good.Body, envelope.AKEndorsementType)
		if err != nil {
			t.Fatal(err)
		}
		subjects = v.Subject
	}
	signed, _, err := envelope.Sign(broker(t, "mine"), envelope.AKEndorsementType, subjects, predicate)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestEndorsementSubject(t *testing.T) {
	e := newMachine(t, "a").endorsement(t, attestation.AssuranceTPM)
	bad := []envelope.Subject{envelope.NewSubject("tpm-ak", envelope.Digest{1})}
	if _, err := verify.ParseEndorsement(forceSign(t, e, bad), broker(t, "mine").Public()); !errors.Is(err, verify.ErrEndorsed) {
		t.Errorf("got %v", err)
	}
}

// TestEveryFieldOfEndorsement deletes and zeroes each field, signs again and expects refusal.
func TestEveryFieldOfEndorsement(t *testing.T) {
	doc, err := envelope.Canonical(newMachine(t, "a").endorsement(t, attestation.AssuranceTPM))
	if err != nil {
		t.Fatal(err)
	}
	key := broker(t, "mine").Public()
	if _, err := verify.ParseEndorsement(forceSign(t, json.RawMessage(doc), nil), key); err != nil {
		t.Fatalf("unchanged: %v", err)
	}
	for _, m := range attestationtest.Mutations(t, doc) {
		if _, err := verify.ParseEndorsement(forceSign(t, json.RawMessage(m.Doc), nil), key); !errors.Is(err, verify.ErrEndorsed) {
			t.Errorf("%s: got %v", m.Name, err)
		}
	}
}

func FuzzParseEndorsement(f *testing.F) {
	s := broker(f, "mine")
	good := sign(f, newMachine(f, "a").endorsement(f, attestation.AssuranceTPM), s)
	f.Add(good.Body)
	_, payload, _, err := envelope.Parts(good.Body)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if _, err := verify.ParseEndorsement(in, s.Public()); err != nil {
			if !errors.Is(err, verify.ErrEndorsed) {
				t.Fatalf("unclassified: %v", err)
			}
			return
		}
		if _, got, _, err := envelope.Parts(in); err != nil || !bytes.Equal(got, payload) {
			t.Fatal("a forged endorsement verifies")
		}
	})
}
