// SPDX-License-Identifier: Apache-2.0

// Package gputest is an NVIDIA of our own: device and manifest certificate chains, reports, manifests and OCSP answers,
// properly signed, with every field changeable before signing.
//
// Trust domain: tests only.
package gputest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"math/big"
	"slices"
	"time"
)

// Now is a time at which everything holds.
const Now = 1_750_000_000

// Authority is a certificate and its key.
type Authority struct {
	Cert *x509.Certificate
	Key  *ecdsa.PrivateKey
}

// Vendor has a root for devices and one for manifests.
type Vendor struct {
	Device []*Authority // leaf first: report key, BROM, provisioner, identity, root
	RIM    []*Authority // leaf first: signer, L3, CA, root
}

// Options change what is certified.
type Options struct {
	Edit func(chain string, index int, c *x509.Certificate) // before signing
	FWID []byte                                             // of the leaf; nil: [FWID]
	Name string                                             // of the leaf's device; "": a GH100
	DICE func(der []byte) []byte
}

// FWID is the firmware that leaf and report agree on.
func FWID() []byte {
	d := sha512.Sum384([]byte("firmware"))
	return d[:]
}

// New makes a vendor.
func New(o Options) *Vendor {
	v := &Vendor{}
	v.Device = authorities("device", []string{"Leaf", "GH100 A01 GSP BROM", "Provisioner", "Identity", "Device Root"}, o)
	v.RIM = authorities("rim", []string{"RIM Signer", "RIM L3", "RIM CA", "RIM Root"}, o)
	return v
}

func authorities(name string, names []string, o Options) []*Authority {
	out := make([]*Authority, len(names))
	for i := len(names) - 1; i >= 0; i-- {
		key := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
		t := &x509.Certificate{
			SerialNumber: new(big.Int).SetBytes(serial(names[i])), Subject: pkix.Name{CommonName: names[i], Organization: []string{"Fake"}},
			NotBefore: time.Unix(Now-1e6, 0), NotAfter: time.Unix(Now+1e6, 0), BasicConstraintsValid: true, IsCA: true,
			KeyUsage: x509.KeyUsageCertSign, SignatureAlgorithm: x509.ECDSAWithSHA384,
		}
		issuer := &Authority{t, key}
		if i < len(names)-1 {
			issuer = out[i+1]
		}
		if i == 0 {
			t.IsCA, t.KeyUsage = false, x509.KeyUsageDigitalSignature
			if name == "device" {
				t.ExtraExtensions = leafExtensions(o, issuer)
			}
		}
		if o.Edit != nil {
			o.Edit(name, i, t)
		}
		der := must(x509.CreateCertificate(rand.Reader, t, issuer.Cert, &key.PublicKey, issuer.Key))
		out[i] = &Authority{must(x509.ParseCertificate(der)), key}
	}
	return out
}

func leafExtensions(o Options, brom *Authority) []pkix.Extension {
	fwid, name := o.FWID, o.Name
	if fwid == nil {
		fwid = FWID()
	}
	if name == "" {
		name = "NVIDIA:GH100:0123456789ABCDEF"
	}
	type hashed struct {
		Hash  asn1.ObjectIdentifier
		Value []byte
	}
	dice := must(asn1.Marshal(struct {
		Version int
		Device  asn1.RawValue
		FWID    hashed
	}{1, asn1.RawValue{FullBytes: brom.Cert.RawSubjectPublicKeyInfo}, hashed{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}, fwid}}))
	if o.DICE != nil {
		dice = o.DICE(dice)
	}
	other := must(asn1.MarshalWithParams(struct {
		Type  asn1.ObjectIdentifier
		Value string `asn1:"utf8,explicit,tag:0"`
	}{asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 412, 274, 1}, name}, "tag:0"))
	return []pkix.Extension{
		{Id: asn1.ObjectIdentifier{2, 23, 133, 5, 4, 1}, Critical: true, Value: dice},
		{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Critical: true, Value: must(asn1.Marshal([]asn1.RawValue{{FullBytes: other}}))},
	}
}

