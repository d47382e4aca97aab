// SPDX-License-Identifier: Apache-2.0

package jwk_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/jwk"
)

// rfc7638 is the key of RFC 7638 section 3.1, and its thumbprint there.
const (
	rfc7638N     = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
	rfc7638      = `{"kty":"RSA","n":"` + rfc7638N + `","e":"AQAB","alg":"RS256","kid":"2011-04-29"}`
	rfc7638Print = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
	// ecX and ecY are the P-256 key of RFC 7517 appendix A.1.
	ecX = "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4"
	ecY = "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"
)

func TestThumbprintOfRFC7638(t *testing.T) {
	k, err := jwk.Parse([]byte(rfc7638))
	if err != nil || k.Thumbprint() != rfc7638Print || k.Kid != "2011-04-29" || k.Use != "sig" {
		t.Fatalf("%+v %s %v", k, k.Thumbprint(), err)
	}
}

func ec(change func(m map[string]any)) []byte {
	m := map[string]any{"kty": "EC", "crv": "P-256", "x": ecX, "y": ecY, "kid": "one", "alg": "ES256", "use": "sig"}
	if change != nil {
		change(m)
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return b
}

func set(name string, v any) func(map[string]any) { return func(m map[string]any) { m[name] = v } }

func TestParse(t *testing.T) {
	small := weakModulus(t)
	for _, c := range []struct {
		name string
		in   []byte
		want error
	}{
		{"EC", ec(nil), nil},
		{"RSA", []byte(rfc7638), nil},
		{"without alg, use and kid", ec(func(m map[string]any) { delete(m, "alg"); delete(m, "use"); delete(m, "kid") }), nil},
		{"with a certificate", ec(set("x5c", []string{"MII="})), nil},
		{"to verify", ec(set("key_ops", []string{"verify"})), nil},
		{"private EC key", ec(set("d", "870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE")), jwk.ErrPrivate},
		{"private RSA key", []byte(strings.Replace(rfc7638, `"kid"`, `"p":"AQ","kid"`, 1)), jwk.ErrPrivate},
		{"symmetric key", []byte(`{"kty":"oct","k":"AAAA","kid":"one"}`), jwk.ErrPrivate},
		{"private member that is null", ec(set("d", nil)), jwk.ErrPrivate},
		{"to sign", ec(set("key_ops", []string{"sign", "verify"})), jwk.ErrKind},
		{"to encrypt", ec(set("use", "enc")), jwk.ErrKind},
		{"EC key for RS256", ec(set("alg", "RS256")), jwk.ErrKind},
		{"EC key for HS256", ec(set("alg", "HS256")), jwk.ErrKind},
		{"EC key for none", ec(set("alg", "none")), jwk.ErrKind},
		{"P-384", ec(set("crv", "P-384")), jwk.ErrKind},
		{"EC with a modulus", ec(set("n", rfc7638N)), jwk.ErrKind},
		{"RSA with a point", []byte(strings.Replace(rfc7638, `"kid"`, `"x":"AQ","kid"`, 1)), jwk.ErrKind},
		{"OKP", ec(set("kty", "OKP")), jwk.ErrKind},
		{"no type", ec(set("kty", "")), jwk.ErrKind},
		{"off the curve", ec(set("y", ecX)), jwk.ErrKey},
		{"short coordinate", ec(set("x", ecX[:40])), jwk.ErrKey},
		{"padded base64", ec(set("x", ecX+"=")), jwk.ErrKey},
		{"second spelling of base64", ec(set("x", ecX[:42]+"5")), jwk.ErrKey},
		{"newline in base64", ec(set("x", ecX+"\n")), jwk.ErrKey},
		{"kid with a newline", ec(set("kid", "a\nb")), jwk.ErrKey},
		{"long kid", ec(set("kid", strings.Repeat("k", 129))), jwk.ErrKey},
		{"revoked", ec(set("revoked", map[string]any{"revoked_at": 1})), jwk.ErrKey},
		{"unknown member", ec(set("more", 1)), jwk.ErrKey},
		{"member twice", []byte(strings.Replace(rfc7638, `"e":"AQAB"`, `"e":"AQAB","E":"Aw"`, 1)), jwk.ErrKey},
		{"trailing data", append(ec(nil), '1'), jwk.ErrKey},
		{"too large", ec(set("x5c", []string{strings.Repeat("a", jwk.MaxKey)})), jwk.ErrKey},
		{"1024 bits", []byte(strings.Replace(rfc7638, rfc7638N, small, 1)), jwk.ErrWeak},
		{"exponent 3", []byte(strings.Replace(rfc7638, "AQAB", "Aw", 1)), jwk.ErrWeak},
		{"even exponent", []byte(strings.Replace(rfc7638, "AQAB", "AQAC", 1)), jwk.ErrWeak},
		{"huge exponent", []byte(strings.Replace(rfc7638, "AQAB", "AQAAAAAAAAAB", 1)), jwk.ErrWeak},
		{"leading zero", []byte(strings.Replace(rfc7638, "AQAB", "AAEAAQ", 1)), jwk.ErrKey},
		{"nothing", nil, jwk.ErrKey},
	} {
		t.Run(c.name, func(t *testing.T) {
			k, err := jwk.Parse(c.in)
			if !errors.Is(err, c.want) || (c.want == nil && err != nil) {
				t.Fatalf("%v, want %v", err, c.want)
			}
			if err == nil && (k.Thumbprint() == "" || k.Validate() != nil) {
				t.Fatalf("accepted without a thumbprint: %+v", k)
			}
		})
	}
}

func weakModulus(t *testing.T) string {
	t.Helper()
	t.Setenv("GODEBUG", "rsa1024min=0")
	k, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	j, err := jwk.Of(&k.PublicKey)
	if !errors.Is(err, jwk.ErrWeak) {
		t.Fatalf("1024 bits: %v", err)
	}
	return j.N
}

func TestZeroKey(t *testing.T) {
	var k jwk.JWK
	if _, err := k.PublicKey(); err == nil || k.Thumbprint() != "" || jwk.ThumbprintOf(envelope.PublicKey{}) != "" {
		t.Fatal("the zero key is usable")
	}
	for _, none := range []any{nil, (*ecdsa.PublicKey)(nil), (*rsa.PublicKey)(nil), "key"} {
		if _, err := jwk.Of(none); err == nil {
			t.Fatalf("%T is a key", none)
		}
	}
}

func TestOf(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := jwk.Of(&p384.PublicKey); !errors.Is(err, jwk.ErrKind) {
		t.Fatal(err)
	}
	s, err := envelope.GenerateSigner(envelope.RoleBuyer)
	if err != nil {
		t.Fatal(err)
	}
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for _, pub := range []interface{}{s.Public().ECDSA(), &r.PublicKey} {
		j, err := jwk.Of(pub)
		if err != nil || j.Kid != j.Thumbprint() {
			t.Fatalf("%+v %v", j, err)
		}
		back, err := j.PublicKey()
		if err != nil || !reflect.DeepEqual(back, pub) {
			t.Fatalf("%T does not come back: %v", pub, err)
		}
	}
	if j, _ := jwk.Of(s.Public().ECDSA()); j.Thumbprint() != jwk.ThumbprintOf(s.Public()) {
		t.Fatal("two thumbprints of one key")
	}
}

func TestParseSet(t *testing.T) {
	doc := func(keys ...string) []byte { return fmt.Appendf(nil, `{"keys":[%s]}`, strings.Join(keys, ",")) }
	okp := `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"ed"}`
	keys, err := jwk.ParseSet(doc(rfc7638, okp, string(ec(nil))))
	if err != nil || len(keys) != 2 || keys[0].Kid != "2011-04-29" || keys[1].Kid != "one" {
		t.Fatalf("%+v %v", keys, err)
	}
	for name, c := range map[string]struct {
		in   []byte
		want error
	}{
		"none usable":       {doc(okp), jwk.ErrKind},
		"empty":             {doc(), jwk.ErrKind},
		"no keys":           {[]byte(`{}`), jwk.ErrKind},
		"one kid, two keys": {doc(rfc7638, string(ec(set("kid", "2011-04-29")))), jwk.ErrKey},
		"a private key":     {doc(rfc7638, string(ec(set("d", "AA")))), jwk.ErrPrivate},
		"too many":          {doc(slicesRepeat(okp, jwk.MaxKeys+1)...), jwk.ErrKey},
		"too large":         {doc(`"` + strings.Repeat("a", jwk.MaxSet) + `"`), jwk.ErrKey},
	} {
		if _, err := jwk.ParseSet(c.in); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func slicesRepeat(s string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = s
	}
	return out
}

// TestPinnedForm: terms carry keys inside canonical JSON. A key that is spelled otherwise is not the same document.
func TestPinnedForm(t *testing.T) {
	k, err := jwk.Parse(ec(nil))
	if err != nil {
		t.Fatal(err)
	}
	b, err := envelope.Canonical(k)
	if err != nil {
		t.Fatal(err)
	}
	var back jwk.JWK
	if err := envelope.Decode(b, jwk.MaxKey, &back); err != nil || back != k {
		t.Fatalf("%s: %v", b, err)
	}
	for _, other := range []string{
		strings.Replace(string(b), `"kid"`, `"e":"","kid"`, 1),
		strings.Replace(string(b), `"alg":"ES256",`, ``, 1),
		strings.Replace(string(b), `"kid"`, `"d":"AA","kid"`, 1),
	} {
		if err := envelope.Decode([]byte(other), jwk.MaxKey, &back); err == nil {
			t.Errorf("accepted %s", other)
		}
	}
}
