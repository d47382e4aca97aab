// SPDX-License-Identifier: Apache-2.0

package quote

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/big"
)

// What follows also reads the quotes of clouds' virtual TPMs: made by the cloud's own attestation key, RSA or ECC, over any
// registers of the SHA-256 bank. For platform tpm [Evidence.Verify] keeps to its one template and one selection.

const (
	algRSASSA = 0x0014

	// PCRCount is how many registers a TPM has.
	PCRCount = 24

	rsaBytes    = 256 // of an RSA-2048 modulus or signature
	rsaExponent = 65537
	maxExtra    = 66 // TPM2B_DATA: a TPMT_HA of SHA-512
)

// Public areas of clouds' attestation keys up to their unique parts, but for the attributes: RSA-2048 with RSASSA, or ECC
// P-256 with ECDSA, both with SHA-256, no policy, no symmetric algorithm.
var (
	rsaHead = []byte{0x00, 0x01, 0x00, 0x0b}
	rsaTail = []byte{0x00, 0x00, 0x00, 0x10, 0x00, 0x14, 0x00, 0x0b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00}
	eccHead = []byte{0x00, 0x23, 0x00, 0x0b}
	eccTail = []byte{0x00, 0x00, 0x00, 0x10, 0x00, 0x18, 0x00, 0x0b, 0x00, 0x03, 0x00, 0x10}
)

// fixedTPM | fixedParent | sensitiveDataOrigin | userWithAuth | restricted | sign; noDA says nothing of who may sign what.
const (
	cloudAttributes = 0x00050072
	attributeNoDA   = 0x00000400
)

// CloudKey is an attestation key of a cloud's virtual TPM whose public area was checked. Only [CheckCloudAK] makes one.
type CloudKey struct {
	Public crypto.PublicKey // *rsa.PublicKey or *ecdsa.PublicKey
	name   []byte
}

// NameHex is the TPM Name, recomputed.
func (k *CloudKey) NameHex() string { return hex.EncodeToString(k.name) }

// QualifiedName is what a TPM reports for k as a primary key of the endorsement hierarchy.
func (k *CloudKey) QualifiedName() []byte { return (&Key{name: k.name}).qualifiedName() }

// CheckCloudAK reads a TPMT_PUBLIC and refuses any but a restricted signing key that never leaves its TPM.
func CheckCloudAK(public []byte) (*CloudKey, error) {
	if len(public) < len(rsaHead)+4 || len(public) > maxStructure {
		return nil, fmt.Errorf("%w: public area of %d bytes", ErrKey, len(public))
	}
	head, body := public[:4], public[8:]
	if a := binary.BigEndian.Uint32(public[4:]); a&^attributeNoDA != cloudAttributes {
		return nil, fmt.Errorf("%w: attributes %#08x, want a restricted, fixedTPM signing key (%#08x)", ErrKey, a, cloudAttributes)
	}
	if rest, ok := bytes.CutPrefix(body, rsaTail); ok && bytes.Equal(head, rsaHead) {
		r := reader{rest}
		n := r.sized(rsaBytes)
		if !r.done() {
			return nil, fmt.Errorf("%w: modulus is malformed", ErrKey)
		}
		k, err := RSAKey(n)
		if err != nil {
			return nil, err
		}
		return &CloudKey{k, nameOf(public)}, nil
	}
	if rest, ok := bytes.CutPrefix(body, eccTail); ok && bytes.Equal(head, eccHead) {
		r := reader{rest}
		x, y := r.sized(coordinate), r.sized(coordinate)
		if !r.done() {
			return nil, fmt.Errorf("%w: public point is malformed", ErrKey)
		}
		k, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), uncompressed(x, y))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrKey, err)
		}
		return &CloudKey{k, nameOf(public)}, nil
	}
	return nil, fmt.Errorf("%w: neither RSA-2048 with RSASSA nor P-256 with ECDSA, with SHA-256", ErrKey)
}

// RSAKey is the RSA-2048 key of a modulus, with the one exponent that TPMs use.
func RSAKey(modulus []byte) (*rsa.PublicKey, error) {
	n := new(big.Int).SetBytes(modulus)
	if len(modulus) != rsaBytes || n.BitLen() != 8*rsaBytes || n.Bit(0) == 0 {
		return nil, fmt.Errorf("%w: not a modulus of RSA-2048", ErrKey)
	}
	return &rsa.PublicKey{N: n, E: rsaExponent}, nil
}

