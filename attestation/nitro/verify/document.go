// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha512"
	"fmt"
	"math/big"
	"strconv"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// message is a COSE_Sign1 (RFC 9052, section 4.2) as AWS writes it.
type message struct {
	_           struct{} `cbor:",toarray"`
	Protected   []byte
	Unprotected cbor.RawMessage
	Payload     []byte
	Signature   []byte
}

// document is what a message signs. Members that AWS does not name are refused.
type document struct {
	ModuleID    string            `cbor:"module_id"`
	Timestamp   uint64            `cbor:"timestamp"` // milliseconds
	Digest      string            `cbor:"digest"`
	PCRs        map[uint64][]byte `cbor:"pcrs"`
	Certificate []byte            `cbor:"certificate"`
	CABundle    [][]byte          `cbor:"cabundle"` // the root first
	PublicKey   []byte            `cbor:"public_key"`
	UserData    []byte            `cbor:"user_data"`
	Nonce       []byte            `cbor:"nonce"`
}

const (
	tagSign1   = 0xd2 // tag 18, which may precede a message
	arrayOf4   = 0x84
	emptyMap   = 0xa0
	emptyBytes = 0x40
)

// es384 is the one protected header: {alg: -35}, ECDSA with SHA-384.
var es384 = []byte{0xa1, 0x01, 0x38, 0x22}

// strict refuses what could be read in two ways. AWS's own encoder leaves the length of the document's outermost map
// open, so that is allowed inside; a message has one spelling, which parse compares.
func strict(indefinite cbor.IndefLengthMode) (cbor.DecMode, error) {
	return cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: indefinite, TagsMd: cbor.TagsForbidden, MaxNestedLevels: 4,
		MaxArrayElements: 16, MaxMapPairs: maxPCRs, ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive, BignumTag: cbor.BignumTagForbidden,
	}.DecMode()
}

// parse reads a message and the document in it. Nothing is trusted yet.
func parse(b []byte) (*message, *document, error) {
	if len(b) == 0 || len(b) > maxDocument {
		return nil, nil, fmt.Errorf("%w: %d bytes, want 1 to %d", ErrDocument, len(b), maxDocument)
	}
	outer, err := strict(cbor.IndefLengthForbidden)
	if err != nil {
		return nil, nil, err
	}
	if b[0] == tagSign1 {
		b = b[1:]
	}
	var m message
	if err := outer.Unmarshal(b, &m); err != nil {
		return nil, nil, fmt.Errorf("%w: no COSE_Sign1: %w", ErrDocument, err)
	}
	if err := m.check(b); err != nil {
		return nil, nil, err
	}
	inner, err := strict(cbor.IndefLengthAllowed)
	if err != nil {
		return nil, nil, err
	}
	var d document
	if err := inner.Unmarshal(m.Payload, &d); err != nil {
		return nil, nil, fmt.Errorf("%w: payload: %w", ErrDocument, err)
	}
	return &m, &d, d.check()
}

func (m *message) check(b []byte) error {
	switch {
	case !bytes.Equal(m.Protected, es384):
		return fmt.Errorf("%w: protected header %.*x, want %x: alg ES384 and nothing else", ErrDocument, maxShown, m.Protected, es384)
	case !bytes.Equal(m.Unprotected, []byte{emptyMap}):
		return fmt.Errorf("%w: unprotected header %.*x, want an empty map", ErrDocument, maxShown, []byte(m.Unprotected))
	case len(m.Payload) == 0 || len(m.Payload) > maxPayload:
		return fmt.Errorf("%w: payload of %d bytes, want 1 to %d: a detached one is refused", ErrDocument, len(m.Payload), maxPayload)
	case len(m.Signature) != sigSize:
		return fmt.Errorf("%w: signature of %d bytes, want %d", ErrDocument, len(m.Signature), sigSize)
	}
	spelled := byteString(append(byteString([]byte{arrayOf4}, m.Protected), emptyMap), m.Payload)
	if !bytes.Equal(byteString(spelled, m.Signature), b) {
		return fmt.Errorf("%w: COSE_Sign1 is not in its shortest spelling", ErrDocument)
	}
	return nil
}

