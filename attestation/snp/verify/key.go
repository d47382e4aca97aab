// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"strings"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/certs"
	"github.com/glovebox-dev/glovebox/attestation/snp"
)

// ErrKey is a VCEK's or VLEK's certificate that does not vouch for the report.
var ErrKey = errors.New("snp: bad endorsement key certificate")

// kind of an endorsement key.
type kind string

const (
	vcek kind = "VCEK" // of one chip at one TCB
	vlek kind = "VLEK" // of a cloud at one TCB, loaded into its chips
)

// endorsementKey is a VCEK or VLEK as its certificate describes it (AMD 57230, KDS specification).
type endorsementKey struct {
	kind    kind
	cert    *x509.Certificate
	public  *ecdsa.PublicKey
	product string             // e.g. "Milan-B0"
	hwid    []byte             // VCEK: 64 bytes, or on Turin 8
	csp     string             // VLEK: who may load it
	spl     map[string]uint8   // by name: fmc, bl, tee, snp, ucode
	hasFMC  bool               // Turin and later
	tcb     attestation.SNPTCB // the same, as policies write it
}

// amdOID is the arc of AMD's certificate extensions.
const amdOID = "1.3.6.1.4.1.3704.1."

// parseKey reads a certificate of a kind. It does not verify its signature. The extensions are read here, since
// go-sev-guest's reader refuses Turin's (8 byte chip id, FMC).
func parseKey(k kind, c *x509.Certificate) (*endorsementKey, error) {
	pub, ok := c.PublicKey.(*ecdsa.PublicKey)
	switch {
	case c.Subject.CommonName != "SEV-"+string(k):
		return nil, fmt.Errorf("%w: it is of %q, want %q", ErrKey, c.Subject.CommonName, "SEV-"+string(k))
	case c.Version != 3 || c.SignatureAlgorithm != x509.SHA384WithRSAPSS:
		return nil, fmt.Errorf("%w: version %d, signed with %s, want 3 and %s", ErrKey, c.Version, c.SignatureAlgorithm, x509.SHA384WithRSAPSS)
	case !ok || pub.Curve != elliptic.P384():
		return nil, fmt.Errorf("%w: its key is not on P-384", ErrKey)
	case c.IsCA:
		return nil, fmt.Errorf("%w: it is a CA's", ErrKey)
	}
	if err := certs.Critical(c); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	e := &endorsementKey{kind: k, cert: c, public: pub, spl: map[string]uint8{}}
	for _, x := range c.Extensions {
		if id, ok := strings.CutPrefix(x.Id.String(), amdOID); ok {
			if err := e.extension(id, x.Value); err != nil {
				return nil, fmt.Errorf("%w: extension %s: %w", ErrKey, x.Id, err)
			}
		}
	}
	return e, e.complete()
}

// extension reads one of AMD's. Those of later KDS versions are passed over: they are not what is compared.
func (e *endorsementKey) extension(id string, value []byte) (err error) {
	parts := map[string]string{"3.1": "bl", "3.2": "tee", "3.3": "snp", "3.8": "ucode", "3.9": "fmc"}
	switch id {
	case "2":
		e.product, err = text(value)
	case "3.1", "3.2", "3.3", "3.8", "3.9":
		e.spl[parts[id]], err = number(value)
	case "3.4", "3.5", "3.6", "3.7":
		var n uint8
		if n, err = number(value); err == nil && n != 0 {
			err = fmt.Errorf("reserved, but %d", n)
		}
	case "4":
		e.hwid, err = octets(value)
	case "5":
		e.csp, err = text(value)
	}
	return err
}

