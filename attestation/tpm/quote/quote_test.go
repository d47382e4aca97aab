// SPDX-License-Identifier: Apache-2.0

package quote_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/tpm/quote"
	"github.com/glovebox-dev/glovebox/attestation/tpm/tpmtest"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

var bound = envelope.Sum([]byte("a binding"))

func TestVerify(t *testing.T) {
	tpm := tpmtest.New("a")
	tpm.Extend(14, sha256.Sum256([]byte("enclave")))
	e := tpm.Quote(t, bound)
	raw, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := quote.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	got, err := parsed.Verify()
	if err != nil || !bytes.Equal(got, bound[:]) {
		t.Fatalf("qualifying data %x, %v", got, err)
	}
	if v := tpm.PCRs[14]; !bytes.Equal(parsed.Values()[14], v[:]) || parsed.Values()[10] != nil {
		t.Error("wrong PCR values")
	}
}

// TestNames compares with go-tpm's computation.
func TestNames(t *testing.T) {
	tpm := tpmtest.New("a")
	ak, err := quote.CheckAK(tpm.AKPublic())
	if err != nil {
		t.Fatal(err)
	}
	public, err := tpm2.Unmarshal[tpm2.TPMTPublic](tpm.AKPublic())
	if err != nil {
		t.Fatal(err)
	}
	want, err := tpm2.ObjectName(public)
	if err != nil || !bytes.Equal(ak.Name(), want.Buffer) || ak.NameHex() != hex.EncodeToString(want.Buffer) {
		t.Errorf("Name %s, want %x (%v)", ak.NameHex(), want.Buffer, err)
	}
	ek := tpmtest.Public(tpm2.ECCEKTemplate, attestationtest.PublicKey(t, "ek").ECDSA())
	if _, err := quote.CheckEK(ek); err != nil {
		t.Errorf("the TCG's template: %v", err)
	}
	if _, err := quote.CheckEK(tpm.AKPublic()); !errors.Is(err, quote.ErrKey) {
		t.Errorf("an AK as an EK: %v", err)
	}
	if _, err := quote.CheckAK(ek); !errors.Is(err, quote.ErrKey) {
		t.Errorf("an EK as an AK: %v", err)
	}
}

// TestAttestationKeyAttributes: a key that signs what it is told, may be copied, or was made elsewhere proves nothing.
func TestAttestationKeyAttributes(t *testing.T) {
	for name, change := range map[string]func(*tpm2.TPMTPublic){
		"not restricted":          func(p *tpm2.TPMTPublic) { p.ObjectAttributes.Restricted = false },
		"not fixedTPM":            func(p *tpm2.TPMTPublic) { p.ObjectAttributes.FixedTPM = false },
		"not fixedParent":         func(p *tpm2.TPMTPublic) { p.ObjectAttributes.FixedParent = false },
		"imported":                func(p *tpm2.TPMTPublic) { p.ObjectAttributes.SensitiveDataOrigin = false },
		"decrypts":                func(p *tpm2.TPMTPublic) { p.ObjectAttributes.Decrypt = true },
		"does not sign":           func(p *tpm2.TPMTPublic) { p.ObjectAttributes.SignEncrypt = false },
		"encrypted duplication":   func(p *tpm2.TPMTPublic) { p.ObjectAttributes.EncryptedDuplication = true },
		"cleared at startup":      func(p *tpm2.TPMTPublic) { p.ObjectAttributes.STClear = true },
		"policy":                  func(p *tpm2.TPMTPublic) { p.AuthPolicy = tpm2.TPM2BDigest{Buffer: make([]byte, 32)} },
		"another name algorithm":  func(p *tpm2.TPMTPublic) { p.NameAlg = tpm2.TPMAlgSHA384 },
		"another curve":           func(p *tpm2.TPMTPublic) { p.Parameters = scheme(tpm2.TPMECCNistP384, tpm2.TPMAlgSHA256) },
		"another signature hash":  func(p *tpm2.TPMTPublic) { p.Parameters = scheme(tpm2.TPMECCNistP256, tpm2.TPMAlgSHA1) },
		"any signature algorithm": func(p *tpm2.TPMTPublic) { p.Parameters = scheme(tpm2.TPMECCNistP256, 0) },
	} {
		tpm := tpmtest.New("a")
		change(&tpm.Template)
		if _, err := tpm.Quote(t, bound).Verify(); !errors.Is(err, quote.ErrKey) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func scheme(curve tpm2.TPMECCCurve, hash tpm2.TPMAlgID) tpm2.TPMUPublicParms {
	p := &tpm2.TPMSECCParms{CurveID: curve}
	if hash != 0 {
		p.Scheme = tpm2.TPMTECCScheme{
			Scheme:  tpm2.TPMAlgECDSA,
			Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: hash}),
		}
	}
	return tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, p)
}