// RSASignature is a bare RSASSA signature as a TPMT_SIGNATURE.
func RSASignature(s []byte) []byte {
	b := []byte{algRSASSA >> 8, algRSASSA & 0xff, 0, algSHA256}
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

// CheckSignature checks a TPMT_SIGNATURE over msg: RSASSA or ECDSA, as the key is, with SHA-256.
func CheckSignature(key crypto.PublicKey, msg, sig []byte) error {
	if len(sig) > maxStructure || len(msg) > maxStructure {
		return fmt.Errorf("%w: signature of %d bytes over %d", ErrMalformed, len(sig), len(msg))
	}
	h := sha256.Sum256(msg)
	r := reader{sig}
	alg, hash := r.uint16(), r.uint16()
	switch k := key.(type) {
	case *rsa.PublicKey:
		s := r.sized(rsaBytes)
		if alg != algRSASSA || hash != algSHA256 || !r.done() || len(s) != rsaBytes {
			return fmt.Errorf("%w: not an RSASSA SHA-256 TPMT_SIGNATURE of RSA-2048", ErrMalformed)
		}
		if k.Size() != rsaBytes || k.E != rsaExponent || rsa.VerifyPKCS1v15(k, crypto.SHA256, h[:], s) != nil {
			return fmt.Errorf("%w: quote was not signed by this attestation key", ErrSignature)
		}
		return nil
	case *ecdsa.PublicKey:
		rr, ss := r.sized(coordinate), r.sized(coordinate)
		if alg != algECDSA || hash != algSHA256 || !r.done() {
			return fmt.Errorf("%w: not an ECDSA SHA-256 TPMT_SIGNATURE", ErrMalformed)
		}
		if k.Curve != elliptic.P256() || !ecdsa.Verify(k, h[:], new(big.Int).SetBytes(rr), new(big.Int).SetBytes(ss)) {
			return fmt.Errorf("%w: quote was not signed by this attestation key", ErrSignature)
		}
		return nil
	}
	return fmt.Errorf("%w: a key of type %T", ErrKey, key)
}

// Attest is a TPMS_ATTEST of a quote over registers of the SHA-256 bank. Nothing in it is true before its signature is
// checked.
type Attest struct {
	Signer       []byte // qualified name of the key
	Qualifying   []byte // as the caller gave it; may be empty, and then answers nobody's question
	Clock        uint64 // milliseconds that the TPM was powered
	ResetCount   uint32
	RestartCount uint32
	Safe         bool // the clock did not go back
	Firmware     uint64
	PCRs         []int // ascending, at least one
	PCRDigest    []byte
}

// ParseAttest reads a TPMS_ATTEST to its last byte and refuses any that is not a quote over one SHA-256 bank.
func ParseAttest(b []byte) (*Attest, error) {
	if len(b) > maxStructure {
		return nil, fmt.Errorf("%w: TPMS_ATTEST of %d bytes", ErrMalformed, len(b))
	}
	r := reader{b}
	magic, kind := r.uint32(), r.uint16()
	if magic != generatedValue || kind != attestQuote {
		return nil, fmt.Errorf("%w: not generated by a TPM as a quote", ErrMalformed)
	}
	a := &Attest{Signer: r.sized(maxExtra), Qualifying: r.perhaps(maxExtra), Clock: r.uint64(), ResetCount: r.uint32(), RestartCount: r.uint32()}
	safe := r.take(1)
	a.Firmware = r.uint64()
	banks, hash := r.uint32(), r.uint16()
	selected := r.sizedByte(PCRCount / 8)
	a.PCRDigest = r.sized(sha256.Size)
	switch {
	case !r.done() || len(a.PCRDigest) != sha256.Size || len(safe) != 1 || safe[0] > 1:
		return nil, fmt.Errorf("%w: not a TPMS_ATTEST of a quote over one bank", ErrMalformed)
	case banks != 1 || hash != algSHA256:
		return nil, fmt.Errorf("%w: %d banks, the first of algorithm %#x; want the SHA-256 bank alone", ErrPCRs, banks, hash)
	}
	a.Safe = safe[0] == 1
	for i := range 8 * len(selected) {
		if selected[i/8]&(1<<(i%8)) != 0 {
			a.PCRs = append(a.PCRs, i)
		}
	}
	if len(a.PCRs) == 0 {
		return nil, fmt.Errorf("%w: nothing was quoted", ErrPCRs)
	}
	return a, nil
}

// CheckValues demands that values, by name, are exactly the registers that were quoted, with the quoted digest. It
// returns them by number.
func (a *Attest) CheckValues(values map[string]string) (map[int][]byte, error) {
	if len(values) != len(a.PCRs) {
		return nil, fmt.Errorf("%w: %d registers given, %d quoted", ErrPCRs, len(values), len(a.PCRs))
	}
	out, h := map[int][]byte{}, sha256.New()
	for _, i := range a.PCRs {
		v, err := register(values[Name(i)], i)
		if err != nil {
			return nil, err
		}
		out[i] = v
		h.Write(v)
	}
	if !bytes.Equal(h.Sum(nil), a.PCRDigest) {
		return nil, fmt.Errorf("%w: do not hash to the quoted digest", ErrPCRs)
	}
	return out, nil
}

func (r *reader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// perhaps takes a TPM2B of 0 to most octets.
func (r *reader) perhaps(most int) []byte {
	n := int(r.uint16())
	if n > most {
		r.b = nil
		return nil
	}
	return r.take(n)
}

// sizedByte takes exactly n octets behind their length in one.
func (r *reader) sizedByte(n int) []byte {
	if b := r.take(1); len(b) != 1 || int(b[0]) != n {
		r.b = nil
		return nil
	}
	return r.take(n)
}
