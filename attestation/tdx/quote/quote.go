// SPDX-License-Identifier: Apache-2.0

// Package quote reads Intel TDX quotes, versions 4 and 5 ("Intel TDX DCAP Quoting Library API", appendix A).
//
// Trust domain: enclave and verifiers; pure, standard library only. Its one job: say what a quote says, with nothing left
// over. Whether it is true is package verify's.
package quote

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// Errors. [ErrQuote] is the root.
var (
	ErrQuote       = errors.New("tdx: not a quote that is read here")
	ErrTrailing    = fmt.Errorf("%w: bytes behind its end", ErrQuote)
	ErrUnsupported = fmt.Errorf("%w: unsupported", ErrQuote)
)

// Body types of version 5.
const (
	BodySGX  = 1
	BodyTD10 = 2
	BodyTD15 = 3
)

const (
	teeTDX     = 0x81
	keyECDSA   = 2 // ECDSA-256 with curve P-256
	vendorSize = 16
)

// intel is the QE vendor ID of Intel's quoting enclave.
var intel = [vendorSize]byte{0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07}

// Quote is a parsed quote. Its slices point into what was parsed.
type Quote struct {
	Version  int
	BodyType int    // BodyTD10 in version 4, which does not say
	Signed   []byte // header and body: what the quoting enclave signed
	AuthData []byte // signature, attestation key, its certification
	TD       TD
}

// TD is the report on a trust domain.
type TD struct {
	TCBSVN         []byte // of the TDX module that runs and the platform, 16 bytes
	MRSEAM         []byte // the TDX module
	MRSIGNERSEAM   []byte
	SEAMAttributes uint64
	Attributes     Attributes
	XFAM           uint64 // extended CPU features that the TD may use
	MRTD           []byte // the TD's first memory: firmware
	MRCONFIGID     []byte // set by the host
	MROWNER        []byte // set by the host
	MROWNERCONFIG  []byte // set by the host
	RTMR           [4][]byte
	ReportData     []byte // 64 bytes
	TCBSVN2        []byte // of the TDX module now, 16 bytes; nil before TD report 1.5
	MRSERVICETD    []byte // the service TD that may migrate this one; nil before TD report 1.5
}

// Parse reads a whole quote of type TDX, signed with ECDSA P-256. Every length must be exact and the last byte the quote's.
func Parse(b []byte) (*Quote, error) {
	q, rest, err := parse(b)
	switch {
	case err != nil:
		return nil, err
	case len(rest) != 0:
		return nil, fmt.Errorf("%w: %d", ErrTrailing, len(rest))
	}
	return q, nil
}

// Cut is the quote at the start of a buffer. Kernels and tools hand quotes over with padding.
func Cut(b []byte) ([]byte, error) {
	_, rest, err := parse(b)
	if err != nil {
		return nil, err
	}
	return b[:len(b)-len(rest)], nil
}

func parse(b []byte) (q *Quote, rest []byte, err error) {
	if len(b) > MaxQuote {
		return nil, nil, fmt.Errorf("%w: %d bytes, at most %d", ErrQuote, len(b), MaxQuote)
	}
	if len(b) < headerSize+descriptor5 {
		return nil, nil, fmt.Errorf("%w: %d bytes", ErrQuote, len(b))
	}
	q = &Quote{Version: int(binary.LittleEndian.Uint16(b))}
	if err := q.checkHeader(b); err != nil {
		return nil, nil, err
	}
	start, size, err := q.body(b)
	if err != nil {
		return nil, nil, err
	}
	end := start + size
	if len(b) < end+lengthSize {
		return nil, nil, fmt.Errorf("%w: cut in the TD report", ErrQuote)
	}
	q.Signed, q.TD = b[:end:end], parseTD(b[start:end:end])
	n, rest := binary.LittleEndian.Uint32(b[end:]), b[end+lengthSize:]
	if uint64(n) > uint64(len(rest)) {
		return nil, nil, fmt.Errorf("%w: %d bytes of signature data, %d are there", ErrQuote, n, len(rest))
	}
	q.AuthData = rest[:n:n]
	return q, rest[n:], nil
}

// checkHeader reads version, key type, TEE type, two reserved fields, vendor and 20 bytes of user data.
func (q *Quote) checkHeader(b []byte) error {
	key, tee := binary.LittleEndian.Uint16(b[2:]), binary.LittleEndian.Uint32(b[4:])
	switch {
	case q.Version != 4 && q.Version != 5:
		return fmt.Errorf("%w: version %d, want 4 or 5", ErrUnsupported, q.Version)
	case tee != teeTDX:
		return fmt.Errorf("%w: TEE type %#x, want %#x (TDX)", ErrUnsupported, tee, teeTDX)
	case key != keyECDSA:
		return fmt.Errorf("%w: attestation key of type %d, want %d (ECDSA P-256)", ErrUnsupported, key, keyECDSA)
	case [vendorSize]byte(b[12:]) != intel:
		return fmt.Errorf("%w: quoting enclave of vendor %x, want Intel's", ErrUnsupported, b[12:28])
	}
	return nil
}

// body is where the TD report is. Version 5 says its type and size, which must agree.
func (q *Quote) body(b []byte) (start, size int, err error) {
	if q.Version == 4 {
		q.BodyType = BodyTD10
		return headerSize, body10Size, nil
	}
	typ, n := binary.LittleEndian.Uint16(b[headerSize:]), binary.LittleEndian.Uint32(b[headerSize+2:])
	q.BodyType = int(typ)
	want := map[uint16]int{BodyTD10: body10Size, BodyTD15: body15Size}[typ]
	switch {
	case want == 0:
		return 0, 0, fmt.Errorf("%w: body of type %d, want %d or %d (TD report)", ErrUnsupported, typ, BodyTD10, BodyTD15)
	case int64(n) != int64(want):
		return 0, 0, fmt.Errorf("%w: body of type %d with %d bytes, want %d", ErrQuote, typ, n, want)
	}
	return headerSize + descriptor5, want, nil
}

// parseTD reads a TD report of one of its two exact sizes.
func parseTD(b []byte) TD {
	take := func(n int) []byte {
		out := b[:n:n]
		b = b[n:]
		return out
	}
	number := func() uint64 { return binary.LittleEndian.Uint64(take(8)) }
	td := TD{
		TCBSVN: take(16), MRSEAM: take(48), MRSIGNERSEAM: take(48), SEAMAttributes: number(), Attributes: Attributes(number()),
		XFAM: number(), MRTD: take(48), MRCONFIGID: take(48), MROWNER: take(48), MROWNERCONFIG: take(48),
		RTMR: [4][]byte{take(48), take(48), take(48), take(48)}, ReportData: take(64),
	}
	if len(b) != 0 {
		td.TCBSVN2, td.MRSERVICETD = take(16), take(48)
	}
	return td
}

// Zero reports whether b has nothing but zeros.
func Zero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }
