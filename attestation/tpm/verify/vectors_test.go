// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"encoding/json"
	"errors"
	"flag"
	"strconv"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/tpm/eventlog"
	"github.com/glovebox-dev/glovebox/attestation/tpm/quote"
	"github.com/glovebox-dev/glovebox/attestation/tpm/tpmtest"
	"github.com/glovebox-dev/glovebox/attestation/tpm/verify"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

var update = flag.Bool("update", false, "write the vectors in testdata/vectors anew")

const vectorDir = "../../../testdata/vectors/evidence"

// refusals are the errors that vectors name.
func refusals() map[string]error {
	return map[string]error{
		"attestation.ErrMalformed": attestation.ErrMalformed, "attestation.ErrPlatform": attestation.ErrPlatform,
		"attestation.ErrBind": attestation.ErrBind, "attestation.ErrAppraise": attestation.ErrAppraise,
		"attestation.ErrReference": attestation.ErrReference,
		"quote.ErrMalformed":       quote.ErrMalformed, "quote.ErrKey": quote.ErrKey,
		"quote.ErrSignature": quote.ErrSignature, "quote.ErrPCRs": quote.ErrPCRs,
		"verify.ErrEndorsed": verify.ErrEndorsed, "verify.ErrExpired": verify.ErrExpired, "verify.ErrOtherKey": verify.ErrOtherKey,
		"verify.ErrUnmeasured": verify.ErrUnmeasured, "eventlog.ErrEmpty": eventlog.ErrEmpty, "eventlog.ErrReplay": eventlog.ErrReplay,
	}
}

func TestEvidenceVectors(t *testing.T) {
	if *update {
		writeVectors(t)
	}
	for _, v := range attestationtest.Vectors(t, vectorDir+"/tpm-*.txt", 20) {
		t.Run(v.Name, func(t *testing.T) { checkVector(t, v) })
	}
}