// TestPointOffTheCurve and other malformed points.
func TestPointOffTheCurve(t *testing.T) {
	good := tpmtest.New("a").AKPublic()
	off := bytes.Clone(good)
	off[len(off)-1] ^= 1
	for name, p := range map[string][]byte{
		"off the curve": off, "empty": nil, "cut": good[:len(good)-1], "trailing byte": append(bytes.Clone(good), 0),
		"no point": good[:len(good)-68], "huge": append(bytes.Clone(good), make([]byte, 4096)...),
	} {
		if _, err := quote.CheckAK(p); !errors.Is(err, quote.ErrKey) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestShortCoordinate: some TPMs leave out leading zeros; the key is the same, the Name is over what they sent.
func TestShortCoordinate(t *testing.T) {
	for i := range 10_000 {
		k := attestationtest.PublicKey(t, fmt.Sprint("short ", i))
		p := tpmtest.Public(tpmtest.AKTemplate(), k.ECDSA())
		x := len(p) - 66
		if p[x] != 0 {
			continue
		}
		short := slices.Concat(p[:x-2], []byte{0, 31}, p[x+1:])
		ak, err := quote.CheckAK(short)
		if err != nil || !ak.Public.Equal(k) {
			t.Fatalf("got %v", err)
		}
		if h := sha256.Sum256(short); !bytes.Equal(ak.Name()[2:], h[:]) {
			t.Error("Name is not over the bytes received")
		}
		return
	}
	t.Fatal("no such key")
}

func TestQuoteRefused(t *testing.T) {
	type attest = tpm2.TPMSAttest
	info := func(pcrs ...uint) *tpm2.TPMSQuoteInfo {
		return &tpm2.TPMSQuoteInfo{
			PCRSelect: tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{
				{Hash: tpm2.TPMAlgSHA256, PCRSelect: tpm2.PCClientCompatible.PCRs(pcrs...)},
			}},
		}
	}
	quoteInfo := func(i *tpm2.TPMSQuoteInfo) func(*attest) {
		return func(a *attest) {
			if q, err := a.Attested.Quote(); err == nil && i.PCRDigest.Buffer == nil {
				i.PCRDigest = q.PCRDigest // right, so that only the selection is wrong
			}
			a.Attested = tpm2.NewTPMUAttest(tpm2.TPMSTAttestQuote, i)
		}
	}
	sha1 := info(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14)
	sha1.PCRSelect.PCRSelections[0].Hash = tpm2.TPMAlgSHA1
	two := info(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14)
	two.PCRSelect.PCRSelections = append(two.PCRSelect.PCRSelections, two.PCRSelect.PCRSelections[0])
	wrong := info(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14)
	wrong.PCRDigest.Buffer = make([]byte, 32)
	for name, c := range map[string]struct {
		change func(*attest)
		want   error
	}{
		"not generated by a TPM": {func(a *attest) { a.Magic = 0x12345678 }, quote.ErrMalformed},
		"certify, not quote":     {func(a *attest) { a.Type = tpm2.TPMSTAttestTime; a.Attested = timeInfo() }, quote.ErrMalformed},
		"owner hierarchy": {func(a *attest) {
			a.QualifiedSigner.Buffer = tpmtest.QualifiedName(tpm2.TPMRHOwner, tpmtest.New("a").AKPublic())
		}, quote.ErrKey},
		"no signer":              {func(a *attest) { a.QualifiedSigner.Buffer = nil }, quote.ErrMalformed},
		"no qualifying data":     {func(a *attest) { a.ExtraData.Buffer = nil }, quote.ErrMalformed},
		"PCR 14 left out":        {quoteInfo(info(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13)), quote.ErrPCRs},
		"boot loaders left out":  {quoteInfo(info(0, 1, 2, 3, 4, 5, 6, 7, 14)), quote.ErrPCRs},
		"resettable PCR 23":      {quoteInfo(info(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 23)), quote.ErrPCRs},
		"no PCR":                 {quoteInfo(info()), quote.ErrPCRs},
		"SHA-1 bank":             {quoteInfo(sha1), quote.ErrPCRs},
		"two banks":              {quoteInfo(two), quote.ErrMalformed},
		"digest of other values": {quoteInfo(wrong), quote.ErrPCRs},
	} {
		tpm := tpmtest.New("a")
		tpm.Attest = c.change
		if _, err := tpm.Quote(t, bound).Verify(); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

// TestTypeOfAttestation: what has the shape of a quote but was signed as another kind of statement is none.
func TestTypeOfAttestation(t *testing.T) {
	tpm := tpmtest.New("a")
	tpm.Raw = func(b []byte) { b[5] = 0x17 } // TPM_ST_ATTEST_CERTIFY
	if _, err := tpm.Quote(t, bound).Verify(); !errors.Is(err, quote.ErrMalformed) {
		t.Errorf("got %v", err)
	}
}

func timeInfo() tpm2.TPMUAttest {
	return tpm2.NewTPMUAttest(tpm2.TPMSTAttestTime, &tpm2.TPMSTimeAttestInfo{})
}

func TestSignatureRefused(t *testing.T) {
	a, b := tpmtest.New("a"), tpmtest.New("b")
	e := a.Quote(t, bound)
	other := *e
	other.Signature = b.Quote(t, bound).Signature
	if _, err := other.Verify(); !errors.Is(err, quote.ErrSignature) {
		t.Errorf("signature of another key: %v", err)
	}
	other = *e
	other.AKPublic = b.AKPublic()
	if _, err := other.Verify(); !errors.Is(err, quote.ErrSignature) {
		t.Errorf("another key: %v", err)
	}
	for name, s := range map[string][]byte{
		"empty": nil, "cut": e.Signature[:len(e.Signature)-1], "trailing byte": append(bytes.Clone(e.Signature), 0),
		"RSA":   append([]byte{0x00, 0x14}, e.Signature[2:]...),
		"SHA-1": slices.Concat(e.Signature[:2], []byte{0x00, 0x04}, e.Signature[4:]),
		"zeros": {0x00, 0x18, 0x00, 0x0b, 0, 1, 0, 0, 1, 0},
	} {
		other := *e
		other.Signature = s
		if _, err := other.Verify(); !errors.Is(err, quote.ErrQuote) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestEveryBitOfQuote flips each bit of quote, signature and attestation key.
func TestEveryBitOfQuote(t *testing.T) {
	e := tpmtest.New("a").Quote(t, bound)
	for name, field := range map[string]*[]byte{"quote": &e.Quote, "signature": &e.Signature, "akPublic": &e.AKPublic} {
		good := *field
		for i := range 8 * len(good) {
			*field = bytes.Clone(good)
			(*field)[i/8] ^= 1 << (i % 8)
			if _, err := e.Verify(); !errors.Is(err, quote.ErrQuote) {
				t.Errorf("%s, bit %d: got %v", name, i, err)
			}
		}
		*field = good
	}
	if _, err := e.Verify(); err != nil {
		t.Fatal(err)
	}
}

func TestPCRsRefused(t *testing.T) {
	for name, change := range map[string]func(map[string]string){
		"one missing":   func(m map[string]string) { delete(m, "pcr14") },
		"one more":      func(m map[string]string) { m["pcr15"] = m["pcr0"] },
		"another one":   func(m map[string]string) { m["pcr15"] = m["pcr14"]; delete(m, "pcr14") },
		"upper case":    func(m map[string]string) { m["pcr0"] = "AB" + m["pcr0"][2:] },
		"short":         func(m map[string]string) { m["pcr0"] = m["pcr0"][2:] },
		"value swapped": func(m map[string]string) { m["pcr0"] = "01" + m["pcr0"][2:] },
		"none":          func(m map[string]string) { clear(m) },
	} {
		e := tpmtest.New("a").Quote(t, bound)
		change(e.PCRs)
		if _, err := e.Verify(); !errors.Is(err, quote.ErrPCRs) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestEveryFieldOfQuote deletes and zeroes each field.
func TestEveryFieldOfQuote(t *testing.T) {
	raw, err := tpmtest.New("a").Quote(t, bound).Encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range attestationtest.Mutations(t, raw) {
		e, err := quote.Parse(m.Doc)
		if err == nil {
			_, err = e.Verify()
		}
		if !errors.Is(err, quote.ErrQuote) {
			t.Errorf("%s: got %v", m.Name, err)
		}
	}
}

func FuzzQuote(f *testing.F) {
	raw, err := tpmtest.New("fuzz").Quote(f, bound).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	good, err := quote.Parse(raw)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		e, err := quote.Parse(in)
		if err != nil {
			return
		}
		if out, err := e.Encode(); err != nil || !bytes.Equal(in, out) {
			t.Fatalf("re-encoding differs: %v", err)
		}
		if got, err := e.Verify(); err == nil && (!bytes.Equal(got, bound[:]) || !bytes.Equal(e.Quote, good.Quote)) {
			t.Fatal("a forged quote verifies")
		}
	})
}

// FuzzStructures feeds the hand-written readers directly.
func FuzzStructures(f *testing.F) {
	e := tpmtest.New("fuzz").Quote(f, bound)
	f.Add(e.Quote, e.Signature, e.AKPublic)
	f.Add(e.Quote, []byte{}, []byte{})
	f.Fuzz(func(t *testing.T, attest, signature, public []byte) {
		x := quote.Evidence{AKPublic: public, PCRs: e.PCRs, Quote: attest, Signature: signature}
		if _, err := x.Verify(); err == nil && !(bytes.Equal(attest, e.Quote) && bytes.Equal(public, e.AKPublic)) {
			t.Fatal("a forged quote verifies")
		}
	})
}
