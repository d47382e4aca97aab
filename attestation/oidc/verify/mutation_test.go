// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/oidc/verify"
)

// inParallel calls f with 0 to n-1, on every core.
func inParallel(n int, f func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	wg.Wait()
}

// flipEveryBit refuses each of a token's bits the other way round: every byte of one is signed or is the signature. With
// -short it is one bit a byte.
func flipEveryBit(t *testing.T, f attestation.Format, token []byte, now int64) int {
	bits, step := len(token)*8, 1
	if testing.Short() {
		step = 7
	}
	var refused atomic.Int64
	inParallel((bits+step-1)/step, func(n int) {
		i := n * step
		bad := bytes.Clone(token)
		bad[i/8] ^= 1 << (i % 8)
		if r, err := f.Authenticate(t.Context(), evidence(bad), now); err == nil {
			t.Errorf("bit %d of byte %d does not matter: %+v", i%8, i/8, r)
			return
		}
		refused.Add(1)
	})
	return int(refused.Load())
}

func TestEveryBitOfAToken(t *testing.T) {
	for name, f := range map[string]*fake{"certificates": newFake("0123456789"), "published key": published("0123456789")} {
		token, format := f.build(t)
		t.Logf("%s: %d of %d bits refused", name, flipEveryBit(t, format, token, stamp.Unix()), len(token)*8)
	}
}

func TestEveryBitOfARealToken(t *testing.T) {
	e, f := load(t, oakTDX)
	t.Logf("%d of %d bits of a real token refused", flipEveryBit(t, f, e.Evidence, tdxIssued), len(e.Evidence)*8)
}

// TestOneSpelling: the same token in other letters is not the same token.
func TestOneSpelling(t *testing.T) {
	token, format := published("0123456789").build(t)
	text := string(token)
	for name, s := range map[string]string{
		"line break": strings.Replace(text, ".", "\n.", 1), "return at the end": text + "\r", "padding": text + "=", "space": " " + text,
		"fourth part": text + ".", "empty part": strings.Replace(text, ".", "..", 1), "nothing": "", "dots": "..",
		"signature cut": text[:len(text)-2], "signature gone": text[:strings.LastIndex(text, ".")+1],
	} {
		if _, err := format.Authenticate(t.Context(), evidence([]byte(s)), stamp.Unix()); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	for n := range text {
		if _, err := format.Authenticate(t.Context(), evidence(token[:n]), stamp.Unix()); err == nil {
			t.Errorf("%d bytes are enough", n)
		}
	}
	if _, err := format.Authenticate(t.Context(), nil, stamp.Unix()); err == nil {
		t.Error("nil evidence")
	}
	if _, err := format.Authenticate(t.Context(), evidence(token), 0); err == nil {
		t.Error("no time")
	}
}

// TestJWTLibraryAcceptsWhatClaimsRefuse: a JWT library's work ends at the signature and the time. dbgstat, hwmodel, the image
// and eat_nonce are ours to check, and so are names that come twice.
func TestJWTLibraryAcceptsWhatClaimsRefuse(t *testing.T) {
	for name, change := range map[string]func(*fake){
		"debug":          func(f *fake) { f.claims["dbgstat"] = "enabled" },
		"another nonce":  func(f *fake) { f.claims["eat_nonce"] = "another" },
		"another image":  func(f *fake) { f.sub("container")["image_digest"] = "sha256:" + imageID },
		"hardware":       func(f *fake) { f.claims["hwmodel"] = "GCP_SHIELDED_VM" },
		"dbgstat twice":  rawPayload(t, `"dbgstat"`, `"dbgstat":"enabled","dbgstat"`),
		"no Secure Boot": func(f *fake) { f.claims["secboot"] = false },
		"no support":     func(f *fake) { delete(f.sub("confidential_space"), "support_attributes") },
	} {
		f := published("0123456789")
		change(f)
		token, format := f.build(t)
		theirs, err := jwt.Parse(string(token), func(*jwt.Token) (any, error) { return fakeKeys()[3].Public(), nil },
			jwt.WithValidMethods([]string{"RS256"}), jwt.WithIssuer(verify.Issuer), jwt.WithAudience(audience), jwt.WithTimeFunc(func() time.Time { return stamp }))
		if err != nil || !theirs.Valid {
			t.Errorf("%s: the library refuses it now: %v", name, err)
		}
		e := evidence(token)
		raw, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		in, err := attestation.NewInspector(references(image, policy(t)), nil, format)
		if err != nil {
			t.Fatal(err)
		}
		v, err := in.Inspect(t.Context(), raw, stamp.Unix(), []byte("0123456789"))
		if err != nil || v.Accepted() {
			t.Errorf("%s: ours accepts it: %v", name, err)
		}
	}
}

// TestLibraryAgreesOnSignatures: what we accept, golang-jwt accepts.
func TestLibraryAgreesOnSignatures(t *testing.T) {
	token, format := published("0123456789").build(t)
	agreed := 0
	for i := 0; i < len(token); i += 13 {
		bad := bytes.Clone(token)
		bad[i] ^= byte(i % 4) // a quarter of them stays as it is
		_, theirs := jwt.Parse(string(bad), func(*jwt.Token) (any, error) { return fakeKeys()[3].Public(), nil }, jwt.WithValidMethods([]string{"RS256"}), jwt.WithoutClaimsValidation())
		if _, ours := format.Authenticate(t.Context(), evidence(bad), stamp.Unix()); (theirs == nil) != (ours == nil) {
			t.Errorf("byte %d: the library says %v, we say %v", i, theirs, ours)
		}
		agreed++
	}
	t.Logf("%d tokens judged by both", agreed)
}

// TestHMACUnderThePublicKey: the oldest JWT trick, and alg none beside it.
func TestHMACUnderThePublicKey(t *testing.T) {
	f := published("0123456789")
	_, format := f.build(t)
	claims := jwt.MapClaims(maps.Clone(f.claims))
	for _, m := range []jwt.SigningMethod{jwt.SigningMethodHS256, jwt.SigningMethodNone} {
		forged := jwt.NewWithClaims(m, claims)
		forged.Header["kid"] = "published"
		var key any = fakeKeys()[3].N.Bytes()
		if m == jwt.SigningMethodNone {
			key = jwt.UnsafeAllowNoneSignatureType
		}
		s, err := forged.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := format.Authenticate(t.Context(), evidence([]byte(s)), stamp.Unix()); !errors.Is(err, verify.ErrToken) {
			t.Errorf("%s: %v", m.Alg(), err)
		}
	}
}

// TestManyAtOnce: good and bad tokens, mixed, under one format.
func TestManyAtOnce(t *testing.T) {
	good, f := newFake("0123456789").build(t)
	bad := bytes.Clone(good)
	bad[len(bad)-9] ^= 1
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 20 {
				if _, err := f.Authenticate(context.Background(), evidence([][]byte{good, bad}[i%2]), stamp.Unix()); (err == nil) != (i%2 == 0) {
					t.Errorf("goroutine %d: %v", i, err)
				}
			}
		})
	}
	wg.Wait()
}

