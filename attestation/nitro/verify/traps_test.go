// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"crypto/elliptic"
	"crypto/x509"
	"errors"
	"testing"

	"github.com/hf/nitrite"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/nitro/verify"
)

// The traps of nitrite, the library that the obvious verifier would be made of. It is a dependency of tests only.

// trap has both judge the same document, at the document's time and under its own root.
func trap(t *testing.T, f *fake) (theirs *nitrite.Result, theirErr, ourErr error) {
	t.Helper()
	doc, format := f.build(t)
	roots := x509.NewCertPool()
	if c, err := x509.ParseCertificate(f.doc["cabundle"].([][]byte)[0]); err == nil {
		roots.AddCert(c)
	}
	_, ourErr = format.Authenticate(t.Context(), evidence(doc), stamp.Unix())
	theirs, theirErr = nitrite.Verify(doc, nitrite.VerifyOptions{Roots: roots, CurrentTime: stamp})
	return theirs, theirErr, ourErr
}

// TestNitriteAcceptsDebugDocuments: an enclave whose console its parent reads reports PCRs of zero, and nitrite is content.
func TestNitriteAcceptsDebugDocuments(t *testing.T) {
	debug := func(f *fake) { f.pcrs()[0], f.pcrs()[1], f.pcrs()[2] = pcr(0), pcr(0), pcr(0) }
	f := newFake(make([]byte, 32))
	debug(f)
	if r, err, _ := trap(t, f); err != nil || r == nil {
		t.Errorf("nitrite: %v: the trap is gone", err)
	}
	raw, v := bound(t, attestationtest.Binding(t, "debug"), debug)
	if _, err := v.Verify(t.Context(), raw, stamp.Unix()); !errors.Is(err, attestation.ErrAppraise) {
		t.Errorf("ours: %v", err)
	}
}

// TestNitriteResultOfAFailedChain: nitrite's result is there, and says that the signature is good, although the chain failed.
func TestNitriteResultOfAFailedChain(t *testing.T) {
	f := newFake(make([]byte, 32))
	f.certs[4].NotAfter = stamp.Add(-1e9)
	theirs, theirErr, ourErr := trap(t, f)
	if theirErr == nil || theirs == nil || !theirs.SignatureOK {
		t.Errorf("nitrite: %+v, %v: the trap is gone", theirs, theirErr)
	}
	if !errors.Is(ourErr, verify.ErrTime) {
		t.Errorf("ours: %v", ourErr)
	}
	doc, format := f.build(t)
	r, err := format.Authenticate(t.Context(), evidence(doc), stamp.Unix())
	if err == nil || r.Assurance != "" || r.Bound != nil || r.Measurements != nil || r.Root != "" {
		t.Errorf("ours has results that nobody earned: %+v", r)
	}
}

// TestNitritePanicsOnP521: a stranger's leaf on P-521 ends the process that asks nitrite, before anything is trusted.
func TestNitritePanicsOnP521(t *testing.T) {
	f := newFake(make([]byte, 32))
	f.keys[4], f.signer = newKey(elliptic.P521()), f.keys[4]
	doc, format := f.build(t)
	panicked := func() (p bool) {
		defer func() { p = recover() != nil }()
		_, _ = nitrite.Verify(doc, nitrite.VerifyOptions{CurrentTime: stamp})
		return false
	}()
	if !panicked {
		t.Error("nitrite does not panic: the trap is gone")
	}
	if _, err := format.Authenticate(t.Context(), evidence(doc), stamp.Unix()); !errors.Is(err, verify.ErrChain) {
		t.Errorf("ours: %v", err)
	}
}

// TestNitriteAcceptsUnprotectedHeaders: what nobody signed is in nitrite's documents; ours have one spelling.
func TestNitriteAcceptsUnprotectedHeaders(t *testing.T) {
	f := newFake(make([]byte, 32))
	f.message = func(p, d, s []byte) []byte { return encode(t, []any{p, map[string]int{"x": 1}, d, s}) }
	_, theirErr, ourErr := trap(t, f)
	if theirErr != nil {
		t.Errorf("nitrite: %v: the trap is gone", theirErr)
	}
	if !errors.Is(ourErr, verify.ErrDocument) {
		t.Errorf("ours: %v", ourErr)
	}
}
