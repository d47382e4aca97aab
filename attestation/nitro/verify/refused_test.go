// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/nitro/verify"
)

func TestFakeIsGood(t *testing.T) {
	doc, f := newFake(bytes.Repeat([]byte{7}, 32)).build(t)
	for _, b := range [][]byte{doc, append([]byte{0xd2}, doc...)} {
		r, err := f.Authenticate(t.Context(), evidence(b), stamp.Unix())
		if err != nil || r.Debug || r.Measurements["pcr2"] == "" {
			t.Fatalf("%+v, %v", r, err)
		}
	}
}

// cose writes the four parts of a message, as a test wants them.
func cose(t *testing.T, protected, unprotected, payload, sig any) []byte {
	return encode(t, []any{protected, unprotected, payload, sig})
}

// refusal is one thing wrong with an otherwise good, properly signed document.
type refusal struct {
	change func(*fake)
	want   error
	check  string // that fails
}

func documentRefusals(t *testing.T) map[string]refusal {
	set := func(name string, v any) func(*fake) { return func(f *fake) { f.doc[name] = v } }
	drop := func(name string) func(*fake) { return func(f *fake) { f.payload = without(t, name) } }
	doc := func(change func(*fake)) refusal { return refusal{change, verify.ErrDocument, "cose-sign1"} }
	out := map[string]refusal{
		"digest SHA256":     doc(set("digest", "SHA256")),
		"no module":         doc(set("module_id", "")),
		"time zero":         doc(set("timestamp", uint64(0))),
		"time of a text":    doc(set("timestamp", "2026")),
		"time negative":     doc(set("timestamp", -1)),
		"time beyond 2⁵³":   doc(set("timestamp", uint64(1<<53+1))),
		"no bundle":         doc(set("cabundle", [][]byte{})),
		"bundle of nine":    doc(set("cabundle", [][]byte{{1}, {1}, {1}, {1}, {1}, {1}, {1}, {1}, {1}})),
		"empty in bundle":   doc(set("cabundle", [][]byte{{}})),
		"big certificate":   doc(set("certificate", make([]byte, 1025))),
		"empty certificate": doc(set("certificate", []byte{})),
		"big user data":     doc(set("user_data", make([]byte, 1025))),
		"big nonce":         doc(set("nonce", make([]byte, 1025))),
		"big public key":    doc(set("public_key", make([]byte, 1025))),
		"user data as text": doc(set("user_data", "text")),
		"unknown member":    doc(set("more", 1)),
		"member in other case": doc(func(f *fake) {
			f.payload = func(b []byte) []byte { return bytes.Replace(b, []byte("user_data"), []byte("User_data"), 1) }
		}),
		"PCR 32": doc(func(f *fake) { f.pcrs()[32] = pcr(1) }),
		"33 PCRs": doc(func(f *fake) {
			for i := range uint64(33) {
				f.pcrs()[i] = pcr(1)
			}
		}),
		"no PCRs":            doc(set("pcrs", map[uint64][]byte{})),
		"PCRs null":          doc(set("pcrs", nil)),
		"missing PCR1":       doc(func(f *fake) { delete(f.pcrs(), 1) }),
		"PCR0 of 32 bytes":   doc(func(f *fake) { f.pcrs()[0] = make([]byte, 32) }),
		"PCR7 empty":         doc(func(f *fake) { f.pcrs()[7] = []byte{} }),
		"PCR7 null":          doc(func(f *fake) { f.pcrs()[7] = nil }),
		"PCR index text":     doc(set("pcrs", map[string][]byte{"0": pcr(1), "1": pcr(1), "2": pcr(1)})),
		"PCR index negative": doc(set("pcrs", map[int][]byte{-1: pcr(1), 0: pcr(1), 1: pcr(1), 2: pcr(1)})),
		"payload trailing":   doc(func(f *fake) { f.payload = func(b []byte) []byte { return append(b, 0) } }),
		"payload cut":        doc(func(f *fake) { f.payload = func(b []byte) []byte { return b[:len(b)-1] } }),
		"payload no map":     doc(func(f *fake) { f.payload = func([]byte) []byte { return []byte{0x80} } }),
		"payload a huge map": doc(func(f *fake) {
			f.payload = func([]byte) []byte { return []byte{0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff} }
		}),
		"payload a huge bytes": doc(func(f *fake) {
			f.payload = func([]byte) []byte {
				return []byte{0xa1, 0x65, 'n', 'o', 'n', 'c', 'e', 0x5b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
			}
		}),
		"payload tagged": doc(func(f *fake) { f.payload = func(b []byte) []byte { return append([]byte{0xd9, 0xd9, 0xf7}, b...) } }),
		"payload nested": doc(func(f *fake) {
			f.payload = func([]byte) []byte { return append(bytes.Repeat([]byte{0x81}, 9000), 0) }
		}),
		"duplicate user data": doc(func(f *fake) { f.payload = twice("user_data", make([]byte, 32)) }),
		"duplicate PCR0":      doc(func(f *fake) { f.payload = duplicatePCR }),
	}
	for _, name := range []string{"module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle"} {
		out["without "+name] = doc(drop(name))
	}
	return out
}

// without takes a member out of an encoded document.
func without(t *testing.T, name string) func([]byte) []byte {
	return func(b []byte) []byte {
		var m map[string]cbor.RawMessage
		if err := cbor.Unmarshal(b, &m); err != nil {
			t.Fatal(err)
		}
		delete(m, name)
		return encode(t, m)
	}
}

// twice adds a member that is there already. The map has nine, so its head is one byte.
func twice(name string, v []byte) func([]byte) []byte {
	return func(b []byte) []byte {
		b = append([]byte{b[0] + 1}, b[1:]...)
		b = append(append(b, 0x60|byte(len(name))), name...)
		return append(append(b, 0x58, byte(len(v))), v...)
	}
}

// duplicatePCR renames PCR 5, which is zero, to a second PCR 0.
func duplicatePCR(b []byte) []byte {
	old := append([]byte{5, 0x58, 48}, pcr(0)...)
	return bytes.Replace(b, old, append([]byte{0, 0x58, 48}, pcr(0xee)...), 1)
}

func messageRefusals(t *testing.T) map[string]refusal {
	msg := func(build func(protected, payload, sig []byte) []byte) refusal {
		return refusal{func(f *fake) { f.message = build }, verify.ErrDocument, "cose-sign1"}
	}
	alg := func(protected []byte) refusal {
		return refusal{func(f *fake) { f.protected = protected }, verify.ErrDocument, "cose-sign1"}
	}
	empty := map[int]int{}
	return map[string]refusal{
		"alg ES256":             alg([]byte{0xa1, 0x01, 0x26}),
		"alg ES512":             alg([]byte{0xa1, 0x01, 0x38, 0x23}),
		"alg none":              alg([]byte{0xa1, 0x01, 0x00}),
		"alg missing":           alg([]byte{0xa0}),
		"protected empty":       alg([]byte{}),
		"extra protected":       alg([]byte{0xa2, 0x01, 0x38, 0x22, 0x04, 0x41, 0x00}),
		"crit":                  alg([]byte{0xa2, 0x01, 0x38, 0x22, 0x02, 0x81, 0x01}),
		"duplicate alg":         alg([]byte{0xa2, 0x01, 0x38, 0x22, 0x01, 0x26}),
		"alg spelled longer":    alg([]byte{0xa1, 0x01, 0x39, 0x00, 0x22}),
		"alg with trailing":     alg([]byte{0xa1, 0x01, 0x38, 0x22, 0x00}),
		"unprotected header":    msg(func(p, d, s []byte) []byte { return cose(t, p, map[int]int{1: -35}, d, s) }),
		"unprotected unknown":   msg(func(p, d, s []byte) []byte { return cose(t, p, map[string]int{"x": 1}, d, s) }),
		"unprotected null":      msg(func(p, d, s []byte) []byte { return cose(t, p, nil, d, s) }),
		"detached payload":      msg(func(p, _, s []byte) []byte { return cose(t, p, empty, nil, s) }),
		"empty payload":         msg(func(p, _, s []byte) []byte { return cose(t, p, empty, []byte{}, s) }),
		"payload as text":       msg(func(p, d, s []byte) []byte { return cose(t, p, empty, string(d[:20]), s) }),
		"big payload":           msg(func(p, _, s []byte) []byte { return cose(t, p, empty, make([]byte, 16385), s) }),
		"short signature":       msg(func(p, d, s []byte) []byte { return cose(t, p, empty, d, s[:95]) }),
		"long signature":        msg(func(p, d, s []byte) []byte { return cose(t, p, empty, d, append(s, 0)) }),
		"no signature":          msg(func(p, d, _ []byte) []byte { return cose(t, p, empty, d, nil) }),
		"three parts":           msg(func(p, d, _ []byte) []byte { return encode(t, []any{p, empty, d}) }),
		"five parts":            msg(func(p, d, s []byte) []byte { return encode(t, []any{p, empty, d, s, 0}) }),
		"trailing bytes":        msg(func(p, d, s []byte) []byte { return append(cose(t, p, empty, d, s), 0) }),
		"cut":                   msg(func(p, d, s []byte) []byte { b := cose(t, p, empty, d, s); return b[:len(b)-1] }),
		"other tag":             msg(func(p, d, s []byte) []byte { return append([]byte{0xd1}, cose(t, p, empty, d, s)...) }),
		"tag twice":             msg(func(p, d, s []byte) []byte { return append([]byte{0xd2, 0xd2}, cose(t, p, empty, d, s)...) }),
		"tag and nothing":       msg(func(_, _, _ []byte) []byte { return []byte{0xd2} }),
		"indefinite array":      msg(func(p, d, s []byte) []byte { return append(append([]byte{0x9f}, cose(t, p, empty, d, s)[1:]...), 0xff) }),
		"array head longer":     msg(func(p, d, s []byte) []byte { return append([]byte{0x98, 4}, cose(t, p, empty, d, s)[1:]...) }),
		"protected head longer": msg(func(p, d, s []byte) []byte { return append([]byte{0x84, 0x58, 4}, cose(t, p, empty, d, s)[2:]...) }),
		"huge array":            msg(func(_, _, _ []byte) []byte { return []byte{0x9b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff} }),
		"huge bytes":            msg(func(_, _, _ []byte) []byte { return []byte{0x84, 0x5b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff} }),
		"empty":                 msg(func(_, _, _ []byte) []byte { return nil }),
		"oversized":             msg(func(_, _, _ []byte) []byte { return make([]byte, 1<<20) }),
		"random": msg(func(_, _, _ []byte) []byte {
			b := make([]byte, 4000)
			rand.Read(b)
			return b
		}),
	}
}

// keyRefusals are certificates that are refused by their kind, before any key is used.
func keyRefusals() map[string]refusal {
	key := func(i int, c elliptic.Curve) func(*fake) {
		// Signed by a key on P-384, so that the signature has its 96 bytes.
		return func(f *fake) { f.keys[i], f.signer = newKey(c), f.keys[4] }
	}
	rsaLeaf := func(f *fake) {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		f.keys[4] = k
	}
	kind := func(change func(*fake)) refusal { return refusal{change, verify.ErrChain, "certificates"} }
	unknown := pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}
	return map[string]refusal{
		"P-521 leaf":           kind(key(4, elliptic.P521())),
		"P-256 leaf":           kind(key(4, elliptic.P256())),
		"P-224 leaf":           kind(key(4, elliptic.P224())),
		"RSA leaf":             kind(rsaLeaf),
		"P-256 instance":       kind(key(3, elliptic.P256())),
		"SHA-256 leaf":         kind(func(f *fake) { f.certs[4].SignatureAlgorithm = x509.ECDSAWithSHA256 }),
		"critical extension":   kind(func(f *fake) { f.certs[2].ExtraExtensions = []pkix.Extension{unknown} }),
		"certificate cut":      kind(func(f *fake) { f.seal = func(c [][]byte) { c[3] = c[3][:len(c[3])-1] } }),
		"certificate trailing": kind(func(f *fake) { f.seal = func(c [][]byte) { c[4] = append(c[4], 0) } }),
	}
}

