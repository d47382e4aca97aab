// SPDX-License-Identifier: Apache-2.0

package endorsementstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"
)

// PKI makes the statements.
type PKI struct {
	Now time.Time // when everything was issued, less an hour; all of it holds for 30 days, certificates longer
}

// Key is a certificate with its key.
type Key struct {
	Cert *x509.Certificate
	Key  *ecdsa.PrivateKey
}

// NewPKI is of today.
func NewPKI(testing.TB) *PKI { return &PKI{Now: time.Now().UTC().Truncate(time.Second)} }

// Chip is the id of the fake processors.
func Chip(turin bool) []byte {
	b := make([]byte, 64)
	for i := range b {
		if turin && i >= 8 {
			break
		}
		b[i] = byte(i + 1)
	}
	return b
}

// FMSPC is the fake Intel platform's.
const FMSPC = "00906ED50000"

// Issue makes a certificate by issuer, or by itself if issuer is nil.
func (p *PKI) Issue(t testing.TB, cn string, issuer *Key, edit func(*x509.Certificate)) *Key {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: cn}, NotBefore: p.Now.Add(-time.Hour), NotAfter: p.Now.AddDate(5, 0, 0),
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
	}
	if edit != nil {
		edit(c)
	}
	parent, signer := c, k
	if issuer != nil {
		parent, signer = issuer.Cert, issuer.Key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, k.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &Key{cert, k}
}

// CRL is an empty list that holds for days from now.
func (p *PKI) CRL(t testing.TB, by *Key, days int) []byte {
	t.Helper()
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: p.Now.Add(-48 * time.Hour), NextUpdate: p.Now.AddDate(0, 0, days),
	}, by.Cert, by.Key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// Chain is PEM.
func Chain(keys ...*Key) []byte {
	var b []byte
	for _, k := range keys {
		b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: k.Cert.Raw})...)
	}
	return b
}

func (p *PKI) tls(t testing.TB) (tls.Certificate, *x509.Certificate) {
	ca := p.Issue(t, "fake vendors' CA", nil, nil)
	leaf := p.Issue(t, "127.0.0.1", ca, func(c *x509.Certificate) {
		c.IsCA, c.IPAddresses = false, []net.IP{net.IPv4(127, 0, 0, 1)}
	})
	return tls.Certificate{Certificate: [][]byte{leaf.Cert.Raw}, PrivateKey: leaf.Key}, ca.Cert
}

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// Report is an SNP report that nobody signed: version 3, of a line's family and model.
func Report(family, model byte, tcb uint64, chip []byte, vlek bool) []byte {
	b := make([]byte, 1184)
	binary.LittleEndian.PutUint32(b, 3)
	binary.LittleEndian.PutUint64(b[8:], 1<<17)
	binary.LittleEndian.PutUint32(b[0x34:], 1)
	if vlek {
		binary.LittleEndian.PutUint32(b[0x48:], 1<<2)
	}
	binary.LittleEndian.PutUint64(b[0x180:], tcb)
	b[0x188], b[0x189] = family, model
	copy(b[0x1a0:], chip)
	return b
}

// AMD makes the vendor answer as AMD's service does for one chip at one TCB, whose query is given.
func (v *Vendor) AMD(t testing.TB, line, chip, query string, id []byte) {
	ark := v.PKI.Issue(t, "ARK-"+line, nil, nil)
	for _, role := range []string{"vcek", "vlek"} {
		ask := v.PKI.Issue(t, map[string]string{"vcek": "SEV-", "vlek": "SEV-VLEK-"}[role]+line, ark, nil)
		v.Set("/"+role+"/v1/"+line+"/cert_chain", Answer{Body: Chain(ask, ark)})
		v.Set("/"+role+"/v1/"+line+"/crl", Answer{Body: v.PKI.CRL(t, ark, 30)})
		if role == "vcek" {
			vcek := v.PKI.Issue(t, "SEV-VCEK", ask, func(c *x509.Certificate) {
				c.IsCA = false
				c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 3704, 1, 4}, Value: id}}
			})
			v.Set("/vcek/v1/"+line+"/"+chip+"?"+query, Answer{Body: vcek.Cert.Raw})
		}
	}
}

