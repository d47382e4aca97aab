// SPDX-License-Identifier: Apache-2.0

package dcap

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/glovebox-dev/glovebox/attestation"
)

// ErrImport is that of files which are not what they are said to be.
var ErrImport = errors.New("dcap: import")

// Kinds of PEM block.
const pemCRL = "X509 CRL"

// importer collects endorsements, each once.
type importer struct {
	out   []attestation.Endorsement
	bytes int // in all of them
	found int // parts, those included that were there before
}

// Import makes endorsements of files as they are found: certificates and CRLs (DER, PEM, several in one file, hex, base64 or
// percent-encoded as Intel's service puts them in headers), the answers of Intel's service, the one-file JSON of dcap-qvl
// and of Intel's quote provider library, and our own lists of endorsements. Nothing in them is checked here beyond their
// shape; statements are written as [Verify] wants them. Errors: [ErrImport].
func Import(certs, collateral [][]byte) ([]attestation.Endorsement, error) {
	im := &importer{}
	for i, b := range certs {
		if err := im.file(b, 0); err != nil {
			return nil, fmt.Errorf("%w: certificate file %d: %w", ErrImport, i+1, err)
		}
	}
	for i, b := range collateral {
		if err := im.file(b, 0); err != nil {
			return nil, fmt.Errorf("%w: collateral file %d: %w", ErrImport, i+1, err)
		}
	}
	return im.out, nil
}

func (im *importer) add(typ string, body []byte) error {
	im.found++
	for _, e := range im.out {
		if e.Type == typ && bytes.Equal(e.Body, body) {
			return nil
		}
	}
	im.bytes += len(body)
	if len(im.out) == maxImported || im.bytes > attestation.MaxEvidence {
		return fmt.Errorf("more than %d parts, or than %d bytes", maxImported, attestation.MaxEvidence)
	}
	im.out = append(im.out, attestation.Endorsement{Type: typ, Body: bytes.Clone(body)})
	return nil
}

// file goes by what is there and not by what the file is called. Depth counts the encodings that were taken off.
func (im *importer) file(b []byte, depth int) error {
	if len(b) > attestation.MaxEvidence || depth > 3 {
		return fmt.Errorf("%d bytes, at most %d, in at most 3 encodings", len(b), attestation.MaxEvidence)
	}
	if len(b) > 0 && b[0] == 0x30 {
		if err := im.der(b); err == nil {
			return nil
		}
	}
	text := bytes.TrimSpace(bytes.TrimRight(b, "\x00"))
	switch {
	case len(text) == 0:
		return errors.New("empty file")
	case text[0] == '{':
		return im.object(text, depth)
	case text[0] == '[':
		return im.list(text)
	case bytes.Contains(text, []byte("-----BEGIN%20")):
		plain, err := url.PathUnescape(string(text))
		if err != nil {
			return err
		}
		return im.file([]byte(plain), depth+1)
	case bytes.Contains(text, []byte("-----BEGIN ")):
		return im.pem(text)
	}
	if plain, ok := unarmour(text); ok {
		return im.file(plain, depth+1)
	}
	return errors.New("neither a certificate, a CRL, nor a statement of Intel's (DER, PEM, JSON, hex and base64 are read)")
}

// unarmour takes hex or base64 off.
func unarmour(text []byte) ([]byte, bool) {
	s := strings.Join(strings.Fields(string(text)), "")
	if b, err := hex.DecodeString(strings.TrimPrefix(s, "0x")); err == nil {
		return b, true
	}
	s = strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(s), "=")
	b, err := base64.RawStdEncoding.DecodeString(s)
	return b, err == nil && len(b) > 0
}

func (im *importer) der(b []byte) error {
	if _, err := x509.ParseCertificate(b); err == nil {
		return im.add(attestation.CertificateType, b)
	}
	if l, err := x509.ParseRevocationList(b); err == nil && len(l.Raw) == len(b) {
		return im.add(attestation.CRLType, b)
	}
	return errors.New("DER, but neither a certificate nor a CRL")
}

