// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/oidc/verify"
)

// stamp is when fake tokens are issued.
var stamp = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const (
	audience = "glovebox-broker"
	image    = "e2e5e3672f416ac9ca71aa639abf86db0b713729a48c125a925af6c808b20b5d"
	imageID  = "956e03772e53798d26604d661261262841cf7bd4005857711937ea454368a826"
)

// pki is shaped as Google's: leaf, intermediate, root; and a key that is published by its id.
type pki struct {
	certs []*x509.Certificate // templates, the leaf first
	keys  []*rsa.PrivateKey

	issuers map[int]*rsa.PrivateKey   // who signs certificate i; absent: the key of the next one
	parents map[int]*x509.Certificate // whose name it has as its issuer's; absent: the next one
}

var fakeKeys = sync.OnceValue(func() []*rsa.PrivateKey { return newKeys(2048, 2048, 2048, 2048, 2048) })

func newKeys(bits ...int) []*rsa.PrivateKey {
	var out []*rsa.PrivateKey
	for _, n := range bits {
		k, err := rsa.GenerateKey(rand.Reader, n)
		if err != nil {
			panic(err)
		}
		out = append(out, k)
	}
	return out
}

func newPKI(keys []*rsa.PrivateKey) *pki {
	p := &pki{keys: append([]*rsa.PrivateKey(nil), keys[:3]...)}
	for i, n := range []string{"Leaf", "Intermediate", "Root"} {
		p.certs = append(p.certs, &x509.Certificate{
			SerialNumber: big.NewInt(int64(i) + 1), Subject: pkix.Name{CommonName: "Fake Space " + n}, BasicConstraintsValid: true,
			NotBefore: stamp.Add(-time.Duration(i+1) * 24 * time.Hour), NotAfter: stamp.Add(time.Duration(i+1) * 100 * time.Hour),
			IsCA: i > 0, SubjectKeyId: []byte{byte(i + 1)},
		})
		if i > 0 {
			p.certs[i].KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
		}
	}
	return p
}

// issue signs the certificates.
func (p *pki) issue(t testing.TB) [][]byte {
	t.Helper()
	var out [][]byte
	for i, c := range p.certs {
		up := min(i+1, len(p.certs)-1)
		parent, issuer := p.certs[up], p.keys[up]
		if p.parents[i] != nil {
			parent = p.parents[i]
		}
		if p.issuers[i] != nil {
			issuer = p.issuers[i]
		}
		der, err := x509.CreateCertificate(rand.Reader, c, parent, p.keys[i].Public(), issuer)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, der)
	}
	return out
}

// fake is a good token. Tests change one thing and seal it.
type fake struct {
	pki    *pki // nil: signed with the published key
	header map[string]any
	claims map[string]any
	sealed func([][]byte) [][]byte // changes the certificates, after they were signed
	signer *rsa.PrivateKey         // nil: the leaf's, or the published one
	raw    func(header, payload string) (string, string)
}

func newFake(nonce any) *fake {
	f := &fake{
		pki:    newPKI(fakeKeys()),
		header: map[string]any{"alg": "RS256", "typ": "JWT", "kid": "published"},
		claims: map[string]any{
			"iss": verify.Issuer, "aud": audience, "sub": "instance", "iat": stamp.Unix(), "nbf": stamp.Unix(), "exp": stamp.Add(time.Hour).Unix(),
			"secboot": true, "oemid": 11129, "hwmodel": "GCP_INTEL_TDX", "swname": "CONFIDENTIAL_SPACE", "swversion": []string{"250800"},
			"dbgstat": "disabled-since-boot", "attester_tcb": []string{"INTEL"}, "eat_profile": "something new", "google_service_accounts": []string{"x"},
			"tdx": map[string]any{"gcp_attester_tcb_status": "UpToDate", "gcp_attester_tcb_date": "2024-03-13T00:00:00Z"},
			"submods": map[string]any{
				"confidential_space": map[string]any{"support_attributes": []string{"LATEST", "STABLE", "USABLE"}, "monitoring_enabled": map[string]any{"memory": false}},
				"container": map[string]any{
					"image_reference": "registry/image@sha256:" + image, "image_digest": "sha256:" + image, "image_id": "sha256:" + imageID,
					"restart_policy": "Never", "args": []string{"/enclave"}, "env": map[string]string{"PATH": "/bin"},
				},
				"gce": map[string]any{"zone": "z", "project_id": "p", "instance_name": "i"},
			},
		},
	}
	if nonce != nil {
		f.claims["eat_nonce"] = nonce
	}
	return f
}

