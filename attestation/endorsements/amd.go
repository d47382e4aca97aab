// SPDX-License-Identifier: Apache-2.0

package endorsements

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/snp"
)

// AMD's product lines, as its service spells them.
const (
	milan = "Milan"
	genoa = "Genoa"
	turin = "Turin"
)

// amdReport is what a report says of the key that signed it.
type amdReport struct {
	line string // product line
	vlek bool   // signed by the cloud's key, not the chip's
	chip []byte
	tcb  snp.TCB // the reported TCB: the key is derived from it
}

func (f *Fetcher) needsAMD(p *attestation.Nested) (*needs, error) {
	raw, err := snpReport(p)
	if err != nil {
		return nil, err
	}
	r, err := readReport(raw, certificatesIn(p))
	if err != nil {
		return nil, err
	}
	n := &needs{}
	role := "vcek"
	if r.vlek {
		role = "vlek"
		n.notes = append(n.notes, "signed by a VLEK: its certificate comes with the report from the cloud and cannot be fetched from AMD; the chain and the revocation list are")
	} else {
		q, err := f.vcekRequest(r)
		if err != nil {
			return nil, err
		}
		n.requests = append(n.requests, q)
	}
	base := f.cfg.KDS + "/" + role + "/v1/" + r.line
	crl := crlRequest("ark-crl", base+"/crl", nil)
	read := crl.read
	crl.read = func(a *answer, now time.Time) (*statement, error) {
		s, err := read(a, now)
		if err != nil {
			return nil, err
		}
		l, err := x509.ParseRevocationList(s.endorsements[0].Body)
		if err == nil && l.Issuer.CommonName != "ARK-"+r.line {
			err = fmt.Errorf("a revocation list of %s, not of ARK-%s", l.Issuer, r.line)
		}
		return s, err
	}
	n.requests = append(n.requests, r.chainRequest(base+"/cert_chain"), crl)
	return n, nil
}

// readReport fills the product line from the report, or from a certificate beside it where the report is too old to say.
func readReport(raw []byte, certs []*x509.Certificate) (*amdReport, error) {
	p, err := snp.ParseReport(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNeeds, err)
	}
	if p.SigningKey != snp.SignedByVCEK && p.SigningKey != snp.SignedByVLEK {
		return nil, fmt.Errorf("%w: this report is not signed", ErrNeeds)
	}
	r := &amdReport{line: lineOf(p, certs), vlek: p.SigningKey == snp.SignedByVLEK, chip: p.ChipID[:], tcb: p.ReportedTCB}
	if r.line == "" {
		return nil, fmt.Errorf("%w: this report does not say which product signed it; import it with its certificate", ErrNeeds)
	}
	return r, nil
}

// lineOf is empty where nothing says it. Reports before version 3 do not.
func lineOf(p *snp.Report, certs []*x509.Certificate) string {
	if p.Version >= 3 {
		return lineOfModel(p.Family, p.Model)
	}
	for _, c := range certs {
		for _, l := range []string{milan, genoa, turin} {
			if cn := c.Issuer.CommonName; cn == "SEV-"+l || cn == "SEV-VLEK-"+l || cn == "ARK-"+l {
				return l
			}
		}
	}
	return ""
}

// lineOfModel goes by ranges: Bergamo and Siena have Genoa's roots.
func lineOfModel(family, model byte) string {
	switch {
	case family == 0x19 && model <= 0x0f:
		return milan
	case family == 0x19 && (model>>4 == 0x1 || model>>4 == 0xa):
		return genoa
	case family == 0x1a && model <= 0x1f:
		return turin
	}
	return ""
}

// turinChip is how much of the chip id Turin uses; the rest is zero.
const turinChip = 8

func (f *Fetcher) vcekRequest(r *amdReport) (request, error) {
	if bytes.Count(r.chip, []byte{0}) == len(r.chip) {
		return request{}, fmt.Errorf("%w: the report hides the chip's id (MASK_CHIP_ID), so only the host can fetch its certificate: import it with --cert", ErrNeeds)
	}
	return request{
		name: "vcek", url: vcekURL(f.cfg.KDS, r), hint: "AMD knows no such chip at this TCB; check that the report is of real hardware",
		read: func(a *answer, _ time.Time) (*statement, error) {
			c, err := x509.ParseCertificate(a.Body)
			if err != nil {
				return nil, errors.New("not a certificate")
			}
			if c.Issuer.CommonName != "SEV-"+r.line || c.Subject.CommonName != "SEV-VCEK" {
				return nil, fmt.Errorf("the certificate of %s by %s, want SEV-VCEK by SEV-%s", c.Subject.CommonName, c.Issuer.CommonName, r.line)
			}
			if got := hardwareID(c); !bytes.Equal(got, r.chip) && (r.line != turin || !bytes.Equal(got, r.chip[:turinChip])) {
				return nil, fmt.Errorf("the certificate of another chip, %s…", hex.EncodeToString(got[:min(8, len(got))]))
			}
			return &statement{[]attestation.Endorsement{{Type: attestation.CertificateType, Body: c.Raw}}, c.NotBefore, c.NotAfter}, nil
		},
	}, nil
}

// vcekURL asks for the key of one chip at one TCB. Turin has a part more, and shorter ids; go-sev-guest v0.15.0 knows the
// form of the older lines only.
func vcekURL(base string, r *amdReport) string {
	base += "/vcek/v1/" + r.line + "/"
	if r.line == turin {
		return fmt.Sprintf("%s%x?fmcSPL=%d&blSPL=%d&teeSPL=%d&snpSPL=%d&ucodeSPL=%d", base, r.chip[:turinChip], r.tcb[0], r.tcb[1], r.tcb[2], r.tcb[3], r.tcb[7])
	}
	return fmt.Sprintf("%s%x?blSPL=%d&teeSPL=%d&snpSPL=%d&ucodeSPL=%d", base, r.chip, r.tcb[0], r.tcb[1], r.tcb[6], r.tcb[7])
}

// hardwareID is the chip's id in its certificate: an OCTET STRING, or the bare bytes that AMD also writes.
func hardwareID(c *x509.Certificate) []byte {
	for _, x := range c.Extensions {
		if !x.Id.Equal(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 3704, 1, 4}) {
			continue
		}
		var b []byte
		if rest, err := asn1.Unmarshal(x.Value, &b); err == nil && len(rest) == 0 {
			return b
		}
		return x.Value
	}
	return nil
}

func (r *amdReport) chainRequest(url string) request {
	ask := "SEV-" + r.line
	if r.vlek {
		ask = "SEV-VLEK-" + r.line
	}
	return request{name: "ask-ark", url: url, read: func(a *answer, _ time.Time) (*statement, error) {
		certs, err := parseChain(a.Body)
		if err != nil {
			return nil, err
		}
		if len(certs) != 2 || certs[0].Subject.CommonName != ask || certs[1].Subject.CommonName != "ARK-"+r.line {
			return nil, fmt.Errorf("another chain than %s, ARK-%s", ask, r.line)
		}
		return chainStatement(certs), nil
	}}
}
