// SPDX-License-Identifier: Apache-2.0

// Package verify authenticates and appraises tokens of Google Confidential Space.
//
// Trust domain: brokers, buyers and auditors; never the enclave. Its one job: say which container image Google's attestation
// service vouches for. The keys come from one of two places and no other: tokens that carry certificates (token type PKI)
// lead to Google's root, which is pinned; tokens that carry none (token type OIDC) are checked with the key sets of the
// relying party's own policy. Nothing is ever taken from an envelope or a network. docs/spec/evidence.md is the format.
//
// What the operator of a machine puts over the image, arguments (cmd_override) or environment (env_override), is refused: an
// image's digest says nothing about what runs then, and no field of a policy relaxes that. What a job needs beyond its image
// reaches the enclave as a job does. Arguments and environment as they were are measurements, args and env, that a reference
// value can pin besides.
package verify

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/jwk"
)

// Errors.
var (
	ErrToken     = errors.New("oidc: malformed token")
	ErrClaims    = errors.New("oidc: bad claims")
	ErrChain     = errors.New("oidc: certificate chain refused")
	ErrRoot      = errors.New("oidc: another root than Confidential Space's")
	ErrKey       = errors.New("oidc: no key of the policy")
	ErrSignature = errors.New("oidc: bad signature")
	ErrIssuer    = errors.New("oidc: another issuer than Confidential Space")
	ErrTime      = errors.New("oidc: bad time")
	ErrPolicy    = errors.New("oidc: bad policy")
	ErrImport    = errors.New("oidc: cannot be imported")
)

// Issuer is Confidential Space's attestation service.
const Issuer = "https://confidentialcomputing.googleapis.com"

// rootCA is the SHA-256 of the certificate that Google publishes for tokens of type PKI at root_ca_uri of
// https://confidentialcomputing.googleapis.com/.well-known/attestation-pki-root: CN=Confidential Space Root CA, RSA 4096, valid
// until 2034-01-16. Google's documentation gives its SHA-1, B9:51:20:74:2C:24:E3:AA:34:04:2E:1C:3B:A3:AA:D2:8B:21:23:21.
const rootCA = "148b293821bb0c6a317f413c8ba475814091cb22d49b9e3c94198db8e8f86c39"

// SignatureChecks counts the RSA verifications of one token with certificates: its own (2048 bits), its leaf's and the
// intermediate CA's (4096 bits each). A token without has one.
const SignatureChecks = 3

// Format implements [attestation.Format] for Confidential Space. Immutable.
type Format struct {
	root [32]byte
	keys map[string][]jwk.JWK // by issuer, of the policy

	unusable error // why the policy's keys cannot be used: every token is refused for it
}

var (
	_ attestation.Format    = (*Format)(nil)
	_ attestation.Anchored  = (*Format)(nil)
	_ attestation.Appraiser = (*Format)(nil)
)

// NewFormat knows the root of tokens with certificates, and no keys for others: those are the policy's, see
// [Format.WithPolicy].
func NewFormat() (attestation.Format, error) {
	b, err := hex.DecodeString(rootCA)
	if err != nil || len(b) != 32 {
		return nil, fmt.Errorf("%w: its pin is no digest", ErrRoot)
	}
	return &Format{root: [32]byte(b)}, nil
}

// Platform implements [attestation.Format].
func (f *Format) Platform() attestation.Platform { return attestation.PlatformOIDC }

// WithPolicy implements [attestation.Anchored]: the result knows the key sets of p, and no others. Keys that cannot be used
// are no error here, or one section of a policy would stop the verification of every other platform: the result refuses
// every token for them.
func (f *Format) WithPolicy(p *attestation.Policy) (attestation.Format, error) {
	out := &Format{root: f.root}
	if p != nil { // without a section oidc no token is accepted, which appraisal says
		out.keys, out.unusable = policyKeys(p.OIDC)
	}
	return out, nil
}

// CheckPolicy refuses a section whose issuers' keys cannot be used, for whoever is about to sign it. nil has none.
func CheckPolicy(p *attestation.OIDCPolicy) error {
	_, err := policyKeys(p)
	return err
}