// Intel makes the vendor answer as Intel's service does, at base, and returns the PCK chain as a quote carries it.
func (v *Vendor) Intel(t testing.TB) (quote []byte) {
	root := v.PKI.Issue(t, "Intel SGX Root CA", nil, nil)
	ca := v.PKI.Issue(t, "Intel SGX PCK Platform CA", root, nil)
	signing := v.PKI.Issue(t, "Intel SGX TCB Signing", root, nil)
	pck := v.PKI.Issue(t, "Intel SGX PCK Certificate", ca, func(c *x509.Certificate) {
		c.IsCA, c.ExtraExtensions = false, []pkix.Extension{{Id: sgxOID(), Value: sgxExtension(t)}}
	})
	signers := map[string]string{}
	for _, h := range []string{"TCB-Info-Issuer-Chain", "SGX-Enclave-Identity-Issuer-Chain"} {
		signers[h] = url.QueryEscape(string(Chain(signing, root)))
	}
	for _, tee := range []string{"sgx", "tdx"} {
		v.Set("/"+tee+"/certification/v4/tcb?fmspc="+FMSPC, Answer{v.PKI.TCBInfo(strings.ToUpper(tee), FMSPC, 30), signers})
		qe := map[string]string{"sgx": "QE", "tdx": "TD_QE"}[tee]
		v.Set("/"+tee+"/certification/v4/qe/identity", Answer{v.PKI.QEIdentity(qe, 30), signers})
	}
	v.Set("/sgx/certification/v4/pckcrl?ca=platform&encoding=der", Answer{v.PKI.CRL(t, ca, 30), map[string]string{
		"SGX-PCK-CRL-Issuer-Chain": url.PathEscape(string(Chain(ca, root))), // base64's + as it is, which Intel also does
	}})
	crl := v.PKI.CRL(t, root, 90)
	v.Set("/sgx/certification/v4/rootcacrl", Answer{Body: []byte(hex.EncodeToString(crl))})
	v.Set("/IntelSGXRootCA.der", Answer{Body: crl})
	return append([]byte("a quote, as far as a fetcher cares: "), Chain(pck, ca, root)...)
}

// TCBInfo is one that nobody signed.
func (p *PKI) TCBInfo(id, fmspc string, days int) []byte {
	return fmt.Appendf(nil, `{"tcbInfo":{"id":%q,"version":3,"issueDate":%q,"nextUpdate":%q,"fmspc":%q,"pceId":"0000","tcbType":0,"tcbEvaluationDataNumber":17,"tcbLevels":[]},"signature":"%0128x"}`,
		id, p.Now.Add(-48*time.Hour).Format(time.RFC3339), p.Now.AddDate(0, 0, days).Format(time.RFC3339), fmspc, 7)
}

// QEIdentity is one that nobody signed.
func (p *PKI) QEIdentity(id string, days int) []byte {
	return fmt.Appendf(nil, `{"enclaveIdentity":{"id":%q,"version":2,"issueDate":%q,"nextUpdate":%q,"tcbEvaluationDataNumber":17},"signature":"%0128x"}`,
		id, p.Now.Add(-48*time.Hour).Format(time.RFC3339), p.Now.AddDate(0, 0, days).Format(time.RFC3339), 7)
}

func sgxOID(more ...int) asn1.ObjectIdentifier {
	return append(asn1.ObjectIdentifier{1, 2, 840, 113741, 1, 13, 1}, more...)
}

func sgxExtension(t testing.TB) []byte {
	t.Helper()
	fmspc, err := hex.DecodeString(FMSPC)
	if err != nil {
		t.Fatal(err)
	}
	type part struct {
		ID    asn1.ObjectIdentifier
		Value any
	}
	b, err := asn1.Marshal([]part{{sgxOID(1), make([]byte, 16)}, {sgxOID(4), fmspc}, {sgxOID(5), asn1.Enumerated(1)}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}
