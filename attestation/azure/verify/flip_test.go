// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"maps"
	"slices"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/azure/hcl"
)

// part is one member of the evidence.
type part struct {
	name  string
	at    func(*hcl.Evidence) *[]byte
	every int              // how many bytes apart
	all   bool             // every bit of it, not one in each byte
	allow func(i int) bool // bytes that nobody vouches for
}

func parts() []part {
	return []part{
		{"HCL report", func(x *hcl.Evidence) *[]byte { return &x.HCLReport }, 1, false, unsigned},
		{"quote", func(x *hcl.Evidence) *[]byte { return &x.Quote }, 1, true, nil},
		{"signature", func(x *hcl.Evidence) *[]byte { return &x.Signature }, 1, true, nil},
		{"TD quote", func(x *hcl.Evidence) *[]byte { return &x.TDQuote }, 5, false, nil}, // each byte of quotes is flipped where platform tdx is tested
	}
}

// unsigned are the bytes of a TD report that are neither in the quote nor hashed into what is: its type's extension and
// reserved bytes, CPUSVN, which the quote says otherwise, the MAC, which only the machine itself can check, and reserved
// bytes between the parts. An SNP report has none.
func unsigned(i int) bool {
	i -= 32
	return (i >= 1 && i < 32) || (i >= 192 && i < 256) || (i >= 495 && i < 512)
}

// TestEveryByte flips every bit of a quote and its signature, one in each byte of other quotes and of the HCL report, and some
// in the TD quote and the JSON around them. Nothing is accepted but what unsigned lists, and that says the same.
func TestEveryByte(t *testing.T) {
	refused, accepted := 0, 0
	type subject struct {
		name string
		e    *attestation.Evidence
		f    attestation.Format
		now  int64
	}
	snp, tdx := newScenario(t, attestation.PlatformAzureSNP), newScenario(t, attestation.PlatformAzureTDX)
	subjects := []subject{{"fake SNP", snp.evidence(t), snp.format(t), snp.now}, {"fake TDX", tdx.evidence(t), tdx.format(t), tdx.now}}
	t.Run("real", func(t *testing.T) {
		e := importSNP(t, attestation.Raw{Report: attestationtest.Shared(t, "az-snp-vtpm_evidence-v1.json")})
		subjects = append(subjects, subject{"real SNP", e, snpFormat(t), realNow})
	})
	for _, s := range subjects {
		good, err := s.f.Authenticate(t.Context(), s.e, s.now)
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		try := func(evidence []byte, name string, i int, allowed bool) {
			e := *s.e
			e.Evidence = evidence
			r, err := s.f.Authenticate(t.Context(), &e, s.now)
			if err != nil {
				refused++
				return
			}
			accepted++
			if !allowed || !bytes.Equal(r.Bound, good.Bound) || !maps.Equal(r.Measurements, good.Measurements) || r.Chip != good.Chip {
				t.Errorf("%s: %s: byte %d changed and accepted", s.name, name, i)
			}
		}
		x, err := hcl.ParseEvidence(s.e.Evidence)
		if err != nil {
			t.Fatal(err)
		}
		step := 1
		if testing.Short() {
			step = 101
		}
		isTDX := s.e.Platform == attestation.PlatformAzureTDX
		for _, p := range parts() {
			for i := 0; i < 8*len(*p.at(x)); i += step {
				all := p.all && s.name == "fake SNP" // the TPM's quote is the same kind of thing in all three
				if step == 1 && (i/8%p.every != 0 || (!all && i%8 != i/8%8)) {
					continue
				}
				bad := *x
				b := slices.Clone(*p.at(&bad))
				b[i/8] ^= 1 << (i % 8)
				*p.at(&bad) = b
				raw, err := bad.Encode()
				if err != nil {
					t.Fatal(err)
				}
				try(raw, p.name, i/8, isTDX && p.allow != nil && p.allow(i/8))
			}
		}
		for i := 0; i < len(s.e.Evidence); i += 31 * step {
			b := slices.Clone(s.e.Evidence)
			b[i] ^= 1 << (i % 7)
			try(b, "JSON", i, isTDX) // the TD report is in there too
		}
	}
	t.Logf("%d flips refused, %d accepted with the same claims (bytes of the TD report that nobody signs)", refused, accepted)
}

// TestTruncated: no shorter prefix of the evidence is accepted, and nothing larger than the bound is read.
func TestTruncated(t *testing.T) {
	for _, p := range platforms() {
		s := newScenario(t, p)
		f, good := s.format(t), s.evidence(t)
		for n := 0; n < len(good.Evidence); n += 7 {
			e := *good
			e.Evidence = good.Evidence[:n]
			if _, err := f.Authenticate(t.Context(), &e, s.now); err == nil {
				t.Errorf("%s: %d of %d bytes accepted", p, n, len(good.Evidence))
			}
		}
		e := *good
		e.Evidence = bytes.Repeat([]byte{' '}, hcl.MaxEvidence+1)
		if _, err := f.Authenticate(t.Context(), &e, s.now); err == nil {
			t.Errorf("%s: oversized evidence accepted", p)
		}
	}
}
