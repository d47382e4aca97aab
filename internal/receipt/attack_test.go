// SPDX-License-Identifier: Apache-2.0

package receipt_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/glovebox-dev/glovebox/broker/entitlement/entitlementtest"
	"github.com/glovebox-dev/glovebox/internal/jwk"
	"github.com/glovebox-dev/glovebox/internal/receipt"
)

func enc(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// verify is a verification at the usual time.
func (w *world) verify(compact string) error {
	_, err := receipt.Verify(compact, w.want, now)
	return err
}

func TestAlgNone(t *testing.T) {
	w := newWorld(t)
	for _, alg := range []string{"none", "None", "NONE", ""} {
		for _, kid := range []string{entitlementtest.KidEC, entitlementtest.KidRSA} {
			none := w.SignWith(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, map[string]any{"kid": kid, "alg": alg}, w.claims(t))
			refused(t, alg, w.verify(none), receipt.ErrAlgorithm)
			refused(t, alg+" with a signature", w.verify(none+"AAAA"), receipt.ErrAlgorithm)
		}
	}
	refused(t, "no kid", w.verify(w.SignWith(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil, w.claims(t))), receipt.ErrMalformed)
}

// TestKeyConfusionHS256: an HMAC under the public key, in every encoding that libraries have taken for the secret.
func TestKeyConfusionHS256(t *testing.T) {
	w := newWorld(t)
	for kid, pub := range map[string]any{entitlementtest.KidEC: &w.EC.PublicKey, entitlementtest.KidRSA: &w.RSA.PublicKey} {
		der, err := x509.MarshalPKIXPublicKey(pub)
		if err != nil {
			t.Fatal(err)
		}
		for name, secret := range map[string][]byte{
			"DER": der, "PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), "JWKS": w.JWKS(), "nothing": {},
		} {
			for _, alg := range []string{"HS256", "ES256", "RS256"} {
				forged := w.SignWith(jwt.SigningMethodHS256, secret, map[string]any{"kid": kid, "alg": alg}, w.claims(t))
				err := w.verify(forged)
				if all := receipt.Refusals(err); len(all) != 1 || !errors.Is(err, receipt.ErrAlgorithm) && !errors.Is(err, receipt.ErrSignature) {
					t.Errorf("%s, HMAC under the %s as %s: %v", kid, name, alg, err)
				}
				if alg == "HS256" {
					refused(t, "HS256", err, receipt.ErrAlgorithm)
				}
			}
		}
	}
}

func TestUnknownKid(t *testing.T) {
	w := newWorld(t)
	for _, kid := range []string{"market-ec-2", "", "MARKET-EC-1", "../market-ec-1"} {
		refused(t, kid, w.verify(w.SignWith(jwt.SigningMethodES256, w.EC, map[string]any{"kid": kid}, w.claims(t))), receipt.ErrKeyID)
	}
	refused(t, "number", w.verify(w.SignWith(jwt.SigningMethodES256, w.EC, map[string]any{"kid": 1}, w.claims(t))), receipt.ErrMalformed)
}

// TestKidOfAnotherKeyType: the header names an RSA key and an ECDSA algorithm, or the other way round.
func TestKidOfAnotherKeyType(t *testing.T) {
	w := newWorld(t)
	refused(t, "ES256 by an RSA key", w.verify(w.SignWith(jwt.SigningMethodES256, w.EC, map[string]any{"kid": entitlementtest.KidRSA}, w.claims(t))), receipt.ErrAlgorithm)
	refused(t, "RS256 by an EC key", w.verify(w.SignWith(jwt.SigningMethodRS256, w.RSA, map[string]any{"kid": entitlementtest.KidEC}, w.claims(t))), receipt.ErrAlgorithm)
	refused(t, "PS256", w.verify(w.SignWith(jwt.SigningMethodPS256, w.RSA, map[string]any{"kid": entitlementtest.KidRSA}, w.claims(t))), receipt.ErrAlgorithm)
	refused(t, "RS512", w.verify(w.SignWith(jwt.SigningMethodRS512, w.RSA, map[string]any{"kid": entitlementtest.KidRSA}, w.claims(t))), receipt.ErrAlgorithm)
	refused(t, "PSS said to be RS256", w.verify(w.SignWith(jwt.SigningMethodPS256, w.RSA, map[string]any{"kid": entitlementtest.KidRSA, "alg": "RS256"}, w.claims(t))), receipt.ErrSignature)
}

// TestWrongTyp: a token that the same key signed for something else, an identity token for example.
func TestWrongTyp(t *testing.T) {
	w := newWorld(t)
	for _, typ := range []string{"JWT", "at+jwt", "glovebox-capability+jwt", "application/" + receipt.Type, ""} {
		refused(t, typ, w.verify(w.SignWith(jwt.SigningMethodES256, w.EC, map[string]any{"kid": entitlementtest.KidEC, "typ": typ}, w.claims(t))), receipt.ErrType)
	}
}

// TestHeaderBringsItsKey: a key, its address or a certificate in the header is not looked at.
func TestHeaderBringsItsKey(t *testing.T) {
	w := newWorld(t)
	mallory, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	hers, err := jwk.Of(&mallory.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]any{"jwk": hers, "jku": "https://mallory.example/jwks.json", "x5c": []string{"MII="}, "x5u": "https://mallory.example/c.pem", "crit": []string{"exp"}} {
		refused(t, name, w.verify(w.SignWith(jwt.SigningMethodES256, mallory, map[string]any{"kid": entitlementtest.KidEC, name: v}, w.claims(t))), receipt.ErrMalformed)
	}
	refused(t, "forged", w.verify(w.SignWith(jwt.SigningMethodES256, mallory, map[string]any{"kid": entitlementtest.KidEC}, w.claims(t))), receipt.ErrSignature)
}

// TestWeakRSA: a pinned key below 2048 bits is an error of who pinned it, whatever it signed.
func TestWeakRSA(t *testing.T) {
	t.Setenv("GODEBUG", "rsa1024min=0")
	w := newWorld(t)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	w.want.Keys = []jwk.JWK{{Kty: "RSA", N: enc(weak.N.Bytes()), E: "AQAB", Kid: "weak", Alg: "RS256", Use: "sig"}}
	err = w.verify(w.SignWith(jwt.SigningMethodRS256, weak, map[string]any{"kid": "weak"}, w.claims(t)))
	if !errors.Is(err, receipt.ErrExpect) || !errors.Is(err, jwk.ErrWeak) {
		t.Error(err)
	}
}

// TestSignatureLength: an ES256 signature has 64 bytes, and an RS256 signature those of its modulus.
func TestSignatureLength(t *testing.T) {
	w := newWorld(t)
	for name, good := range map[string]string{"ES256": w.Sign(w.claims(t)), "RS256": w.SignRSA(w.claims(t))} {
		at := strings.LastIndexByte(good, '.') + 1
		sig, err := base64.RawURLEncoding.DecodeString(good[at:])
		if err != nil {
			t.Fatal(err)
		}
		for _, bad := range [][]byte{nil, {0}, sig[:len(sig)-1], append([]byte{0}, sig...), append(sig[:len(sig):len(sig)], 0), make([]byte, len(sig)), sig[1:]} {
			refused(t, fmt.Sprintf("%s with %d bytes", name, len(bad)), w.verify(good[:at]+enc(bad)), receipt.ErrSignature)
		}
	}
}

// TestDERSignature: the right signature in the encoding of X.509.
func TestDERSignature(t *testing.T) {
	w := newWorld(t)
	good := w.Sign(w.claims(t))
	at := strings.LastIndexByte(good, '.')
	h := sha256.Sum256([]byte(good[:at]))
	der, err := ecdsa.SignASN1(rand.Reader, w.EC, h[:])
	if err != nil {
		t.Fatal(err)
	}
	refused(t, "DER", w.verify(good[:at+1]+enc(der)), receipt.ErrSignature)
}

// TestReplayedReceipt: a sale is one sale, whatever is done to its signature, and however often it is signed or handed in.
// The ledger counts its uses by this identity.
func TestReplayedReceipt(t *testing.T) {
	w := newWorld(t)
	c := w.claims(t)
	good := w.Sign(c)
	at := strings.LastIndexByte(good, '.') + 1
	sig, err := base64.RawURLEncoding.DecodeString(good[at:])
	if err != nil {
		t.Fatal(err)
	}
	s := new(big.Int).Sub(elliptic.P256().Params().N, new(big.Int).SetBytes(sig[32:]))
	flipped := append(sig[:32:32], s.FillBytes(make([]byte, 32))...) // r, -s: as good as r, s
	malleated := good[:at] + enc(flipped)
	if malleated == good {
		t.Fatal("the same signature")
	}
	later := c
	later.Expires += 3600
	receipts := []string{good, malleated, w.Sign(c), w.SignRSA(c), w.Sign(later)}
	first, err := receipt.Verify(good, w.want, now)
	if err != nil {
		t.Fatal(err)
	}
	for i, compact := range receipts {
		r, err := receipt.Verify(compact, w.want, now)
		if err != nil || r.Sale != first.Sale {
			t.Errorf("%d: another sale: %v %v", i, r, err)
		}
	}
	if found, err := receipt.Find(receipts, w.want, now); err != nil || len(found) != 1 {
		t.Errorf("one sale counts %d times: %v", len(found), err)
	}
	c.ID += "x"
	if c.SaleID() == first.Sale {
		t.Error("two sales are one")
	}
	// Neither issuer nor jti can borrow from the other.
	a, b := receipt.Claims{Issuer: "ab", ID: "c"}, receipt.Claims{Issuer: "a", ID: "bc"}
	if a.SaleID() == b.SaleID() {
		t.Error("two issuers' sales are one")
	}
}

// TestStolenReceipt: somebody else's receipt is worth nothing, with her own name put in or not.
func TestStolenReceipt(t *testing.T) {
	w := newWorld(t)
	mallory := newKey(t, "buyer")
	hers := w.want
	hers.Buyer = mallory
	_, err := receipt.Verify(w.Sign(w.claims(t)), hers, now)
	if !errors.Is(err, receipt.ErrBuyer) || !errors.Is(err, receipt.ErrThumbprint) {
		t.Error(err)
	}
}

// TestDuplicateMember: which of two members counts is for no parser to choose.
func TestDuplicateMember(t *testing.T) {
	w := newWorld(t)
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(w.Sign(w.claims(t)), ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := w.verify(w.SignPayload(payload)); err != nil {
		t.Fatal(err)
	}
	tail := strings.TrimSuffix(string(payload), "}")
	for _, more := range []string{`"amount":1`, `"Amount":1`, `"buyer":"did:key:z"`, `"\u0061mount":1`, `"scopes":["read"]`} {
		refused(t, more, w.verify(w.SignPayload([]byte(tail+","+more+"}"))), receipt.ErrMalformed)
	}
	refused(t, "two objects", w.verify(w.SignPayload(append(payload, payload...))), receipt.ErrMalformed)
}

// TestNumbers: integers only, spelled as such, in the range that every parser keeps exact.
func TestNumbers(t *testing.T) {
	w := newWorld(t)
	for _, n := range []string{"20000000.0", "2e7", "2E7", "NaN", "Infinity", "-Infinity", `"20000000"`, "9007199254740993", "1e400", "0x1312D00", "-1", "020000000", "+20000000", "20_000_000", "null", "true"} {
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(w.Sign(w.claims(t)), ".")[1])
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"amount", "exp", "version"} {
			text := string(payload)
			from := strings.Index(text, `"`+name+`":`) + len(name) + 3
			to := from + strings.IndexAny(text[from:], ",}")
			refused(t, name+" "+n, w.verify(w.SignPayload([]byte(text[:from]+n+text[to:]))), receipt.ErrMalformed)
		}
	}
}

