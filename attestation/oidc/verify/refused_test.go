// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/oidc/verify"
)

// refusal is one thing wrong with an otherwise good, properly signed token.
type refusal struct {
	change func(*fake)
	want   error
	check  string // that fails
}

func TestFakesAreGood(t *testing.T) {
	for name, f := range map[string]*fake{"certificates": newFake("0123456789"), "published key": published("0123456789")} {
		token, format := f.build(t)
		r, err := format.Authenticate(t.Context(), evidence(token), stamp.Unix())
		if err != nil || r.Debug || r.Assurance != attestation.AssuranceTEE || r.Measurements["image"] != image || r.Measurements["args"] == "" {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

func head(change func(map[string]any)) func(*fake) {
	return func(f *fake) { change(f.header) }
}

func rawHeader(t *testing.T, old, new string) func(*fake) {
	return func(f *fake) { f.raw = func(h, p string) (string, string) { return swap(t, h, old, new), p } }
}

func rawPayload(t *testing.T, old, new string) func(*fake) {
	return func(f *fake) { f.raw = func(h, p string) (string, string) { return h, swap(t, p, old, new) } }
}

func tokenRefusals(t *testing.T) map[string]refusal {
	bad := func(change func(*fake)) refusal { return refusal{change, verify.ErrToken, "token"} }
	return map[string]refusal{
		"alg none":            bad(head(func(h map[string]any) { h["alg"] = "none" })),
		"alg HS256":           bad(head(func(h map[string]any) { h["alg"] = "HS256" })),
		"alg PS256":           bad(head(func(h map[string]any) { h["alg"] = "PS256" })),
		"alg ES256":           bad(head(func(h map[string]any) { h["alg"] = "ES256" })),
		"alg missing":         bad(head(func(h map[string]any) { delete(h, "alg") })),
		"alg in other case":   bad(rawHeader(t, `"alg"`, `"Alg"`)),
		"alg twice":           bad(rawHeader(t, `"alg":"RS256"`, `"alg":"none","alg":"RS256"`)),
		"typ missing":         bad(head(func(h map[string]any) { delete(h, "typ") })),
		"typ other":           bad(head(func(h map[string]any) { h["typ"] = "at+jwt" })),
		"crit":                bad(head(func(h map[string]any) { h["crit"] = []string{"exp"} })),
		"jku":                 bad(head(func(h map[string]any) { h["jku"] = "https://example.com/keys" })),
		"jwk":                 bad(head(func(h map[string]any) { h["jwk"] = map[string]string{} })),
		"x5u":                 bad(head(func(h map[string]any) { h["x5u"] = "https://example.com/cert" })),
		"kid null":            bad(rawHeader(t, `"kid":"published"`, `"kid":null`)),
		"kid empty":           bad(rawHeader(t, `"kid":"published"`, `"kid":""`)),
		"header trailing":     bad(rawHeader(t, `{`, `{}{`)),
		"header no object":    bad(func(f *fake) { f.raw = func(_, p string) (string, string) { return `"RS256"`, p } }),
		"payload no object":   {func(f *fake) { f.raw = func(h, _ string) (string, string) { return h, `[]` } }, verify.ErrToken, "claims"},
		"payload trailing":    {func(f *fake) { f.raw = func(h, p string) (string, string) { return h, p + "{}" } }, verify.ErrToken, "claims"},
		"payload not UTF-8":   {rawPayload(t, `instance`, "\xff"), verify.ErrToken, "claims"},
		"claim twice":         {rawPayload(t, `"dbgstat"`, `"dbgstat":"enabled","dbgstat"`), verify.ErrToken, "claims"},
		"inner claim twice":   {rawPayload(t, `"image_digest"`, `"image_digest":"x","image_digest"`), verify.ErrToken, "claims"},
		"claim twice by case": {rawPayload(t, `"dbgstat"`, `"DBGSTAT":"enabled","dbgstat"`), verify.ErrToken, "claims"},
		"oversized":           bad(func(f *fake) { f.claims["x"] = strings.Repeat("x", 40<<10) }),
	}
}

func claimRefusals(t *testing.T) map[string]refusal {
	set := func(name string, v any) refusal {
		return refusal{func(f *fake) { f.claims[name] = v }, verify.ErrClaims, "claims"}
	}
	box := func(name string, v any) refusal {
		return refusal{func(f *fake) { f.sub("container")[name] = v }, verify.ErrClaims, "claims"}
	}
	at := func(check string, want error, change func(*fake)) refusal { return refusal{change, want, check} }
	out := map[string]refusal{
		"iss other":            at("issuer", verify.ErrIssuer, func(f *fake) { f.claims["iss"] = "https://accounts.google.com" }),
		"iss with slash":       at("issuer", verify.ErrIssuer, func(f *fake) { f.claims["iss"] = verify.Issuer + "/" }),
		"swname GCE":           at("software", verify.ErrClaims, func(f *fake) { f.claims["swname"] = "GCE" }),
		"no container":         at("image", verify.ErrClaims, func(f *fake) { delete(f.claims["submods"].(map[string]any), "container") }),
		"no submods":           at("image", verify.ErrClaims, func(f *fake) { delete(f.claims, "submods") }),
		"unknown hardware":     at("hardware", verify.ErrClaims, func(f *fake) { f.claims["hwmodel"] = "GCP_NEW" }),
		"hardware in case":     at("hardware", verify.ErrClaims, func(f *fake) { f.claims["hwmodel"] = "gcp_intel_tdx" }),
		"aud list":             set("aud", []string{audience}),
		"aud empty":            set("aud", ""),
		"exp text":             set("exp", "1772370000"),
		"exp fraction":         set("exp", 1772370000.5),
		"exp before iat":       set("exp", stamp.Unix()),
		"exp of next week":     set("exp", stamp.Add(7*24*time.Hour).Unix()),
		"exp huge":             set("exp", 1e18),
		"iat zero":             set("iat", 0),
		"nbf negative":         set("nbf", -1),
		"nbf after iat":        set("nbf", stamp.Add(30*time.Minute).Unix()),
		"secboot text":         set("secboot", "true"),
		"dbgstat list":         set("dbgstat", []string{"disabled-since-boot"}),
		"eat_nonce number":     set("eat_nonce", 7),
		"eat_nonce mixed":      set("eat_nonce", []any{"x", 7}),
		"eat_nonce empty text": set("eat_nonce", ""),
		"eat_nonce of seven":   set("eat_nonce", []string{"1", "2", "3", "4", "5", "6", "7"}),
		"submods a list":       set("submods", []string{}),
		"submods null":         at("image", verify.ErrClaims, func(f *fake) { f.claims["submods"] = nil }),
		"long claim":           set("sub", strings.Repeat("x", 2000)),
		"attester_tcb text":    set("attester_tcb", "INTEL"),
		"image upper case":     box("image_digest", "sha256:"+strings.ToUpper(image)),
		"image without sha256": box("image_digest", image),
		"image of SHA-512":     box("image_digest", "sha512:"+image+image),
		"image cut":            box("image_digest", "sha256:"+image[:62]),
		"image empty":          box("image_digest", ""),
		"image null":           box("image_digest", nil),
		"image id wrong":       box("image_id", "latest"),
		"args text":            box("args", "/enclave"),
		"env list":             box("env", []string{"A=B"}),
		"token holds later": at("token-time", verify.ErrTime, func(f *fake) {
			f.claims["iat"], f.claims["nbf"] = stamp.Add(90*time.Second).Unix(), stamp.Add(3*time.Minute).Unix()
		}),
		"future token": at("token-time", verify.ErrTime, func(f *fake) {
			f.claims["iat"], f.claims["nbf"] = stamp.Add(3*time.Minute).Unix(), stamp.Add(3*time.Minute).Unix()
		}),
	}
	for _, name := range []string{"iss", "aud", "exp", "nbf", "iat", "hwmodel", "swname", "dbgstat", "secboot"} {
		out["without "+name] = refusal{func(f *fake) { delete(f.claims, name) }, verify.ErrClaims, "claims"}
		out["null "+name] = set(name, nil)
		// Spelled in another case it is another claim, whatever Go's JSON thinks.
		out["upper "+name] = refusal{rawPayload(t, `"`+name+`"`, `"`+strings.ToUpper(name)+`"`), verify.ErrClaims, "claims"}
	}
	return out
}

func chainRefusals() map[string]refusal {
	cert := func(change func(p *pki)) func(*fake) { return func(f *fake) { change(f.pki) } }
	seal := func(change func([][]byte) [][]byte) func(*fake) { return func(f *fake) { f.sealed = change } }
	form := func(change func(*fake)) refusal { return refusal{change, verify.ErrChain, "token"} }
	chain := func(change func(*fake)) refusal { return refusal{change, verify.ErrChain, "certificate-chain"} }
	root := func(change func(*fake)) refusal { return refusal{change, verify.ErrRoot, "root"} }
	at := func(change func(*fake)) refusal { return refusal{change, verify.ErrTime, "certificate-validity"} }
	sig := func(change func(*fake)) refusal { return refusal{change, verify.ErrSignature, "token-signature"} }
	unknown := pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}
	// The attack that a chain is against: everything as Google has it, but one certificate is by a stranger's key, who has
	// the leaf's.
	stranger := func(i int) refusal {
		return chain(cert(func(p *pki) { p.issuers = map[int]*rsa.PrivateKey{i: fakeKeys()[4]} }))
	}
	named := func(i int) refusal {
		return chain(cert(func(p *pki) {
			other := *p.certs[i+1]
			other.Subject = pkix.Name{CommonName: "another"}
			p.parents = map[int]*x509.Certificate{i: &other}
		}))
	}
	return map[string]refusal{
		"stranger's leaf":              stranger(0),
		"stranger's intermediate":      stranger(1),
		"leaf of another name":         named(0),
		"intermediate of another name": named(1),
		"CA without usage":             chain(cert(func(p *pki) { p.certs[1].KeyUsage = 0 })),
		"leaf alone":                   form(seal(func(c [][]byte) [][]byte { return c[:1] })),
		"five certificates":            form(seal(func(c [][]byte) [][]byte { return append(c, c[2], c[2]) })),
		"no certificate":               form(seal(func(c [][]byte) [][]byte { return [][]byte{{1}, {2}} })),
		"big certificate":              form(seal(func(c [][]byte) [][]byte { return [][]byte{make([]byte, 5000), c[2]} })),
		"trailing byte":                form(seal(func(c [][]byte) [][]byte { return [][]byte{append(c[0], 0), c[1], c[2]} })),
		"EC leaf":                      form(seal(func(c [][]byte) [][]byte { return [][]byte{ecLeaf(), c[1], c[2]} })),
		"1024-bit leaf":                form(func(f *fake) { f.pki.keys[0] = weakKey() }),
		"SHA-512 leaf":                 form(cert(func(p *pki) { p.certs[0].SignatureAlgorithm = x509.SHA512WithRSA })),
		"critical extension":           form(cert(func(p *pki) { p.certs[1].ExtraExtensions = []pkix.Extension{unknown} })),
		"critical name constraints": form(cert(func(p *pki) {
			p.certs[1].PermittedDNSDomainsCritical, p.certs[1].PermittedDNSDomains = true, []string{"only.example"}
			p.certs[0].DNSNames = []string{"evil.test"}
		})),
		"leaf for TLS servers":  form(cert(func(p *pki) { p.certs[0].ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })),
		"CA for TLS servers":    form(cert(func(p *pki) { p.certs[1].ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })),
		"root left out":         root(seal(func(c [][]byte) [][]byte { return c[:2] })),
		"reversed":              root(seal(func(c [][]byte) [][]byte { return [][]byte{c[2], c[1], c[0]} })),
		"intermediate left out": chain(seal(func(c [][]byte) [][]byte { return [][]byte{c[0], c[2]} })),
		"intermediate twice":    chain(seal(func(c [][]byte) [][]byte { return [][]byte{c[0], c[1], c[1], c[2]} })),
		"CA is none":            chain(cert(func(p *pki) { p.certs[1].IsCA, p.certs[1].KeyUsage = false, x509.KeyUsageDigitalSignature })),
		"CA may not sign":       chain(cert(func(p *pki) { p.certs[1].KeyUsage = x509.KeyUsageCRLSign })),
		"path too long":         chain(cert(func(p *pki) { p.certs[2].MaxPathLen, p.certs[2].MaxPathLenZero = 0, true })),
		"leaf is a CA":          chain(cert(func(p *pki) { p.certs[0].IsCA = true })),
		"leaf for encryption":   chain(cert(func(p *pki) { p.certs[0].KeyUsage = x509.KeyUsageKeyEncipherment })),
		"expired leaf":          at(cert(func(p *pki) { p.certs[0].NotAfter = stamp.Add(-time.Second) })),
		"expired intermediate":  at(cert(func(p *pki) { p.certs[1].NotAfter = stamp.Add(-time.Second) })),
		"expired root":          at(cert(func(p *pki) { p.certs[2].NotAfter = stamp.Add(-time.Second) })),
		"leaf of tomorrow":      at(cert(func(p *pki) { p.certs[0].NotBefore = stamp.Add(time.Hour) })),
		"signed by another":     sig(func(f *fake) { f.signer = fakeKeys()[4] }),
		"signed by published":   sig(func(f *fake) { f.signer = fakeKeys()[3] }),
		"signed by the CA":      sig(func(f *fake) { f.signer = fakeKeys()[1] }),
	}
}

func ecLeaf() []byte {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: stamp.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, k.Public(), k)
	if err != nil {
		panic(err)
	}
	return der
}

// weakKey has a modulus that Go does not make any more, of two primes that it does.
func weakKey() *rsa.PrivateKey {
	k := fakeKeys()[4]
	p, q := mustPrime(), mustPrime()
	phi := new(big.Int).Mul(new(big.Int).Sub(p, big.NewInt(1)), new(big.Int).Sub(q, big.NewInt(1)))
	return &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: k.E}, D: new(big.Int).ModInverse(big.NewInt(int64(k.E)), phi), Primes: []*big.Int{p, q}}
}