// FuzzAuthenticate: nothing is accepted but what was signed, letter by letter.
func FuzzAuthenticate(f *testing.F) {
	good, format := newFake("0123456789").build(f)
	plain, other := published("0123456789").build(f)
	seeds := [][]byte{good, plain, good[:len(good)/2], []byte("e30.e30.e30"), []byte("..")}
	for _, s := range seeds {
		f.Add(s)
	}
	if len(seeds) == 0 {
		f.Fatal("no seeds")
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		start := time.Now()
		for _, format := range []attestation.Format{format, other} {
			if r, err := format.Authenticate(t.Context(), evidence(b), stamp.Unix()); err == nil && !bytes.Equal(b, good) && !bytes.Equal(b, plain) {
				t.Errorf("%q was accepted: %+v", b, r)
			}
		}
		if time.Since(start) > 30*time.Second {
			t.Errorf("took %s", time.Since(start))
		}
	})
}

// FuzzClaims: whatever is signed as claims, no panic, and what is accepted names an image and knows its hardware.
func FuzzClaims(f *testing.F) {
	good := published("0123456789")
	f.Add(marshal(f, good.claims))
	f.Add(`{"submods":{"container":{"image_digest":"sha256:` + image + `"}}}`)
	f.Add(`{}`)
	f.Fuzz(func(t *testing.T, payload string) {
		x := published(nil)
		x.raw = func(h, _ string) (string, string) { return h, payload }
		token, format := x.build(t)
		r, err := format.Authenticate(t.Context(), evidence(token), stamp.Unix())
		if err == nil && (len(r.Measurements["image"]) != 64 || !r.Assurance.AtLeast(attestation.AssuranceTPM)) {
			t.Errorf("%q was accepted: %+v", payload, r)
		}
	})
}

// bench is a token with keys of Google's sizes.
func benchFake() *fake {
	f := newFake("0123456789")
	f.pki = newPKI(newKeys(2048, 4096, 4096))
	return f
}

// BenchmarkVerify is one whole verification; BenchmarkSignatures the bare RSA checks that are in it.
func BenchmarkVerify(b *testing.B) {
	token, f := benchFake().build(b)
	for b.Loop() {
		if _, err := f.Authenticate(b.Context(), evidence(token), stamp.Unix()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyPublishedKey(b *testing.B) {
	token, f := published("0123456789").build(b)
	for b.Loop() {
		if _, err := f.Authenticate(b.Context(), evidence(token), stamp.Unix()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSignatures(b *testing.B) {
	h := sha256.Sum256([]byte("token"))
	type signed struct {
		key *rsa.PublicKey
		sig []byte
	}
	var all []signed
	for _, k := range newKeys(2048, 4096, 4096) {
		sig, err := rsa.SignPKCS1v15(rand.Reader, k, crypto.SHA256, h[:])
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, signed{&k.PublicKey, sig})
	}
	if len(all) != verify.SignatureChecks {
		b.Fatal(fmt.Sprint(len(all), " checks"))
	}
	for b.Loop() {
		for _, s := range all {
			if err := rsa.VerifyPKCS1v15(s.key, crypto.SHA256, h[:], s.sig); err != nil {
				b.Fatal(err)
			}
		}
	}
}
