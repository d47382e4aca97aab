// SPDX-License-Identifier: Apache-2.0

package endorsements

import (
	"bytes"
	"crypto/x509"
	"encoding/xml"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Description is an endorsement as people see it. It says what the endorsement claims; nothing of it was verified.
type Description struct {
	Type    string          `json:"type"`
	What    string          `json:"what"`
	Issuer  string          `json:"issuer"` // who claims to have issued it; empty where it does not say
	From    int64           `json:"from"`   // Unix seconds; 0: it does not say
	To      int64           `json:"to"`
	Digest  envelope.Digest `json:"digest"` // SHA-256 of the body
	Expired bool            `json:"expired"`
	Problem string          `json:"problem,omitempty"` // why it cannot be read

	slot string // what it is about: a later statement about the same replaces it
}

// Describe reads one endorsement.
func Describe(e attestation.Endorsement, now time.Time) Description {
	d := Description{Type: e.Type, What: e.Type, Digest: envelope.Sum(e.Body)}
	d.slot = e.Type + " " + d.Digest.Hex()
	if err := d.read(e); err != nil {
		d.Problem = err.Error()
	}
	d.Expired = d.To != 0 && now.Unix() > d.To
	return d
}

func (d *Description) read(e attestation.Endorsement) error {
	switch e.Type {
	case attestation.CertificateType:
		c, err := x509.ParseCertificate(e.Body)
		if err != nil {
			return err
		}
		d.What, d.Issuer = "certificate of "+c.Subject.CommonName, c.Issuer.CommonName
		d.between(c.NotBefore, c.NotAfter)
	case attestation.ChainType:
		certs, err := parseChain(e.Body)
		if err != nil {
			return err
		}
		last := certs[len(certs)-1]
		d.What, d.Issuer = fmt.Sprintf("chain of %d: %s", len(certs), certs[0].Subject.CommonName), last.Subject.CommonName
		d.between(validity(certs...))
	case attestation.CRLType:
		l, err := x509.ParseRevocationList(e.Body)
		if err != nil {
			return err
		}
		d.What, d.Issuer, d.slot = fmt.Sprintf("revocation list, %d revoked", len(l.RevokedCertificateEntries)), l.Issuer.CommonName, e.Type+" "+string(l.RawIssuer)
		d.between(l.ThisUpdate, l.NextUpdate)
	case attestation.OCSPType:
		r, err := ocsp.ParseResponse(e.Body, nil)
		if err != nil {
			return err
		}
		d.What, d.slot = fmt.Sprintf("status of certificate %x: %s", r.SerialNumber, status(r.Status)), fmt.Sprintf("%s %x %x", e.Type, r.IssuerHash, r.SerialNumber)
		if r.Certificate != nil {
			d.Issuer = r.Certificate.Subject.CommonName
		}
		d.between(r.ThisUpdate, r.NextUpdate)
	case attestation.TCBInfoType:
		return d.intel(e, "tcbInfo", "TCB info")
	case attestation.QEIdentityType:
		return d.intel(e, "enclaveIdentity", "QE identity")
	case attestation.DriverRIMType, attestation.VBIOSRIMType:
		return d.rim(e)
	}
	return nil
}

func (d *Description) between(from, to time.Time) {
	if !from.IsZero() {
		d.From = from.Unix()
	}
	if !to.IsZero() {
		d.To = to.Unix()
	}
}

func (d *Description) intel(e attestation.Endorsement, member, what string) error {
	i, err := readIssuance(e.Body, member)
	if err != nil {
		return err
	}
	d.What, d.Issuer = fmt.Sprintf("%s %s%s, evaluation %d", what, i.ID, spaced(i.FMSPC), i.Evaluation), "Intel"
	d.slot = e.Type + " " + i.ID + " " + i.FMSPC
	d.between(i.IssueDate, i.NextUpdate)
	return nil
}

func (d *Description) rim(e attestation.Endorsement) error {
	tag, err := readRIM(e.Body)
	if err != nil {
		return err
	}
	d.What, d.Issuer, d.slot = "reference manifest "+tag.TagID, "NVIDIA", e.Type+" "+tag.TagID
	certs := tag.certificates()
	if len(certs) > 0 {
		d.Issuer = certs[0].Subject.CommonName
		d.between(validity(certs...))
	}
	return nil
}

func spaced(s string) string {
	if s == "" {
		return ""
	}
	return " " + s
}

func status(s int) string {
	switch s {
	case ocsp.Good:
		return "good"
	case ocsp.Revoked:
		return "REVOKED"
	}
	return "unknown"
}

// merge adds what is new to have, in place of older statements about the same. The order of have stays.
func merge(have, add []attestation.Endorsement) []attestation.Endorsement {
	out := slices.Clone(have)
	for _, e := range add {
		slot := Describe(e, time.Time{}).slot
		i := slices.IndexFunc(out, func(h attestation.Endorsement) bool { return Describe(h, time.Time{}).slot == slot })
		switch {
		case i >= 0:
			out[i] = e
		case e.Type == attestation.ChainType && covered(e, out):
		default:
			out = append(out, e)
		}
	}
	return out
}

// covered says that every certificate of a chain is in one chain that is there already.
func covered(e attestation.Endorsement, have []attestation.Endorsement) bool {
	certs, err := parseChain(e.Body)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(have, func(h attestation.Endorsement) bool {
		if h.Type != attestation.ChainType {
			return false
		}
		theirs, err := parseChain(h.Body)
		return err == nil && !slices.ContainsFunc(certs, func(c *x509.Certificate) bool {
			return !slices.ContainsFunc(theirs, c.Equal)
		})
	})
}

// swid is as much of a reference manifest as it takes to know which it is.
type swid struct {
	XMLName xml.Name `xml:"SoftwareIdentity"`
	TagID   string   `xml:"tagId,attr"`
	Name    string   `xml:"name,attr"`
	Certs   []string `xml:"Signature>KeyInfo>X509Data>X509Certificate"`
}

func readRIM(b []byte) (*swid, error) {
	var s swid
	d := xml.NewDecoder(bytes.NewReader(b))
	d.Entity = map[string]string{}
	if err := d.Decode(&s); err != nil || s.Name == "" && s.TagID == "" {
		return nil, fmt.Errorf("not a SWID tag")
	}
	if s.TagID == "" {
		s.TagID = s.Name
	}
	return &s, nil
}