func published(nonce any) *fake {
	f := newFake(nonce)
	f.pki = nil
	return f
}

// sub is one of the claims' inner objects.
func (f *fake) sub(name string) map[string]any {
	return f.claims["submods"].(map[string]any)[name].(map[string]any)
}

var b64 = base64.RawURLEncoding.EncodeToString

// build signs the token, and returns it with a format that trusts its root and the published key.
func (f *fake) build(t testing.TB) ([]byte, attestation.Format) {
	t.Helper()
	key, root := fakeKeys()[3], [32]byte{}
	head := maps.Clone(f.header)
	if f.pki != nil {
		ders := f.pki.issue(t)
		key, root = f.pki.keys[0], sha256.Sum256(ders[2])
		if f.sealed != nil {
			ders = f.sealed(ders)
		}
		var x5c []string
		for _, der := range ders {
			x5c = append(x5c, base64.StdEncoding.EncodeToString(der))
		}
		head["x5c"] = x5c
	}
	if f.signer != nil {
		key = f.signer
	}
	h, p := marshal(t, head), marshal(t, f.claims)
	if f.raw != nil {
		h, p = f.raw(h, p)
	}
	input := b64([]byte(h)) + "." + b64([]byte(p))
	sum := sha256.Sum256([]byte(input))
	sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	format, err := verify.FormatWithRoot(root).WithPolicy(policy(t))
	if err != nil {
		t.Fatal(err)
	}
	return []byte(input + "." + b64(sig)), format
}

func marshal(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// jwks is a published key set.
func jwks(t testing.TB, kid string, k *rsa.PrivateKey) json.RawMessage {
	t.Helper()
	return json.RawMessage(marshal(t, map[string]any{"keys": []any{map[string]any{
		"kty": "RSA", "alg": "RS256", "use": "sig", "kid": kid, "n": b64(k.N.Bytes()), "e": b64(big.NewInt(int64(k.E)).Bytes()),
	}}}))
}

func policy(t testing.TB) *attestation.Policy {
	p := attestation.DefaultPolicy()
	p.OIDC = &attestation.OIDCPolicy{
		Issuers:  []attestation.OIDCIssuer{{Issuer: verify.Issuer, Keys: jwks(t, "published", fakeKeys()[3])}},
		Audience: audience, Support: []string{"STABLE"}, Hardware: []string{"GCP_INTEL_TDX"},
	}
	return p
}

func evidence(token []byte) *attestation.Evidence {
	return &attestation.Evidence{Version: 1, Platform: attestation.PlatformOIDC, Evidence: token}
}

func references(image string, p *attestation.Policy) *attestation.Reference {
	return &attestation.Reference{Version: 1, NotAfter: 1 << 40, Policy: p, Values: []attestation.ReferenceValue{
		{Name: "enclave", Platform: attestation.PlatformOIDC, Measurements: map[string]string{"image": image}},
	}}
}

// bound is a whole envelope around a fake token, for the verifier of brokers.
func bound(t testing.TB, b attestation.Binding, base func(any) *fake, change func(*fake), p *attestation.Policy) ([]byte, *attestation.Verifier) {
	t.Helper()
	d, err := b.Digest()
	if err != nil {
		t.Fatal(err)
	}
	f := base(d.Hex())
	if change != nil {
		change(f)
	}
	token, format := f.build(t)
	e := evidence(token)
	e.Claims = b
	raw, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	v, err := attestation.NewVerifier(references(image, p), format)
	if err != nil {
		t.Fatal(err)
	}
	return raw, v
}

// swap replaces the first old by new in a text, and fails if there is none.
func swap(t testing.TB, s, old, new string) string {
	t.Helper()
	if !strings.Contains(s, old) {
		t.Fatalf("%q is not in %.200q", old, s)
	}
	return strings.Replace(s, old, new, 1)
}
