// SPDX-License-Identifier: Apache-2.0

package attestation

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Policy is what an owner demands of platforms beyond their measurements: one file that a creator can read. The zero
// value accepts no TCB status and no SNP product line; fields that relax a check say Unsafe. It travels inside the
// signed [Reference], so that it is versioned, expires and cannot be rolled back. docs/spec/appraisal.md is the format.
type Policy struct {
	Version           int         `json:"version"`           // 1
	TCB               TCBPolicy   `json:"tcb"`               // sgx, tdx, azure-tdx
	MinimumEvaluation *int        `json:"minimumEvaluation"` // least TCB evaluation data number of Intel; null: none is asked for
	Chips             []string    `json:"chips"`             // the only machines accepted, lower-case hex; null: any machine
	SGX               SGXPolicy   `json:"sgx"`
	SNP               SNPPolicy   `json:"snp"` // snp, azure-snp
	TDX               TDXPolicy   `json:"tdx"` // tdx, azure-tdx
	GPU               GPUPolicy   `json:"gpu"`
	OIDC              *OIDCPolicy `json:"oidc"` // null: no token is accepted
}

// TCBPolicy says which of Intel's TCB statuses are good enough. Revoked never is.
type TCBPolicy struct {
	Allow      []string            `json:"allow"`      // statuses accepted as they are; only "UpToDate" can be
	Advisories map[string][]string `json:"advisories"` // status → advisories it may stand for; others refuse it
	Waivers    []Waiver            `json:"waivers"`    // platforms out of date that are accepted for a while
}

// Waiver accepts an out-of-date platform until a day.
type Waiver struct {
	Status     string   `json:"status"`     // e.g. "OutOfDate"
	Advisories []string `json:"advisories"` // that may stand; others refuse it
	Until      string   `json:"until"`      // RFC 3339
	Reason     string   `json:"reason"`     // for auditors; not empty
}

// SGXPolicy is for enclaves. Its measurements are in the reference values.
type SGXPolicy struct {
	MinimumSVN *int `json:"minimumSvn"` // least ISVSVN; null: MRENCLAVE alone says the version
}

// SNPPolicy is for AMD SEV-SNP.
type SNPPolicy struct {
	MinimumTCB              map[string]SNPTCB `json:"minimumTcb"` // product line ("Milan", "Genoa", "Turin") → least; others are refused
	AllowSMT                bool              `json:"allowSmt"`   // the guest may share a core's threads
	AllowVLEK               bool              `json:"allowVlek"`  // the cloud's key instead of the chip's; it names no chip
	UnsafeMigrationAgent    bool              `json:"unsafeMigrationAgent"`
	UnsafeWithoutAliasCheck bool              `json:"unsafeWithoutAliasCheck"` // accept memory that was not checked for aliases (BadRAM)
	UnsafeWithoutCRL        bool              `json:"unsafeWithoutCrl"`        // accept a chip's key though nobody asked whether AMD revoked its issuer
}

// SNPTCB is a TCB version, part by part; each part must be at least this.
type SNPTCB struct {
	FMC        uint8 `json:"fmc"` // Turin only
	BootLoader uint8 `json:"bootloader"`
	TEE        uint8 `json:"tee"`
	SNP        uint8 `json:"snp"`
	Microcode  uint8 `json:"microcode"`
}

// TDXPolicy is for Intel TDX.
type TDXPolicy struct {
	RequireEventLog     bool `json:"requireEventLog"`     // refuse evidence without a log that leads to the RTMRs
	UnsafeWithoutSEPTVE bool `json:"unsafeWithoutSeptVe"` // accept a TD whose host can unmap its pages unnoticed
}

// GPUPolicy is for GPUs nested under a CPU's evidence.
type GPUPolicy struct {
	Required          bool `json:"required"`          // refuse evidence without a GPU
	UnsafeWithoutRIM  bool `json:"unsafeWithoutRim"`  // accept a GPU whose measurements nobody compared
	UnsafeWithoutOCSP bool `json:"unsafeWithoutOcsp"` // accept certificates that nobody asked the vendor about
}

// OIDCPolicy is for Google Confidential Space tokens.
type OIDCPolicy struct {
	Issuers  []OIDCIssuer `json:"issuers"`  // of tokens that are signed with published keys; null: certificate-signed tokens only
	Audience string       `json:"audience"` // the only one accepted; not empty
	Support  []string     `json:"support"`  // each must be among the token's support_attributes, e.g. "STABLE"; not empty
	Hardware []string     `json:"hardware"` // accepted hwmodel values; not empty
}

// OIDCIssuer is a signer of tokens and its keys, as the relying party fetched them itself.
type OIDCIssuer struct {
	Issuer string          `json:"issuer"`
	Keys   json.RawMessage `json:"keys"` // JWK set (RFC 7517)
}

// MaxPolicy bounds a policy file, in bytes.
const MaxPolicy = 1 << 20

// Intel's TCB statuses (PCS API v4).
const (
	UpToDate                          = "UpToDate"
	SWHardeningNeeded                 = "SWHardeningNeeded"
	ConfigurationNeeded               = "ConfigurationNeeded"
	ConfigurationAndSWHardeningNeeded = "ConfigurationAndSWHardeningNeeded"
	OutOfDate                         = "OutOfDate"
	OutOfDateConfigurationNeeded      = "OutOfDateConfigurationNeeded"
	TDRelaunchAdvised                 = "TDRelaunchAdvised"
	TDRelaunchAdvisedConfiguration    = "TDRelaunchAdvisedConfigurationNeeded"
	Revoked                           = "Revoked"
)

