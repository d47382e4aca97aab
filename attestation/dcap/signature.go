// SPDX-License-Identifier: Apache-2.0

package dcap

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/big"
)

// Sizes in a quote's signature data.
const (
	signatureSize = 64 // r ‖ s
	keySize       = 64 // x ‖ y
	reportSize    = 384
)

// Types of certification data (Intel's quoting library API, table 9).
const (
	certPCKChain = 5
	certQEReport = 6
)

// Signature is the signature data of an ECDSA-P256 quote. Its slices are the quote's own bytes.
type Signature struct {
	Quote    []byte // over header ‖ body, by Key
	Key      []byte // the attestation key
	QEReport []byte // of the Quoting Enclave that made Key
	QE       []byte // over QEReport, by the PCK
	Auth     []byte // QE authentication data
	Chain    []byte // PEM: PCK certificate, PCK CA, root
}

// reader hands out a quote's bytes and remembers if there were too few.
type reader struct {
	b     []byte
	short bool
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.short = true
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) uint16() int {
	if b := r.take(2); b != nil {
		return int(binary.LittleEndian.Uint16(b))
	}
	return 0
}

// size is a 32-bit length, at most what is left.
func (r *reader) size() int {
	b := r.take(4)
	if b == nil {
		return 0
	}
	if n := binary.LittleEndian.Uint32(b); n <= uint32(len(r.b)) && len(r.b) <= MaxSignatureData {
		return int(n)
	}
	r.short = true
	return 0
}

// ParseSGXSignature reads the signature data of a v3 quote, without its length: signature, attestation key, QE report with its
// signature, authentication data, and certification data, which must be a PCK chain (type 5).
func ParseSGXSignature(b []byte) (*Signature, error) {
	if len(b) > MaxSignatureData {
		return nil, fmt.Errorf("%w: signature data of %d bytes", ErrMalformed, len(b))
	}
	r := &reader{b: b}
	s := &Signature{Quote: r.take(signatureSize), Key: r.take(keySize)}
	return s, s.qe(r)
}

// ParseTDXSignature reads the signature data of a v4 or v5 quote, without its length: signature, attestation key, and
// certification data of type 6, in which the QE report with its signature, authentication data and a PCK chain (type 5) nest.
func ParseTDXSignature(b []byte) (*Signature, error) {
	if len(b) > MaxSignatureData {
		return nil, fmt.Errorf("%w: signature data of %d bytes", ErrMalformed, len(b))
	}
	r := &reader{b: b}
	s := &Signature{Quote: r.take(signatureSize), Key: r.take(keySize)}
	kind, n := r.uint16(), r.size()
	switch {
	case r.short:
		return nil, fmt.Errorf("%w: signature data ends early", ErrMalformed)
	case kind != certQEReport:
		return nil, fmt.Errorf("%w: certification data of type %d, want %d", ErrMalformed, kind, certQEReport)
	case n != len(r.b):
		return nil, fmt.Errorf("%w: certification data of %d bytes, but %d follow", ErrMalformed, n, len(r.b))
	}
	return s, s.qe(r)
}

// qe reads the rest, which both shapes share, to the last byte.
func (s *Signature) qe(r *reader) error {
	s.QEReport, s.QE = r.take(reportSize), r.take(signatureSize)
	s.Auth = r.take(r.uint16())
	kind, n := r.uint16(), r.size()
	s.Chain = r.take(n)
	switch {
	case r.short:
		return fmt.Errorf("%w: signature data ends early", ErrMalformed)
	case kind != certPCKChain:
		return fmt.Errorf("%w: certification data of type %d (%s), want the PCK certificate chain, type %d", ErrMalformed, kind, certificationData(kind), certPCKChain)
	case len(r.b) != 0:
		return fmt.Errorf("%w: %d bytes after the certification data", ErrMalformed, len(r.b))
	}
	return nil
}

// certificationData names the types that people meet: without a chain nobody outside can tell which platform signed.
func certificationData(kind int) string {
	switch kind {
	case 1:
		return "PPID in the clear"
	case 2, 3:
		return "encrypted PPID: the quote names its platform to Intel only"
	case 4:
		return "PCK certificate without its chain"
	case certQEReport:
		return "QE report"
	case 7:
		return "platform manifest"
	}
	return "unknown"
}