func serial(name string) []byte {
	d := sha256.Sum256([]byte(name))
	d[0] &= 0x7f
	return d[:10]
}

// Certs are the certificates of a chain, DER, leaf first.
func Certs(chain []*Authority) [][]byte {
	var out [][]byte
	for _, a := range chain {
		out = append(out, a.Cert.Raw)
	}
	return out
}

// Pin is the SHA-256 of a chain's root.
func Pin(chain []*Authority) [32]byte { return sha256.Sum256(chain[len(chain)-1].Cert.Raw) }

// Report is a report before it is signed.
type Report struct {
	Nonce        [32]byte
	Measurements [][]byte // index 1 first
	Fields       []Field
	Edit         func(unsigned []byte) []byte
}

// Field is an opaque field.
type Field struct {
	Type  uint16
	Value []byte
}

// Versions of the fake GPU, as its report and its manifests have them.
const (
	Driver = "550.90.07"
	VBIOS  = "96.00.9F.00.01"
)

// NewReport is a report that the manifests of [Golden] agree with.
func NewReport(nonce [32]byte) *Report {
	r := &Report{Nonce: nonce, Fields: []Field{
		{6, []byte{0x00, 0x9f, 0x00, 0x96, 0x01, 0, 0, 0}},
		{15, []byte("882\x00")},
		{17, []byte("1010\x00")},
		{18, []byte("0200\x00")},
		{3, []byte(Driver + "\x00")},
		{11, []byte{0x55}},
		{20, FWID()},
		{21, []byte{0x55}},
		{36, []byte{0, 0}},
	}}
	for i := range 64 {
		r.Measurements = append(r.Measurements, Measurement(i))
	}
	return r
}

// Measurement is what the fake GPU measures at a manifest's index.
func Measurement(index int) []byte {
	d := sha512.Sum384(fmt.Appendf(nil, "measurement %d", index))
	return d[:]
}

// Set replaces an opaque field, or removes it.
func (r *Report) Set(typ uint16, value []byte) {
	r.Fields = slices.DeleteFunc(r.Fields, func(f Field) bool { return f.Type == typ })
	if value != nil {
		r.Fields = append(r.Fields, Field{typ, value})
	}
}

// Sign is the report, signed by the leaf of v's device chain.
func (v *Vendor) Sign(r *Report) []byte {
	b := append([]byte{0x11, 0xe0, 0x01, 0xff}, r.Nonce[:]...)
	var record, opaque []byte
	for i, m := range r.Measurements {
		record = append(record, byte(i+1), 1)
		record = binary.LittleEndian.AppendUint16(record, uint16(len(m)+3))
		record = append(record, 1)
		record = append(binary.LittleEndian.AppendUint16(record, uint16(len(m))), m...)
	}
	for _, f := range r.Fields {
		opaque = binary.LittleEndian.AppendUint16(opaque, f.Type)
		opaque = append(binary.LittleEndian.AppendUint16(opaque, uint16(len(f.Value))), f.Value...)
	}
	n := len(record)
	b = append(b, 0, 0x11, 0x60, 0, 0, byte(len(r.Measurements)), byte(n), byte(n>>8), byte(n>>16))
	b = append(append(b, record...), make([]byte, 32)...)
	b = append(binary.LittleEndian.AppendUint16(b, uint16(len(opaque))), opaque...)
	if r.Edit != nil {
		b = r.Edit(b)
	}
	return append(b, sign(v.Device[0].Key, b)...)
}

// sign is r ‖ s over the SHA-384 of b.
func sign(key *ecdsa.PrivateKey, b []byte) []byte {
	digest := sha512.Sum384(b)
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		panic("gputest: " + err.Error())
	}
	return append(r.FillBytes(make([]byte, 48)), s.FillBytes(make([]byte, 48))...)
}

func must[T any](x T, err error) T {
	if err != nil {
		panic("gputest: " + err.Error())
	}
	return x
}
