// SPDX-License-Identifier: Apache-2.0

package attestation_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

const referenceVectors = "../testdata/vectors/reference"

func referenceSigner(t testing.TB) *envelope.Signer {
	return attestationtest.Signer(t, envelope.RoleReference, "reference key")
}

func TestReferenceRoundTrip(t *testing.T) {
	s := referenceSigner(t)
	signed, err := attestation.SignReference(reference(), s)
	if err != nil {
		t.Fatal(err)
	}
	r, id, err := attestation.VerifyReference(signed, s.Public())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(reference(), r); diff != "" {
		t.Error(diff)
	}
	if want, _ := envelope.ID(signed); id != want {
		t.Error("identity is not the payload's digest")
	}
	other := attestationtest.Signer(t, envelope.RoleReference, "another key")
	if _, _, err := attestation.VerifyReference(signed, other.Public()); !errors.Is(err, envelope.ErrSignature) {
		t.Errorf("another key: %v", err)
	}
	if _, err := attestation.SignReference(reference(), attestationtest.Signer(t, envelope.RoleOwner, "owner")); !errors.Is(err, envelope.ErrRole) {
		t.Errorf("a key of another role: %v", err)
	}
	if _, err := attestation.SignReference(&attestation.Reference{Version: 1, NotAfter: 1}, s); !errors.Is(err, attestation.ErrReference) {
		t.Errorf("an empty list: %v", err)
	}
}

// refusedReferences is one list for each reason to refuse it.
func refusedReferences() map[string]*attestation.Reference {
	change := func(f func(*attestation.Reference)) *attestation.Reference {
		r := reference()
		f(r)
		return r
	}
	pin := func(m, v string) *attestation.Reference {
		return change(func(r *attestation.Reference) { r.Values[0].Measurements[m] = v })
	}
	return map[string]*attestation.Reference{
		"empty list":           change(func(r *attestation.Reference) { r.Values = []attestation.ReferenceValue{} }),
		"null list":            change(func(r *attestation.Reference) { r.Values = nil }),
		"version 0":            change(func(r *attestation.Reference) { r.Version = 0 }),
		"negative version":     change(func(r *attestation.Reference) { r.Version = -1 }),
		"no expiry":            change(func(r *attestation.Reference) { r.NotAfter = 0 }),
		"value without name":   change(func(r *attestation.Reference) { r.Values[0].Name = "" }),
		"two of one name":      change(func(r *attestation.Reference) { r.Values = append(r.Values, r.Values[0]) }),
		"unknown platform":     change(func(r *attestation.Reference) { r.Values[0].Platform = "sgx2" }),
		"no measurements":      change(func(r *attestation.Reference) { r.Values[0].Measurements = map[string]string{} }),
		"pcr7 not pinned":      change(func(r *attestation.Reference) { delete(r.Values[0].Measurements, "pcr7") }),
		"pcr14 not pinned":     change(func(r *attestation.Reference) { delete(r.Values[0].Measurements, "pcr14") }),
		"pcr14 at reset value": pin("pcr14", strings.Repeat("0", 64)),
		"enclave all zero":     pin("enclave", strings.Repeat("0", 64)),
		"upper case hex":       pin("pcr0", strings.Repeat("AB", 32)),
		"pcr too short":        pin("pcr0", "abcd"),
		"measurement unnamed":  pin("", strings.Repeat("ab", 32)),
	}
}