// check makes AWS's syntactical validation.
func (d *document) check() error {
	bad := func(what string, n int) error {
		return fmt.Errorf("%w: %s, got %d", ErrDocument, what, n)
	}
	switch {
	case d.ModuleID == "" || len(d.ModuleID) > maxModule:
		return bad("module_id must be given", len(d.ModuleID))
	case d.Digest != "SHA384":
		return fmt.Errorf("%w: digest %.*q, want SHA384", ErrDocument, maxShown, d.Digest)
	case d.Timestamp == 0 || d.Timestamp > 1<<53:
		return fmt.Errorf("%w: timestamp %d", ErrDocument, d.Timestamp)
	case len(d.Certificate) == 0 || len(d.Certificate) > maxCert:
		return bad("certificate must have 1 to 1024 bytes", len(d.Certificate))
	case len(d.CABundle) == 0 || len(d.CABundle) > maxBundle:
		return bad("cabundle must have 1 to 8 certificates", len(d.CABundle))
	case len(d.UserData) > maxField || len(d.Nonce) > maxField || len(d.PublicKey) > maxField:
		return bad("user_data, nonce and public_key must have at most 1024 bytes", max(len(d.UserData), len(d.Nonce), len(d.PublicKey)))
	}
	for _, c := range d.CABundle {
		if len(c) == 0 || len(c) > maxCert {
			return bad("a certificate of cabundle must have 1 to 1024 bytes", len(c))
		}
	}
	return d.checkPCRs()
}

// checkPCRs demands the three registers that say which image runs, and that no register is cut short.
func (d *document) checkPCRs() error {
	for i, v := range d.PCRs {
		if i >= maxPCRs || len(v) != pcrSize {
			return fmt.Errorf("%w: PCR %d of %d bytes, want an index below %d and %d bytes", ErrDocument, i, len(v), maxPCRs, pcrSize)
		}
	}
	for i := range imagePCRs {
		if d.PCRs[uint64(i)] == nil {
			return fmt.Errorf("%w: PCR %d is missing", ErrDocument, i)
		}
	}
	return nil
}

// imagePCRs are PCR 0, 1 and 2: the whole image, kernel and boot file system, the application.
const imagePCRs = 3

// debug: an enclave in debug mode reports zeros, and its memory and console are open to the parent instance.
func (d *document) debug() bool {
	for i := range imagePCRs {
		if bytes.Equal(d.PCRs[uint64(i)], make([]byte, pcrSize)) {
			return true
		}
	}
	return false
}

func (d *document) time() time.Time { return time.UnixMilli(int64(d.Timestamp)).UTC() }

// verify checks the signature over the Sig_structure of RFC 9052, section 4.4, without external data.
func (m *message) verify(key *ecdsa.PublicKey) error {
	signed := append([]byte{arrayOf4, 0x6a}, "Signature1"...)
	signed = byteString(append(byteString(signed, m.Protected), emptyBytes), m.Payload)
	h := sha512.Sum384(signed)
	r, s := new(big.Int).SetBytes(m.Signature[:sigSize/2]), new(big.Int).SetBytes(m.Signature[sigSize/2:])
	if !ecdsa.Verify(key, h[:], r, s) {
		return fmt.Errorf("%w: of the document under its certificate's key", ErrSignature)
	}
	return nil
}

// byteString appends b to dst as a CBOR byte string in its shortest form.
func byteString(dst, b []byte) []byte {
	switch n := len(b); {
	case n < 24:
		dst = append(dst, 0x40|byte(n))
	case n < 1<<8:
		dst = append(dst, 0x58, byte(n))
	default: // what is parsed has less than 64 KiB
		dst = append(dst, 0x59, byte(n>>8), byte(n))
	}
	return append(dst, b...)
}

func pcrName(i uint64) string { return "pcr" + strconv.FormatUint(i, 10) }
