// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/nitro/verify"
)

// stamp is when fake documents are made.
var stamp = time.Date(2026, 3, 1, 12, 0, 0, 346e6, time.UTC)

// fake is a document of a PKI shaped as AWS's: root, region, zone, instance, leaf. Tests change one thing and seal it.
type fake struct {
	certs     []*x509.Certificate // templates, the root first
	keys      []crypto.Signer
	doc       map[string]any
	payload   func([]byte) []byte // changes the payload before it is signed
	protected []byte
	message   func(protected, payload, sig []byte) []byte
	signer    crypto.Signer             // of the document; nil: the leaf's
	external  []byte                    // external data in what is signed
	seal      func([][]byte)            // changes the certificates, after they were signed
	issuers   map[int]crypto.Signer     // who signs certificate i; absent: the key of the one above
	parents   map[int]*x509.Certificate // whose name it has as its issuer's; absent: the one above
}

var fakeKeys = sync.OnceValue(func() []crypto.Signer {
	var out []crypto.Signer
	for range 5 {
		out = append(out, newKey(elliptic.P384()))
	}
	return out
})

func newKey(c elliptic.Curve) crypto.Signer {
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
}

func pcr(b byte) []byte { return bytes.Repeat([]byte{b}, 48) }

// newFake is a good one, bound to userData.
func newFake(userData []byte) *fake {
	f := &fake{keys: append([]crypto.Signer(nil), fakeKeys()...), protected: []byte{0xa1, 0x01, 0x38, 0x22}}
	for i, t := range []struct {
		name          string
		before, after time.Duration
		path          int
	}{
		{"fake.nitro-enclaves", -1e4 * time.Hour, 1e5 * time.Hour, -1},
		{"region.fake.nitro-enclaves", -100 * time.Hour, 400 * time.Hour, 2},
		{"zone.region.fake.nitro-enclaves", -10 * time.Hour, 100 * time.Hour, 1},
		{"i-0.region.fake.nitro-enclaves", -time.Hour, 23 * time.Hour, 0},
		{"i-0-enc0.region.fake", -3 * time.Second, 3 * time.Hour, -1},
	} {
		c := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i) + 1), Subject: pkix.Name{CommonName: t.name, Organization: []string{"Fake"}},
			NotBefore: stamp.Add(t.before), NotAfter: stamp.Add(t.after), BasicConstraintsValid: true, IsCA: true,
			MaxPathLen: t.path, MaxPathLenZero: t.path == 0, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
			SubjectKeyId: []byte{1, byte(i)},
		}
		if i == 4 {
			c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature
		}
		f.certs = append(f.certs, c)
	}
	pcrs := map[uint64][]byte{}
	for i := range uint64(16) {
		pcrs[i] = pcr(0)
	}
	pcrs[0], pcrs[1], pcrs[2], pcrs[4] = pcr(0xa0), pcr(0xa1), pcr(0xa2), pcr(0xa4)
	f.doc = map[string]any{
		"module_id": "i-0-enc0", "digest": "SHA384", "timestamp": uint64(stamp.UnixMilli()), "pcrs": pcrs,
		"public_key": nil, "user_data": userData, "nonce": nil,
	}
	return f
}

func (f *fake) pcrs() map[uint64][]byte { return f.doc["pcrs"].(map[uint64][]byte) }

// build signs everything and returns the message and a format that trusts its root.
func (f *fake) build(t testing.TB) ([]byte, *verify.Format) {
	t.Helper()
	var ders [][]byte
	for i, c := range f.certs {
		up := max(i-1, 0)
		parent, issuer := f.certs[up], f.keys[up]
		if f.parents[i] != nil {
			parent = f.parents[i]
		}
		if f.issuers[i] != nil {
			issuer = f.issuers[i]
		}
		der, err := x509.CreateCertificate(rand.Reader, c, parent, f.keys[i].Public(), issuer)
		if err != nil {
			t.Fatal(err)
		}
		ders = append(ders, der)
	}
	root := sha256.Sum256(ders[0])
	if f.seal != nil {
		f.seal(ders)
	}
	n := len(ders) - 1
	if f.doc["certificate"] == nil {
		f.doc["certificate"] = ders[n]
	}
	if f.doc["cabundle"] == nil {
		f.doc["cabundle"] = ders[:n]
	}
	payload := encode(t, f.doc)
	if f.payload != nil {
		payload = f.payload(payload)
	}
	sig := f.sign(t, payload, f.keys[n])
	if f.message != nil {
		return f.message(f.protected, payload, sig), verify.FormatWithRoot(root)
	}
	return encode(t, []any{f.protected, map[int]int{}, payload, sig}), verify.FormatWithRoot(root)
}

func (f *fake) sign(t testing.TB, payload []byte, leaf crypto.Signer) []byte {
	t.Helper()
	if f.signer != nil {
		leaf = f.signer
	}
	k, ok := leaf.(*ecdsa.PrivateKey)
	if !ok {
		return make([]byte, 96)
	}
	h := sha512.Sum384(encode(t, []any{"Signature1", f.protected, append([]byte{}, f.external...), payload}))
	r, s, err := ecdsa.Sign(rand.Reader, k, h[:])
	if err != nil {
		t.Fatal(err)
	}
	sig := make([]byte, 96)
	r.FillBytes(sig[:48])
	s.FillBytes(sig[48:])
	return sig
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	b, err := cbor.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func evidence(doc []byte) *attestation.Evidence {
	return &attestation.Evidence{Version: 1, Platform: attestation.PlatformNitro, Evidence: doc}
}

// references are the values that a report's first three PCRs meet.
func references(measured map[string]string) *attestation.Reference {
	m := map[string]string{}
	for _, n := range []string{"pcr0", "pcr1", "pcr2"} {
		m[n] = measured[n]
	}
	return &attestation.Reference{Version: 1, NotAfter: 1 << 40, Values: []attestation.ReferenceValue{{Name: "enclave", Platform: attestation.PlatformNitro, Measurements: m}}}
}

func fakeReferences() *attestation.Reference {
	return references(map[string]string{"pcr0": hex.EncodeToString(pcr(0xa0)), "pcr1": hex.EncodeToString(pcr(0xa1)), "pcr2": hex.EncodeToString(pcr(0xa2))})
}

// bound is a whole envelope around a fake document that is bound to the binding of seed, for the verifier of brokers.
func bound(t testing.TB, b attestation.Binding, change func(*fake)) ([]byte, *attestation.Verifier) {
	t.Helper()
	d, err := b.Digest()
	if err != nil {
		t.Fatal(err)
	}
	f := newFake(d[:])
	if change != nil {
		change(f)
	}
	doc, format := f.build(t)
	e := evidence(doc)
	e.Claims = b
	raw, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	v, err := attestation.NewVerifier(fakeReferences(), format)
	if err != nil {
		t.Fatal(err)
	}
	return raw, v
}