func policyKeys(p *attestation.OIDCPolicy) (map[string][]jwk.JWK, error) {
	if p == nil {
		return nil, nil
	}
	if len(p.Issuers) > maxIssuers {
		return nil, fmt.Errorf("%w: %d issuers, at most %d", ErrPolicy, len(p.Issuers), maxIssuers)
	}
	out := map[string][]jwk.JWK{}
	for _, i := range p.Issuers {
		if i.Issuer != Issuer || out[i.Issuer] != nil {
			return nil, fmt.Errorf("%w: issuer %.*q is unknown or there twice, want %q", ErrPolicy, maxShown, i.Issuer, Issuer)
		}
		keys, err := jwk.ParseSet(i.Keys)
		if err != nil {
			return nil, fmt.Errorf("%w: keys of %s: %w", ErrPolicy, i.Issuer, err)
		}
		out[i.Issuer] = keys
	}
	return out, nil
}

// Authenticate implements [attestation.Format]. The certificates must hold when the token was issued; whether they and the
// token still hold at now is collateral, for appraisal.
func (f *Format) Authenticate(_ context.Context, e *attestation.Evidence, now int64) (*attestation.Report, error) {
	r := &attestation.Report{Platform: attestation.PlatformOIDC}
	if e == nil || now <= 0 {
		return nil, fmt.Errorf("%w: no evidence or no time", ErrToken)
	}
	t, err := parseToken(e.Evidence)
	if err != nil {
		return r, r.Fail("token", strconv.Itoa(len(e.Evidence))+" bytes", "a compact JWS with RS256", err)
	}
	r.Pass("token", strconv.Itoa(len(e.Evidence))+" bytes", "a compact JWS with RS256")
	c, err := parseClaims(t.payload)
	if err != nil {
		return r, r.Fail("claims", strconv.Itoa(len(t.payload))+" bytes", "the claims of a Confidential Space token", err)
	}
	r.Pass("claims", strconv.Itoa(len(t.payload))+" bytes", "the claims of a Confidential Space token")
	describe(r, t, c, len(e.Endorsements)+len(e.EventLogs))
	if err := f.authenticate(r, t, c, now); err != nil {
		return r, err
	}
	return r, f.fill(r, t, c, now)
}

// step is one check of authentication.
type step struct {
	name, seen, want string
	check            func() error
}

func (f *Format) authenticate(r *attestation.Report, t *token, c *claims, now int64) error {
	steps := []step{{"issuer-keys", strconv.Itoa(len(f.keys[Issuer])) + " keys", "a policy whose keys can be used", func() error { return f.unusable }}}
	steps = append(append(steps, f.signatureSteps(t, c)...), []step{
		{"issuer", printable(c.Issuer), Issuer, func() error { return equal(ErrIssuer, c.Issuer, Issuer) }},
		{"software", printable(c.Software), spaceSoftware, func() error { return equal(ErrClaims, c.Software, spaceSoftware) }},
		{"image", c.ImageDigest, "a container image", func() error { return present(c.ImageDigest) }},
		{"hardware", printable(c.Hardware), "a known one", func() error { _, err := c.assurance(); return err }},
		{"token-time", when(c.issued()), "not after " + when(time.Unix(now, 0).Add(maxSkew)), func() error { return checkTime(c, now) }},
	}...)
	for _, s := range steps {
		if err := s.check(); err != nil {
			return r.Fail(s.name, s.seen, s.want, err)
		}
		r.Pass(s.name, s.seen, s.want)
	}
	return nil
}

// signatureSteps are those of the token's kind: a chain to the pinned root, or a key of the policy.
func (f *Format) signatureSteps(t *token, c *claims) []step {
	if t.certs == nil {
		return []step{{"token-signature", "key " + printable(t.header.Kid), "signed with a key of the policy", func() error {
			key, err := t.publishedKey(f.keys[Issuer])
			if err != nil {
				return err
			}
			return t.verify(key)
		}}}
	}
	root := hex.EncodeToString(f.root[:])
	return []step{
		{"root", printable(t.certs[len(t.certs)-1].Subject.CommonName), root, func() error { return t.checkRoot(f.root) }},
		{"token-signature", printable(t.certs[0].Subject.CommonName), "signed with the leaf's key", func() error { return t.verify(t.leafKey()) }},
		{"certificate-chain", strconv.Itoa(len(t.certs)) + " certificates", "each signed by the one after it", t.checkChain},
		{"certificate-validity", when(c.issued()), "every certificate holds at the token's time", func() error { return t.checkCertTimes(c.issued()) }},
	}
}

