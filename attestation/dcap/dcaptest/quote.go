// SPDX-License-Identifier: Apache-2.0

package dcaptest

import (
	"crypto/sha256"
	"encoding/asn1"
	"encoding/binary"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation/dcap"
)

// qeVendor is Intel's QE vendor identifier, which verifiers know.
const qeVendor = "\x93\x9a\x72\x33\xf7\x9c\x4c\xa9\x94\x0a\x0d\xb3\x95\x7f\x06\x07"

func (v *Vendor) header(version uint16) {
	le := binary.LittleEndian
	le.PutUint16(v.Header, version)
	le.PutUint16(v.Header[2:], 2) // ECDSA-P256
	if v.TEE == dcap.TDX {
		v.Header[4] = 0x81
	}
	copy(v.Header[12:], qeVendor)
}

// SetVersion makes a v5 quote of a v4 one.
func (v *Vendor) SetVersion(version uint16) { v.header(version) }

// EnclaveBody is the report of an enclave in production mode; its measurements and report data are not zero.
func EnclaveBody() []byte {
	b := make([]byte, 384)
	b[48], b[56] = dcap.FlagInit|dcap.FlagMode64, 3
	fill(b[64:96], "mrenclave")
	fill(b[128:160], "mrsigner")
	b[256], b[258] = 7, 2
	fill(b[320:352], "report data")
	return b
}

// TDBody is a TD report 1.0 (584 bytes) or 1.5 (648) of a TD in production mode.
func TDBody(size int) []byte {
	b := make([]byte, size)
	b[0], b[1], b[2] = 5, 1, 5 // module SVN 5, version 1
	for i := 3; i < 16; i++ {
		b[i] = 5
	}
	b[123], b[128] = 0x10, 0xe7 // SEPT_VE_DISABLE; XFAM
	for i, name := range []string{"mrseam", "", "", "mrtd"} {
		if at := []int{16, 0, 0, 136}[i]; name != "" {
			fill(b[at:at+48], name)
		}
	}
	for i := range 4 {
		fill(b[328+48*i:376+48*i], "rtmr"+string(rune('0'+i)))
	}
	fill(b[520:552], "report data")
	if size == 648 {
		copy(b[584:600], b[:16])
	}
	return b
}

func fill(dst []byte, seed string) {
	for h := sha256.Sum256([]byte("dcaptest " + seed)); len(dst) > 0; h = sha256.Sum256(h[:]) {
		dst = dst[copy(dst, h[:]):]
	}
}

// Signed is header ‖ body as it is signed: a v5 quote says between them which body it is, and how long.
func (v *Vendor) Signed() []byte {
	out := append([]byte{}, v.Header...)
	if binary.LittleEndian.Uint16(v.Header) == 5 {
		kind := uint16(2)
		if len(v.Body) == 648 {
			kind = 3
		}
		out = binary.LittleEndian.AppendUint16(out, kind)
		out = binary.LittleEndian.AppendUint32(out, uint32(len(v.Body)))
	}
	return append(out, v.Body...)
}

// Quote is the whole quote: v3 for SGX, v4 or v5 for TDX.
func (v *Vendor) Quote(t testing.TB) []byte {
	t.Helper()
	signed := v.Signed()
	sig := v.Signature(t, signed)
	out := binary.LittleEndian.AppendUint32(signed, uint32(len(sig)))
	return append(out, sig...)
}

// Signature is signature data over signed.
func (v *Vendor) Signature(t testing.TB, signed []byte) []byte {
	t.Helper()
	pub, err := v.AttestationKey.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	attestationKey := pub[1:]
	out := append(Sign(t, v.QuoteKey, signed), attestationKey...)
	qe := v.qe(t, attestationKey)
	if v.TEE == dcap.TDX {
		out = binary.LittleEndian.AppendUint16(out, 6)
		out = binary.LittleEndian.AppendUint32(out, uint32(len(qe)))
	}
	return append(out, qe...)
}

func (v *Vendor) qe(t testing.TB, attestationKey []byte) []byte {
	t.Helper()
	report := append([]byte{}, v.QEReport...)
	if [64]byte(report[320:]) == [64]byte{} {
		h := sha256.Sum256(append(append([]byte{}, attestationKey...), v.Auth...))
		copy(report[320:], h[:])
	}
	out := append(report, Sign(t, v.QEReportKey, report)...)
	out = binary.LittleEndian.AppendUint16(out, uint16(len(v.Auth)))
	out = append(out, v.Auth...)
	chain := v.Chain
	if chain == nil {
		root, ca, pck, _ := v.Certificates(t)
		chain = PEM(pck, ca, root)
	}
	out = binary.LittleEndian.AppendUint16(out, uint16(v.CertType))
	out = binary.LittleEndian.AppendUint32(out, uint32(len(chain)))
	return append(out, chain...)
}

type member struct {
	ID    asn1.ObjectIdentifier
	Value asn1.RawValue
}

// encode writes the extension as Intel's PCK certificates have it.
func (e *Extension) encode(t testing.TB) []byte {
	t.Helper()
	must := func(v any) asn1.RawValue {
		b, err := asn1.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return asn1.RawValue{FullBytes: b}
	}
	base := asn1.ObjectIdentifier{1, 2, 840, 113741, 1, 13, 1}
	at := func(n ...int) asn1.ObjectIdentifier { return append(append(asn1.ObjectIdentifier{}, base...), n...) }
	var tcb []member
	for i, c := range e.Components {
		tcb = append(tcb, member{at(2, i+1), must(c)})
	}
	tcb = append(tcb, member{at(2, 17), must(e.PCESVN)}, member{at(2, 18), must(e.CPUSVN[:])})
	if e.OmitTCB > 0 {
		tcb = append(tcb[:e.OmitTCB-1], tcb[e.OmitTCB:]...)
	}
	all := []member{
		{at(1), must(e.PPID[:])},
		{at(2), must(tcb)},
		{at(3), must(e.PCEID[:])},
		{at(4), must(e.FMSPC[:])},
		{at(5), must(asn1.Enumerated(e.Type))},
		{at(6), must(e.Instance[:])},
	}
	if e.Omit > 0 {
		all = append(all[:e.Omit-1], all[e.Omit:]...)
	}
	return must(all).FullBytes
}
