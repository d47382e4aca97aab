// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/gpu/chain"
	"github.com/glovebox-dev/glovebox/attestation/gpu/gputest"
	"github.com/glovebox-dev/glovebox/attestation/gpu/rim"
	"github.com/glovebox-dev/glovebox/attestation/gpu/spdm"
	"github.com/glovebox-dev/glovebox/attestation/gpu/verify"
)

// crowded is a manifest of 26 KB in which a thousand elements have hundreds of namespaces in scope.
func crowded() []byte {
	var b strings.Builder
	b.WriteString(`<SoftwareIdentity xmlns="http://standards.iso.org/iso/19770/-2/2015/schema.xsd"`)
	for d := range 8 {
		for i := range 79 {
			fmt.Fprintf(&b, ` xmlns:b%dx%d="u"`, d, i)
		}
		if d < 7 {
			b.WriteString("><a")
		}
	}
	b.WriteString(">" + strings.Repeat(`<a xmlns:q="u"/>`, 1010) + strings.Repeat("</a>", 7) + "</SoftwareIdentity>")
	return []byte(b.String())
}

// forEver is far above what a refusal takes on a busy machine, and far below what the cap keeps away.
const forEver = 30 * time.Second

// TestCostOfManifests: a stranger's envelope with four authentic but old reports and hostile manifests is refused at once.
func TestCostOfManifests(t *testing.T) {
	s := newScenario(t)
	s.report.Nonce = [32]byte{1, 2, 3}
	e := s.envelope(t)
	for i, x := range e.Nested[0].Endorsements {
		if x.Type == attestation.DriverRIMType {
			e.Nested[0].Endorsements[i].Body = crowded()
		}
	}
	for len(e.Nested) < 4 {
		e.Nested = append(e.Nested, e.Nested[0])
	}
	raw, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	r, err := cpu{}.Authenticate(t.Context(), e, s.now)
	if err != nil {
		t.Fatal(err)
	}
	v, err := attestation.NewVerifier(&attestation.Reference{Version: 1, NotAfter: s.now + 10, Values: []attestation.ReferenceValue{
		{Name: "cpu", Platform: attestation.PlatformSNP, Measurements: r.Measurements},
	}}, cpu{}, s.format())
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := v.Verify(t.Context(), raw, s.now); !errors.Is(err, attestation.ErrEvidence) {
		t.Error(err)
	}
	if d := time.Since(began); d > forEver {
		t.Errorf("%d KB took %s", len(raw)>>10, d)
	}
}

// TestManifestsLast: a manifest is read only beside a report that is authentic, and sizes are looked at before all else.
func TestManifestsLast(t *testing.T) {
	bad := func(body []byte, edit func(s *scenario, e *attestation.Evidence)) error {
		s := newScenario(t)
		e := s.evidence()
		for i, x := range e.Endorsements {
			if x.Type == attestation.DriverRIMType {
				e.Endorsements[i].Body = body
			}
		}
		edit(s, e)
		_, err := s.format().Authenticate(t.Context(), e, s.now)
		return err
	}
	forged := func(_ *scenario, e *attestation.Evidence) {
		e.Evidence = bytes.Clone(e.Evidence)
		e.Evidence[len(e.Evidence)-1] ^= 1
	}
	anothers := func(s *scenario, _ *attestation.Evidence) {
		s.vendor.Device[4] = gputest.New(gputest.Options{}).Device[4]
	}
	intact := func(*scenario, *attestation.Evidence) {}
	big := bytes.Repeat([]byte(" "), rim.MaxRIM+1)
	for name, c := range map[string]struct{ got, want error }{
		"beside a good report":       {bad([]byte("x"), intact), rim.ErrMalformed},
		"beside a forged report":     {bad([]byte("x"), forged), spdm.ErrSignature},
		"beside another's chain":     {bad([]byte("x"), anothers), chain.ErrRoot},
		"too big":                    {bad(big, intact), verify.ErrEndorsements},
		"too big, and forged":        {bad(big, forged), verify.ErrEndorsements},
		"nothing":                    {bad(nil, intact), verify.ErrEndorsements},
		"answers beyond what counts": {bad([]byte("x"), func(_ *scenario, e *attestation.Evidence) { e.Endorsements = append(e.Endorsements, heap()...) }), chain.ErrOCSP},
	} {
		if !errors.Is(c.got, c.want) {
			t.Errorf("%s: got %v, want %v", name, c.got, c.want)
		}
	}
}

// heap is more answers than are looked at.
func heap() []attestation.Endorsement {
	out := make([]attestation.Endorsement, chain.MaxAnswers+1)
	for i := range out {
		out[i] = attestation.Endorsement{Type: attestation.OCSPType, Body: []byte{0}}
	}
	return out
}