func mustPrime() *big.Int {
	p, err := rand.Prime(rand.Reader, 512)
	if err != nil {
		panic(err)
	}
	return p
}

// TestRefusals: each thing that is wrong alone is refused, for its own reason, at its own check, which is the last.
func TestRefusals(t *testing.T) {
	n := 0
	try := func(name string, f *fake, c refusal) {
		c.change(f)
		if name == "1024-bit leaf" { // the key cannot sign under Go's own rules; the certificate is refused before
			f.signer = fakeKeys()[4]
		}
		token, format := f.build(t)
		r, err := format.Authenticate(t.Context(), evidence(token), stamp.Unix())
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
			return
		}
		if last := r.Checks[len(r.Checks)-1]; last.Name != c.check || last.Outcome != attestation.Fail {
			t.Errorf("%s: %+v, want %s", name, last, c.check)
		}
		if r.Assurance != "" || r.Measurements != nil || r.Bound != nil {
			t.Errorf("%s: refused evidence has results: %+v", name, r)
		}
		n++
	}
	for _, table := range []map[string]refusal{tokenRefusals(t), claimRefusals(t), chainRefusals()} {
		for name, c := range table {
			try(name, newFake("0123456789"), c)
		}
	}
	for _, table := range []map[string]refusal{tokenRefusals(t), claimRefusals(t)} {
		for name, c := range table {
			try(name+", published key", published("0123456789"), c)
		}
	}
	t.Logf("%d kinds of bad token refused", n)
}

