// SPDX-License-Identifier: Apache-2.0

package gputest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"time"

	"golang.org/x/crypto/ocsp"
)

// Manifest is a manifest before it is signed.
type Manifest struct {
	Version, Product string
	Golden           []Golden
	Doc              func(unsigned string) string // changes the document before it is signed
	Info             func(info string) string     // changes SignedInfo before it is signed
	Signed           func(doc string) string      // changes the document after it was signed
}

// Golden is a measurement in a manifest.
type Golden struct {
	Index        int
	Active       string
	Size         int
	Alternatives int // as stated
	Hashes       []string
}

// DriverManifest and VBIOSManifest split the 64 measurements of [NewReport]: even indices are the driver's, odd ones the
// VBIOS's. Each also lists the other's, not active, and a few have alternatives.
func DriverManifest() *Manifest {
	return &Manifest{Version: Driver, Product: "GH100", Golden: golden(0)}
}

// VBIOSManifest is the other half.
func VBIOSManifest() *Manifest { return &Manifest{Version: VBIOS, Product: "GH100", Golden: golden(1)} }

func golden(parity int) []Golden {
	var out []Golden
	for i := range 64 {
		g := Golden{Index: i, Active: "True", Size: 48, Hashes: []string{fmt.Sprintf("%x", Measurement(i))}}
		if i%2 != parity {
			g.Active, g.Hashes = "False", []string{strings.Repeat("00", 48)}
		} else if i%8 == parity {
			g.Hashes = append([]string{strings.Repeat("ab", 48)}, g.Hashes...)
		}
		g.Alternatives = len(g.Hashes)
		out = append(out, g)
	}
	return out
}

const (
	nsSWID   = "http://standards.iso.org/iso/19770/-2/2015/schema.xsd"
	nsSHA384 = "http://www.w3.org/2001/04/xmlenc#sha384"
	nsDSig   = "http://www.w3.org/2000/09/xmldsig#"
	scope    = ` xmlns="` + nsSWID + `"%s xmlns:ns0="` + nsSWID + `" xmlns:ns2="` + nsSHA384 + `"`
)

// unsigned is the document in canonical form already, so that signing it takes no canonicalisation.
func (m *Manifest) unsigned() string {
	var b strings.Builder
	fmt.Fprintf(&b, `<SoftwareIdentity`+scope+` name="GH100" tagId="fake" version="1.0">`+"\n", "")
	b.WriteString(`    <ns0:Entity name="Fake Corporation" role="softwareCreator tagCreator"></ns0:Entity>` + "\n")
	fmt.Fprintf(&b, `    <ns0:Meta colloquialVersion="%s" edition="GPU" product="%s"></ns0:Meta>`+"\n    <ns0:Payload>\n", m.Version, m.Product)
	for _, g := range m.Golden {
		fmt.Fprintf(&b, `        <ns0:Resource active="%s" alternatives="%d" index="%d" name="Measurement_%d" size="%d" type="Measurement"`, g.Active, g.Alternatives, g.Index, g.Index, g.Size)
		for i, h := range g.Hashes {
			fmt.Fprintf(&b, ` ns2:Hash%d="%s"`, i, h)
		}
		b.WriteString("></ns0:Resource>\n")
	}
	b.WriteString("    </ns0:Payload>\n</SoftwareIdentity>")
	return b.String()
}

