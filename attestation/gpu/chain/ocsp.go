// SPDX-License-Identifier: Apache-2.0

package chain

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"slices"
	"time"

	"golang.org/x/crypto/ocsp"
)

// MaxAnswers is how many OCSP answers are looked at.
const MaxAnswers = 16

const (
	maxOCSP = 8 << 10

	freshAnswer = 24 * 60 * 60 // seconds for which an answer holds that does not say so itself
)

// Answer is the OCSP responder's word on one certificate of a chain.
type Answer struct {
	Index           int // in the chain
	Issued, Expires int64
}

// Revocation looks for an answer on each certificate from first to the last but the root, and returns those it found.
// An answer that is about one of them and not good, not signed by its issuer or a responder that the issuer appointed,
// or not of this time, is refused. Answers about others are left alone; the caller decides what a missing one means.
func Revocation(certs []*x509.Certificate, first int, answers [][]byte, now int64) ([]Answer, error) {
	if len(answers) > MaxAnswers {
		return nil, fmt.Errorf("%w: %d answers, at most %d are looked at", ErrOCSP, len(answers), MaxAnswers)
	}
	ids := make([]*certID, len(answers))
	for i, raw := range answers {
		var err error
		if ids[i], err = subject(raw); err != nil {
			return nil, err
		}
	}
	var out []Answer
	for i := first; i < len(certs)-1; i++ {
		for k, raw := range answers {
			a, about, err := answer(certs[i], certs[i+1], ids[k], raw, now)
			if err != nil {
				return nil, fmt.Errorf("certificate %d (%s): %w", i, certs[i].Subject.CommonName, err)
			}
			if about {
				a.Index = i
				out = append(out, a)
				break
			}
		}
	}
	return out, nil
}

// answer reads raw, whose subject is id, if that is c. No signature is checked of an answer about another certificate, so that a heap of
// answers costs one check for each certificate.
func answer(c, issuer *x509.Certificate, id *certID, raw []byte, now int64) (a Answer, about bool, err error) {
	if id.Serial.Cmp(c.SerialNumber) != 0 || !id.names(issuer) {
		return a, false, nil
	}
	r, err := ocsp.ParseResponseForCert(raw, c, issuer)
	if err != nil {
		return a, true, fmt.Errorf("%w: %v", ErrOCSP, err)
	}
	if err := appointed(r, issuer, now); err != nil {
		return a, true, err
	}
	a.Issued, a.Expires = r.ThisUpdate.Unix(), r.NextUpdate.Unix()
	if r.NextUpdate.IsZero() { // the responder always has newer ones
		a.Expires = a.Issued + freshAnswer
	}
	switch {
	case r.Status == ocsp.Revoked:
		return a, true, fmt.Errorf("%w: since %s, reason %d", ErrRevoked, r.RevokedAt.UTC().Format(time.RFC3339), r.RevocationReason)
	case r.Status != ocsp.Good:
		return a, true, fmt.Errorf("%w: the responder does not know the certificate", ErrOCSP)
	case now < a.Issued || now > a.Expires:
		return a, true, fmt.Errorf("%w: holds from %s to %s: fetch it again", ErrOCSP, day(a.Issued), day(a.Expires))
	}
	return a, true, nil
}

func day(t int64) string { return time.Unix(t, 0).UTC().Format(time.RFC3339) }

// appointed checks what the library does not: a responder with a certificate of its own must be marked as one by the
// issuer, or else any device below the same issuer could answer for its neighbours; and its certificate must hold.
func appointed(r *ocsp.Response, issuer *x509.Certificate, now int64) error {
	c := r.Certificate
	if c == nil || bytes.Equal(c.Raw, issuer.Raw) {
		return nil // ParseResponseForCert has checked the issuer's own signature
	}
	at := time.Unix(now, 0)
	switch {
	case !bytes.Equal(c.RawIssuer, issuer.RawSubject) || c.IsCA:
		return fmt.Errorf("%w: responder %q is not appointed by the issuer", ErrOCSP, c.Subject)
	case !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning):
		return fmt.Errorf("%w: %q is not a responder", ErrOCSP, c.Subject)
	case at.Before(c.NotBefore) || at.After(c.NotAfter):
		return fmt.Errorf("%w: the responder's certificate does not hold at this time", ErrOCSP)
	}
	return nil
}

// Structures of RFC 6960, as far down as the CertID: the library compares no more of it than the serial number.
type (
	response struct {
		Status asn1.Enumerated
		Bytes  struct {
			Type asn1.ObjectIdentifier
			Body []byte
		} `asn1:"explicit,tag:0,optional"`
	}
	basic struct{ Data responseData }

	responseData struct {
		Version   int `asn1:"optional,default:0,explicit,tag:0"`
		Responder asn1.RawValue
		Produced  time.Time `asn1:"generalized"`
		Responses []single
	}
	single struct{ ID certID }
	certID struct {
		Hash                pkix.AlgorithmIdentifier
		NameHash, IssuerKey []byte
		Serial              *big.Int
	}
)

// subject is the certificate that an answer is about. Answers about several are refused: nobody asks for them.
func subject(raw []byte) (*certID, error) {
	if len(raw) == 0 || len(raw) > maxOCSP {
		return nil, fmt.Errorf("%w: %d bytes, want 1 to %d", ErrOCSP, len(raw), maxOCSP)
	}
	var r response
	if rest, err := asn1.Unmarshal(raw, &r); err != nil || len(rest) != 0 || r.Status != 0 {
		return nil, fmt.Errorf("%w: not a successful answer", ErrOCSP)
	}
	if der, err := asn1.Marshal(r); err != nil || !bytes.Equal(der, raw) { // the parser is lax about lengths of explicit tags
		return nil, fmt.Errorf("%w: not DER", ErrOCSP)
	}
	var b basic
	if rest, err := asn1.Unmarshal(r.Bytes.Body, &b); err != nil || len(rest) != 0 || len(b.Data.Responses) != 1 || b.Data.Responses[0].ID.Serial == nil {
		return nil, fmt.Errorf("%w: not a basic answer about one certificate", ErrOCSP)
	}
	return &b.Data.Responses[0].ID, nil
}

// names reports whether id names issuer: serial numbers are unique under one issuer only.
func (id *certID) names(issuer *x509.Certificate) bool {
	var spki struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(issuer.RawSubjectPublicKeyInfo, &spki); err != nil {
		return false
	}
	name, key := issuer.RawSubject, spki.Key.RightAlign()
	switch id.Hash.Algorithm.String() {
	case "1.3.14.3.2.26": // SHA-1 is usual here: it names the issuer, whose signature is checked
		n, k := sha1.Sum(name), sha1.Sum(key)
		return bytes.Equal(id.NameHash, n[:]) && bytes.Equal(id.IssuerKey, k[:])
	case "2.16.840.1.101.3.4.2.1":
		n, k := sha256.Sum256(name), sha256.Sum256(key)
		return bytes.Equal(id.NameHash, n[:]) && bytes.Equal(id.IssuerKey, k[:])
	case "2.16.840.1.101.3.4.2.2":
		n, k := sha512.Sum384(name), sha512.Sum384(key)
		return bytes.Equal(id.NameHash, n[:]) && bytes.Equal(id.IssuerKey, k[:])
	}
	return false
}
