// SPDX-License-Identifier: Apache-2.0

// Package tpmtest is a TPM's keys in Go, for tests that need evidence no honest TPM makes.
//
// Trust domain: tests only. It encodes with go-tpm, so that the hand-written reader of package quote is checked against
// another implementation.
package tpmtest

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/tpm/quote"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// TPM holds an attestation key derived from a seed, and PCR values. Template, Attest and Raw may be bent by a test.
type TPM struct {
	PCRs     map[int][sha256.Size]byte
	Template tpm2.TPMTPublic
	Attest   func(*tpm2.TPMSAttest) // changes a quote before it is signed
	Raw      func([]byte)           // changes its encoding before it is signed
	key      *ecdsa.PrivateKey
}

// New makes a TPM whose quoted PCRs are all zero.
func New(seed string) *TPM {
	t := &TPM{PCRs: map[int][sha256.Size]byte{}, Template: AKTemplate(), key: attestationtest.PrivateKey("tpm " + seed)}
	for _, i := range quote.PCRs() {
		t.PCRs[i] = [sha256.Size]byte{}
	}
	return t
}

// Extend measures d.
func (t *TPM) Extend(pcr int, d [sha256.Size]byte) {
	old := t.PCRs[pcr]
	t.PCRs[pcr] = sha256.Sum256(append(old[:], d[:]...))
}

// AKTemplate is the template that package quote accepts.
func AKTemplate() tpm2.TPMTPublic {
	return tpm2.TPMTPublic{
		Type: tpm2.TPMAlgECC, NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{
			FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true,
			NoDA: true, Restricted: true, SignEncrypt: true,
		},
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
			Scheme: tpm2.TPMTECCScheme{
				Scheme:  tpm2.TPMAlgECDSA,
				Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: tpm2.TPMAlgSHA256}),
			},
			CurveID: tpm2.TPMECCNistP256,
		}),
	}
}

// Public is the TPMT_PUBLIC of a template with k as its point.
func Public(template tpm2.TPMTPublic, k *ecdsa.PublicKey) []byte {
	point, err := k.Bytes()
	if err != nil {
		panic("tpmtest: " + err.Error())
	}
	template.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{
		X: tpm2.TPM2BECCParameter{Buffer: point[1:33]},
		Y: tpm2.TPM2BECCParameter{Buffer: point[33:]},
	})
	return tpm2.Marshal(template)
}

// AKPublic is the TPMT_PUBLIC of the attestation key.
func (t *TPM) AKPublic() []byte { return Public(t.Template, &t.key.PublicKey) }

// Quote makes evidence over d.
func (t *TPM) Quote(tb testing.TB, d envelope.Digest) *quote.Evidence {
	tb.Helper()
	public := t.AKPublic()
	a := t.attest(d, public)
	if t.Attest != nil {
		t.Attest(&a)
	}
	attest := tpm2.Marshal(a)
	if t.Raw != nil {
		t.Raw(attest)
	}
	e := &quote.Evidence{AKPublic: public, PCRs: map[string]string{}, Quote: attest, Signature: t.sign(tb, attest)}
	for _, i := range quote.PCRs() {
		v := t.PCRs[i]
		e.PCRs[quote.Name(i)] = hex.EncodeToString(v[:])
	}
	return e
}

func (t *TPM) attest(d envelope.Digest, public []byte) tpm2.TPMSAttest {
	var pcrs []uint
	var values []byte
	for _, i := range quote.PCRs() {
		v := t.PCRs[i]
		pcrs, values = append(pcrs, uint(i)), append(values, v[:]...)
	}
	digest := sha256.Sum256(values)
	return tpm2.TPMSAttest{
		Magic: tpm2.TPMGeneratedValue, Type: tpm2.TPMSTAttestQuote,
		QualifiedSigner: tpm2.TPM2BName{Buffer: QualifiedName(tpm2.TPMRHEndorsement, public)},
		ExtraData:       tpm2.TPM2BData{Buffer: slices.Clone(d[:])},
		ClockInfo:       tpm2.TPMSClockInfo{Clock: 1, ResetCount: 2, RestartCount: 3, Safe: true},
		FirmwareVersion: 4,
		Attested: tpm2.NewTPMUAttest(tpm2.TPMSTAttestQuote, &tpm2.TPMSQuoteInfo{
			PCRSelect: tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{
				{Hash: tpm2.TPMAlgSHA256, PCRSelect: tpm2.PCClientCompatible.PCRs(pcrs...)},
			}},
			PCRDigest: tpm2.TPM2BDigest{Buffer: digest[:]},
		}),
	}
}

// QualifiedName is that of a primary key of a hierarchy.
func QualifiedName(hierarchy tpm2.TPMHandle, public []byte) []byte {
	name := sha256.Sum256(public)
	b := append(tpm2.PrimaryHandleName(hierarchy), 0x00, 0x0b)
	h := sha256.Sum256(append(b, name[:]...))
	return append([]byte{0x00, 0x0b}, h[:]...)
}

func (t *TPM) sign(tb testing.TB, attest []byte) []byte {
	h := sha256.Sum256(attest)
	r, s, err := ecdsa.Sign(rand.Reader, t.key, h[:])
	if err != nil {
		tb.Fatal(err)
	}
	sig := tpm2.TPMTSignature{SigAlg: tpm2.TPMAlgECDSA, Signature: tpm2.NewTPMUSignature(tpm2.TPMAlgECDSA, &tpm2.TPMSSignatureECC{
		Hash:       tpm2.TPMAlgSHA256,
		SignatureR: tpm2.TPM2BECCParameter{Buffer: r.FillBytes(make([]byte, 32))},
		SignatureS: tpm2.TPM2BECCParameter{Buffer: s.FillBytes(make([]byte, 32))},
	})}
	return tpm2.Marshal(sig)
}
