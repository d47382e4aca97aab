// SPDX-License-Identifier: Apache-2.0

package endorsements

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
)

const maxCertificates = 16 // of one answer, or of one piece of evidence

// parseChain reads certificates in PEM, and nothing else.
func parseChain(b []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for len(bytes.TrimSpace(b)) > 0 {
		block, rest := pem.Decode(b)
		if block == nil || block.Type != "CERTIFICATE" || len(out) == maxCertificates {
			return nil, errors.New("not a chain of PEM certificates")
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		out, b = append(out, c), rest
	}
	if len(out) == 0 {
		return nil, errors.New("no certificate")
	}
	return out, nil
}

// validity is the time in which all of certs hold.
func validity(certs ...*x509.Certificate) (from, to time.Time) {
	from, to = certs[0].NotBefore, certs[0].NotAfter
	for _, c := range certs[1:] {
		if c.NotBefore.After(from) {
			from = c.NotBefore
		}
		if c.NotAfter.Before(to) {
			to = c.NotAfter
		}
	}
	return from, to
}

func chainStatement(certs []*x509.Certificate) *statement {
	var b []byte
	for _, c := range certs {
		b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	s := &statement{endorsements: []attestation.Endorsement{{Type: attestation.ChainType, Body: b}}}
	s.issued, s.expires = validity(certs...)
	return s
}

// and adds what came in the same answer.
func (s *statement) and(t *statement) *statement {
	s.endorsements = append(s.endorsements, t.endorsements...)
	if t.issued.After(s.issued) {
		s.issued = t.issued
	}
	if t.expires.Before(s.expires) {
		s.expires = t.expires
	}
	return s
}

// parseCRL reads DER, PEM, or the hex that caches of Intel's service answer with.
func parseCRL(b []byte) (*x509.RevocationList, error) {
	if block, rest := pem.Decode(b); block != nil && block.Type == "X509 CRL" && len(bytes.TrimSpace(rest)) == 0 {
		b = block.Bytes
	} else if h, err := hex.DecodeString(strings.Trim(strings.TrimSpace(string(b)), `"`)); err == nil {
		b = h
	}
	l, err := x509.ParseRevocationList(b)
	if err != nil {
		return nil, errors.New("not a certificate revocation list")
	}
	if l.NextUpdate.IsZero() {
		return nil, errors.New("a certificate revocation list without an end")
	}
	return l, nil
}

// crlRequest asks for the list of one issuer, by its distinguished name; nil: of any.
func crlRequest(name, addr string, issuer []byte) request {
	return request{name: name, url: addr, read: func(a *answer, _ time.Time) (*statement, error) {
		l, err := parseCRL(a.Body)
		if err != nil {
			return nil, err
		}
		if issuer != nil && !bytes.Equal(l.RawIssuer, issuer) {
			return nil, fmt.Errorf("a revocation list of %s", l.Issuer)
		}
		return &statement{[]attestation.Endorsement{{Type: attestation.CRLType, Body: l.Raw}}, l.ThisUpdate, l.NextUpdate}, nil
	}}
}

// certificatesIn finds the certificates that evidence carries in whatever form its platform has: DER certificates begin
// with a SEQUENCE that holds a SEQUENCE, PEM with its line. Finding one too many costs a request at the vendor's; whether
// they mean anything is for verifiers.
func certificatesIn(p *attestation.Nested) []*x509.Certificate {
	var out []*x509.Certificate
	add := func(c *x509.Certificate) {
		known := slices.ContainsFunc(out, func(h *x509.Certificate) bool { return h.Equal(c) })
		if !known && len(out) < maxCertificates {
			out = append(out, c)
		}
	}
	for _, e := range p.Endorsements {
		switch e.Type {
		case attestation.CertificateType:
			if c, err := x509.ParseCertificate(e.Body); err == nil {
				add(c)
			}
		case attestation.ChainType:
			certs, err := parseChain(e.Body)
			if err != nil {
				continue
			}
			for _, c := range certs {
				add(c)
			}
		}
	}
	for _, c := range scan(p.Evidence) {
		add(c)
	}
	return out
}

const maxScan = 64 << 10 // evidence that carries certificates is smaller

func scan(b []byte) []*x509.Certificate {
	var out []*x509.Certificate
	b = b[:min(len(b), maxScan)]
	for rest := b; len(out) < maxCertificates; {
		i := bytes.Index(rest, []byte("-----BEGIN CERTIFICATE-----"))
		if i < 0 {
			break
		}
		block, after := pem.Decode(rest[i:])
		if block == nil {
			break
		}
		if c, err := x509.ParseCertificate(block.Bytes); err == nil {
			out = append(out, c)
		}
		rest = after
	}
	for i := 0; i+8 < len(b) && len(out) < maxCertificates; i++ {
		if b[i] != 0x30 || b[i+1] != 0x82 || b[i+4] != 0x30 || b[i+5] != 0x82 {
			continue
		}
		n := 4 + int(b[i+2])<<8 + int(b[i+3])
		if i+n > len(b) {
			continue
		}
		if c, err := x509.ParseCertificate(b[i : i+n]); err == nil {
			out = append(out, c)
			i += n - 1
		}
	}
	return out
}

// Where Amazon and Google publish revocation lists and issuers. Certificates in evidence are a stranger's words: no other
// address that they name is asked. Names of buckets are free for anybody to take, so each is as narrow as the vendor's own
// are: Amazon's of a region only in that very region, which has to exist for the name to resolve, Google's with a UUID.
const uuid = `[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`

var (
	amazonList   = regexp.MustCompile(`^aws-nitro-enclaves-crl\.s3\.amazonaws\.com/crl/` + uuid + `\.crl$`)
	amazonRegion = regexp.MustCompile(`^crl-([a-z]{2}(?:-[a-z]+){1,2}-[0-9])-aws-nitro-enclaves\.s3\.([a-z0-9-]+)\.amazonaws\.com/crl/` + uuid + `\.crl$`)
	googleList   = regexp.MustCompile(`^privateca-content-` + uuid + `\.storage\.googleapis\.com/[0-9a-f]{20}/(crl\.crl|ca\.crt)$`)
)

// published reports whether a vendor publishes there. Place is a host and a path.
func published(place string) bool {
	region := amazonRegion.FindStringSubmatch(place)
	return amazonList.MatchString(place) || googleList.MatchString(place) || region != nil && region[1] == region[2]
}

// needsCRLs asks for what the certificates name as their revocation lists and, where the platform's evidence comes without
// them, as their issuers.
func (f *Fetcher) needsCRLs(p *attestation.Nested) (*needs, error) {
	certs := certificatesIn(p)
	if len(certs) == 0 {
		return nil, fmt.Errorf("%w: no certificate in this %s evidence or beside it", ErrNeeds, p.Platform)
	}
	n := &needs{}
	seen := map[string]bool{}
	add := func(raw string, r func(addr string) request) {
		addr, err := distributor(raw)
		switch {
		case seen[raw]:
		case err != nil:
			n.notes = append(n.notes, err.Error())
		default:
			n.requests = append(n.requests, r(addr))
		}
		seen[raw] = true
	}
	for _, c := range certs {
		for _, raw := range c.CRLDistributionPoints {
			add(raw, func(addr string) request { return crlRequest("crl", addr, c.RawIssuer) })
		}
		if p.Platform != attestation.PlatformGCE {
			continue
		}
		for _, raw := range c.IssuingCertificateURL {
			add(raw, func(addr string) request { return issuerRequest(addr, c) })
		}
	}
	if len(n.requests) == 0 {
		n.notes = append(n.notes, fmt.Sprintf("the certificates of this %s evidence name no revocation list that can be fetched", p.Platform))
	}
	return n, nil
}

// distributor is the address over HTTPS, whatever the certificate says, and without a query, which would carry a
// stranger's words.
func distributor(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.User != nil || !published(u.Host+u.EscapedPath()) {
		return "", fmt.Errorf("not asked, because it is no vendor's: %q", raw)
	}
	return "https://" + u.Host + u.EscapedPath(), nil
}

func issuerRequest(addr string, of *x509.Certificate) request {
	return request{name: "issuer", url: addr, read: func(a *answer, _ time.Time) (*statement, error) {
		der := a.Body
		if block, _ := pem.Decode(der); block != nil {
			der = block.Bytes
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, errors.New("not a certificate")
		}
		if !bytes.Equal(c.RawSubject, of.RawIssuer) {
			return nil, fmt.Errorf("the certificate of %s, not of %s", c.Subject, of.Issuer)
		}
		return &statement{[]attestation.Endorsement{{Type: attestation.CertificateType, Body: c.Raw}}, c.NotBefore, c.NotAfter}, nil
	}}
}