// EnclaveReport is the report body of an SGX enclave, 384 bytes.
type EnclaveReport struct {
	CPUSVN      [16]byte
	MiscSelect  [4]byte
	ExtProdID   [16]byte // KSS
	Attributes  [16]byte // flags ‖ XFRM
	MREnclave   [32]byte
	MRSigner    [32]byte
	ConfigID    [64]byte // KSS
	ProductID   uint16
	SVN         uint16
	ConfigSVN   uint16   // KSS
	FamilyID    [16]byte // KSS
	ReportData  [64]byte
	reservedSet bool
}

// Flags in [EnclaveReport].Attributes[0].
const (
	FlagInit   = 0x01 // the enclave was initialised
	FlagDebug  = 0x02 // the host may read and write its memory
	FlagMode64 = 0x04
	FlagKSS    = 0x80 // key separation and sharing is in use
)

// ParseEnclaveReport reads exactly 384 bytes.
func ParseEnclaveReport(b []byte) (*EnclaveReport, error) {
	if len(b) != reportSize {
		return nil, fmt.Errorf("%w: enclave report of %d bytes, want %d", ErrMalformed, len(b), reportSize)
	}
	le := binary.LittleEndian
	return &EnclaveReport{
		CPUSVN: [16]byte(b), MiscSelect: [4]byte(b[16:]), ExtProdID: [16]byte(b[32:]), Attributes: [16]byte(b[48:]),
		MREnclave: [32]byte(b[64:]), MRSigner: [32]byte(b[128:]), ConfigID: [64]byte(b[192:]), ProductID: le.Uint16(b[256:]),
		SVN: le.Uint16(b[258:]), ConfigSVN: le.Uint16(b[260:]), FamilyID: [16]byte(b[304:]), ReportData: [64]byte(b[320:]),
		reservedSet: !zero(b[20:32]) || !zero(b[96:128]) || !zero(b[160:192]) || !zero(b[262:304]),
	}, nil
}

// Reserved reports whether a reserved byte of the report is set: then it says something that this code cannot read.
func (r *EnclaveReport) Reserved() bool { return r.reservedSet }

// Debug reports whether the host may look into the enclave.
func (r *EnclaveReport) Debug() bool { return r.Attributes[0]&FlagDebug != 0 }

func zero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}

// qeSignature: the platform's PCK signed the Quoting Enclave's report.
func (v *verification) qeSignature() error {
	const name, want = "qe-report-signature", "by the PCK certificate's key"
	if !verifyRaw(v.chain.pck.key, v.q.Signature.QEReport, v.q.Signature.QE) {
		return v.r.Fail(name, "", want, fmt.Errorf("%w: of the QE report: quote and PCK certificate are not of one platform", ErrSignature))
	}
	v.r.Pass(name, "PCK serial "+v.chain.pck.serial(), want)
	return nil
}

// attestationKey: the Quoting Enclave made the key that signed the quote, and says so in its report data.
func (v *verification) attestationKey() error {
	const name = "attestation-key"
	s := v.q.Signature
	h := sha256.New()
	h.Write(s.Key)
	h.Write(s.Auth)
	want := make([]byte, 64)
	h.Sum(want[:0])
	seen := hex.EncodeToString(v.qe.ReportData[:])
	if !bytes.Equal(v.qe.ReportData[:], want) {
		return v.r.Fail(name, seen, hex.EncodeToString(want), fmt.Errorf("%w: the QE report is of another attestation key", ErrSignature))
	}
	k, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append([]byte{4}, s.Key...))
	if err != nil {
		return v.r.Fail(name, seen, "a point on P-256", fmt.Errorf("%w: attestation key: %w", ErrMalformed, err))
	}
	v.key = k
	v.r.Pass(name, seen, "SHA-256 of key and authentication data, then zeros")
	return nil
}

func (v *verification) quoteSignature() error {
	const name, want = "quote-signature", "by the attestation key, over header and body"
	if !verifyRaw(v.key, v.q.Signed, v.q.Signature.Quote) {
		return v.r.Fail(name, "", want, fmt.Errorf("%w: of the quote", ErrSignature))
	}
	v.r.Pass(name, fmt.Sprintf("over %d bytes", len(v.q.Signed)), want)
	return nil
}

// verifyRaw checks an ECDSA signature r ‖ s over SHA-256 of msg.
func verifyRaw(k *ecdsa.PublicKey, msg, sig []byte) bool {
	if k == nil || len(sig) != signatureSize {
		return false
	}
	h := sha256.Sum256(msg)
	return ecdsa.Verify(k, h[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
}
