// SPDX-License-Identifier: Apache-2.0

package quote

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

const (
	generatedValue = 0xff544347 // TPM_GENERATED_VALUE: the TPM made this, nobody dictated it
	attestQuote    = 0x8018     // TPM_ST_ATTEST_QUOTE
	rhEndorsement  = 0x4000000b // TPM_RH_ENDORSEMENT
	algSHA256      = 0x000b
	algECDSA       = 0x0018
)

// akTemplate is a TPMT_PUBLIC up to its unique point: ECC, name algorithm SHA-256, attributes fixedTPM | fixedParent |
// sensitiveDataOrigin | userWithAuth | noDA | restricted | sign, no policy, no symmetric algorithm, ECDSA with SHA-256,
// P-256, no KDF. A restricted key signs nothing but what its TPM made.
var akTemplate = []byte{
	0x00, 0x23, 0x00, 0x0b, 0x00, 0x05, 0x04, 0x72, 0x00, 0x00,
	0x00, 0x10, 0x00, 0x18, 0x00, 0x0b, 0x00, 0x03, 0x00, 0x10,
}

// ekTemplate is the TCG's default ECC P-256 endorsement key (EK Credential Profile, template L-2) up to its point.
var ekTemplate = append(append([]byte{
	0x00, 0x23, 0x00, 0x0b, 0x00, 0x03, 0x00, 0xb2, 0x00, 0x20,
}, ekPolicy...), 0x00, 0x06, 0x00, 0x80, 0x00, 0x43, 0x00, 0x10, 0x00, 0x03, 0x00, 0x10)

// ekPolicy is the digest of TPM2_PolicySecret(TPM_RH_ENDORSEMENT), as the profile prints it.
var ekPolicy = []byte{
	0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24,
	0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52, 0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa,
}

// Key is a TPM key whose public area was checked. Only [CheckAK] and [CheckEK] make one.
type Key struct {
	Public envelope.PublicKey
	name   []byte
}

// Name is the TPM Name: the name algorithm and the hash of the public area.
func (k *Key) Name() []byte { return bytes.Clone(k.name) }

// NameHex is the Name as AK endorsements write it.
func (k *Key) NameHex() string { return hex.EncodeToString(k.name) }

// qualifiedName is what a TPM reports for a primary key of the endorsement hierarchy (part 1, 16.3).
func (k *Key) qualifiedName() []byte {
	parent := binary.BigEndian.AppendUint32(nil, rhEndorsement)
	return nameOf(append(parent, k.name...))
}

// CheckAK reads the TPMT_PUBLIC of an attestation key and refuses any but a restricted P-256 signing key that never
// leaves its TPM. The Name is recomputed.
func CheckAK(public []byte) (*Key, error) {
	return checkPublic(public, akTemplate, "restricted P-256 signing key")
}

// CheckEK reads the TPMT_PUBLIC of an endorsement key and refuses any but the TCG's P-256 template.
func CheckEK(public []byte) (*Key, error) {
	return checkPublic(public, ekTemplate, "P-256 endorsement key")
}

func checkPublic(public, template []byte, want string) (*Key, error) {
	point, ok := bytes.CutPrefix(public, template)
	if !ok || len(public) > maxStructure {
		return nil, fmt.Errorf("%w: public area is not that of a %s", ErrKey, want)
	}
	r := reader{point}
	x, y := r.sized(coordinate), r.sized(coordinate)
	if !r.done() {
		return nil, fmt.Errorf("%w: public point is malformed", ErrKey)
	}
	k, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), uncompressed(x, y))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	pub, err := envelope.NewPublicKey(k)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return &Key{pub, nameOf(public)}, nil
}

// uncompressed is a point in SEC 1's form; some TPMs leave out leading zeros.
func uncompressed(x, y []byte) []byte {
	b := make([]byte, 1+2*coordinate)
	b[0] = 4
	copy(b[1+coordinate-len(x):], x)
	copy(b[1+2*coordinate-len(y):], y)
	return b
}

func nameOf(b []byte) []byte {
	h := sha256.Sum256(b)
	return append(binary.BigEndian.AppendUint16(nil, algSHA256), h[:]...)
}

// reader takes fields off the front. After a failure it yields zero values and is never done.
type reader struct{ b []byte }

func (r *reader) take(n int) []byte {
	if r.b == nil || n > len(r.b) {
		r.b = nil
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) uint16() uint16 {
	if b := r.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// sized takes a TPM2B of 1 to most octets.
func (r *reader) sized(most int) []byte {
	n := int(r.uint16())
	if n == 0 || n > most {
		r.b = nil
		return nil
	}
	return r.take(n)
}

// done reports whether everything was read and nothing failed.
func (r *reader) done() bool { return r.b != nil && len(r.b) == 0 }
