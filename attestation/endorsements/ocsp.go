// SPDX-License-Identifier: Apache-2.0

package endorsements

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/glovebox-dev/glovebox/attestation"
)

const nonceSize = 32 // RFC 9654

// Parts of an OCSP request (RFC 6960, 4.1.1). x/crypto/ocsp makes them without extensions.
type (
	ocspQuery struct {
		TBS ocspTBS
	}
	ocspTBS struct {
		List       []asn1.RawValue
		Extensions []pkix.Extension `asn1:"explicit,tag:2"`
	}
)

func oidNonce() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}
}

// ocspRequest asks for the status of c. The nonce shows that the answer was made now; it is no part of the cache's key.
func (f *Fetcher) ocspRequest(c, issuer *x509.Certificate) (request, error) {
	plain, err := ocsp.CreateRequest(c, issuer, &ocsp.RequestOptions{Hash: crypto.SHA256})
	if err != nil {
		return request{}, fmt.Errorf("%w: %w", ErrNeeds, err)
	}
	nonce := make([]byte, nonceSize)
	rand.Read(nonce) //nolint:errcheck // it never fails
	post, err := withNonce(plain, nonce)
	if err != nil {
		return request{}, err
	}
	return request{
		name: "ocsp", url: f.cfg.OCSP + "/", post: post, postType: "application/ocsp-request", id: plain,
		read: func(a *answer, now time.Time) (*statement, error) {
			r, err := ocsp.ParseResponseForCert(a.Body, c, issuer)
			if err != nil {
				return nil, fmt.Errorf("no OCSP answer about this certificate: %w", err)
			}
			if got := nonceOf(a.Body); !a.kept && got != nil && !bytes.Equal(got, nonce) {
				return nil, errors.New("an OCSP answer to another question")
			}
			if r.Status != ocsp.Good && r.Status != ocsp.Revoked {
				return nil, errors.New("an OCSP responder that does not know the certificate")
			}
			expires := r.NextUpdate
			if expires.IsZero() {
				expires = now.Add(unsignedAge)
			}
			return &statement{[]attestation.Endorsement{{Type: attestation.OCSPType, Body: bytes.Clone(a.Body)}}, r.ThisUpdate, expires}, nil
		},
	}, nil
}

// withNonce adds the extension to a request that has none.
func withNonce(plain, nonce []byte) ([]byte, error) {
	var q struct {
		TBS struct{ List []asn1.RawValue }
	}
	if rest, err := asn1.Unmarshal(plain, &q); err != nil || len(rest) != 0 {
		return nil, fmt.Errorf("ocsp request: %w", err)
	}
	value, err := asn1.Marshal(nonce)
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(ocspQuery{ocspTBS{q.TBS.List, []pkix.Extension{{Id: oidNonce(), Value: value}}}})
}

// nonceOf is nil where the answer has none: responders that sign in advance leave it out.
func nonceOf(answer []byte) []byte {
	var outer struct {
		Status asn1.Enumerated
		Bytes  struct {
			Type asn1.ObjectIdentifier
			Body []byte
		} `asn1:"explicit,tag:0,optional"`
	}
	if _, err := asn1.Unmarshal(answer, &outer); err != nil {
		return nil
	}
	var basic struct {
		TBS       asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
		Certs     []asn1.RawValue `asn1:"explicit,tag:0,optional"`
	}
	if _, err := asn1.Unmarshal(outer.Bytes.Body, &basic); err != nil {
		return nil
	}
	// The extensions are the last member, [1] EXPLICIT.
	for rest := basic.TBS.Bytes; len(rest) > 0; {
		var v asn1.RawValue
		var err error
		if rest, err = asn1.Unmarshal(rest, &v); err != nil {
			return nil
		}
		if v.Class != asn1.ClassContextSpecific || v.Tag != 1 || len(rest) != 0 {
			continue
		}
		var list []pkix.Extension
		if _, err := asn1.Unmarshal(v.Bytes, &list); err != nil {
			return nil
		}
		for _, x := range list {
			if x.Id.Equal(oidNonce()) {
				var nonce []byte
				if _, err := asn1.Unmarshal(x.Value, &nonce); err != nil {
					return x.Value
				}
				return nonce
			}
		}
	}
	return nil
}