func chainRefusals() map[string]refusal {
	chain := func(change func(*fake)) refusal { return refusal{change, verify.ErrChain, "certificate-chain"} }
	at := func(change func(*fake)) refusal { return refusal{change, verify.ErrTime, "certificate-validity"} }
	sig := func(change func(*fake)) refusal {
		return refusal{change, verify.ErrSignature, "document-signature"}
	}
	// The attack that a chain is against: everything as AWS has it, but one certificate is by a stranger's key, who has the
	// keys from there on. The key identifiers are as they should be.
	stranger := func(i int) refusal {
		return chain(func(f *fake) { f.issuers = map[int]crypto.Signer{i: newKey(elliptic.P384())} })
	}
	named := func(i int) refusal {
		return chain(func(f *fake) {
			other := *f.certs[i-1]
			other.Subject = pkix.Name{CommonName: "another"}
			f.parents = map[int]*x509.Certificate{i: &other}
		})
	}
	return map[string]refusal{
		"stranger's region":      stranger(1),
		"stranger's zone":        stranger(2),
		"stranger's instance":    stranger(3),
		"stranger's leaf":        stranger(4),
		"region of another name": named(1),
		"leaf of another name":   named(4),
		"CA without usage":       chain(func(f *fake) { f.certs[2].KeyUsage = 0 }),
		"bundle reversed":        {func(f *fake) { f.seal = func(c [][]byte) { c[0], c[1] = c[1], c[0] } }, verify.ErrRoot, "root"},
		"root left out":          {func(f *fake) { f.seal = func(c [][]byte) { f.doc["cabundle"] = c[1:4] } }, verify.ErrRoot, "root"},
		"signed by another key":  sig(func(f *fake) { f.signer = newKey(elliptic.P384()) }),
		"signed by the CA":       sig(func(f *fake) { f.signer = f.keys[3] }),
		"external data":          sig(func(f *fake) { f.external = []byte{1} }),
		"signature of zeros":     sig(func(f *fake) { f.message = func(p, d, _ []byte) []byte { return mustCOSE(p, d, make([]byte, 96)) } }),
		"instance left out":      chain(func(f *fake) { f.seal = func(c [][]byte) { f.doc["cabundle"] = c[:3] } }),
		"zone and region":        chain(func(f *fake) { f.seal = func(c [][]byte) { c[1], c[2] = c[2], c[1] } }),
		"CA is none":             chain(func(f *fake) { f.certs[2].IsCA, f.certs[2].MaxPathLen, f.certs[2].MaxPathLenZero = false, -1, false }),
		"no basic constraints":   chain(func(f *fake) { f.certs[3].BasicConstraintsValid = false }),
		"CA may not sign":        chain(func(f *fake) { f.certs[1].KeyUsage = x509.KeyUsageCRLSign }),
		"path too long":          chain(func(f *fake) { f.certs[1].MaxPathLen = 1 }),
		"path too long at zero":  chain(func(f *fake) { f.certs[2].MaxPathLen, f.certs[2].MaxPathLenZero = 0, true }),
		"leaf is a CA": chain(func(f *fake) {
			f.certs[4].IsCA, f.certs[4].KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageDigitalSignature
		}),
		"leaf may not sign":      chain(func(f *fake) { f.certs[4].KeyUsage = x509.KeyUsageKeyAgreement }),
		"leaf without usage":     chain(func(f *fake) { f.certs[4].KeyUsage = 0 }),
		"expired leaf":           at(func(f *fake) { f.certs[4].NotAfter = stamp.Add(-time.Second) }),
		"expired zone":           at(func(f *fake) { f.certs[2].NotAfter = stamp.Add(-time.Second) }),
		"expired root":           at(func(f *fake) { f.certs[0].NotAfter = stamp.Add(-time.Second) }),
		"leaf of tomorrow":       at(func(f *fake) { f.certs[4].NotBefore = stamp.Add(time.Hour) }),
		"document before leaf":   at(func(f *fake) { f.doc["timestamp"] = uint64(stamp.Add(-time.Minute).UnixMilli()) }),
		"document of the future": {func(f *fake) { f.doc["timestamp"] = uint64(stamp.Add(3 * time.Minute).UnixMilli()) }, verify.ErrTime, "document-time"},
	}
}

