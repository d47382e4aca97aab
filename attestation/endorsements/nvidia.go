// SPDX-License-Identifier: Apache-2.0

package endorsements

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
)

// unsignedAge is how long an answer is kept that does not say itself how long it holds.
const unsignedAge = 24 * time.Hour

var rimID = regexp.MustCompile(`^NV_GPU_(DRIVER|VBIOS)_[A-Z0-9]{2,16}(_[A-Z0-9]{1,16}){0,4}(_?[0-9]+(\.[0-9]+)*)?$`)

func (f *Fetcher) needsNVIDIA(p *attestation.Nested) (*needs, error) {
	ids, err := gpuManifests(p)
	if err != nil {
		return nil, err
	}
	n := &needs{}
	for _, typ := range slices.Sorted(maps.Keys(ids)) {
		q, err := f.rimRequest(typ, ids[typ])
		if err != nil {
			return nil, err
		}
		n.requests = append(n.requests, q)
	}
	certs := certificatesIn(p)
	for i, c := range certs {
		issuer := issuerOf(c, certs)
		if issuer == nil || issuer.Equal(c) || i == 0 && !c.IsCA {
			continue // the root, or the key that the GPU made itself at boot, of which no responder knows
		}
		q, err := f.ocspRequest(c, issuer)
		if err != nil {
			return nil, err
		}
		n.requests = append(n.requests, q)
	}
	return n, nil
}

// issuerOf finds c's issuer among certs; nil if it is not there.
func issuerOf(c *x509.Certificate, certs []*x509.Certificate) *x509.Certificate {
	for _, i := range certs {
		if string(i.RawSubject) == string(c.RawIssuer) && c.CheckSignatureFrom(i) == nil {
			return i
		}
	}
	return nil
}

func (f *Fetcher) rimRequest(typ, id string) (request, error) {
	if !rimID.MatchString(id) {
		return request{}, fmt.Errorf("%w: %q is no name of a reference manifest", ErrNeeds, id)
	}
	name := "driver-rim"
	if typ == attestation.VBIOSRIMType {
		name = "vbios-rim"
	}
	return request{
		name: name, url: f.cfg.RIM + "/v1/rim/" + url.PathEscape(id), hint: "NVIDIA publishes no manifest " + id,
		read: func(a *answer, now time.Time) (*statement, error) {
			var m struct {
				ID  string `json:"id"`
				RIM string `json:"rim"`
			}
			if err := json.Unmarshal(a.Body, &m); err != nil {
				return nil, errors.New("not JSON")
			}
			if m.ID != id {
				return nil, fmt.Errorf("the manifest %q, not %s", m.ID, id)
			}
			b, err := base64.StdEncoding.DecodeString(m.RIM)
			if err != nil || len(b) == 0 {
				return nil, errors.New("a manifest that is not base64")
			}
			tag, err := readRIM(b)
			if err != nil {
				return nil, err
			}
			s := &statement{[]attestation.Endorsement{{Type: typ, Body: b}}, time.Time{}, now.Add(unsignedAge)}
			if certs := tag.certificates(); len(certs) > 0 {
				s.issued, _ = validity(certs...)
			}
			return s, nil
		},
		then: f.signerRequests,
	}, nil
}

// signerRequests asks for the status of a manifest's signer and those above, the root apart.
func (f *Fetcher) signerRequests(s *statement) ([]request, error) {
	tag, err := readRIM(s.endorsements[0].Body)
	if err != nil {
		return nil, err
	}
	var out []request
	certs := tag.certificates()
	for _, c := range certs {
		issuer := issuerOf(c, certs)
		if issuer == nil || issuer.Equal(c) {
			continue
		}
		q, err := f.ocspRequest(c, issuer)
		if err != nil {
			return nil, err
		}
		out = append(out, q)
	}
	return out, nil
}

// certificates are those of a manifest's signature, the signer's first; none if they cannot be read.
func (s *swid) certificates() []*x509.Certificate {
	var out []*x509.Certificate
	for _, text := range s.Certs[:min(len(s.Certs), maxCertificates)] {
		der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
		if err != nil {
			return nil
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil
		}
		out = append(out, c)
	}
	return out
}
