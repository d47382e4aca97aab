// SPDX-License-Identifier: Apache-2.0

package dcap

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
)

// sgxExtension is 1.2.840.113741.1.13.1, with Intel's members below it (SGX PCK certificate specification, section 1.3).
var sgxExtension = asn1.ObjectIdentifier{1, 2, 840, 113741, 1, 13, 1}

// sgxOID is the encoding of sgxExtension without tag and length: the prefix of every member's identifier.
const sgxOID = "\x2a\x86\x48\x86\xf8\x4d\x01\x0d\x01"

// Members of the extension and of its TCB.
const (
	memberPPID     = 1
	memberTCB      = 2
	memberPCEID    = 3
	memberFMSPC    = 4
	memberType     = 5
	memberInstance = 6
	memberConfig   = 7
	tcbPCESVN      = 17
	tcbCPUSVN      = 18
)

// sgxScalable is the SGX type without integrity of memory in hardware.
const sgxScalable = 1

// DER tags.
const (
	tagInteger    = 2
	tagOctets     = 4
	tagOID        = 6
	tagEnumerated = 10
	tagSequence   = 0x30
)

// extension is what a PCK certificate says of its platform.
type extension struct {
	ppid, cpusvn, pceid, fmspc, instance []byte
	components                           [16]uint8
	pcesvn                               int
	sgxType                              int
}

// der reads one element and returns what is in it and what follows. Lengths are minimal and at most two bytes long.
func der(b []byte, tag byte) (body, rest []byte, ok bool) {
	if len(b) < 2 || b[0] != tag {
		return nil, nil, false
	}
	n, head := int(b[1]), 2
	switch {
	case n == 0x81 && len(b) > 2 && b[2] >= 0x80:
		n, head = int(b[2]), 3
	case n == 0x82 && len(b) > 3 && b[2] != 0:
		n, head = int(b[2])<<8|int(b[3]), 4
	case n >= 0x80:
		return nil, nil, false
	}
	if len(b)-head < n {
		return nil, nil, false
	}
	return b[head : head+n], b[head+n:], true
}

// members reads a sequence of sequences, each an identifier below prefix and a value, once each.
func members(b []byte, prefix string, each func(n int, value []byte) bool) bool {
	b, rest, ok := der(b, tagSequence)
	if !ok || len(rest) != 0 {
		return false
	}
	var seen uint32
	for len(b) > 0 {
		var m, id []byte
		if m, b, ok = der(b, tagSequence); !ok {
			return false
		}
		id, value, ok := der(m, tagOID)
		if !ok || len(id) != len(prefix)+1 || string(id[:len(prefix)]) != prefix || id[len(prefix)] > 31 {
			return false
		}
		n := int(id[len(prefix)])
		if seen&(1<<n) != 0 || !each(n, value) {
			return false
		}
		seen |= 1 << n
	}
	return true
}

func octets(b []byte, size int) []byte {
	if v, rest, ok := der(b, tagOctets); ok && len(rest) == 0 && len(v) == size {
		return v
	}
	return nil
}

// number reads an integer or enumeration from 0 to limit.
func number(b []byte, tag byte, limit int) (int, bool) {
	v, rest, ok := der(b, tag)
	if !ok || len(rest) != 0 || len(v) == 0 || len(v) > 3 || v[0] >= 0x80 || (len(v) > 1 && v[0] == 0 && v[1] < 0x80) {
		return 0, false
	}
	n := 0
	for _, x := range v {
		n = n<<8 | int(x)
	}
	return n, n <= limit
}

// parseExtension reads the SGX extension, which names the platform and its TCB. All of it but instance and configuration
// must be there, once.
func parseExtension(c *x509.Certificate) (*extension, error) {
	var raw []byte
	for _, x := range c.Extensions {
		if x.Id.Equal(sgxExtension) {
			raw = x.Value
		}
	}
	if raw == nil {
		return nil, fmt.Errorf("%w: certificate %q has no SGX extension: not a PCK certificate", ErrMalformed, c.Subject.CommonName)
	}
	e := &extension{pcesvn: -1, sgxType: -1}
	count := 0
	ok := members(raw, sgxOID, func(n int, value []byte) bool {
		var ok bool
		switch n {
		case memberPPID:
			e.ppid = octets(value, 16)
			return e.ppid != nil
		case memberTCB:
			ok, count = e.tcb(value)
			return ok
		case memberPCEID:
			e.pceid = octets(value, 2)
			return e.pceid != nil
		case memberFMSPC:
			e.fmspc = octets(value, 6)
			return e.fmspc != nil
		case memberType:
			e.sgxType, ok = number(value, tagEnumerated, 255)
			return ok
		case memberInstance:
			e.instance = octets(value, 16)
			return e.instance != nil
		}
		return n == memberConfig
	})
	if !ok || e.ppid == nil || e.pceid == nil || e.fmspc == nil || e.sgxType < 0 || count != 16 || e.pcesvn < 0 || e.cpusvn == nil {
		return nil, fmt.Errorf("%w: SGX extension of certificate %q", ErrMalformed, c.Subject.CommonName)
	}
	return e, nil
}

func (e *extension) tcb(value []byte) (ok bool, count int) {
	ok = members(value, sgxOID+"\x02", func(n int, value []byte) bool {
		switch {
		case n >= 1 && n <= len(e.components):
			x, ok := number(value, tagInteger, 255)
			e.components[n-1] = uint8(x)
			count++
			return ok
		case n == tcbPCESVN:
			var ok bool
			e.pcesvn, ok = number(value, tagInteger, 65535)
			return ok
		case n == tcbCPUSVN:
			e.cpusvn = octets(value, 16)
			return e.cpusvn != nil
		}
		return false
	})
	return ok, count
}

// pckExtension: the certificate is of a platform that is named.
func (v *verification) pckExtension() error {
	const name = "pck-platform"
	e := v.chain.ext
	seen := fmt.Sprintf("PPID %x", e.ppid)
	if bytes.Equal(e.ppid, make([]byte, len(e.ppid))) {
		v.r.NotApplicable(name, "the PCK certificate names no platform")
		return nil
	}
	v.r.Chip = fmt.Sprintf("%x", e.ppid)
	v.r.Pass(name, seen, "a platform that Intel certified")
	return nil
}
