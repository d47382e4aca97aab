// SPDX-License-Identifier: Apache-2.0

package quote_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/glovebox-dev/glovebox/attestation/tpm/quote"
	"github.com/glovebox-dev/glovebox/attestation/tpm/tpmtest"
)

func clouds(t testing.TB) map[string]*tpmtest.Cloud {
	return map[string]*tpmtest.Cloud{
		"RSA": tpmtest.NewCloud(t, tpmtest.RSAKey(t, "quote", 2048)), "ECC": tpmtest.NewCloud(t, tpmtest.ECCKey("quote")),
	}
}

// TestCloudQuote reads what go-tpm wrote.
func TestCloudQuote(t *testing.T) {
	for name, c := range clouds(t) {
		key, err := quote.CheckCloudAK(c.AKPublic())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, qualifying := range [][]byte{nil, bound[:], bytes.Repeat([]byte{1}, 66)} {
			m, s := c.Quote(t, qualifying)
			if err := quote.CheckSignature(key.Public, m, s); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			a, err := quote.ParseAttest(m)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if !bytes.Equal(a.Qualifying, qualifying) || !bytes.Equal(a.Signer, key.QualifiedName()) || len(a.PCRs) != 24 ||
				a.Clock != 1 || a.ResetCount != 2 || a.RestartCount != 3 || a.Firmware != 4 || !a.Safe || !slices.Contains(a.PCRs, 0) || !slices.Contains(a.PCRs, 23) {
				t.Errorf("%s: %+v", name, a)
			}
			if v, err := a.CheckValues(c.Values()); err != nil || len(v) != 24 {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// TestCloudKeyNameIsRecomputed: the Name is of the public area shown, whatever a quote says of its signer.
func TestCloudKeyNameIsRecomputed(t *testing.T) {
	for name, c := range clouds(t) {
		key, err := quote.CheckCloudAK(c.AKPublic())
		if err != nil {
			t.Fatal(err)
		}
		public, err := tpm2.Unmarshal[tpm2.TPMTPublic](c.AKPublic())
		if err != nil {
			t.Fatal(err)
		}
		want, err := tpm2.ObjectName(public)
		if err != nil || key.NameHex() != hex.EncodeToString(want.Buffer) {
			t.Errorf("%s: Name %s, want %x (%v)", name, key.NameHex(), want.Buffer, err)
		}
		if want := tpmtest.QualifiedName(tpm2.TPMRHEndorsement, c.AKPublic()); !bytes.Equal(key.QualifiedName(), want) {
			t.Errorf("%s: qualified name %x, want %x", name, key.QualifiedName(), want)
		}
	}
}

// TestCloudKeyIsRestrictedAndFixed: each attribute without which a key might sign what no TPM said, or be elsewhere.
func TestCloudKeyIsRestrictedAndFixed(t *testing.T) {
	for name, change := range map[string]func(*tpm2.TPMTPublic){
		"unrestricted":      func(p *tpm2.TPMTPublic) { p.ObjectAttributes.Restricted = false },
		"not fixedTPM":      func(p *tpm2.TPMTPublic) { p.ObjectAttributes.FixedTPM = false },
		"not fixedParent":   func(p *tpm2.TPMTPublic) { p.ObjectAttributes.FixedParent = false },
		"imported":          func(p *tpm2.TPMTPublic) { p.ObjectAttributes.SensitiveDataOrigin = false },
		"decrypts too":      func(p *tpm2.TPMTPublic) { p.ObjectAttributes.Decrypt = true },
		"does not sign":     func(p *tpm2.TPMTPublic) { p.ObjectAttributes.SignEncrypt = false },
		"cleared at start":  func(p *tpm2.TPMTPublic) { p.ObjectAttributes.STClear = true },
		"duplicable":        func(p *tpm2.TPMTPublic) { p.ObjectAttributes.EncryptedDuplication = true },
		"with a policy":     func(p *tpm2.TPMTPublic) { p.AuthPolicy.Buffer = make([]byte, 32) },
		"named with SHA-1":  func(p *tpm2.TPMTPublic) { p.NameAlg = tpm2.TPMAlgSHA1 },
		"named with SHA512": func(p *tpm2.TPMTPublic) { p.NameAlg = tpm2.TPMAlgSHA512 },
	} {
		for kind, c := range clouds(t) {
			change(&c.Template)
			if _, err := quote.CheckCloudAK(c.AKPublic()); !errors.Is(err, quote.ErrKey) {
				t.Errorf("%s %s: got %v", kind, name, err)
			}
		}
	}
	for kind, c := range clouds(t) {
		c.Template.ObjectAttributes.NoDA = true
		if _, err := quote.CheckCloudAK(c.AKPublic()); err != nil {
			t.Errorf("%s noDA: %v", kind, err)
		}
		public := c.AKPublic()
		for n := range public {
			if _, err := quote.CheckCloudAK(public[:n]); err == nil {
				t.Errorf("%s: %d of %d bytes accepted", kind, n, len(public))
			}
		}
		if _, err := quote.CheckCloudAK(append(public, 0)); err == nil {
			t.Errorf("%s: accepted with a byte behind it", kind)
		}
	}
}

// TestOwnKeyIsNotLoosened: platform tpm accepts no cloud's key.
func TestOwnKeyIsNotLoosened(t *testing.T) {
	for kind, c := range clouds(t) {
		if _, err := quote.CheckAK(c.AKPublic()); !errors.Is(err, quote.ErrKey) {
			t.Errorf("%s: got %v", kind, err)
		}
	}
	m, s := clouds(t)["ECC"].Quote(t, bound[:])
	e := &quote.Evidence{AKPublic: tpmtest.New("a").AKPublic(), Quote: m, Signature: s, PCRs: clouds(t)["ECC"].Values()}
	if _, err := e.Verify(); err == nil {
		t.Error("a cloud's quote accepted")
	}
}

func TestParseAttestRefuses(t *testing.T) {
	c := clouds(t)["ECC"]
	m, _ := c.Quote(t, bound[:])
	for n := range m {
		if _, err := quote.ParseAttest(m[:n]); !errors.Is(err, quote.ErrQuote) {
			t.Errorf("%d of %d bytes: %v", n, len(m), err)
		}
	}
	if _, err := quote.ParseAttest(append(slices.Clone(m), 0)); !errors.Is(err, quote.ErrMalformed) {
		t.Errorf("a byte behind it: %v", err)
	}
	if _, err := quote.ParseAttest(make([]byte, 4096)); !errors.Is(err, quote.ErrMalformed) {
		t.Errorf("oversized: %v", err)
	}
	safe := 6 + 2 + 34 + 2 + len(bound) + 16
	m[safe] = 2
	if _, err := quote.ParseAttest(m); !errors.Is(err, quote.ErrMalformed) {
		t.Errorf("safe is neither yes nor no: %v", err)
	}
	for name, bank := range map[string]tpm2.TPMSPCRSelection{
		"SHA-1": {Hash: tpm2.TPMAlgSHA1, PCRSelect: []byte{1, 0, 0}}, "empty": {Hash: tpm2.TPMAlgSHA256, PCRSelect: []byte{0, 0, 0}},
		"two octets": {Hash: tpm2.TPMAlgSHA256, PCRSelect: []byte{1, 0}}, "four": {Hash: tpm2.TPMAlgSHA256, PCRSelect: []byte{1, 0, 0, 0}},
	} {
		c.Attest = func(a *tpm2.TPMSAttest) {
			a.Attested = tpm2.NewTPMUAttest(tpm2.TPMSTAttestQuote, &tpm2.TPMSQuoteInfo{
				PCRSelect: tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{bank}}, PCRDigest: tpm2.TPM2BDigest{Buffer: make([]byte, 32)},
			})
		}
		m, _ := c.Quote(t, bound[:])
		if _, err := quote.ParseAttest(m); !errors.Is(err, quote.ErrQuote) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheckValuesRefuses(t *testing.T) {
	c := clouds(t)["ECC"]
	m, _ := c.Quote(t, bound[:])
	a, err := quote.ParseAttest(m)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(map[string]string){
		"one less":   func(v map[string]string) { delete(v, "pcr0") },
		"one more":   func(v map[string]string) { v["pcr24"] = v["pcr0"] },
		"another":    func(v map[string]string) { v["pcr00"] = v["pcr0"]; delete(v, "pcr0") },
		"upper case": func(v map[string]string) { v["pcr17"] = strings.ToUpper(v["pcr17"]) },
		"short":      func(v map[string]string) { v["pcr17"] = "ff" },
		"swapped":    func(v map[string]string) { v["pcr1"], v["pcr2"] = v["pcr2"], v["pcr1"] },
		"none":       func(v map[string]string) { clear(v) },
	} {
		v := c.Values()
		change(v)
		if _, err := a.CheckValues(v); !errors.Is(err, quote.ErrPCRs) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestCheckSignatureEveryBit: none of a signature may change, for an ECC key but the sign of s, which says nothing else.
func TestCheckSignatureEveryBit(t *testing.T) {
	refused := 0
	for kind, c := range clouds(t) {
		m, s := c.Quote(t, bound[:])
		for i := range 8 * len(s) {
			bad := slices.Clone(s)
			bad[i/8] ^= 1 << (i % 8)
			if err := quote.CheckSignature(c.Key.Public(), m, bad); !errors.Is(err, quote.ErrQuote) {
				t.Errorf("%s: bit %d: %v", kind, i, err)
			}
			refused++
		}
		if err := quote.CheckSignature(c.Key.Public(), m, append(s, 0)); !errors.Is(err, quote.ErrMalformed) {
			t.Errorf("%s: a byte behind it: %v", kind, err)
		}
		if err := quote.CheckSignature(nil, m, s); !errors.Is(err, quote.ErrKey) {
			t.Errorf("%s: no key: %v", kind, err)
		}
	}
	t.Logf("%d flips refused", refused)
}

func TestRSAKeyRefuses(t *testing.T) {
	k := tpmtest.RSAKey(t, "quote", 2048).N.Bytes()
	even := slices.Clone(k)
	even[255] &^= 1
	for name, n := range map[string][]byte{"none": nil, "short": k[1:], "long": append([]byte{0}, k...), "even": even, "leading zero": append([]byte{0}, k[1:]...)} {
		if _, err := quote.RSAKey(n); !errors.Is(err, quote.ErrKey) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if b := quote.RSASignature(k); len(b) != 6+256 {
		t.Errorf("signature of %d bytes", len(b))
	}
}

// FuzzParseAttest: what is accepted is a quote for go-tpm too, with the same meaning.
func FuzzParseAttest(f *testing.F) {
	seeds := 0
	for _, c := range clouds(f) {
		m, _ := c.Quote(f, bound[:])
		f.Add(m)
		seeds++
	}
	if seeds < 2 {
		f.Fatal("no seeds")
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := quote.ParseAttest(b)
		if err != nil {
			return
		}
		want, err := tpm2.Unmarshal[tpm2.TPMSAttest](b)
		if err != nil || !bytes.Equal(want.ExtraData.Buffer, a.Qualifying) || !bytes.Equal(want.QualifiedSigner.Buffer, a.Signer) {
			t.Errorf("go-tpm reads it differently: %v", err)
		}
		if !bytes.Equal(tpm2.Marshal(want), b) {
			t.Error("two encodings of one quote")
		}
	})
}
