// SPDX-License-Identifier: Apache-2.0

package jws_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/jwk"
	"github.com/glovebox-dev/glovebox/internal/jws"
)

const typ = "test+jwt"

func enc(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func key(t testing.TB) (*envelope.Signer, jwk.JWK) {
	t.Helper()
	s, err := envelope.GenerateSigner(envelope.RoleBroker)
	if err != nil {
		t.Fatal(err)
	}
	k, err := jwk.Of(s.Public().ECDSA())
	if err != nil {
		t.Fatal(err)
	}
	return s, k
}

func TestSignVerify(t *testing.T) {
	s, k := key(t)
	compact, id, err := jws.Sign(typ, k.Kid, map[string]any{"a": 1}, s)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := jws.Parse(compact)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := tok.Verify(typ, []jwk.JWK{k})
	if err != nil || string(payload) != `{"a":1}` || envelope.Sum(payload) != id {
		t.Fatalf("%s %v", payload, err)
	}
	for name, c := range map[string]struct {
		typ  string
		keys []jwk.JWK
		want error
	}{
		"other type": {"other+jwt", []jwk.JWK{k}, jws.ErrType},
		"no type":    {"", []jwk.JWK{k}, jws.ErrType},
		"no keys":    {typ, nil, jws.ErrKeyID},
		"zero key":   {typ, []jwk.JWK{{}}, jws.ErrKeyID},
		"half a key": {typ, []jwk.JWK{{Kid: k.Kid, Alg: jwk.ES256}}, jwk.ErrKey},
	} {
		if _, err := tok.Verify(c.typ, c.keys); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestEmptyKid: a header without a kid matches no key, not one without a kid either.
func TestEmptyKid(t *testing.T) {
	s, k := key(t)
	compact, _, err := jws.Sign(typ, "", map[string]any{}, s)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := jws.Parse(compact)
	if err != nil {
		t.Fatal(err)
	}
	k.Kid = ""
	if _, err := tok.Verify(typ, []jwk.JWK{k}); !errors.Is(err, jws.ErrKeyID) {
		t.Fatal(err)
	}
}

func TestParse(t *testing.T) {
	head := enc(`{"alg":"ES256","kid":"k","typ":"` + typ + `"}`)
	for name, compact := range map[string]string{
		"nothing":           "",
		"two parts":         head + ".e30",
		"four parts":        head + ".e30.AA.AA",
		"JSON form":         `{"payload":"e30","protected":"` + head + `","signature":"AA"}`,
		"padding":           head + ".e30=.AA",
		"newline":           head + ".e3\n0.AA",
		"standard alphabet": head + ".e30.+/+/",
		"trailing bits":     head + ".e31.AA",
		"too large":         head + "." + strings.Repeat("A", jws.MaxToken) + ".AA",
		"no typ":            enc(`{"alg":"ES256","kid":"k"}`) + ".e30.AA",
		"no kid":            enc(`{"alg":"ES256","typ":"t"}`) + ".e30.AA",
		"alg null":          enc(`{"alg":null,"kid":"k","typ":"t"}`) + ".e30.AA",
		"alg twice":         enc(`{"alg":"ES256","alg":"none","kid":"k","typ":"t"}`) + ".e30.AA",
		"alg in capitals":   enc(`{"ALG":"ES256","kid":"k","typ":"t"}`) + ".e30.AA",
		"crit":              enc(`{"alg":"ES256","crit":["b64"],"b64":false,"kid":"k","typ":"t"}`) + ".e30.AA",
		"embedded key":      enc(`{"alg":"ES256","jwk":{},"kid":"k","typ":"t"}`) + ".e30.AA",
		"jku":               enc(`{"alg":"ES256","jku":"https://x","kid":"k","typ":"t"}`) + ".e30.AA",
		"x5u":               enc(`{"alg":"ES256","x5u":"https://x","kid":"k","typ":"t"}`) + ".e30.AA",
		"compressed":        enc(`{"alg":"ES256","zip":"DEF","kid":"k","typ":"t"}`) + ".e30.AA",
		"long header":       enc(`{"alg":"ES256","kid":"`+strings.Repeat("k", 512)+`","typ":"t"}`) + ".e30.AA",
		"header is a list":  enc(`["ES256"]`) + ".e30.AA",
	} {
		if _, err := jws.Parse(compact); !errors.Is(err, jws.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Space and order are the issuer's business.
	if tok, err := jws.Parse(enc(`{ "typ":"t", "kid":"k", "alg":"ES256" }`) + ".e30.AA"); err != nil || tok.Header.Typ != "t" {
		t.Error(err)
	}
}

func TestExact(t *testing.T) {
	type claims struct {
		N int64  `json:"n"`
		S string `json:"s,omitempty"`
	}
	for in, ok := range map[string]bool{
		`{"n":1}`: true, `{"s":"a", "n":1}`: true, `{"n":9007199254740991}`: true,
		`{"n":1.0}`: false, `{"n":1e3}`: false, `{"n":NaN}`: false, `{"n":"1"}`: false, `{"n":9007199254740993}`: false, `{"n":null}`: false,
		`{}`: false, `{"N":1}`: false, `{"n":1,"s":""}`: false, `{"n":1,"s":null}`: false, `{"n":1,"n":2}`: false, `{"n":1,"x":1}`: false,
		`{"n":1}{}`: false, `null`: false, `[]`: false, ``: false, `{"n":9223372036854775808}`: false, `{"n":+1}`: false, `{"n":01}`: false,
	} {
		var c claims
		if err := jws.Exact([]byte(in), 1<<10, &c); (err == nil) != ok {
			t.Errorf("%s: %v", in, err)
		}
	}
}

// FuzzParse: what parses splits into the parts that it is made of again, and a token that verifies was signed here.
func FuzzParse(f *testing.F) {
	s, k := key(f)
	good, _, err := jws.Sign(typ, k.Kid, map[string]any{"a": "b"}, s)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(enc(`{"alg":"none","kid":"k","typ":"t"}`) + ".e30.")
	f.Add(good[:len(good)-3])
	signed := strings.Join(strings.Split(good, ".")[:2], ".")
	f.Fuzz(func(t *testing.T, compact string) {
		tok, err := jws.Parse(compact)
		if err != nil {
			return
		}
		parts := strings.Split(compact, ".")
		if len(parts) != 3 || enc(string(tok.PeekPayload())) != parts[1] {
			t.Fatal("the payload has two spellings")
		}
		if _, err := tok.Verify(typ, []jwk.JWK{k}); err == nil && parts[0]+"."+parts[1] != signed {
			t.Fatalf("verifies and was not signed: %s", compact)
		}
	})
}
