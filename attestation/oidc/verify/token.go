// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/certs"
	"github.com/glovebox-dev/glovebox/internal/jwk"
	"github.com/glovebox-dev/glovebox/internal/jws"
)

// header is the protected header. There are no other members: crit, jku, jwk and x5u are refused, so a token never says
// where its key is to be had. Package jws is narrower still and shorter than certificates are.
type header struct {
	Alg string   `json:"alg"`
	Kid string   `json:"kid,omitempty"`
	Typ string   `json:"typ"`
	X5C []string `json:"x5c,omitempty"`
}

// token is a compact JWS whose form was checked and whose signature was not.
type token struct {
	header  header
	input   []byte // what is signed
	payload []byte
	sig     []byte
	certs   []*x509.Certificate // of x5c, the leaf first; nil in tokens that are signed with published keys
}

func parseToken(b []byte) (*token, error) {
	if len(b) == 0 || len(b) > maxToken {
		return nil, fmt.Errorf("%w: %d bytes, want 1 to %d", ErrToken, len(b), maxToken)
	}
	parts := bytes.Split(b, []byte("."))
	if len(parts) != 3 {
		return nil, fmt.Errorf("%w: %d parts, want header.payload.signature", ErrToken, len(parts))
	}
	var raw [3][]byte
	for i, p := range parts {
		var err error
		if raw[i], err = decode(p); err != nil {
			return nil, fmt.Errorf("%w: part %d is not base64url without padding", ErrToken, i+1)
		}
	}
	t := &token{input: b[:len(parts[0])+1+len(parts[1])], payload: raw[1], sig: raw[2]}
	if err := jws.Exact(raw[0], maxToken, &t.header); err != nil {
		return nil, fmt.Errorf("%w: header, want alg, typ, and kid or x5c: %w", ErrToken, err)
	}
	// The algorithm is fixed here, and does not depend on what kind of key turns up: none and HMAC have no place to start.
	if t.header.Alg != "RS256" || t.header.Typ != "JWT" {
		return nil, fmt.Errorf("%w: alg %.*q and typ %.*q, want RS256 and JWT", ErrToken, maxShown, t.header.Alg, maxShown, t.header.Typ)
	}
	return t, t.parseCerts()
}

// decode reads base64url without padding and without line breaks, which the library would skip: one spelling of each value.
func decode(b []byte) ([]byte, error) {
	if len(b) == 0 || bytes.ContainsAny(b, "\r\n") {
		return nil, ErrToken
	}
	return base64.RawURLEncoding.Strict().DecodeString(string(b))
}

func (t *token) parseCerts() error {
	if t.header.X5C == nil {
		return nil
	}
	if n := len(t.header.X5C); n < minCerts || n > maxCerts {
		return fmt.Errorf("%w: x5c of %d certificates, want %d to %d", ErrChain, n, minCerts, maxCerts)
	}
	for i, s := range t.header.X5C {
		der, err := base64.StdEncoding.Strict().DecodeString(s)
		if err != nil || len(der) == 0 || len(der) > maxCert || strings.ContainsAny(s, "\r\n") {
			return fmt.Errorf("%w: certificate %d is not base64, or has more than %d bytes", ErrChain, i, maxCert)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("%w: certificate %d: %w", ErrChain, i, err)
		}
		k, ok := c.PublicKey.(*rsa.PublicKey)
		if !ok || k.N.BitLen() < minRSA || k.N.BitLen() > maxRSA || c.SignatureAlgorithm != x509.SHA256WithRSA {
			return fmt.Errorf("%w: certificate %d is of another kind than RSA with SHA-256", ErrChain, i)
		}
		if err := applied(c); err != nil {
			return fmt.Errorf("%w: certificate %d: %w", ErrChain, i, err)
		}
		t.certs = append(t.certs, c)
	}
	return nil
}

// applied refuses a certificate that says more about its use than checkChain applies. Google's intermediate has an extended
// key usage of Google's own, so only those of other trades (TLS, mail, code) are refused.
func applied(c *x509.Certificate) error {
	if err := certs.Critical(c); err != nil {
		return err
	}
	if len(c.ExtKeyUsage) > 0 {
		return errors.New("its extended key usage is another than signing tokens")
	}
	return nil
}

