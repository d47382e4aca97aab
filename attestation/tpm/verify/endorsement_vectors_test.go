// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/tpm/quote"
	"github.com/glovebox-dev/glovebox/attestation/tpm/verify"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

const endorsementDir = "../../../testdata/vectors/ak-endorsement"

// endorsementErrors are the errors of docs/spec/ak-endorsement.md.
func endorsementErrors() map[string]error {
	return map[string]error{
		"endorsed": verify.ErrEndorsed, "signature": envelope.ErrSignature, "type": envelope.ErrType, "malformed": envelope.ErrMalformed,
		"digest": envelope.ErrDigest, "key": quote.ErrKey, "other-key": verify.ErrOtherKey, "expired": verify.ErrExpired,
	}
}

// TestEndorsementVectors reads each as docs/spec/ak-endorsement.md says, at the time in its header.
func TestEndorsementVectors(t *testing.T) {
	if *update {
		writeEndorsementVectors(t)
	}
	seen := map[string]bool{}
	for _, v := range attestationtest.Vectors(t, endorsementDir+"/*.txt", 20) {
		key, err := envelope.ParsePublicKey(v.Header["broker"])
		if err != nil {
			t.Fatalf("%s: %v", v.Name, err)
		}
		at, err := strconv.ParseInt(v.Header["now"], 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", v.Name, err)
		}
		e, err := verify.ParseEndorsement(v.Body, key)
		if err == nil {
			err = e.ValidAt(at)
		}
		expect := v.Header["expect"]
		switch want, known := endorsementErrors()[expect]; {
		case expect == "ok" && (err != nil || e.AKName != v.Header["name"]):
			t.Errorf("%s: %v", v.Name, err)
		case expect != "ok" && (!known || !errors.Is(err, want)):
			t.Errorf("%s: %v, want %s", v.Name, err, expect)
		}
		seen[expect] = true
	}
	for expect := range endorsementErrors() {
		if !seen[expect] {
			t.Errorf("no vector expects %s", expect)
		}
	}
	if !seen["ok"] {
		t.Error("no vector of a valid endorsement")
	}
}

// endorsementDepartures bend the predicate of a good endorsement, which is then signed as it is.
func endorsementDepartures(t *testing.T) []struct {
	name, expect, comment string
	change                func(p map[string]any)
} {
	other := newMachine(t, "other").endorsement(t, attestation.AssuranceTPM)
	set := func(name string, v any) func(map[string]any) { return func(p map[string]any) { p[name] = v } }
	loose := newMachine(t, "vector")
	loose.tpm.Template.ObjectAttributes.Restricted = false
	zero := "sha256:" + strings.Repeat("0", 64)
	return []struct {
		name, expect, comment string
		change                func(p map[string]any)
	}{
		{"valid", "ok", "a software TPM's key", func(map[string]any) {}},
		{"valid-hardware", "ok", "of assurance tpm", set("assurance", "tpm")},
		{"unknown-field", "malformed", "a field nobody knows", set("x", 1)},
		{"no-root", "malformed", "root is left out", func(p map[string]any) { delete(p, "root") }},
		{"zero-root", "digest", "root is all zeros", set("root", zero)},
		{"zero-certificate", "digest", "ekCert is all zeros", set("ekCert", zero)},
		{"another-name", "other-key", "akName is another key's", set("akName", other.AKName)},
		{"no-name", "other-key", "akName is empty", set("akName", "")},
		{"another-public", "other-key", "akPublic is another key's", set("akPublic", other.AKPublic)},
		{"not-a-key", "key", "akPublic is empty", set("akPublic", []byte{})},
		{"unrestricted-key", "key", "the key also signs what it is told", set("akPublic", loose.tpm.AKPublic())},
		{"assurance-tee", "endorsed", "more than a TPM can earn", set("assurance", "tee")},
		{"assurance-simulated", "endorsed", "not a TPM's assurance", set("assurance", "simulated")},
		{"assurance-empty", "endorsed", "no assurance", set("assurance", "")},
		{"never-issued", "endorsed", "issued is 0", set("issued", 0)},
		{"no-life", "endorsed", "expires when it was issued", set("expires", (now-60)*1000)},
		{"eight-days", "endorsed", "lives longer than seven days", set("expires", (now-60+8*24*3600)*1000)},
	}
}

func writeEndorsementVectors(t *testing.T) {
	good, mine := newMachine(t, "vector").endorsement(t, attestation.AssuranceSoftwareTPM), broker(t, "mine")
	peek, err := envelope.Peek[json.RawMessage](sign(t, good, mine).Body, envelope.AKEndorsementType)
	if err != nil {
		t.Fatal(err)
	}
	put := func(name, expect, comment string, at int64, key envelope.PublicKey, body []byte) {
		h := map[string]string{"expect": expect, "comment": comment, "broker": key.String(), "now": strconv.FormatInt(at, 10)}
		if expect == "ok" {
			h["name"] = good.AKName
		}
		attestationtest.Vector{Name: name + ".txt", Header: h, Body: body}.Write(t, endorsementDir)
	}
	for _, d := range endorsementDepartures(t) {
		var p map[string]any
		if err := json.Unmarshal(peek.Predicate, &p); err != nil {
			t.Fatal(err)
		}
		d.change(p)
		put(d.name, d.expect, d.comment, now, mine.Public(), forceSign(t, p, peek.Subject))
	}
	signed := sign(t, good, mine).Body
	put("another-subject", "endorsed", "subject is another key's Name", now, mine.Public(),
		forceSign(t, good, []envelope.Subject{envelope.NewSubject("tpm-ak", envelope.Sum([]byte("other")))}))
	put("stranger", "signature", "signed by another broker", now, broker(t, "other").Public(), signed)
	put("expired", "expired", "expires at this second", good.Expires/1000, mine.Public(), signed)
	put("not-yet", "expired", "issued more than a minute after this second", good.Issued/1000-61, mine.Public(), signed)
	challenge, _, err := envelope.Sign(mine, envelope.ChallengeType, peek.Subject, good)
	if err != nil {
		t.Fatal(err)
	}
	put("another-type", "type", "another statement of the same broker", now, mine.Public(), challenge)
}
