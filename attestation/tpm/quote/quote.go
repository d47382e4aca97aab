// SPDX-License-Identifier: Apache-2.0

// Package quote is the format of TPM 2.0 evidence: which PCRs are quoted, by what kind of key, and how both are encoded.
//
// Trust domain: shared by the collector (enclave) and the verifier (brokers, auditors); pure, standard library only. Its
// one job: read TPM structures from a stranger by hand, because every structure accepted here has one fixed shape and a
// reflecting decoder would allocate what a length field asks for.
// Structures and constants are those of the TPM 2.0 Library Specification, part 2. docs/spec/evidence.md is the format.
package quote

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Errors. [ErrQuote] is the root.
var (
	ErrQuote     = errors.New("tpm: quote refused")
	ErrMalformed = fmt.Errorf("%w: malformed", ErrQuote)
	ErrKey       = fmt.Errorf("%w: attestation key", ErrQuote)
	ErrSignature = fmt.Errorf("%w: bad signature", ErrQuote)
	ErrPCRs      = fmt.Errorf("%w: PCR values", ErrQuote)
)

// EventLogType names the TCG crypto-agile format among an evidence envelope's event logs.
const EventLogType = "tcg2"

// SoftwareCA is the common name of every test CA that package swtpm makes. A root of that name never earns more than
// software-tpm.
const SoftwareCA = "Glovebox software TPM test CA"

// EnclavePCR is where the launcher measures the enclave binary. PCRs 16 and 23 are resettable from locality 0 and would
// prove nothing.
const EnclavePCR = 14

// PCRs are the quoted registers of the SHA-256 bank: firmware to Secure Boot policy (0 to 7), what boot loaders start and
// with which command line (GRUB: 8, 9; systemd-stub: 11 to 13), then the enclave. Without the boot loaders' registers a
// host could boot an initrd of its own and measure any enclave it likes. PCR 10 is IMA's: a running system extends it with
// every file it opens, so that no value of it could be pinned.
func PCRs() []int { return []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, EnclavePCR} }

// Name is how measurements call a PCR.
func Name(pcr int) string { return "pcr" + strconv.Itoa(pcr) }

// Evidence is the platform's part of an [attestation.Evidence], as canonical JSON. It proves nothing before
// [Evidence.Verify].
type Evidence struct {
	AKPublic  []byte            `json:"akPublic"`  // TPMT_PUBLIC
	PCRs      map[string]string `json:"pcrs"`      // exactly the names of PCRs(), lower-case hex
	Quote     []byte            `json:"quote"`     // TPMS_ATTEST
	Signature []byte            `json:"signature"` // TPMT_SIGNATURE
}

// Parse reads evidence strictly and bounded.
func Parse(b []byte) (*Evidence, error) {
	var e Evidence
	if err := envelope.Decode(b, MaxEvidence, &e); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if _, err := e.values(); err != nil {
		return nil, err
	}
	return &e, nil
}

// Encode is the canonical encoding.
func (e *Evidence) Encode() ([]byte, error) { return envelope.Canonical(e) }

// values are the PCRs by their numbers, refusing any set of names but exactly those.
func (e *Evidence) values() (map[int][]byte, error) {
	if len(e.PCRs) != len(PCRs()) {
		return nil, fmt.Errorf("%w: %d registers, want %d", ErrPCRs, len(e.PCRs), len(PCRs()))
	}
	out := map[int][]byte{}
	for _, i := range PCRs() {
		v, err := register(e.PCRs[Name(i)], i)
		if err != nil {
			return nil, err
		}
		out[i] = v
	}
	return out, nil
}

// register is a PCR's value.
func register(s string, pcr int) ([]byte, error) {
	v, err := hex.DecodeString(s)
	if err != nil || len(v) != sha256.Size || strings.ContainsAny(s, "ABCDEF") {
		return nil, fmt.Errorf("%w: %s is missing or not 64 lower-case hex digits", ErrPCRs, Name(pcr))
	}
	return v, nil
}

// Values are the PCRs of e by their numbers, once verified; nil if e was not parsed.
func (e *Evidence) Values() map[int][]byte {
	v, _ := e.values() // nil is the answer
	return v
}

// Verify checks that AKPublic is a key of [CheckAK]'s kind in the endorsement hierarchy, that it signed the quote, and
// that the quote is over exactly the PCR values given. It returns the qualifying data. Who vouches for the key is the
// caller's question.
func (e *Evidence) Verify() (qualifying []byte, err error) {
	ak, err := CheckAK(e.AKPublic)
	if err != nil {
		return nil, err
	}
	if err := CheckSignature(ak.Public.ECDSA(), e.Quote, e.Signature); err != nil {
		return nil, err
	}
	a, err := ParseAttest(e.Quote)
	if err != nil {
		return nil, err
	}
	if !slices.Equal(a.PCRs, PCRs()) {
		return nil, fmt.Errorf("%w: selection is not exactly %v of the SHA-256 bank", ErrPCRs, PCRs())
	}
	if !bytes.Equal(a.Signer, ak.qualifiedName()) {
		return nil, fmt.Errorf("%w: quote is not by a primary key of the endorsement hierarchy", ErrKey)
	}
	if len(a.Qualifying) == 0 {
		return nil, fmt.Errorf("%w: no qualifying data", ErrMalformed)
	}
	if _, err := a.CheckValues(e.PCRs); err != nil {
		return nil, err
	}
	return a.Qualifying, nil
}