func TestWrongRoot(t *testing.T) {
	f := newFake("0123456789")
	f.pki.certs[2].Subject = pkix.Name{Organization: []string{"Google LLC"}, CommonName: "Confidential Space Root CA"}
	token, _ := f.build(t)
	format, err := verify.NewFormat()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := format.Authenticate(t.Context(), evidence(token), stamp.Unix()); !errors.Is(err, verify.ErrRoot) {
		t.Error(err)
	}
}

// TestJWKSInEnvelopeIsIgnored: a stranger brings a token and, as endorsement, the key that it was signed with.
func TestJWKSInEnvelopeIsIgnored(t *testing.T) {
	f := published("0123456789")
	f.signer = fakeKeys()[4]
	for _, kid := range []string{"published", "stranger"} {
		f.header["kid"] = kid
		token, format := f.build(t)
		e := evidence(token)
		for _, typ := range []string{"application/jwk-set+json", attestation.CertificateType, attestation.ChainType} {
			e.Endorsements = append(e.Endorsements, attestation.Endorsement{Type: typ, Body: jwks(t, kid, fakeKeys()[4])})
		}
		if _, err := format.Authenticate(t.Context(), e, stamp.Unix()); !errors.Is(err, verify.ErrSignature) && !errors.Is(err, verify.ErrKey) {
			t.Errorf("%s: %v", kid, err)
		}
	}
}