var (
	advisoryID  = regexp.MustCompile(`^INTEL-(SA|DOC)-[0-9]{5}$`)
	advisable   = []string{SWHardeningNeeded, ConfigurationNeeded, ConfigurationAndSWHardeningNeeded}
	waivable    = []string{OutOfDate, OutOfDateConfigurationNeeded, TDRelaunchAdvised, TDRelaunchAdvisedConfiguration}
	chipID      = regexp.MustCompile(`^([0-9a-f]{2}){8,64}$`)
	snpProducts = []string{"Milan", "Genoa", "Turin"}
)

// DefaultPolicy is what holds where an owner wrote none: up to date, no waivers, every check made.
//
// The SNP minima are those of AMD's bulletins for holes that a host can use against a guest. Milan: SNP 0x1d of AMD-SB-3030
// (BreakFAST), microcode 0xdb of AMD-SB-3019 (EntrySign). Genoa: SNP 0x1c of AMD-SB-3034 (Fabricked), above the 0x1b of
// AMD-SB-3020 (RMPocalypse); microcode 0x56 of AMD-SB-3020 and 3027 (StackWarp). Turin: SNP 0x04 of AMD-SB-3020, microcode
// 0x51 of AMD-SB-3027. The other parts are what firmware of that age has. Milan-X, Genoa-X, Bergamo and Siena count
// microcode by other, lower numbers and are refused until an owner's policy names theirs.
//
// Intel signs TCB info of old evaluation numbers anew for years, and whoever sends it chooses which. 17 is what its service
// gave to everybody in 2025; owners raise it as they can.
func DefaultPolicy() *Policy {
	evaluation := 17
	return &Policy{
		Version: 1, MinimumEvaluation: &evaluation,
		TCB: TCBPolicy{Allow: []string{UpToDate}},
		SNP: SNPPolicy{AllowSMT: true, MinimumTCB: map[string]SNPTCB{
			"Milan": {BootLoader: 4, SNP: 29, Microcode: 219},
			"Genoa": {BootLoader: 9, SNP: 28, Microcode: 86},
			"Turin": {FMC: 1, BootLoader: 1, TEE: 1, SNP: 4, Microcode: 81},
		}},
	}
}

// ParsePolicy reads a policy file, which people write: strict, but not necessarily canonical. Errors: [ErrReference].
func ParsePolicy(b []byte) (*Policy, error) {
	var p Policy
	if err := envelope.DecodeStrict(b, MaxPolicy, &p); err != nil {
		return nil, fmt.Errorf("%w: policy: %w", ErrReference, err)
	}
	return &p, p.Validate()
}

// Validate refuses a policy that means something else than it says: an empty list that is not null, a status that cannot be
// accepted, a waiver without an end.
func (p *Policy) Validate() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: policy: %s", ErrReference, fmt.Sprintf(format, args...))
	}
	if p == nil || p.Version != 1 {
		return bad("want version 1")
	}
	if err := p.TCB.validate(); err != nil {
		return bad("tcb: %v", err)
	}
	if (p.MinimumEvaluation != nil && *p.MinimumEvaluation <= 0) || (p.SGX.MinimumSVN != nil && *p.SGX.MinimumSVN < 0) {
		return bad("minimumEvaluation and minimumSvn: a number that refuses nothing; null asks for none")
	}
	if p.Chips != nil && len(p.Chips) == 0 {
		return bad("chips: an empty list accepts no machine; null accepts any")
	}
	for _, c := range p.Chips {
		if !chipID.MatchString(c) {
			return bad("chips: %q is not lower-case hex", c)
		}
	}
	for line, least := range p.SNP.MinimumTCB {
		if !slices.Contains(snpProducts, line) {
			return bad("snp: unknown product line %q, want one of %q", line, snpProducts)
		}
		if least.BootLoader == 0 || least.SNP == 0 || least.Microcode == 0 {
			return bad("snp: the least versions of %s leave out bootloader, snp or microcode, and so accept any", line)
		}
	}
	if o := p.OIDC; o != nil && (o.Audience == "" || len(o.Support) == 0 || len(o.Hardware) == 0) {
		return bad("oidc: audience, support and hardware must be given")
	}
	return nil
}

func (t *TCBPolicy) validate() error {
	for _, s := range t.Allow {
		if s != UpToDate {
			return fmt.Errorf("allow: %q cannot be accepted without more; name its advisories, or write a waiver", s)
		}
	}
	for s, ids := range t.Advisories {
		if !slices.Contains(advisable, s) || len(ids) == 0 {
			return fmt.Errorf("advisories: want %q, each with advisories, got %q", advisable, s)
		}
		if err := advisories(ids); err != nil {
			return err
		}
	}
	for _, w := range t.Waivers {
		if _, err := time.Parse(time.RFC3339, w.Until); err != nil || strings.TrimSpace(w.Reason) == "" || !slices.Contains(waivable, w.Status) {
			return fmt.Errorf("waivers: want a status of %q, an end (RFC 3339) and a reason", waivable)
		}
		if err := advisories(w.Advisories); err != nil {
			return err
		}
	}
	return nil
}

func advisories(ids []string) error {
	for _, id := range ids {
		if !advisoryID.MatchString(id) {
			return fmt.Errorf("advisory %q, want one as INTEL-SA-00615", id)
		}
	}
	return nil
}

// clone is a copy that shares nothing with p: what a verifier demands does not change under it.
func (p *Policy) clone() (*Policy, error) {
	if p == nil {
		return nil, nil
	}
	b, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("%w: policy: %w", ErrReference, err)
	}
	var c Policy
	return &c, json.Unmarshal(b, &c)
}

// Digest identifies p in verdicts.
func (p *Policy) Digest() (envelope.Digest, error) {
	b, err := envelope.Canonical(p)
	return envelope.Sum(b), err
}