// SignManifest is the manifest, signed by the leaf of v's chain for manifests.
func (v *Vendor) SignManifest(m *Manifest) []byte {
	doc := m.unsigned()
	if m.Doc != nil {
		doc = m.Doc(doc)
	}
	digest := sha512.Sum384([]byte(doc))
	body := `<ds:CanonicalizationMethod Algorithm="http://www.w3.org/2006/12/xml-c14n11"></ds:CanonicalizationMethod>` +
		`<ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384"></ds:SignatureMethod>` +
		`<ds:Reference URI=""><ds:Transforms><ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"></ds:Transform>` +
		`<ds:Transform Algorithm="http://www.w3.org/2006/12/xml-c14n11"></ds:Transform></ds:Transforms>` +
		`<ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#sha384"></ds:DigestMethod>` +
		`<ds:DigestValue>` + base64.StdEncoding.EncodeToString(digest[:]) + `</ds:DigestValue></ds:Reference>`
	if m.Info != nil {
		body = m.Info(body)
	}
	info := fmt.Sprintf(`<ds:SignedInfo`+scope+`>`, ` xmlns:ds="`+nsDSig+`"`) + body + `</ds:SignedInfo>`
	sig := `<ds:Signature xmlns:ds="` + nsDSig + `"><ds:SignedInfo>` + body + `</ds:SignedInfo><ds:SignatureValue>` +
		base64.StdEncoding.EncodeToString(sign(v.RIM[0].Key, []byte(info))) + `</ds:SignatureValue><ds:KeyInfo><ds:X509Data>`
	for _, c := range Certs(v.RIM) {
		sig += `<ds:X509Certificate>` + base64.StdEncoding.EncodeToString(c) + `</ds:X509Certificate>`
	}
	sig += `</ds:X509Data></ds:KeyInfo></ds:Signature>`
	doc = strings.TrimSuffix(doc, "</SoftwareIdentity>") + sig + "</SoftwareIdentity>"
	if m.Signed != nil {
		doc = m.Signed(doc)
	}
	return []byte(doc)
}

// Answer is an OCSP answer before it is signed.
type Answer struct {
	Status    int // ocsp.Good, …
	From, To  int64
	Responder *Authority        // nil: the issuer itself
	Serial    *big.Int          // nil: the certificate's
	Issuer    *x509.Certificate // named in the answer; nil: the issuer
}

// OCSP answers about certificate i of a chain.
func OCSP(chain []*Authority, i int, a Answer) []byte {
	issuer, signer := chain[i+1], chain[i+1]
	t := ocsp.Response{
		Status: a.Status, SerialNumber: chain[i].Cert.SerialNumber, ThisUpdate: time.Unix(a.From, 0), NextUpdate: time.Unix(a.To, 0),
		IssuerHash: crypto.SHA384, SignatureAlgorithm: x509.ECDSAWithSHA384,
	}
	if a.To == 0 {
		t.NextUpdate = time.Time{}
	}
	if a.Status == ocsp.Revoked {
		t.RevokedAt = time.Unix(a.From, 0)
	}
	if a.Serial != nil {
		t.SerialNumber = a.Serial
	}
	if a.Responder != nil {
		signer, t.Certificate = a.Responder, a.Responder.Cert
	}
	named := issuer.Cert
	if a.Issuer != nil {
		named = a.Issuer
	}
	return must(ocsp.CreateResponse(named, signer.Cert, t, signer.Key))
}

// Good answers about every certificate that a verifier asks about: none of them is revoked.
func (v *Vendor) Good() [][]byte {
	var out [][]byte
	for i := 1; i < len(v.Device)-1; i++ {
		out = append(out, OCSP(v.Device, i, Answer{Status: ocsp.Good, From: Now - 100, To: Now + 1000}))
	}
	for i := range len(v.RIM) - 1 {
		out = append(out, OCSP(v.RIM, i, Answer{Status: ocsp.Good, From: Now - 100, To: Now + 1000}))
	}
	return out
}

// Responder is a certificate below issuer, which may answer for it if marked.
func Responder(issuer *Authority, marked bool) *Authority {
	key := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	t := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "Responder"}, NotBefore: time.Unix(Now-1e6, 0), NotAfter: time.Unix(Now+1e6, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, SignatureAlgorithm: x509.ECDSAWithSHA384,
	}
	if marked {
		t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}
	}
	der := must(x509.CreateCertificate(rand.Reader, t, issuer.Cert, &key.PublicKey, issuer.Key))
	return &Authority{must(x509.ParseCertificate(der)), key}
}