func TestKeysOfThePolicy(t *testing.T) {
	token, _ := published("0123456789").build(t)
	anchored := func(p *attestation.Policy) (attestation.Format, error) {
		f, err := verify.NewFormat()
		if err != nil {
			t.Fatal(err)
		}
		return f.(attestation.Anchored).WithPolicy(p)
	}
	issuer := func(name string, keys json.RawMessage) attestation.OIDCIssuer {
		return attestation.OIDCIssuer{Issuer: name, Keys: keys}
	}
	good := jwks(t, "published", fakeKeys()[3])
	for name, c := range map[string]struct {
		issuers        []attestation.OIDCIssuer
		policy, verify error
	}{
		"the right one":     {[]attestation.OIDCIssuer{issuer(verify.Issuer, good)}, nil, nil},
		"none":              {nil, nil, verify.ErrKey},
		"another kid":       {[]attestation.OIDCIssuer{issuer(verify.Issuer, jwks(t, "other", fakeKeys()[3]))}, nil, verify.ErrKey},
		"another key":       {[]attestation.OIDCIssuer{issuer(verify.Issuer, jwks(t, "published", fakeKeys()[4]))}, nil, verify.ErrSignature},
		"EC key":            {[]attestation.OIDCIssuer{issuer(verify.Issuer, ecJWKS(t))}, nil, verify.ErrKey},
		"issuer twice":      {[]attestation.OIDCIssuer{issuer(verify.Issuer, good), issuer(verify.Issuer, good)}, verify.ErrPolicy, nil},
		"unknown issuer":    {[]attestation.OIDCIssuer{issuer("https://accounts.google.com", good)}, verify.ErrPolicy, nil},
		"no set":            {[]attestation.OIDCIssuer{issuer(verify.Issuer, json.RawMessage(`{}`))}, verify.ErrPolicy, nil},
		"keys null":         {[]attestation.OIDCIssuer{issuer(verify.Issuer, json.RawMessage("null"))}, verify.ErrPolicy, nil},
		"no JSON":           {[]attestation.OIDCIssuer{issuer(verify.Issuer, nil)}, verify.ErrPolicy, nil},
		"symmetric":         {[]attestation.OIDCIssuer{issuer(verify.Issuer, json.RawMessage(`{"keys":[{"kty":"oct","k":"AAAA","kid":"published"}]}`))}, verify.ErrPolicy, nil},
		"too many issuers":  {make([]attestation.OIDCIssuer, 5), verify.ErrPolicy, nil},
		"policy without it": {[]attestation.OIDCIssuer{}, nil, verify.ErrKey},
	} {
		p := policy(t)
		p.OIDC.Issuers = c.issuers
		f, err := anchored(p)
		if err != nil {
			t.Fatalf("%s: stops other platforms too: %v", name, err)
		}
		if err := verify.CheckPolicy(p.OIDC); !errors.Is(err, c.policy) {
			t.Errorf("%s: %v", name, err)
		}
		want, check := c.verify, "token-signature"
		if c.policy != nil {
			want, check = c.policy, "issuer-keys"
		}
		r, err := f.Authenticate(t.Context(), evidence(token), stamp.Unix())
		if last := r.Checks[len(r.Checks)-1]; !errors.Is(err, want) || err != nil && last.Name != check {
			t.Errorf("%s: %v, %+v", name, err, last)
		}
	}
	for _, p := range []*attestation.Policy{nil, attestation.DefaultPolicy()} {
		f, err := anchored(p)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Authenticate(t.Context(), evidence(token), stamp.Unix()); !errors.Is(err, verify.ErrKey) {
			t.Error(err)
		}
	}
}

func ecJWKS(t *testing.T) json.RawMessage {
	k := attestationtest.PrivateKey("jwks")
	return json.RawMessage(marshal(t, map[string]any{"keys": []any{map[string]any{
		"kty": "EC", "crv": "P-256", "kid": "published", "x": b64(k.X.FillBytes(make([]byte, 32))), "y": b64(k.Y.FillBytes(make([]byte, 32))),
	}}}))
}
