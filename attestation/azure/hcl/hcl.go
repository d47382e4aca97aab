// SPDX-License-Identifier: Apache-2.0

// Package hcl is the format of evidence of confidential VMs on Azure: the report of the paravisor ("HCL report") that
// ties a virtual TPM's key to the hardware's own report, and the TPM's quote beside it.
//
// Trust domain: shared by the collector (enclave) and the verifier; pure. Its one job: read both strictly and bounded.
// Nothing here is believed; package verify says why it may be.
package hcl

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/glovebox-dev/glovebox/attestation/tpm/quote"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Errors.
var (
	ErrMalformed = errors.New("azure: malformed")
	ErrRuntime   = fmt.Errorf("%w: runtime data", ErrMalformed)
)

// Bounds, checked before parsing.
const (
	MaxEvidence = 96 << 10 // the platform's part of an envelope; a TD quote may have 64 KiB
	MaxReport   = 16 << 10 // an HCL report; the TPM's index has 2600 bytes today
	MaxTDQuote  = 32 << 10
	maxRuntime  = 8 << 10
	maxKeys     = 8
	maxUserData = 256
)

// Evidence is the platform's part of an envelope, as canonical JSON.
type Evidence struct {
	HCLReport []byte            `json:"hclReport"`
	PCRs      map[string]string `json:"pcrs"`              // name → lower-case hex: exactly the quoted ones
	Quote     []byte            `json:"quote"`             // TPMS_ATTEST over the SHA-256 bank
	Signature []byte            `json:"signature"`         // TPMT_SIGNATURE
	TDQuote   []byte            `json:"tdQuote,omitempty"` // azure-tdx only
}

// ParseEvidence reads evidence strictly.
func ParseEvidence(b []byte) (*Evidence, error) {
	var e Evidence
	if err := envelope.Decode(b, MaxEvidence, &e); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	switch {
	case len(e.HCLReport) == 0 || len(e.Quote) == 0 || len(e.Signature) == 0:
		return nil, fmt.Errorf("%w: report, quote or signature is missing", ErrMalformed)
	case len(e.PCRs) == 0 || len(e.PCRs) > quote.PCRCount:
		return nil, fmt.Errorf("%w: %d PCRs", ErrMalformed, len(e.PCRs))
	case len(e.TDQuote) > MaxTDQuote:
		return nil, fmt.Errorf("%w: TD quote of %d bytes", ErrMalformed, len(e.TDQuote))
	}
	return &e, nil
}

// Encode is the canonical encoding.
func (e *Evidence) Encode() ([]byte, error) { return envelope.Canonical(e) }

// Kind is which hardware made the report inside.
type Kind uint32

// Kinds, as the runtime data's header has them. Of others the paravisor knows, none is confidential.
const (
	SNP Kind = 2
	TDX Kind = 4
)

// String is the hardware's name.
func (k Kind) String() string {
	switch k {
	case SNP:
		return "SEV-SNP"
	case TDX:
		return "TDX"
	}
	return fmt.Sprintf("type %d", uint32(k))
}

// Layout of the report: header, hardware report area, runtime data header, runtime data, zeros.
const (
	headerSize   = 32
	hardwareSize = 1184 // an SNP report exactly; a TD report has 1024, then zeros
	runtimeStart = headerSize + hardwareSize
	runtimeSize  = 20 // of its header
	requestAK    = 2  // what the paravisor was asked for: a certificate of the attestation key
	hashSHA256   = 1
	tdReportSize = 1024
)

// Report is a parsed HCL report.
type Report struct {
	Version  uint32 // of the format
	Kind     Kind
	Hardware []byte // an SNP report, or a TD report
	Runtime  []byte // JSON, whose SHA-256 the hardware reports
	AK       *rsa.PublicKey
	Machine  Machine
	UserData string // hex, that the VM's owner wrote; nothing rests on it
}

// Machine is what the paravisor says of the VM.
type Machine struct {
	Console      *bool  // console-enabled
	SecureBoot   *bool  // secure-boot
	TPM          *bool  // tpm-enabled
	TPMPersisted *bool  // tpm-persisted: its state outlives a stop
	ID           string // vmUniqueId
}

