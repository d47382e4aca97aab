// SPDX-License-Identifier: Apache-2.0

package attestation

import (
	"context"
	"fmt"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Report is what a [Format] read from authentic evidence: who vouches for it and what it measured. It is not yet bound
// or appraised.
type Report struct {
	Platform     Platform
	Assurance    Assurance
	Bound        []byte            // report data or qualifying data, whole
	Measurements map[string]string // name → lower-case hex, e.g. "enclave", "pcr0"
	Root         string            // the root that authenticated it, for people
	Debug        bool              // the platform is in a debug mode
	TCB          *TCB              // the vendor's word on the platform's patches; nil where the vendor publishes none
	Collateral   []Collateral      // the vendor's signed statements that were used, and how long they hold
	Chip         string            // identifies the machine, lower-case hex; "" where the platform does not say
	Checks       []Check           // what Authenticate checked, the failed one last
	Facts        []Fact            // for people; also from evidence that was refused
	Detail       any               // the format's own, for its Appraise
}

// TCB is what a vendor says of the patch level that evidence shows.
type TCB struct {
	Status     string   `json:"status"`     // as Intel's TCB info: "UpToDate", "SWHardeningNeeded", …; the worst of all components
	Date       string   `json:"date"`       // of the matched TCB level, RFC 3339
	Advisories []string `json:"advisories"` // that stand at this level, sorted, each once
}

// Collateral is one signed statement of a vendor that authentication used.
type Collateral struct {
	Name       string // e.g. "tcb-info", "pck-crl", "vcek"
	Issued     int64  // Unix seconds
	Expires    int64  // Unix seconds; 0 is refused
	Evaluation int    // TCB evaluation data number; 0 where the vendor has none
}

// Names of the collateral that has an evaluation number, 0 also being one.
const (
	CollateralTCBInfo    = "tcb-info"
	CollateralQEIdentity = "qe-identity"
)

// Fact is something that evidence says, for [Report.Facts].
type Fact struct {
	About string `json:"about"` // one of the About constants
	Name  string `json:"name"`
	Value string `json:"value"`
}

// What facts are about.
const (
	AboutSigner   = "signer"   // who signed it
	AboutRunning  = "running"  // what ran
	AboutWeakness = "weakness" // what is weak: what this evidence does not show, or shows to be less than it might be
)

// Fact adds what evidence says.
func (r *Report) Fact(about, name, format string, args ...any) {
	r.Facts = append(r.Facts, Fact{about, name, fmt.Sprintf(format, args...)})
}

// Pass records that Authenticate found seen, as wanted.
func (r *Report) Pass(name, seen, want string) {
	r.Checks = append(r.Checks, Check{Step: StepAuthenticate, Name: name, Outcome: Pass, Seen: seen, Want: want})
}

// NotApplicable records a check that does not concern this evidence, and why.
func (r *Report) NotApplicable(name, why string) {
	r.Checks = append(r.Checks, Check{Step: StepAuthenticate, Name: name, Outcome: NotApplicable, Note: why})
}

// Fail records that Authenticate did not find what it wanted and returns err, which it must then return too.
func (r *Report) Fail(name, seen, want string, err error) error {
	r.Checks = append(r.Checks, Check{Step: StepAuthenticate, Name: name, Outcome: Fail, Seen: seen, Want: want, Note: err.Error()})
	return err
}

// Format authenticates one platform's evidence: chain, signature and revocation, nothing else. It works offline, holds no
// state that a call changes, and may be used by several goroutines.
type Format interface {
	Platform() Platform
	// Authenticate reads e's own evidence, endorsements and logs; e's claims are not its business. On error the report, if
	// not nil, holds checks and facts only, and nobody acts on them.
	Authenticate(ctx context.Context, e *Evidence, now int64) (*Report, error)
	// CheckBound compares the report's bound bytes with d in the platform's own way.
	CheckBound(r *Report, d envelope.Digest) error
}

// An Appraiser is a [Format] whose platform has demands of its own, beyond what every platform's report is appraised for.
type Appraiser interface {
	// Appraise returns every check, passed or not, in a fixed order.
	Appraise(r *Report, p *Policy, now int64) []Check
}

// An Anchored [Format] takes trust anchors from the policy: the vendor signs no certificates that could be pinned.
type Anchored interface {
	WithPolicy(p *Policy) (Format, error)
}