// complete refuses a certificate that leaves out what is compared with reports.
func (e *endorsementKey) complete() error {
	for _, p := range []string{"bl", "tee", "snp", "ucode"} {
		if _, ok := e.spl[p]; !ok {
			return fmt.Errorf("%w: it has no %s level", ErrKey, p)
		}
	}
	_, e.hasFMC = e.spl["fmc"]
	e.tcb = attestation.SNPTCB{FMC: e.spl["fmc"], BootLoader: e.spl["bl"], TEE: e.spl["tee"], SNP: e.spl["snp"], Microcode: e.spl["ucode"]}
	switch {
	case e.product == "":
		return fmt.Errorf("%w: it names no product", ErrKey)
	case e.kind == vcek && (len(e.hwid) == 0 || e.csp != ""):
		return fmt.Errorf("%w: a VCEK names a chip and no cloud", ErrKey)
	case e.kind == vlek && (e.csp == "" || len(e.hwid) != 0):
		return fmt.Errorf("%w: a VLEK names a cloud and no chip", ErrKey)
	}
	return nil
}

func number(der []byte) (uint8, error) {
	var n int
	rest, err := asn1.Unmarshal(der, &n)
	if err != nil || len(rest) != 0 || n < 0 || n > 255 {
		return 0, fmt.Errorf("want an integer of 0 to 255")
	}
	return uint8(n), nil
}

func text(der []byte) (string, error) {
	var s string
	rest, err := asn1.UnmarshalWithParams(der, &s, "ia5")
	if err != nil || len(rest) != 0 || len(der) == 0 || der[0] != asn1.TagIA5String {
		return "", fmt.Errorf("want an IA5String")
	}
	return s, nil
}

// octets reads a chip id, which older certificates hold bare, without ASN.1 around it.
func octets(der []byte) ([]byte, error) {
	if len(der) == 64 || len(der) == 8 {
		return der, nil
	}
	var b []byte
	rest, err := asn1.Unmarshal(der, &b)
	if err != nil || len(rest) != 0 || (len(b) != 64 && len(b) != 8) {
		return nil, fmt.Errorf("want 64 or 8 bytes")
	}
	return b, nil
}

// ofChip reports whether the certificate is for the chip that a report names. Turin's certificates name 8 bytes, and its
// reports have zeros after them.
func (e *endorsementKey) ofChip(l *line, id [64]byte) bool {
	if len(e.hwid) == 8 {
		return l.name == "Turin" && bytes.Equal(e.hwid, id[:8]) && bytes.Equal(id[8:], make([]byte, 56)) && id != [64]byte{}
	}
	return bytes.Equal(e.hwid, id[:]) && id != [64]byte{}
}

// decodeTCB reads a report's TCB_VERSION in the layout of a product line; reserved bytes must be zero.
func (l *line) decodeTCB(t snp.TCB) (attestation.SNPTCB, error) {
	out := attestation.SNPTCB{BootLoader: t[0], TEE: t[1], SNP: t[6], Microcode: t[7]}
	reserved := t[2:6]
	if l.name == "Turin" {
		out = attestation.SNPTCB{FMC: t[0], BootLoader: t[1], TEE: t[2], SNP: t[3], Microcode: t[7]}
		reserved = t[4:7]
	}
	if !bytes.Equal(reserved, make([]byte, len(reserved))) {
		return out, fmt.Errorf("%w: TCB %x has reserved bytes", snp.ErrReport, t)
	}
	return out, nil
}

// covers reports whether a report of version 3 or later names a processor of the product line.
func (l *line) covers(r *snp.Report) bool {
	switch l.name {
	case "Milan":
		return r.Family == 0x19 && r.Model <= 0x0f
	case "Genoa": // and Bergamo and Siena
		return r.Family == 0x19 && (r.Model>>4 == 1 || r.Model>>4 == 0xa)
	case "Turin":
		return r.Family == 0x1a && r.Model <= 0x1f
	}
	return false
}

func tcbString(t attestation.SNPTCB, l *line) string {
	s := fmt.Sprintf("bootloader %d, tee %d, snp %d, microcode %d", t.BootLoader, t.TEE, t.SNP, t.Microcode)
	if l.name == "Turin" {
		s = fmt.Sprintf("fmc %d, ", t.FMC) + s
	}
	return s
}
