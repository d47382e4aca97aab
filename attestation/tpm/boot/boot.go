// SPDX-License-Identifier: Apache-2.0

// Package boot ties the log of a measured boot to the registers that a TPM quoted.
//
// Trust domain: brokers, buyers and auditors; pure. Its one job: say whether a log leads to the quoted PCRs, every one of
// them that firmware and boot loaders write, and what it then says of the boot. Libraries that replay logs accept an
// empty one, and pass over registers that the log leaves out; here both are refusals.
package boot

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/tpm/eventlog"
	"github.com/glovebox-dev/glovebox/attestation/tpm/quote"
)

// ErrLog refuses a log, or its absence.
var ErrLog = errors.New("tpm: bad event log")

const (
	checkLog = "event-log"
	wantLog  = "one log of type " + attestation.TCG2Log + " that leads to the quoted PCRs"
)

// Logged are the registers that a log accounts for whole: firmware, its settings, boot loaders and Secure Boot (0 to 9)
// and Glovebox's launcher (14). A running system extends the others without a word in this log (10: IMA; 11 to 13 and 15:
// systemd), so what they hold is compared with reference values only, except where [Whole] is demanded.
func Logged() []int { return []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, quote.EnclavePCR} }

// Demand says whether evidence may lack a log, and for which registers it accounts.
type Demand int

// Demands.
const (
	Whole    Demand = iota // a log that leads to every quoted register: one that it does not mention is zero
	Required               // boot is claimed, so it must be shown: a log that leads to the registers of [Logged]
	Optional               // somebody else's word covers the registers; a log only explains them
)

// Check replays the only log there may be against pcrs, the quoted values by number, and writes the check and what the log
// says into r. It returns the log, nil if there is none and none is demanded. Errors: [ErrLog], beside those of eventlog.
func Check(r *attestation.Report, pcrs map[int][]byte, logs []attestation.EventLog, d Demand) (*eventlog.Log, error) {
	if len(logs) == 0 {
		if d != Optional {
			return nil, r.Fail(checkLog, "none", wantLog, fmt.Errorf("%w: none, but this evidence is of a measured boot", ErrLog))
		}
		r.NotApplicable(checkLog, "evidence without one; reference values pin the registers themselves")
		r.Fact(attestation.AboutWeakness, "event-log", "none: what the PCRs stand for is known from reference values only")
		return nil, nil
	}
	if len(logs) != 1 || logs[0].Type != attestation.TCG2Log {
		err := fmt.Errorf("%w: want one of type %q, got %d", ErrLog, attestation.TCG2Log, len(logs))
		return nil, r.Fail(checkLog, fmt.Sprintf("%d logs", len(logs)), wantLog, err)
	}
	l, err := replay(pcrs, logs[0].Body, d)
	if err != nil {
		return nil, r.Fail(checkLog, fmt.Sprintf("%d bytes", len(logs[0].Body)), wantLog, fmt.Errorf("%w: %w", ErrLog, err))
	}
	r.Pass(checkLog, fmt.Sprintf("%d events", len(l.Events)), wantLog)
	describe(r, l, pcrs)
	return l, nil
}

func replay(pcrs map[int][]byte, body []byte, d Demand) (*eventlog.Log, error) {
	l, err := eventlog.Parse(body)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(l.Events, func(e eventlog.Event) bool { return e.Type != eventlog.NoAction }) {
		return nil, fmt.Errorf("%w that measured anything", eventlog.ErrEmpty)
	}
	if d == Whole {
		return l, l.Replay(pcrs)
	}
	want := map[int][]byte{}
	for _, i := range Logged() {
		if v, ok := pcrs[i]; ok {
			want[i] = v
		}
	}
	return l, l.Replay(want)
}

// Types of events that are described.
const (
	scrtmVersion   = 0x00000008 // EV_S_CRTM_VERSION: UTF-16
	nonHostInfo    = 0x00000011 // EV_NONHOST_INFO
	variableConfig = 0x80000001 // EV_EFI_VARIABLE_DRIVER_CONFIG
)

// Enclave is the digest of the enclave that the launcher measured, by a log that [Check] accepted: lower-case hex, or ""
// where the log names none or several. Without the launcher's register among the quoted ones nothing vouches for what the
// log says of it, and it is not repeated.
func Enclave(l *eventlog.Log, pcrs map[int][]byte) string {
	if l == nil || pcrs[quote.EnclavePCR] == nil {
		return ""
	}
	if d := l.Find(quote.EnclavePCR, eventlog.IPL, eventlog.EnclaveEvent); len(d) == 1 {
		return hex.EncodeToString(d[0][:])
	}
	return ""
}

