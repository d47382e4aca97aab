// SPDX-License-Identifier: Apache-2.0

// Package spdm reads the attestation report of an NVIDIA GPU: a GET_MEASUREMENTS request and the signed MEASUREMENTS
// response to it (DMTF DSP0274, SPDM 1.1), one after the other.
//
// Trust domain: pure; the enclave, which collects reports, and verifiers. Its one job: read every byte of a report or
// refuse it.
package spdm

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
)

// Errors.
var (
	ErrMalformed = errors.New("spdm: malformed report")
	ErrSignature = errors.New("spdm: signature does not verify")
)

// MaxReport bounds a report, in bytes; Hopper's have 4,130.
const MaxReport = 64 << 10

const (
	version         = 0x11 // SPDM 1.1
	getMeasurements = 0xe0
	measurements    = 0x60
	withSignature   = 0x01
	allMeasurements = 0xff
	dmtf            = 0x01 // measurement specification
	rawValue        = 0x80 // of a DMTF measurement's type: not a digest

	// NonceSize is the size of the nonce that a report answers.
	NonceSize = 32

	requestSize   = 4 + NonceSize + 1
	headerSize    = 8
	blockHeader   = 7
	signatureSize = 96 // r ‖ s, P-384
	maxValue      = 64
)

// Report is a parsed report. Nothing in it is authentic before [Report.Verify].
type Report struct {
	Nonce        [NonceSize]byte // of the request: what the report answers
	Measurements map[int][]byte  // index, from 1 → digest
	Record       []byte          // all measurement blocks, as they were signed
	Opaque       Opaque

	signed    []byte
	signature []byte
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// Parse reads a report to its last byte.
func Parse(b []byte) (*Report, error) {
	if len(b) > MaxReport || len(b) < requestSize+headerSize+NonceSize+2+signatureSize {
		return nil, malformed("%d bytes", len(b))
	}
	if [4]byte(b) != [4]byte{version, getMeasurements, withSignature, allMeasurements} || b[requestSize-1] != 0 {
		return nil, malformed("want an SPDM 1.1 request for all measurements with a signature of slot 0, got % x", b[:4])
	}
	res := b[requestSize:]
	if [4]byte(res) != [4]byte{version, measurements, 0, 0} {
		return nil, malformed("want a MEASUREMENTS response of slot 0, got % x", res[:4])
	}
	r := &Report{
		Nonce: [NonceSize]byte(b[4:]), Measurements: map[int][]byte{},
		signed: b[:len(b)-signatureSize], signature: b[len(b)-signatureSize:],
	}
	count, size := int(res[4]), int(res[5])|int(res[6])<<8|int(res[7])<<16
	body := res[headerSize : len(res)-signatureSize]
	if size > len(body)-NonceSize-2 {
		return nil, malformed("measurement record of %d bytes", size)
	}
	r.Record = body[:size]
	if err := r.blocks(count); err != nil {
		return nil, err
	}
	opaque := body[size+NonceSize:] // the responder's own nonce says nothing to us
	if n := int(binary.LittleEndian.Uint16(opaque)); n != len(opaque)-2 {
		return nil, malformed("opaque data of %d bytes where there are %d", n, len(opaque)-2)
	}
	return r, r.Opaque.parse(opaque[2:])
}

// Trim drops up to three zero bytes behind a report: drivers of 2025 hand it on so. They are outside the signature, and
// [Parse] refuses them.
func Trim(b []byte) []byte {
	const padding = 3
	at := requestSize + headerSize
	if len(b) < at || len(b) > MaxReport+padding {
		return b
	}
	at += int(b[at-3]) | int(b[at-2])<<8 | int(b[at-1])<<16
	if at += NonceSize + 2; at > len(b) {
		return b
	}
	at += int(binary.LittleEndian.Uint16(b[at-2:])) + signatureSize
	if at >= len(b) || len(b)-at > padding || len(bytes.Trim(b[at:], "\x00")) != 0 {
		return b
	}
	return b[:at]
}

// blocks reads count measurements, whose indices rise.
func (r *Report) blocks(count int) error {
	b, last := r.Record, 0
	for range count {
		if len(b) < blockHeader {
			return malformed("measurement block is cut off")
		}
		index, size := int(b[0]), int(binary.LittleEndian.Uint16(b[5:]))
		switch {
		case index <= last || b[1] != dmtf || b[4]&rawValue != 0:
			return malformed("measurement block %d: out of order, or not a DMTF digest", index)
		case int(binary.LittleEndian.Uint16(b[2:])) != size+3 || size == 0 || size > maxValue || size > len(b)-blockHeader:
			return malformed("measurement block %d: size", index)
		}
		r.Measurements[index], last = b[blockHeader:blockHeader+size], index
		b = b[blockHeader+size:]
	}
	if len(b) != 0 || count == 0 {
		return malformed("%d measurements and %d bytes left over", count, len(b))
	}
	return nil
}

// Verify checks the signature over request and response: one ECDSA P-384.
func (r *Report) Verify(key *ecdsa.PublicKey) error {
	if key == nil || key.Curve != elliptic.P384() {
		return fmt.Errorf("%w: want a P-384 key", ErrSignature)
	}
	digest := sha512.Sum384(r.signed)
	x, y := new(big.Int).SetBytes(r.signature[:signatureSize/2]), new(big.Int).SetBytes(r.signature[signatureSize/2:])
	if !ecdsa.Verify(key, digest[:], x, y) {
		return ErrSignature
	}
	return nil
}