func (im *importer) pem(b []byte) error {
	for n := 0; ; n++ {
		var p *pem.Block
		if p, b = pem.Decode(b); p == nil {
			if n == 0 {
				return errors.New("PEM that does not decode")
			}
			return nil
		}
		if p.Type != pemType && p.Type != pemCRL {
			return fmt.Errorf("PEM block %q, want %q or %q", p.Type, pemType, pemCRL)
		}
		if err := im.der(p.Bytes); err != nil {
			return err
		}
	}
}

// list reads endorsements as the fetcher writes them for collectors.
func (im *importer) list(b []byte) error {
	var list []attestation.Endorsement
	if err := json.Unmarshal(b, &list); err != nil {
		return fmt.Errorf("JSON: %w", err)
	}
	for _, e := range list {
		if e.Type == "" || len(e.Body) == 0 {
			return errors.New("JSON list, but not of endorsements")
		}
		if err := im.add(e.Type, e.Body); err != nil {
			return err
		}
	}
	return nil
}

// bundle is one file with everything, as dcap-qvl and Intel's quote provider library name its parts, and an answer of
// Intel's service, whose signature stands beside the body.
type bundle struct {
	TCBInfo   json.RawMessage `json:"tcbInfo"`
	Identity  json.RawMessage `json:"enclaveIdentity"`
	Signature string          `json:"signature"`

	PCKChain     *string `json:"pck_certificate_chain"`
	CRLChain     *string `json:"pck_crl_issuer_chain"`
	RootCRL      *string `json:"root_ca_crl"`
	PCKCRL       *string `json:"pck_crl"`
	TCBChain     *string `json:"tcb_info_issuer_chain"`
	TCB          *string `json:"tcb_info"`
	TCBSignature string  `json:"tcb_info_signature"`
	QEChain      *string `json:"qe_identity_issuer_chain"`
	QE           *string `json:"qe_identity"`
	QESignature  string  `json:"qe_identity_signature"`
}

func (im *importer) object(b []byte, depth int) error {
	var x bundle
	if err := json.Unmarshal(b, &x); err != nil {
		return fmt.Errorf("JSON: %w", err)
	}
	before := im.found
	for _, s := range []*string{x.PCKChain, x.CRLChain, x.RootCRL, x.PCKCRL, x.TCBChain, x.QEChain} {
		if s != nil && *s != "" {
			if err := im.file([]byte(*s), depth+1); err != nil {
				return err
			}
		}
	}
	for _, s := range []struct {
		typ, member, signature string
		body                   []byte
	}{
		{attestation.TCBInfoType, memberTCBInfo, x.Signature, x.TCBInfo},
		{attestation.QEIdentityType, memberIdentity, x.Signature, x.Identity},
		{attestation.TCBInfoType, memberTCBInfo, x.TCBSignature, text(x.TCB)},
		{attestation.QEIdentityType, memberIdentity, x.QESignature, text(x.QE)},
	} {
		if err := im.statement(s.typ, s.member, s.signature, s.body, depth); err != nil {
			return err
		}
	}
	if im.found == before {
		return errors.New("JSON with nothing known in it")
	}
	return nil
}

func text(s *string) []byte {
	if s == nil {
		return nil
	}
	return []byte(*s)
}

// statement writes body and signature as Intel's service does: Intel signs JSON without spaces, and people keep it indented.
// Nothing else changes, names keep their order, and the signature decides. Where it is in the body's own wrapper, the body is
// such a wrapper.
func (im *importer) statement(typ, member, signature string, body []byte, depth int) error {
	switch {
	case len(body) == 0:
		return nil
	case signature == "" && bytes.Contains(body, []byte(`"signature"`)):
		return im.file(body, depth+1)
	}
	sig, err := hex.DecodeString(signature)
	if err != nil || len(sig) != signatureSize {
		return fmt.Errorf("%s without a signature of %d hex digits beside it: want Intel's answer as it came", member, 2*signatureSize)
	}
	var signed bytes.Buffer
	if err := json.Compact(&signed, body); err != nil {
		return fmt.Errorf("%s: %w", member, err)
	}
	return im.add(typ, (&statement{signed.Bytes(), sig}).join(member))
}

// WithChain puts the PCK certificate chain that is among certs into signature data of a v3 quote which names its platform in
// another way (certification data of types 1 to 4), as the platform's own caching service would have. No signature covers
// that part of a quote, and whether the PCK is the right one its signature over the QE report will show.
func WithChain(data []byte, certs []attestation.Endorsement) ([]byte, bool) {
	r := &reader{b: data}
	r.take(signatureSize + keySize + reportSize + signatureSize)
	r.take(r.uint16())
	head := len(data) - len(r.b)
	if kind := r.uint16(); r.short || kind < 1 || kind >= certPCKChain {
		return nil, false
	}
	find := func(is func(c *x509.Certificate) bool) *x509.Certificate {
		for _, e := range certs {
			if e.Type != attestation.CertificateType {
				continue
			}
			if c, err := x509.ParseCertificate(e.Body); err == nil && is(c) {
				return c
			}
		}
		return &x509.Certificate{}
	}
	pck := find(func(c *x509.Certificate) bool { return c.Subject.CommonName == namePCK })
	ca := find(func(c *x509.Certificate) bool { return bytes.Equal(c.RawSubject, pck.RawIssuer) })
	root := find(func(c *x509.Certificate) bool { return bytes.Equal(c.RawSubject, ca.RawIssuer) })
	if len(pck.Raw) == 0 || len(ca.Raw) == 0 || len(root.Raw) == 0 {
		return nil, false
	}
	var chain bytes.Buffer
	for _, c := range []*x509.Certificate{pck, ca, root} {
		if err := pem.Encode(&chain, &pem.Block{Type: pemType, Bytes: c.Raw}); err != nil {
			return nil, false
		}
	}
	out := binary.LittleEndian.AppendUint16(bytes.Clone(data[:head]), certPCKChain)
	out = binary.LittleEndian.AppendUint32(out, uint32(chain.Len()))
	return append(out, chain.Bytes()...), true
}

// Select leaves out of imported endorsements what [Verify] would refuse because it concerns another platform than the one that
// made this quote: other kinds of TCB info and QE identity, other families, CRLs of other CAs and certificates that the
// quote holds or that sign nothing here. If nothing would be left of a kind, its first stays, for the refusal to name it.
func Select(in []attestation.Endorsement, q *Quote) []attestation.Endorsement {
	if q == nil || q.Signature == nil {
		return in
	}
	c, err := parseChain(q.Signature.Chain)
	if err != nil {
		return in
	}
	keep := func(e attestation.Endorsement) bool {
		switch e.Type {
		case attestation.TCBInfoType:
			var t tcbInfo
			s, err := openStatement(e.Body, memberTCBInfo)
			return err == nil && decode(s.body, &t) == nil && t.ID == q.TEE.String() && strings.EqualFold(t.FMSPC, hex.EncodeToString(c.ext.fmspc))
		case attestation.QEIdentityType:
			var id qeIdentity
			s, err := openStatement(e.Body, memberIdentity)
			return err == nil && decode(s.body, &id) == nil && id.ID == q.TEE.identity()
		case attestation.CRLType:
			l, err := parseCRL(e.Body)
			return err == nil && (bytes.Equal(l.RawIssuer, c.root.cert.RawSubject) || bytes.Equal(l.RawIssuer, c.ca.cert.RawSubject))
		case attestation.CertificateType:
			l, err := parseLink(e.Body)
			return err == nil && l.cert.Subject.CommonName == nameSigning
		}
		return true
	}
	kept := map[string]bool{}
	for _, e := range in {
		kept[e.Type] = kept[e.Type] || keep(e)
	}
	var out []attestation.Endorsement
	for _, e := range in {
		if !kept[e.Type] || keep(e) {
			out = append(out, e)
			kept[e.Type] = true
		}
	}
	return out
}