// describe reads facts from events whose data hashes to their digest, in a register that was quoted and replayed: only then
// does a quote vouch for the data.
func describe(r *attestation.Report, l *eventlog.Log, pcrs map[int][]byte) {
	var answers []bool
	for _, e := range l.Events {
		if sha256.Sum256(e.Data) != e.Digest || pcrs[e.PCR] == nil || !slices.Contains(Logged(), e.PCR) {
			continue
		}
		switch {
		case e.PCR == 0 && e.Type == scrtmVersion:
			r.Fact(attestation.AboutRunning, "firmware", "%q", text16(e.Data))
		case e.PCR == 0 && e.Type == nonHostInfo:
			if t, ok := technology(e.Data); ok {
				r.Fact(attestation.AboutRunning, "confidential-technology", "%s, by the firmware's log: the host may have said so", t)
			}
		case e.PCR == 7 && e.Type == variableConfig && isSecureBoot(e.Data):
			answers = append(answers, e.Data[len(e.Data)-1] == 1)
		}
	}
	describeSecureBoot(r, answers)
	for _, i := range []int{10, 11, 12, 13, 15} {
		if v := pcrs[i]; v != nil && l.Replay(map[int][]byte{i: v}) != nil {
			r.Fact(attestation.AboutWeakness, quote.Name(i), "%s: the running system extended it; the log does not say with what", hex.EncodeToString(v))
		}
	}
}

// describeSecureBoot believes one answer. Firmware gives one; a running system can extend PCR 7 with another of its own.
func describeSecureBoot(r *attestation.Report, answers []bool) {
	switch {
	case len(answers) > 1:
		r.Fact(attestation.AboutWeakness, "secure-boot", "unknown: the log answers %d times", len(answers))
	case len(answers) == 1:
		r.Fact(attestation.AboutRunning, "secure-boot", "%t", answers[0])
		if !answers[0] {
			r.Fact(attestation.AboutWeakness, "secure-boot", "off: whatever was on the disk was booted, and only its measurements say what")
		}
	}
}

// Explain writes what a quote says of itself, which is worth nothing before its signature is checked.
func Explain(r *attestation.Report, a *quote.Attest) {
	r.Fact(attestation.AboutSigner, "qualified-name", "%x", a.Signer)
	r.Fact(attestation.AboutSigner, "tpm-firmware", "%#x", a.Firmware)
	r.Fact(attestation.AboutRunning, "resets", "%d resets, %d restarts, clock %d ms", a.ResetCount, a.RestartCount, a.Clock)
	r.Fact(attestation.AboutRunning, "quoted", "PCRs %v of the SHA-256 bank", a.PCRs)
	if !a.Safe {
		r.Fact(attestation.AboutWeakness, "clock", "not safe: the TPM's clock may have gone back since it was last written down")
	}
	if len(a.Qualifying) == 0 {
		r.Fact(attestation.AboutWeakness, "qualifying-data", "empty: the quote answers nobody's question, so it may be of any age")
	}
}

// text16 is UTF-16LE as people read it, cut at its end mark.
func text16(b []byte) string {
	var u []uint16
	for ; len(b) >= 2 && len(u) < 64; b = b[2:] {
		u = append(u, binary.LittleEndian.Uint16(b))
	}
	s, _, _ := strings.Cut(string(utf16.Decode(u)), "\x00")
	return s
}

// technology reads Google's EV_NONHOST_INFO: sixteen bytes of signature, one of technology.
func technology(b []byte) (string, bool) {
	const signature = "GCE NonHostInfo\x00"
	if len(b) != 32 || string(b[:16]) != signature {
		return "", false
	}
	names := []string{"none", "AMD SEV", "AMD SEV-ES", "Intel TDX", "AMD SEV-SNP"}
	if int(b[16]) >= len(names) {
		return fmt.Sprintf("number %d", b[16]), true
	}
	return names[b[16]], true
}

// globalVariable is EFI_GLOBAL_VARIABLE, as UEFI writes GUIDs. Anybody may have a variable SecureBoot under another.
const globalVariable = "\x61\xdf\xe4\x8b\xca\x93\xd2\x11\xaa\x0d\x00\xe0\x98\x03\x2b\x8c"

// isSecureBoot reports whether b is a UEFI_VARIABLE_DATA of the global variable SecureBoot, with one byte of value.
func isSecureBoot(b []byte) bool {
	const name, header = "SecureBoot", 32
	if len(b) != header+2*len(name)+1 {
		return false
	}
	return string(b[:16]) == globalVariable && binary.LittleEndian.Uint64(b[16:]) == uint64(len(name)) &&
		binary.LittleEndian.Uint64(b[24:]) == 1 && text16(b[header:header+2*len(name)]) == name
}