// Parse reads an HCL report. Every length must agree with every other, and what is left over must be zero.
func Parse(b []byte) (*Report, error) {
	if len(b) < runtimeStart+runtimeSize || len(b) > MaxReport {
		return nil, fmt.Errorf("%w: HCL report of %d bytes", ErrMalformed, len(b))
	}
	word := func(at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }
	r := &Report{Version: word(4), Kind: Kind(word(runtimeStart + 8))}
	size, length := word(runtimeStart), word(runtimeStart+16)
	switch {
	case string(b[:4]) != "HCLA" || (r.Version != 1 && r.Version != 2):
		return nil, fmt.Errorf("%w: not an HCL report of version 1 or 2", ErrMalformed)
	case word(12) != requestAK || !zero(b[16:headerSize]):
		return nil, fmt.Errorf("%w: HCL report of request %d, status %d; want 2 and 0", ErrMalformed, word(12), word(16))
	case word(runtimeStart+4) != 1 || word(runtimeStart+12) != hashSHA256:
		return nil, fmt.Errorf("%w of version %d with hash %d; want 1 and SHA-256 (1)", ErrRuntime, word(runtimeStart+4), word(runtimeStart+12))
	case length == 0 || length > maxRuntime || size != runtimeSize+length || uint64(word(8)) != uint64(runtimeStart)+uint64(size):
		return nil, fmt.Errorf("%w: lengths %d, %d and %d disagree", ErrRuntime, word(8), size, length)
	case len(b) < runtimeStart+int(size) || !zero(b[runtimeStart+int(size):]):
		return nil, fmt.Errorf("%w: cut short, or followed by something", ErrRuntime)
	}
	r.Hardware, r.Runtime = b[headerSize:runtimeStart], b[runtimeStart+runtimeSize:runtimeStart+int(size)]
	switch r.Kind {
	case SNP:
	case TDX:
		if !zero(r.Hardware[tdReportSize:]) {
			return nil, fmt.Errorf("%w: something behind the TD report", ErrMalformed)
		}
		r.Hardware = r.Hardware[:tdReportSize]
	default:
		return nil, fmt.Errorf("%w: hardware report of type %d; want SNP (2) or TDX (4)", ErrMalformed, r.Kind)
	}
	return r, r.readRuntime()
}

// ReportData is what the hardware must have reported: SHA-256 of the runtime data, then zeros.
func (r *Report) ReportData() [64]byte {
	var out [64]byte
	h := sha256.Sum256(r.Runtime)
	copy(out[:], h[:])
	return out
}

// readRuntime reads the runtime data. The hardware vouches for its bytes; two parsers that read two keys from them would
// trust two TPMs, so names are compared exactly and duplicates are refused, without case, at every depth. Members that are
// not read here may be there: the paravisor adds to them.
func (r *Report) readRuntime() error {
	var top map[string]json.RawMessage
	if err := envelope.DecodeStrict(r.Runtime, maxRuntime, &top); err != nil {
		return fmt.Errorf("%w: %w", ErrRuntime, err)
	}
	var keys []map[string]json.RawMessage
	if err := json.Unmarshal(top["keys"], &keys); err != nil || len(keys) == 0 || len(keys) > maxKeys {
		return fmt.Errorf("%w: keys (%v)", ErrRuntime, err)
	}
	for _, k := range keys {
		if text(k["kid"]) != "HCLAkPub" {
			continue
		}
		if r.AK != nil {
			return fmt.Errorf("%w: two attestation keys", ErrRuntime)
		}
		var err error
		if r.AK, err = readKey(k); err != nil {
			return err
		}
	}
	if r.AK == nil {
		return fmt.Errorf("%w: no attestation key HCLAkPub", ErrRuntime)
	}
	if r.UserData = text(top["user-data"]); len(r.UserData) > maxUserData {
		return fmt.Errorf("%w: user data of %d characters", ErrRuntime, len(r.UserData))
	}
	return r.Machine.read(top["vm-configuration"])
}

// readKey reads a JWK: RSA-2048 with exponent 65537, to sign and for nothing else.
func readKey(k map[string]json.RawMessage) (*rsa.PublicKey, error) {
	var use []string
	if err := json.Unmarshal(k["key_ops"], &use); err != nil || len(use) != 1 || use[0] != "sign" {
		return nil, fmt.Errorf("%w: attestation key for %q, want sign", ErrRuntime, use)
	}
	if text(k["kty"]) != "RSA" || text(k["e"]) != "AQAB" {
		return nil, fmt.Errorf("%w: attestation key is not RSA with exponent 65537", ErrRuntime)
	}
	n, err := base64.RawURLEncoding.Strict().DecodeString(text(k["n"]))
	if err != nil {
		return nil, fmt.Errorf("%w: modulus: %w", ErrRuntime, err)
	}
	key, err := quote.RSAKey(n)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRuntime, err)
	}
	return key, nil
}

func (m *Machine) read(raw json.RawMessage) error {
	var c map[string]json.RawMessage
	if err := json.Unmarshal(raw, &c); err != nil {
		return fmt.Errorf("%w: vm-configuration: %w", ErrRuntime, err)
	}
	for name, to := range map[string]**bool{
		"console-enabled": &m.Console, "secure-boot": &m.SecureBoot, "tpm-enabled": &m.TPM, "tpm-persisted": &m.TPMPersisted,
	} {
		if v := c[name]; v != nil {
			if err := json.Unmarshal(v, to); err != nil {
				return fmt.Errorf("%w: %s: %w", ErrRuntime, name, err)
			}
		}
	}
	m.ID = text(c["vmUniqueId"])
	return nil
}

// text is a JSON string, or "" if raw is none.
func text(raw json.RawMessage) string {
	var s *string
	if json.Unmarshal(raw, &s) != nil || s == nil {
		return ""
	}
	return *s
}

func zero(b []byte) bool { return bytes.Equal(b, make([]byte, len(b))) }