// checkRoot compares the chain's end with the pinned root. Its own signature proves nothing more.
func (t *token) checkRoot(root [32]byte) error {
	if got := sha256.Sum256(t.certs[len(t.certs)-1].Raw); got != root {
		return fmt.Errorf("%w: its root is %s, want %s", ErrRoot, hex.EncodeToString(got[:]), hex.EncodeToString(root[:]))
	}
	return nil
}

// checkChain checks each certificate against the next: names, signature, right to sign, length of the path. The order is
// RFC 7515's and fixed, so there is one path.
func (t *token) checkChain() error {
	for i := range len(t.certs) - 1 {
		c, up := t.certs[i], t.certs[i+1]
		switch {
		case !bytes.Equal(c.RawIssuer, up.RawSubject):
			return fmt.Errorf("%w: certificate %d is not of the one after it, by name", ErrChain, i)
		case up.Version != 3 || !up.BasicConstraintsValid || !up.IsCA || up.KeyUsage&x509.KeyUsageCertSign == 0:
			return fmt.Errorf("%w: certificate %d may not sign certificates", ErrChain, i+1)
		case up.MaxPathLen >= 0 && i > up.MaxPathLen: // -1: no bound
			return fmt.Errorf("%w: certificate %d allows %d CAs below it, there are %d", ErrChain, i+1, up.MaxPathLen, i)
		}
		if err := c.CheckSignatureFrom(up); err != nil {
			return fmt.Errorf("%w: certificate %d: %w", ErrChain, i, err)
		}
	}
	// Google's leaves have no key usage; one that has any must allow signatures.
	if l := t.certs[0]; l.IsCA || l.KeyUsage != 0 && l.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return fmt.Errorf("%w: the leaf is a CA, or may not sign tokens", ErrChain)
	}
	return nil
}

// checkCertTimes demands that every certificate is valid when the token was issued.
func (t *token) checkCertTimes(at time.Time) error {
	for i, c := range t.certs {
		if at.Before(c.NotBefore) || at.After(c.NotAfter) {
			return fmt.Errorf("%w: certificate %d holds from %s to %s, the token is of %s", ErrTime, i, when(c.NotBefore), when(c.NotAfter), when(at))
		}
	}
	return nil
}

// verify checks the token's signature, RSASSA-PKCS1-v1_5 with SHA-256.
func (t *token) verify(key *rsa.PublicKey) error {
	h := sha256.Sum256(t.input)
	if key == nil || rsa.VerifyPKCS1v15(key, crypto.SHA256, h[:], t.sig) != nil {
		return fmt.Errorf("%w: of the token, RS256", ErrSignature)
	}
	return nil
}

func (t *token) leafKey() *rsa.PublicKey { return t.certs[0].PublicKey.(*rsa.PublicKey) }

// publishedKey is the one among an issuer's keys that the header names.
func (t *token) publishedKey(keys []jwk.JWK) (*rsa.PublicKey, error) {
	for _, k := range keys {
		if t.header.Kid == "" || k.Kid != t.header.Kid {
			continue
		}
		pub, err := k.PublicKey()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrKey, err)
		}
		if p, ok := pub.(*rsa.PublicKey); ok && k.Alg == jwk.RS256 {
			return p, nil
		}
		return nil, fmt.Errorf("%w: key %q is not for RS256", ErrKey, k.Kid)
	}
	return nil, fmt.Errorf("%w: %.*q is none of the %d that the policy has: put the issuer's published key set into its oidc.issuers", ErrKey, maxShown, t.header.Kid, len(keys))
}

// collateral is how long the certificates hold, for the policy to judge at the time of the verdict.
func (t *token) collateral() []attestation.Collateral {
	var out []attestation.Collateral
	for i, c := range t.certs {
		name := fmt.Sprintf("ca-certificate-%d", i)
		switch i {
		case 0:
			name = "leaf-certificate"
		case len(t.certs) - 1:
			name = "root-certificate"
		}
		out = append(out, attestation.Collateral{Name: name, Issued: c.NotBefore.Unix(), Expires: c.NotAfter.Unix()})
	}
	return out
}

func when(t time.Time) string { return t.UTC().Format(time.RFC3339) }
