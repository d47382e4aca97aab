// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/tpm/quote"
	"github.com/glovebox-dev/glovebox/attestation/tpm/tpmtest"
	"github.com/glovebox-dev/glovebox/attestation/tpm/verify"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

var clock = time.Unix(now, 0)

func newEnroller(t testing.TB, roots ...verify.EKRoot) *verify.Enroller {
	t.Helper()
	e, err := verify.NewEnroller(verify.EnrollerConfig{Roots: roots, Signer: broker(t, "mine")})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func begin(t *testing.T, e *verify.Enroller, a *authority) grant.EnrollReply {
	t.Helper()
	r, err := e.Begin(a.request(t), clock)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEnrol(t *testing.T) {
	a := newAuthority(t, "Maker")
	e := newEnroller(t, a.root(attestation.AssuranceTPM))
	r := begin(t, e, a)
	signed, err := e.Finish(grant.ActivateRequest{Token: r.Token, Secret: e.TestOnlySecret(r.Token)}, clock)
	if err != nil {
		t.Fatal(err)
	}
	got, err := verify.ParseEndorsement(signed, broker(t, "mine").Public())
	if err != nil {
		t.Fatal(err)
	}
	if got.Assurance != "tpm" || got.Root != envelope.Sum(a.cert.Raw) || got.EKCert != envelope.Sum(a.ekCert) ||
		got.Issued != clock.UnixMilli() || got.Expires != clock.Add(24*time.Hour).UnixMilli() {
		t.Errorf("endorsement %+v", got)
	}
}

// TestTokenUsedTwice: a token serves once, whether the secret was right or wrong.
func TestTokenUsedTwice(t *testing.T) {
	a := newAuthority(t, "Maker")
	e := newEnroller(t, a.root(attestation.AssuranceTPM))
	r := begin(t, e, a)
	secret := e.TestOnlySecret(r.Token)
	if _, err := e.Finish(grant.ActivateRequest{Token: r.Token, Secret: make([]byte, 32)}, clock); !errors.Is(err, verify.ErrSecret) {
		t.Errorf("wrong secret: %v", err)
	}
	if _, err := e.Finish(grant.ActivateRequest{Token: r.Token, Secret: secret}, clock); !errors.Is(err, verify.ErrToken) {
		t.Errorf("second try: %v", err)
	}
	for name, s := range map[string][]byte{"no secret": nil, "prefix": secret[:31], "longer": append(secret, 0)} {
		r := begin(t, e, a)
		if _, err := e.Finish(grant.ActivateRequest{Token: r.Token, Secret: s}, clock); !errors.Is(err, verify.ErrSecret) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, at := range map[string]time.Duration{"expired": 2 * time.Minute, "long expired": time.Hour} {
		r := begin(t, e, a)
		if _, err := e.Finish(grant.ActivateRequest{Token: r.Token, Secret: e.TestOnlySecret(r.Token)}, clock.Add(at)); !errors.Is(err, verify.ErrToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, token := range map[string]envelope.Nonce{"zero": {}, "unknown": envelope.NewNonce()} {
		if _, err := e.Finish(grant.ActivateRequest{Token: token}, clock); !errors.Is(err, verify.ErrToken) {
			t.Errorf("%s token: %v", name, err)
		}
	}
}

// TestPendingIsBounded: one TPM cannot take all places, many TPMs cannot take endless memory, and time frees them.
func TestPendingIsBounded(t *testing.T) {
	a := newAuthority(t, "Maker")
	e := newEnroller(t, a.root(attestation.AssuranceTPM))
	first := begin(t, e, a)
	for i := range 10 {
		if _, err := e.Begin(a.request(t), clock.Add(time.Duration(i+1)*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	if e.TestOnlyPending() != 4 || e.TestOnlySecret(first.Token) != nil {
		t.Errorf("%d pending for one EK", e.TestOnlyPending())
	}
	for i := 0; ; i++ {
		r := a.request(t)
		r.EKCert = a.certify(t, func(c *x509.Certificate) { c.SerialNumber.SetInt64(int64(100 + i)) })
		if _, err := e.Begin(r, clock); errors.Is(err, verify.ErrBusy) {
			break
		} else if err != nil || i > 256 {
			t.Fatalf("%d: %v", i, err)
		}
	}
	if e.TestOnlyPending() != 256 {
		t.Errorf("%d pending in all", e.TestOnlyPending())
	}
	if _, err := e.Begin(a.request(t), clock.Add(time.Hour)); err != nil || e.TestOnlyPending() != 1 {
		t.Errorf("after expiry: %v, %d pending", err, e.TestOnlyPending())
	}
}

func TestEnrolRequestRefused(t *testing.T) {
	a := newAuthority(t, "Maker")
	unrestricted := tpmtest.New("a")
	unrestricted.Template.ObjectAttributes.Restricted = false
	otherEK := tpmtest.Public(tpm2.ECCEKTemplate, attestationtest.PublicKey(t, "x").ECDSA())
	for name, c := range map[string]struct {
		change func(*grant.EnrollRequest)
		want   error
	}{
		"no certificate":       {func(r *grant.EnrollRequest) { r.EKCert = nil }, verify.ErrEKCert},
		"certificate cut":      {func(r *grant.EnrollRequest) { r.EKCert = r.EKCert[:50] }, verify.ErrEKCert},
		"certificate too long": {func(r *grant.EnrollRequest) { r.EKCert = make([]byte, 9<<10) }, verify.ErrEKCert},
		"certificate changed":  {func(r *grant.EnrollRequest) { r.EKCert[len(r.EKCert)-1] ^= 1 }, verify.ErrEKCert},
		"no EK":                {func(r *grant.EnrollRequest) { r.EKPublic = nil }, verify.ErrEK},
		"another EK":           {func(r *grant.EnrollRequest) { r.EKPublic = otherEK }, verify.ErrEK},
		"AK as EK":             {func(r *grant.EnrollRequest) { r.EKPublic = r.AKPublic }, verify.ErrEK},
		"no AK":                {func(r *grant.EnrollRequest) { r.AKPublic = nil }, quote.ErrKey},
		"unrestricted AK":      {func(r *grant.EnrollRequest) { r.AKPublic = unrestricted.AKPublic() }, quote.ErrKey},
		"EK as AK":             {func(r *grant.EnrollRequest) { r.AKPublic = r.EKPublic }, quote.ErrKey},
	} {
		e := newEnroller(t, a.root(attestation.AssuranceTPM))
		r := a.request(t)
		c.change(&r)
		if _, err := e.Begin(r, clock); !errors.Is(err, c.want) || !errors.Is(err, verify.ErrEnrol) || e.TestOnlyPending() != 0 {
			t.Errorf("%s: got %v, %d pending", name, err, e.TestOnlyPending())
		}
	}
}

func TestEKCertificateRefused(t *testing.T) {
	a := newAuthority(t, "Maker")
	for name, bend := range map[string]func(*x509.Certificate){
		"expired":       func(c *x509.Certificate) { c.NotAfter = clock.Add(-time.Second) },
		"not yet valid": func(c *x509.Certificate) { c.NotBefore = clock.Add(time.Second) },
		"a CA":          func(c *x509.Certificate) { c.IsCA = true },
		"for signing":   func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature },
		"another critical extension": func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}})
		},
	} {
		r := a.request(t)
		r.EKCert = a.certify(t, bend)
		if _, err := newEnroller(t, a.root(attestation.AssuranceTPM)).Begin(r, clock); !errors.Is(err, verify.ErrEKCert) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	stranger := newAuthority(t, "Stranger")
	if _, err := newEnroller(t, a.root(attestation.AssuranceTPM)).Begin(stranger.request(t), clock); !errors.Is(err, verify.ErrEKCert) {
		t.Errorf("another CA: got %v", err)
	}
	namesake := newAuthority(t, "Maker 2")
	namesake.cert.RawSubject = a.cert.RawSubject
	if _, err := newEnroller(t, a.root(attestation.AssuranceTPM)).Begin(namesake.request(t), clock); !errors.Is(err, verify.ErrEKCert) {
		t.Errorf("a namesake of the CA: got %v", err)
	}
}

// TestAssuranceIsTheRoots: the root that certifies decides, and of two the weaker.
func TestAssuranceIsTheRoots(t *testing.T) {
	a, other := newAuthority(t, "Maker"), newAuthority(t, "Other")
	soft, hard := attestation.AssuranceSoftwareTPM, attestation.AssuranceTPM
	for name, c := range map[string]struct {
		roots []verify.EKRoot
		want  attestation.Assurance
	}{
		"other is weak":   {[]verify.EKRoot{other.root(soft), a.root(hard)}, hard},
		"other is strong": {[]verify.EKRoot{other.root(hard), a.root(soft)}, soft},
		"both ways":       {[]verify.EKRoot{a.root(soft), a.root(hard)}, soft},
		"both ways, too":  {[]verify.EKRoot{a.root(hard), a.root(soft)}, soft},
	} {
		e := newEnroller(t, c.roots...)
		r := begin(t, e, a)
		signed, err := e.Finish(grant.ActivateRequest{Token: r.Token, Secret: e.TestOnlySecret(r.Token)}, clock)
		if err != nil {
			t.Fatal(err)
		}
		got, err := verify.ParseEndorsement(signed, broker(t, "mine").Public())
		if err != nil || got.Assurance != string(c.want) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// TestSoftwareCAIsNeverHardware: the name of swtpm's test CA caps its assurance, whatever the configuration says.
func TestSoftwareCAIsNeverHardware(t *testing.T) {
	a := newAuthority(t, quote.SoftwareCA)
	if err := verify.CheckRoot(a.root(attestation.AssuranceSoftwareTPM)); err != nil {
		t.Error(err)
	}
	if err := verify.CheckRoot(a.root(attestation.AssuranceTPM)); !errors.Is(err, verify.ErrConfig) {
		t.Errorf("got %v", err)
	}
}

func TestNewEnrollerRefuses(t *testing.T) {
	a := newAuthority(t, "Maker")
	s, root := broker(t, "mine"), a.root(attestation.AssuranceTPM)
	for name, c := range map[string]verify.EnrollerConfig{
		"no root":         {Signer: s},
		"no signer":       {Roots: []verify.EKRoot{root}},
		"signer of owner": {Roots: []verify.EKRoot{root}, Signer: attestationtest.Signer(t, envelope.RoleOwner, "o")},
		"no certificate":  {Roots: []verify.EKRoot{{Assurance: "tpm"}}, Signer: s},
		"not a CA":        {Roots: []verify.EKRoot{{Cert: parse(t, a.ekCert), Assurance: "tpm"}}, Signer: s},
		"no assurance":    {Roots: []verify.EKRoot{{Cert: a.cert}}, Signer: s},
		"tee":             {Roots: []verify.EKRoot{a.root(attestation.AssuranceTEE)}, Signer: s},
		"eight days":      {Roots: []verify.EKRoot{root}, Signer: s, Life: 8 * 24 * time.Hour},
		"one second":      {Roots: []verify.EKRoot{root}, Signer: s, Life: time.Second},
	} {
		if _, err := verify.NewEnroller(c); !errors.Is(err, verify.ErrConfig) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestSecretsStayOutOfErrors: nothing that fails prints a secret.
func TestSecretsStayOutOfErrors(t *testing.T) {
	a := newAuthority(t, "Maker")
	e := newEnroller(t, a.root(attestation.AssuranceTPM))
	r := begin(t, e, a)
	secret := e.TestOnlySecret(r.Token)
	_, err := e.Finish(grant.ActivateRequest{Token: r.Token, Secret: []byte("guess")}, clock)
	if s := fmt.Sprintf("%v %+v", err, err); err == nil || len(s) > 200 || s == string(secret) {
		t.Errorf("got %q", s)
	}
}