func equal(kind error, seen, want string) error {
	if seen != want {
		return fmt.Errorf("%w: %.*q, want %q", kind, maxShown, seen, want)
	}
	return nil
}

func present(digest string) error {
	if digest == "" {
		return fmt.Errorf("%w: no container image", ErrClaims)
	}
	return nil
}

func checkTime(c *claims, now int64) error {
	if limit := now + int64(maxSkew/time.Second); c.IssuedAt > limit || c.NotBefore > limit {
		return fmt.Errorf("%w: the token is of %s, which is in the future", ErrTime, when(c.issued()))
	}
	return nil
}

// printable is a stranger's text for somebody's terminal.
func printable(s string) string {
	q := strconv.QuoteToASCII(s[:min(len(s), maxShown)])
	return q[1 : len(q)-1]
}

// detail is what CheckBound and Appraise read beside the report.
type detail struct{ claims *claims }

func (f *Format) fill(r *attestation.Report, t *token, c *claims, now int64) error {
	a, err := c.assurance()
	if err != nil {
		return err
	}
	args, err := digest(append([]string{}, c.Args...))
	if err != nil {
		return err
	}
	env, err := digest(environment{copied(c.Env), copied(c.EnvOverride)})
	if err != nil {
		return err
	}
	r.Measurements = map[string]string{"image": c.ImageDigest, "args": args, "env": env}
	if c.ImageID != "" {
		r.Measurements["image-id"] = c.ImageID
	}
	r.Assurance, r.Debug, r.Detail = a, c.Debug != productionImage, detail{c}
	if r.Bound, err = c.bound(); err != nil {
		return err
	}
	r.Root = Issuer + " key " + printable(t.header.Kid)
	if t.certs != nil {
		r.Root = printable(t.certs[len(t.certs)-1].Subject.CommonName) + " sha256:" + hex.EncodeToString(f.root[:])
	}
	if c.TCBStatus != "" {
		r.TCB = &attestation.TCB{Status: c.TCBStatus, Date: c.TCBDate}
	}
	// The token holds from its issue. A verifier whose clock is a little behind is let off for as much as its time is.
	issued := max(c.IssuedAt, c.NotBefore)
	if issued > now {
		issued = now
	}
	r.Collateral = append([]attestation.Collateral{{Name: "token", Issued: issued, Expires: c.Expires}}, t.collateral()...)
	return nil
}

// environment is what the measurement env is the digest of: all of it, and what of it the operator set.
type environment struct {
	Env      map[string]string `json:"env"`
	Override map[string]string `json:"env_override"`
}

// copied is m, and {} where a token has none: an absent object and an empty one mean the same.
func copied(m map[string]string) map[string]string {
	out := map[string]string{}
	maps.Copy(out, m)
	return out
}

// digest is the SHA-256 of v as canonical JSON, in hex.
func digest(v any) (string, error) {
	b, err := envelope.Canonical(v)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

// bound is the nonce as bytes: what its hex says, or it as it is. Several are none that anybody asked for.
func (c *claims) bound() ([]byte, error) {
	if len(c.Nonces) != 1 {
		return json.Marshal(c.Nonces)
	}
	if b, err := hex.DecodeString(c.Nonces[0]); err == nil && hex.EncodeToString(b) == c.Nonces[0] {
		return b, nil
	}
	return []byte(c.Nonces[0]), nil
}

// CheckBound implements [attestation.Format]: eat_nonce is d in lower-case hex and nothing beside it. A token with further
// nonces was made for somebody else too.
func (f *Format) CheckBound(r *attestation.Report, d envelope.Digest) error {
	if r == nil || d.IsZero() || !bytes.Equal(r.Bound, d[:]) {
		return fmt.Errorf("%w: eat_nonce of the token is not this binding's digest alone", attestation.ErrBind)
	}
	x, ok := r.Detail.(detail)
	if !ok || len(x.claims.Nonces) != 1 || x.claims.Nonces[0] != d.Hex() {
		return fmt.Errorf("%w: eat_nonce of the token is not this binding's digest alone, in lower-case hex", attestation.ErrBind)
	}
	return nil
}
