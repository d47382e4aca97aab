// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/snp"
	"github.com/glovebox-dev/glovebox/attestation/snp/snptest"
	"github.com/glovebox-dev/glovebox/attestation/snp/verify"
)

// TestChipIDForms: 8 bytes are Turin's form only, with zeros after them, and no chip is called zero.
func TestChipIDForms(t *testing.T) {
	for name, c := range map[string]struct {
		line string
		hwid []byte
		chip func(id []byte)
		want error
	}{
		"Milan, 64 bytes":              {"Milan", nil, nil, nil},
		"Turin, 8 bytes":               {"Turin", nil, nil, nil},
		"Turin, 64 bytes":              {"Turin", append([]byte{1, 2, 3, 4, 5, 6, 7, 8}, make([]byte, 56)...), nil, nil},
		"Turin, more than 8 bytes":     {"Turin", nil, func(id []byte) { id[63] = 1 }, verify.ErrMismatch},
		"Milan, 8 bytes":               {"Milan", []byte{1, 2, 3, 4, 5, 6, 7, 8}, func(id []byte) { clear(id[8:]) }, verify.ErrMismatch},
		"Milan, zero in both":          {"Milan", make([]byte, 64), func(id []byte) { clear(id) }, verify.ErrMismatch},
		"Turin, zero in both, 8 bytes": {"Turin", make([]byte, 8), func(id []byte) { clear(id) }, verify.ErrMismatch},
	} {
		w := newWorld(t, c.line)
		k := w.line.VCEK(t, w.line.TCB(), func(x *x509.Certificate) {
			for i := range x.ExtraExtensions {
				if c.hwid != nil && x.ExtraExtensions[i].Id.String() == "1.3.6.1.4.1.3704.1.4" {
					x.ExtraExtensions[i] = snptest.Extension(t, "4", c.hwid)
				}
			}
		})
		b := w.line.Report([64]byte{})
		if c.chip != nil {
			c.chip(b[0x1a0:0x1e0])
		}
		if _, err := w.format.Authenticate(t.Context(), evidence(k.Sign(t, b), k.Cert.Raw, nil), now); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestReservedBits of policy and signer information.
func TestReservedBits(t *testing.T) {
	w := newWorld(t, "Genoa")
	for name, change := range map[string]func(b []byte){
		"policy bit 17 must be 1": func(b []byte) { b[0x0a] &^= 2 },
		"signer bit 5":            func(b []byte) { b[0x48] = 1 << 5 },
		"signer bit 31":           func(b []byte) { b[0x4b] = 1 << 7 },
	} {
		if _, err := w.format.Authenticate(t.Context(), w.evidence(t, w.report(t, change)), now); !errors.Is(err, snp.ErrReport) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestEveryPartOfTheTCB: each is compared, on the line that has all five.
func TestEveryPartOfTheTCB(t *testing.T) {
	w := newWorld(t, "Turin")
	r, err := w.format.Authenticate(t.Context(), w.evidence(t, w.report(t, nil)), now)
	if err != nil {
		t.Fatal(err)
	}
	for name, raise := range map[string]func(m *attestation.SNPTCB){
		"fmc":        func(m *attestation.SNPTCB) { m.FMC = 2 },
		"bootloader": func(m *attestation.SNPTCB) { m.BootLoader = 2 },
		"tee":        func(m *attestation.SNPTCB) { m.TEE = 2 },
		"snp":        func(m *attestation.SNPTCB) { m.SNP = 6 },
		"microcode":  func(m *attestation.SNPTCB) { m.Microcode = 83 },
	} {
		p := policy(func(p *attestation.SNPPolicy) {
			m := p.MinimumTCB["Turin"]
			raise(&m)
			p.MinimumTCB["Turin"] = m
		})
		if got := failed(appraise(w.format, r, p)); got != "tcb-reported tcb-current tcb-committed tcb-launch" {
			t.Errorf("%s: fails %q", name, got)
		}
	}
}

// TestCommittedFirmwareCounts: what runs now can be taken back to what is committed.
func TestCommittedFirmwareCounts(t *testing.T) {
	w := newWorld(t, "Genoa")
	r, err := w.format.Authenticate(t.Context(), w.evidence(t, w.report(t, func(b []byte) { b[0x1ed] = 50 })), now)
	if err != nil {
		t.Fatal(err)
	}
	if got := failed(appraise(w.format, r, attestation.DefaultPolicy())); got != "firmware-committed firmware-abi" {
		t.Errorf("fails %q", got)
	}
}

// TestRevocationListEdges: KDS numbers every VCEK 0, which revokes none; a critical extension could mean anything.
func TestRevocationListEdges(t *testing.T) {
	w := newWorld(t, "Milan")
	if _, err := w.format.Authenticate(t.Context(), evidence(w.report(t, nil), w.vcek.Cert.Raw, w.line.CRL(t, nil, 0, 5)), now); err != nil {
		t.Errorf("serial number 0: %v", err)
	}
	critical := w.line.CRL(t, func(c *x509.RevocationList) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: []byte{0x30, 0}}}
	})
	if _, err := w.format.Authenticate(t.Context(), evidence(w.report(t, nil), w.vcek.Cert.Raw, critical), now); !errors.Is(err, verify.ErrCRL) {
		t.Errorf("critical extension: %v", err)
	}
}

// TestVLEKWithAChip contradicts itself.
func TestVLEKWithAChip(t *testing.T) {
	w := newWorld(t, "Milan")
	k := w.line.VLEK(t, w.line.TCB(), func(c *x509.Certificate) {
		c.ExtraExtensions = append(c.ExtraExtensions, snptest.Extension(t, "4", w.line.HWID()))
	})
	b := w.line.Report([64]byte{})
	b[0x48] = snp.SignedByVLEK << 2
	if _, err := w.format.Authenticate(t.Context(), evidence(k.Sign(t, b), k.Cert.Raw, nil), now); !errors.Is(err, verify.ErrKey) {
		t.Errorf("got %v", err)
	}
}

// TestRootsOfTheSameName: what the name says is not who signed.
func TestRootsOfTheSameName(t *testing.T) {
	l := snptest.New(t, "Milan")
	vcek, vlek := l.Bundles()
	_, again := snptest.New(t, "Milan").Bundles()
	if _, err := verify.FormatTrusting(verify.Bundle{Name: "Milan", VCEK: vcek, VLEK: again}); !errors.Is(err, verify.ErrRoots) {
		t.Errorf("two roots of a name: %v", err)
	}
	forged := pemOf("CERTIFICATE", flip(append([]byte{}, l.ASK.Raw...)), l.ARK.Raw)
	if _, err := verify.FormatTrusting(verify.Bundle{Name: "Milan", VCEK: forged, VLEK: vlek}); !errors.Is(err, verify.ErrRoots) {
		t.Errorf("ASK that the root did not sign: %v", err)
	}
}