func checkVector(t *testing.T, v attestationtest.Vector) {
	key, err := envelope.ParsePublicKey(v.Header["broker"])
	if err != nil {
		t.Fatal(err)
	}
	at, err := strconv.ParseInt(v.Header["now"], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	var ref attestation.Reference
	if err := json.Unmarshal([]byte(v.Header["reference"]), &ref); err != nil {
		t.Fatal(err)
	}
	var claims *attestation.Claims
	verifier, err := attestation.NewVerifier(&ref, newFormat(t, key))
	if err == nil {
		claims, err = verifier.Verify(t.Context(), v.Body, at)
	}
	if v.Header["expect"] == "ok" {
		if err != nil || claims.Bound().String() != v.Header["digest"] || string(claims.Assurance()) != v.Header["assurance"] {
			t.Errorf("got %+v, %v", claims, err)
		}
		return
	}
	want := refusals()[v.Header["expect"]]
	if want == nil || !errors.Is(err, want) {
		t.Errorf("got %v", err)
	}
}

// scenario is what a vector departs from: a good machine, good evidence, a good verifier.
type scenario struct {
	m   *machine
	e   *attestation.Evidence
	ref *attestation.Reference
	now int64
}

func newScenario(t *testing.T) *scenario {
	m := newMachine(t, "vector")
	return &scenario{m, m.evidence(t, attestationtest.Binding(t, "vector")), reference(m.pins()), now}
}

// quoteAgain replaces the evidence by a fresh quote of the machine's TPM.
func (s *scenario) quoteAgain(t *testing.T, tpm *tpmtest.TPM) {
	t.Helper()
	d, err := s.e.Claims.Digest()
	if err != nil {
		t.Fatal(err)
	}
	s.put(t, tpm.Quote(t, d))
}

func (s *scenario) put(t *testing.T, q *quote.Evidence) {
	t.Helper()
	raw, err := q.Encode()
	if err != nil {
		t.Fatal(err)
	}
	s.e.Evidence = raw
}

func (s *scenario) endorse(t *testing.T, by *envelope.Signer, change func(*grant.AKEndorsement)) {
	t.Helper()
	e := s.m.endorsement(t, attestation.AssuranceSoftwareTPM)
	if change != nil {
		change(&e)
	}
	s.e.Endorsements = []attestation.Endorsement{sign(t, e, by)}
}

type departure struct {
	name, expect, comment string
	change                func(t *testing.T, s *scenario)
}

func departures() []departure {
	attest := func(f func(*tpm2.TPMSAttest)) func(t *testing.T, s *scenario) {
		return func(t *testing.T, s *scenario) { s.m.tpm.Attest = f; s.quoteAgain(t, s.m.tpm) }
	}
	return []departure{
		{"valid-software", "ok", "a software TPM, endorsed, measured and logged", func(*testing.T, *scenario) {}},
		{"valid-hardware", "ok", "an endorsement of assurance tpm and a firmware that measured", func(t *testing.T, s *scenario) {
			s.m.firmware(t)
			s.e, s.ref = s.m.evidence(t, s.e.Claims), reference(s.m.pins())
			s.endorse(t, broker(t, "mine"), func(e *grant.AKEndorsement) { e.Assurance = string(attestation.AssuranceTPM) })
		}},
		{"another-binding", "attestation.ErrBind", "a quote over another binding's digest", func(t *testing.T, s *scenario) {
			b := attestationtest.Binding(t, "other")
			x, err := b.Digest()
			if err != nil {
				t.Fatal(err)
			}
			s.put(t, s.m.tpm.Quote(t, x))
		}},
		{"nested", "attestation.ErrBind", "nested evidence, which this platform has none of", func(_ *testing.T, s *scenario) {
			s.e.Nested = []attestation.Nested{{Platform: s.e.Platform, Evidence: s.e.Evidence, Endorsements: s.e.Endorsements, EventLogs: s.e.EventLogs}}
		}},
		{"another-platform", "attestation.ErrPlatform", "the platform simulated where only tpm is accepted", func(_ *testing.T, s *scenario) {
			s.e.Platform = attestation.PlatformSimulated
		}},
		{"another-version", "attestation.ErrMalformed", "evidence of version 2", func(_ *testing.T, s *scenario) { s.e.Version = 2 }},
		{"other-code", "attestation.ErrAppraise", "another enclave binary was measured", func(t *testing.T, s *scenario) {
			s.ref.Values[0].Measurements["pcr14"] = envelope.Sum([]byte("other")).Hex()
		}},
		{"empty-reference", "attestation.ErrReference", "no reference values: deny", func(_ *testing.T, s *scenario) {
			s.ref.Values = []attestation.ReferenceValue{}
		}},
		{"reference-expired", "attestation.ErrAppraise", "the reference values have expired", func(_ *testing.T, s *scenario) {
			s.ref.NotAfter = s.now - 1
		}},
		{"not-a-quote", "quote.ErrMalformed", "signed, but TPM_GENERATED_VALUE is missing", attest(func(a *tpm2.TPMSAttest) { a.Magic = 1 })},
		{"owner-hierarchy", "quote.ErrKey", "the key is a primary of the owner hierarchy", func(t *testing.T, s *scenario) {
			q := tpmtest.QualifiedName(tpm2.TPMRHOwner, s.m.tpm.AKPublic())
			s.m.tpm.Attest = func(a *tpm2.TPMSAttest) { a.QualifiedSigner.Buffer = q }
			s.quoteAgain(t, s.m.tpm)
		}},
		{"unrestricted-key", "quote.ErrKey", "the key also signs what it is told", func(t *testing.T, s *scenario) {
			s.m.tpm.Template.ObjectAttributes.Restricted = false
			s.quoteAgain(t, s.m.tpm)
		}},
		{"another-signature", "quote.ErrSignature", "signed by another key", func(t *testing.T, s *scenario) {
			d, err := s.e.Claims.Digest()
			if err != nil {
				t.Fatal(err)
			}
			q, other := s.m.tpm.Quote(t, d), tpmtest.New("other").Quote(t, d)
			q.Signature = other.Signature
			s.put(t, q)
		}},
		{"other-selection", "quote.ErrPCRs", "PCR 15 quoted in place of PCR 14", attest(func(a *tpm2.TPMSAttest) {
			a.Attested = tpm2.NewTPMUAttest(tpm2.TPMSTAttestQuote, &tpm2.TPMSQuoteInfo{
				PCRSelect: tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{
					Hash: tpm2.TPMAlgSHA256, PCRSelect: tpm2.PCClientCompatible.PCRs(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 15),
				}}},
				PCRDigest: tpm2.TPM2BDigest{Buffer: make([]byte, 32)},
			})
		})},
		{"other-values", "quote.ErrPCRs", "PCR values that were not quoted", func(t *testing.T, s *scenario) {
			d, err := s.e.Claims.Digest()
			if err != nil {
				t.Fatal(err)
			}
			q := s.m.tpm.Quote(t, d)
			q.PCRs["pcr14"] = envelope.Sum([]byte("wanted")).Hex()
			s.put(t, q)
		}},
		{"no-endorsement", "verify.ErrEndorsed", "nobody vouches for the key", func(_ *testing.T, s *scenario) {
			s.e.Endorsements = []attestation.Endorsement{}
		}},
		{"strangers-endorsement", "verify.ErrEndorsed", "vouched for by a broker that is not accepted", func(t *testing.T, s *scenario) {
			s.endorse(t, broker(t, "other"), nil)
		}},
		{"endorsement-expired", "verify.ErrExpired", "the endorsement ends at this second", func(t *testing.T, s *scenario) {
			s.endorse(t, broker(t, "mine"), func(e *grant.AKEndorsement) { e.Expires = s.now * 1000 })
		}},
		{"endorsement-of-another-key", "verify.ErrOtherKey", "an accepted broker vouches for another TPM's key", func(t *testing.T, s *scenario) {
			s.e.Endorsements = []attestation.Endorsement{
				sign(t, newMachine(t, "other").endorsement(t, attestation.AssuranceSoftwareTPM), broker(t, "mine")),
			}
		}},
		{"hardware-without-firmware", "verify.ErrUnmeasured", "assurance tpm, but firmware extended nothing", func(t *testing.T, s *scenario) {
			s.endorse(t, broker(t, "mine"), func(e *grant.AKEndorsement) { e.Assurance = string(attestation.AssuranceTPM) })
		}},
		{"empty-event-log", "eventlog.ErrEmpty", "an event log without events", func(_ *testing.T, s *scenario) {
			s.e.EventLogs[0].Body = eventlog.Header()
		}},
		{"event-log-of-another-boot", "eventlog.ErrReplay", "the log does not lead to the quoted PCR 14", func(t *testing.T, s *scenario) {
			other := &machine{tpmtest.New("x"), eventlog.Header()}
			other.measure(t, eventlog.Event{PCR: 14, Type: eventlog.IPL, Digest: envelope.Sum(nil), Data: []byte(eventlog.EnclaveEvent)})
			s.e.EventLogs[0].Body = other.log
		}},
	}
}

func writeVectors(t *testing.T) {
	for _, d := range departures() {
		s := newScenario(t)
		d.change(t, s)
		ref, err := envelope.Canonical(s.ref)
		if err != nil {
			t.Fatal(err)
		}
		h := map[string]string{
			"expect": d.expect, "comment": d.comment, "now": strconv.FormatInt(s.now, 10),
			"broker": broker(t, "mine").Public().String(), "reference": string(ref),
		}
		if d.expect == "ok" {
			x, err := s.e.Claims.Digest()
			if err != nil {
				t.Fatal(err)
			}
			v := newVerifier(t, s.m.pins(), newFormat(t))
			c, err := v.Verify(t.Context(), encode(t, s.e), s.now)
			if err != nil {
				t.Fatal(err)
			}
			h["digest"], h["assurance"] = x.String(), string(c.Assurance())
		}
		attestationtest.Vector{Name: "tpm-" + d.name + ".txt", Header: h, Body: encode(t, s.e)}.Write(t, vectorDir)
	}
}