func TestReferenceRefused(t *testing.T) {
	for name, r := range refusedReferences() {
		if err := r.Validate(); !errors.Is(err, attestation.ErrReference) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for _, m := range []string{"pcr0", "pcr2", "pcr4", "pcr7", "pcr8", "pcr9", "pcr11", "pcr12", "pcr13", "pcr14"} {
		r := reference()
		delete(r.Values[0].Measurements, m)
		if err := r.Validate(); !errors.Is(err, attestation.ErrReference) {
			t.Errorf("without %s: got %v", m, err)
		}
	}
	if err := (*attestation.Reference)(nil).Validate(); !errors.Is(err, attestation.ErrReference) {
		t.Errorf("nil: %v", err)
	}
}

// TestOldReferenceVersion and expiry: the zero Reference is never fresh.
func TestOldReferenceVersion(t *testing.T) {
	r := reference()
	if err := r.Fresh(now, r.Version); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"expired": r.Fresh(r.NotAfter+1, 0), "older than seen": r.Fresh(now, r.Version+1), "no time": r.Fresh(0, 0),
		"negative memory": r.Fresh(now, -1), "nil": (*attestation.Reference)(nil).Fresh(now, 0),
		"zero": (&attestation.Reference{}).Fresh(now, 0),
	} {
		if !errors.Is(err, attestation.ErrReference) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestEveryMeasurementCounts: a report must meet every measurement that the value names.
func TestEveryMeasurementCounts(t *testing.T) {
	raw := encode(t, newEvidence(t, "a"))
	for m := range measured() {
		drop := func(r *attestation.Report) *attestation.Report {
			r.Measurements = maps.Clone(r.Measurements)
			delete(r.Measurements, m)
			return r
		}
		if _, err := newVerifier(t, reference(), drop).Verify(t.Context(), raw, now); !errors.Is(err, attestation.ErrAppraise) {
			t.Errorf("without %s: %v", m, err)
		}
	}
}

// TestValueOfAnotherPlatform: the same digest pinned for another platform is not this platform's.
func TestValueOfAnotherPlatform(t *testing.T) {
	ref := reference()
	ref.Values[0].Platform = attestation.PlatformSimulated
	if _, err := newVerifier(t, ref, nil).Verify(t.Context(), encode(t, newEvidence(t, "a")), now); !errors.Is(err, attestation.ErrAppraise) {
		t.Errorf("got %v", err)
	}
}

// resign signs a statement payload as it is, canonical or not sensible or not.
func resign(t *testing.T, payload []byte) []byte {
	t.Helper()
	var st struct {
		Subject   []envelope.Subject `json:"subject"`
		Predicate json.RawMessage    `json:"predicate"`
	}
	if err := json.Unmarshal(payload, &st); err != nil || len(st.Subject) == 0 || len(st.Predicate) == 0 {
		return nil // the signer itself refuses
	}
	signed, _, err := envelope.Sign(referenceSigner(t), envelope.ReferenceType, st.Subject, st.Predicate)
	if err != nil {
		return nil
	}
	return signed
}

// TestEveryFieldOfReference deletes and zeroes each field of the statement, signs again and expects refusal.
func TestEveryFieldOfReference(t *testing.T) {
	signed, err := attestation.SignReference(reference(), referenceSigner(t))
	if err != nil {
		t.Fatal(err)
	}
	_, payload, _, err := envelope.Parts(signed)
	if err != nil {
		t.Fatal(err)
	}
	key := referenceSigner(t).Public()
	if _, _, err := attestation.VerifyReference(resign(t, payload), key); err != nil {
		t.Fatalf("unchanged: %v", err)
	}
	tried := 0
	for _, m := range attestationtest.Mutations(t, payload) {
		bad := resign(t, m.Doc)
		if bad == nil || strings.HasPrefix(m.Name, "$._type") || strings.HasPrefix(m.Name, "$.predicateType") {
			continue // fixed by the signer; internal/envelope tests them
		}
		tried++
		if _, _, err := attestation.VerifyReference(bad, key); !errors.Is(err, attestation.ErrReference) {
			t.Errorf("%s: got %v", m.Name, err)
		}
	}
	if tried < 20 {
		t.Errorf("only %d mutations tried", tried)
	}
}

func TestReferenceSubjectIsTheList(t *testing.T) {
	r := reference()
	signed, _, err := envelope.Sign(referenceSigner(t), envelope.ReferenceType,
		[]envelope.Subject{envelope.NewSubject("reference-values", envelope.Digest{1})}, r)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := attestation.VerifyReference(signed, referenceSigner(t).Public()); !errors.Is(err, attestation.ErrReference) {
		t.Errorf("got %v", err)
	}
}

func TestReferenceVectors(t *testing.T) {
	if *update {
		writeReferenceVectors(t)
	}
	for _, v := range attestationtest.Vectors(t, referenceVectors+"/*.txt", 17) {
		key, err := envelope.ParsePublicKey(v.Header["key"])
		if err != nil {
			t.Fatalf("%s: %v", v.Name, err)
		}
		_, _, err = attestation.VerifyReference(v.Body, key)
		switch v.Header["expect"] {
		case "ok":
			if err != nil {
				t.Errorf("%s: %v", v.Name, err)
			}
		case "attestation.ErrReference":
			if !errors.Is(err, attestation.ErrReference) {
				t.Errorf("%s: got %v", v.Name, err)
			}
		case "envelope.ErrSignature":
			if !errors.Is(err, envelope.ErrSignature) {
				t.Errorf("%s: got %v", v.Name, err)
			}
		default:
			t.Errorf("%s: unknown expectation", v.Name)
		}
	}
}

func writeReferenceVectors(t *testing.T) {
	s := referenceSigner(t)
	write := func(name, expect, comment string, body []byte, key envelope.PublicKey) {
		attestationtest.Vector{Name: slug(name) + ".txt", Body: body, Header: map[string]string{
			"expect": expect, "comment": comment, "key": key.String(),
		}}.Write(t, referenceVectors)
	}
	good, err := attestation.SignReference(reference(), s)
	if err != nil {
		t.Fatal(err)
	}
	write("valid", "ok", "one accepted state of the platform tpm", good, s.Public())
	write("another key", "envelope.ErrSignature", "signed by a key that is not pinned", good,
		attestationtest.PublicKey(t, "another key"))
	for name, r := range refusedReferences() {
		values, err := envelope.Canonical(r.Values)
		if err != nil {
			t.Fatal(err)
		}
		signed, _, err := envelope.Sign(s, envelope.ReferenceType,
			[]envelope.Subject{envelope.NewSubject("reference-values", envelope.Sum(values))}, r)
		if err != nil {
			t.Fatal(err)
		}
		write(name, "attestation.ErrReference", name, signed, s.Public())
	}
}

func FuzzVerifyReference(f *testing.F) {
	vectors := attestationtest.Vectors(f, referenceVectors+"/*.txt", 17)
	for _, v := range vectors {
		f.Add(v.Body)
	}
	s := referenceSigner(f)
	valid, err := attestation.SignReference(reference(), s)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(valid)
	_, payload, _, err := envelope.Parts(valid)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		// Property: nothing verifies but the one statement that was ever signed acceptably.
		_, _, err := attestation.VerifyReference(in, s.Public())
		if err != nil {
			return
		}
		if _, got, _, err := envelope.Parts(in); err != nil || !bytes.Equal(got, payload) {
			t.Fatalf("a forged list verifies: %v", err)
		}
	})
}