func mustCOSE(p, d, s []byte) []byte {
	b, err := cbor.Marshal([]any{p, map[int]int{}, d, s})
	if err != nil {
		panic(err)
	}
	return b
}

// TestRefusals: each thing that is wrong alone is refused, for its own reason, at its own check, which is the last.
func TestRefusals(t *testing.T) {
	n := 0
	for _, table := range []map[string]refusal{documentRefusals(t), messageRefusals(t), keyRefusals(), chainRefusals(), useRefusals(t)} {
		for name, c := range table {
			f := newFake(make([]byte, 32))
			c.change(f)
			doc, format := f.build(t)
			r, err := format.Authenticate(t.Context(), evidence(doc), stamp.Unix())
			if !errors.Is(err, c.want) {
				t.Errorf("%s: got %v, want %v", name, err, c.want)
				continue
			}
			if last := r.Checks[len(r.Checks)-1]; last.Name != c.check || last.Outcome != attestation.Fail {
				t.Errorf("%s: %+v, want %s", name, last, c.check)
			}
			if r.Assurance != "" || r.Measurements != nil || r.Bound != nil {
				t.Errorf("%s: refused evidence has results: %+v", name, r)
			}
			n++
		}
	}
	t.Logf("%d kinds of bad document refused", n)
}

// TestMixedDocuments: parts of two good documents under one root make no third.
func TestMixedDocuments(t *testing.T) {
	other := newFake(nil)
	other.keys[4] = newKey(elliptic.P384())
	other.build(t)
	for name, change := range map[string]func(*fake){
		"another document's certificate": func(f *fake) { f.doc["certificate"] = other.doc["certificate"] },
	} {
		f := newFake(make([]byte, 32))
		change(f)
		doc, format := f.build(t)
		if _, err := format.Authenticate(t.Context(), evidence(doc), stamp.Unix()); !errors.Is(err, verify.ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestWrongRoot: a PKI that looks like AWS's is not AWS's.
func TestWrongRoot(t *testing.T) {
	f := newFake(make([]byte, 32))
	f.certs[0].Subject = pkix.Name{Country: []string{"US"}, Organization: []string{"Amazon"}, OrganizationalUnit: []string{"AWS"}, CommonName: "aws.nitro-enclaves"}
	doc, _ := f.build(t)
	format, err := verify.NewFormat()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := format.Authenticate(t.Context(), evidence(doc), stamp.Unix()); !errors.Is(err, verify.ErrRoot) {
		t.Error(err)
	}
}

func TestNoEvidence(t *testing.T) {
	doc, f := newFake(make([]byte, 32)).build(t)
	if r, err := f.Authenticate(t.Context(), nil, stamp.Unix()); err == nil || r != nil {
		t.Error("nil evidence")
	}
	if r, err := f.Authenticate(t.Context(), evidence(doc), 0); err == nil || r != nil {
		t.Error("no time")
	}
	e := evidence(doc)
	e.EventLogs = []attestation.EventLog{{Type: attestation.TCG2Log, Body: []byte{1}}}
	if _, err := f.Authenticate(t.Context(), e, stamp.Unix()); !errors.Is(err, verify.ErrDocument) {
		t.Error(err)
	}
}

// crl is a list of revoked serial numbers by certificate i of f.
func crl(t *testing.T, f *fake, i int, from time.Time, serials ...int64) []byte {
	t.Helper()
	l := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: from, NextUpdate: from.Add(24 * time.Hour)}
	for _, s := range serials {
		l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(s), RevocationTime: from})
	}
	b, err := x509.CreateRevocationList(rand.Reader, l, f.certs[i], f.keys[i])
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRevocation(t *testing.T) {
	f := newFake(make([]byte, 32))
	doc, format := f.build(t)
	hour := stamp.Add(-time.Hour)
	stranger := newFake(nil)
	stranger.keys = []crypto.Signer{newKey(elliptic.P384()), newKey(elliptic.P384())}
	nobody := newFake(nil)
	nobody.certs[0].Subject.CommonName = "nobody"
	good := crl(t, f, 0, hour, 77)
	flipped := bytes.Clone(good)
	flipped[len(flipped)-9] ^= 1
	for name, c := range map[string]struct {
		crls [][]byte
		want error
	}{
		"none":            {nil, nil},
		"of the root":     {[][]byte{good, crl(t, f, 1, hour)}, nil},
		"region revoked":  {[][]byte{crl(t, f, 0, hour, 2)}, verify.ErrRevoked},
		"leaf revoked":    {[][]byte{good, crl(t, f, 3, hour, 5)}, verify.ErrRevoked},
		"other key":       {[][]byte{crl(t, stranger, 0, hour, 77)}, verify.ErrRevoked},
		"of nobody here":  {[][]byte{crl(t, nobody, 0, hour)}, verify.ErrRevoked},
		"flipped":         {[][]byte{flipped}, verify.ErrRevoked},
		"no CRL":          {[][]byte{{1, 2, 3}}, verify.ErrRevoked},
		"too many":        {[][]byte{good, good, good, good, good}, verify.ErrRevoked},
		"oversized":       {[][]byte{make([]byte, 1<<20+1)}, verify.ErrRevoked},
		"good then wrong": {[][]byte{good, {0}}, verify.ErrRevoked},
	} {
		e := evidence(doc)
		for _, b := range c.crls {
			e.Endorsements = append(e.Endorsements, attestation.Endorsement{Type: attestation.CRLType, Body: b})
		}
		r, err := format.Authenticate(t.Context(), e, stamp.Unix())
		if !errors.Is(err, c.want) || err == nil && len(r.Collateral) != 5+len(c.crls) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestWholeVerification puts evidence to the verifier that brokers have: what authenticates is not yet accepted.
func TestWholeVerification(t *testing.T) {
	b := attestationtest.Binding(t, "nitro")
	d, err := b.Digest()
	if err != nil {
		t.Fatal(err)
	}
	field := func(name string, v any) func(*fake) { return func(f *fake) { f.doc[name] = v } }
	tail := append(bytes.Clone(d[:]), make([]byte, 32)...)
	for name, c := range map[string]struct {
		change func(*fake)
		at     time.Time
		want   error
	}{
		"good":                {nil, stamp, nil},
		"nonce too":           {field("nonce", d[:]), stamp, nil},
		"clock behind":        {nil, stamp.Add(-time.Minute), nil},
		"empty nonce":         {field("nonce", []byte{}), stamp, nil},
		"other nonce":         {field("nonce", make([]byte, 32)), stamp, attestation.ErrBind},
		"other user data":     {field("user_data", make([]byte, 32)), stamp, attestation.ErrBind},
		"no user data":        {field("user_data", nil), stamp, attestation.ErrBind},
		"user data with tail": {field("user_data", tail), stamp, attestation.ErrBind},
		"cut user data":       {field("user_data", d[:31]), stamp, attestation.ErrBind},
		"d in the nonce":      {func(f *fake) { f.doc["nonce"], f.doc["user_data"] = d[:], nil }, stamp, attestation.ErrBind},
		"debug":               {func(f *fake) { f.pcrs()[0], f.pcrs()[1], f.pcrs()[2] = pcr(0), pcr(0), pcr(0) }, stamp, attestation.ErrAppraise},
		"zeroed PCR1":         {func(f *fake) { f.pcrs()[1] = pcr(0) }, stamp, attestation.ErrAppraise},
		"other image":         {func(f *fake) { f.pcrs()[0] = pcr(9) }, stamp, attestation.ErrAppraise},
		"stale":               {nil, stamp.Add(3*time.Hour + time.Second), attestation.ErrAppraise},
		"instance expired":    {func(f *fake) { f.certs[3].NotAfter = stamp.Add(time.Minute) }, stamp.Add(time.Hour), attestation.ErrAppraise},
		"from the future":     {nil, stamp.Add(-3 * time.Minute), attestation.ErrAuthenticate},
	} {
		raw, v := bound(t, b, c.change)
		claims, err := v.Verify(t.Context(), raw, c.at.Unix())
		if !errors.Is(err, c.want) || (err == nil) != claims.Valid() {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil && claims.Assurance() != attestation.AssuranceTEE {
			t.Errorf("%s: %s", name, claims.Assurance())
		}
	}
}

// TestAnotherKeysEvidence: evidence for one binding does not serve another, which has other keys and other nonces.
func TestAnotherKeysEvidence(t *testing.T) {
	raw, v := bound(t, attestationtest.Binding(t, "first"), nil)
	e, err := attestation.ParseEvidence(raw)
	if err != nil {
		t.Fatal(err)
	}
	e.Claims = attestationtest.Binding(t, "second")
	raw, err = e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(t.Context(), raw, stamp.Unix()); !errors.Is(err, attestation.ErrBind) {
		t.Error(err)
	}
}