// TestOversized: nothing is parsed before its length is.
func TestOversized(t *testing.T) {
	w := newWorld(t)
	long := w.Sell(w.pack, w.buyer, now, func(c *receipt.Claims) {
		for i := range 32 {
			c.Attributes[fmt.Sprintf("name%d", i)] = []string{strings.Repeat("v", 256)}
		}
	})
	refused(t, "long", w.verify(long), receipt.ErrMalformed)
}

// TestTerminalEscapes: what a receipt says is shown to people, so it cannot move their cursor or turn their text around.
func TestTerminalEscapes(t *testing.T) {
	w := newWorld(t)
	for _, s := range []string{"pay\x1b[2J", "pay\n1", "pay\u202e1", "pay\u0085", "\x7f"} {
		refused(t, s, w.verify(w.Sell(w.pack, w.buyer, now, func(c *receipt.Claims) { c.Payment = s })), receipt.ErrMalformed)
	}
}

// TestEveryByte: flipping any bit of any byte refuses the receipt.
func TestEveryByte(t *testing.T) {
	w := newWorld(t)
	good := w.Sign(w.claims(t))
	for i := range len(good) {
		for bit := range 7 {
			b := []byte(good)
			b[i] ^= 1 << bit
			if err := w.verify(string(b)); !errors.Is(err, receipt.ErrReceipt) {
				t.Fatalf("byte %d, bit %d: %v", i, bit, err)
			}
		}
	}
}
