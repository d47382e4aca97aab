// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"maps"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/gce/shielded"
	"github.com/glovebox-dev/glovebox/attestation/gce/verify"
)

// FuzzAuthenticate: no panic, an end within a deadline, and nothing accepted but what the good evidence claims.
func FuzzAuthenticate(f *testing.F) {
	seeds := 0
	for _, s := range []*scenario{newScenario(f, eccKey()), newScenario(f, rsaKey(f))} {
		e := s.evidence(f)
		f.Add(e.Evidence, e.EventLogs[0].Body, e.Endorsements[0].Body)
		seeds++
	}
	if seeds < 2 {
		f.Fatal("no seeds")
	}
	s := newScenario(f, eccKey())
	format, good := s.format(f), s.evidence(f)
	want, err := format.Authenticate(f.Context(), good, now)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, evidence, log, endorsement []byte) {
		start := time.Now()
		e := *good
		e.Evidence, e.EventLogs = evidence, []attestation.EventLog{{Type: attestation.TCG2Log, Body: log}}
		e.Endorsements = append([]attestation.Endorsement{{Type: attestation.CertificateType, Body: endorsement}}, e.Endorsements...)
		r, err := format.Authenticate(t.Context(), &e, now)
		if err == nil && (!bytes.Equal(r.Bound, want.Bound) || !maps.Equal(r.Measurements, want.Measurements)) {
			t.Error("other claims accepted")
		}
		if d := time.Since(start); d > 30*time.Second {
			t.Errorf("took %s", d)
		}
	})
}

// FuzzImport: no panic; what is imported can be judged, and is never accepted by Google's roots.
func FuzzImport(f *testing.F) {
	s := newScenario(f, eccKey())
	f.Add(s.evidence(f).Evidence)
	f.Add([]byte(`{"AK":{"Public":"AA=="},"Quote":{"Quote":"AA==","Signature":"AA=="},"Log":{"PCRs":[{"Index":1,"Digest":"AA=="}],"Raw":"AA=="}}`))
	f.Add([]byte{0x0a, 1, 0, 0x12, 2, 0x0a, 0})
	format := googleFormat(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := verify.Import(attestation.Raw{Report: b})
		if err != nil {
			return
		}
		if _, err := format.Authenticate(t.Context(), e, now); err == nil {
			t.Error("accepted")
		}
	})
}

// FuzzParseInstance: no panic, and nothing accepted that is out of bounds.
func FuzzParseInstance(f *testing.F) {
	f.Add(extension(f, goodInstance()).Value)
	f.Fuzz(func(t *testing.T, b []byte) {
		i, err := shielded.ParseInstance(b)
		if err == nil && (i.ID < 0 || i.ProjectNumber < 0 || i.Zone == "" || len(i.Zone) > 128) {
			t.Errorf("%+v", i)
		}
	})
}

// BenchmarkVerify is whole evidence of today's chain length: RSA key, as Google makes them.
func BenchmarkVerify(b *testing.B) {
	for name, e := range map[string]func() (*attestation.Evidence, attestation.Format, int64){
		"fake ECC": func() (*attestation.Evidence, attestation.Format, int64) {
			s := newScenario(b, eccKey())
			return s.evidence(b), s.format(b), now
		},
		"real RSA": func() (*attestation.Evidence, attestation.Format, int64) {
			return realEvidence(b, "gce-cos-85-nonce9009.pb"), googleFormat(b), realNow
		},
	} {
		x, f, at := e()
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := f.Authenticate(b.Context(), x, at); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkBareChecks are the signature checks that one verification of the real evidence contains, and nothing else.
func BenchmarkBareChecks(b *testing.B) {
	check := bareChecks(b)
	for b.Loop() {
		check()
	}
}
