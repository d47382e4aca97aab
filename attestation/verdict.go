// SPDX-License-Identifier: Apache-2.0

package attestation

import (
	"errors"
	"fmt"
	"slices"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Outcome of a check. The zero value is none of them, and counts as [Fail].
type Outcome string

// Outcomes.
const (
	Pass          Outcome = "pass"
	Fail          Outcome = "fail"
	NotApplicable Outcome = "not-applicable" // the check does not concern this evidence or this policy; Note says why
)

// Step is which of the four verdicts a check belongs to.
type Step string

// Steps. The fourth, deciding, is policy and somebody else's.
const (
	StepAuthenticate Step = "authenticate"
	StepBind         Step = "bind"
	StepAppraise     Step = "appraise"
)

// Check is one question that was put to evidence.
type Check struct {
	Step    Step    `json:"step"`
	Name    string  `json:"name"` // lower case with hyphens, e.g. "tcb-status"
	Outcome Outcome `json:"outcome"`
	Seen    string  `json:"seen"`
	Want    string  `json:"want"`
	Note    string  `json:"note"` // why it failed or does not apply

	cause error // of a failure, for errors.Is
}

// Verdict says of evidence, check by check, what was seen and what was wanted. It is for people and auditors; only
// [Claims] are acted on.
type Verdict struct {
	Evidence  envelope.Digest // of the envelope
	Time      int64           // it was judged at, Unix seconds
	Policy    envelope.Digest // of the appraisal policy
	Bound     bool            // the evidence says what it is bound to; imported evidence does not
	Reference int64           // version of the reference values; 0: none were given
	Parts     []PartVerdict   // the machine, then what is nested in it
}

// PartVerdict is the verdict on the evidence of one platform.
type PartVerdict struct {
	Platform     Platform
	Assurance    Assurance // what it would earn; "" if it is not authentic
	Matched      string    // name of the reference value; "": none
	Measurements map[string]string
	TCB          *TCB
	Chip         string
	Checks       []Check
	Facts        []Fact
}

// Accepted reports whether no check failed, in any part.
func (v *Verdict) Accepted() bool { return v.Err() == nil }

// Err is the first check that failed, as an error of its step: [ErrAuthenticate], [ErrBind] or [ErrAppraise]. A verdict
// without a passed check of each step is none: a check that was not made proves nothing. Imported evidence, which is
// bound to nothing, is excused from binding.
func (v *Verdict) Err() error {
	if v == nil || len(v.Parts) == 0 {
		return ErrEvidence
	}
	for i := range v.Parts {
		if err := v.Parts[i].err(); err != nil {
			return err
		}
	}
	return nil
}

func (p *PartVerdict) err() error {
	passed := map[Step]bool{}
	for _, c := range p.Checks {
		switch c.Outcome {
		case Pass:
			passed[c.Step] = true
		case NotApplicable:
			passed[StepBind] = passed[StepBind] || c.Name == checkBinding
		default:
			return c.err(p.Platform)
		}
	}
	for _, s := range []Step{StepAuthenticate, StepBind, StepAppraise} {
		if !passed[s] {
			return fmt.Errorf("%w: %s: no check of step %s was made", s.sentinel(), p.Platform, s)
		}
	}
	return nil
}

func (c *Check) err(p Platform) error { return &RefusedError{p, *c} }

// RefusedError is a failed check as an error, of its step's sentinel and of what caused it.
type RefusedError struct {
	Platform Platform
	Check    Check
}

// Error says all of it, for whoever holds the reference values and the policy.
func (e *RefusedError) Error() string {
	c := &e.Check
	if c.cause != nil {
		if errors.Is(c.cause, c.Step.sentinel()) {
			return c.cause.Error()
		}
		return fmt.Sprintf("%v: %v", c.Step.sentinel(), c.cause)
	}
	text := string(e.Platform) + ": " + c.Name
	if c.Note != "" {
		text += ": " + c.Note
	}
	if c.Want != "" || c.Seen != "" {
		text += fmt.Sprintf(" (seen %q, want %q)", c.Seen, c.Want)
	}
	return fmt.Sprintf("%v: %s", c.Step.sentinel(), text)
}

// Public is for whoever sent the evidence: which check failed and what the evidence showed, and not what the relying party
// wants, which is in its own lists.
func (e *RefusedError) Public() string {
	c := &e.Check
	if c.Step != StepAppraise {
		return e.Error() // says nothing of the lists
	}
	if c.Name == checkReference {
		return fmt.Sprintf("%v: %s: %s: the measurements are not accepted here", ErrAppraise, e.Platform, c.Name)
	}
	return fmt.Sprintf("%v: %s: %s (seen %q)", ErrAppraise, e.Platform, c.Name, c.Seen)
}

// Unwrap gives the sentinel of the step, and the cause if there is one.
func (e *RefusedError) Unwrap() []error {
	if e.Check.cause != nil {
		return []error{e.Check.Step.sentinel(), e.Check.cause}
	}
	return []error{e.Check.Step.sentinel()}
}

func (s Step) sentinel() error {
	switch s {
	case StepAuthenticate:
		return ErrAuthenticate
	case StepBind:
		return ErrBind
	}
	return ErrAppraise
}

// EAR is the verdict in the shape of an EAT Attestation Result (draft-ietf-rats-ear): status and trustworthiness vector per
// part, ours beside them under names of our own. It is not signed: whoever wants it signed judges for herself.
type EAR struct {
	Profile  string            `json:"eat_profile"`
	Issued   int64             `json:"iat"`
	Verifier EARVerifier       `json:"ear.verifier-id"`
	Submods  map[string]Submod `json:"submods"`
	Evidence envelope.Digest   `json:"glovebox.evidence"`
	Accepted bool              `json:"glovebox.accepted"`
	Bound    bool              `json:"glovebox.bound"`
	Versions int64             `json:"glovebox.referenceVersion"`
}

// EARVerifier names who judged.
type EARVerifier struct {
	Developer string `json:"developer"`
	Build     string `json:"build"`
}

// Submod is the result for one part.
type Submod struct {
	Status       string            `json:"ear.status"` // affirming or contraindicated
	Vector       map[string]int    `json:"ear.trustworthiness-vector"`
	Policy       string            `json:"ear.appraisal-policy-id"`
	Assurance    Assurance         `json:"glovebox.assurance"`
	Reference    string            `json:"glovebox.reference"`
	Measurements map[string]string `json:"glovebox.measurements"`
	TCB          *TCB              `json:"glovebox.tcb"`
	Chip         string            `json:"glovebox.chip"`
	Checks       []Check           `json:"glovebox.checks"`
	Facts        []Fact            `json:"glovebox.facts"`
}

// Values of a trustworthiness claim (draft-ietf-rats-ar4si, section 2.3).
const (
	earProfile         = "tag:github.com,2023:veraison/ear"
	earNone            = 0
	earAffirming       = 2
	earContraindicated = 99 // cryptographic validation failed, or a value is known to be bad
)

// EAR renders v, judged by this build of the verifier.
func (v *Verdict) EAR(build string) *EAR {
	out := &EAR{
		Profile: earProfile, Issued: v.Time, Verifier: EARVerifier{"https://github.com/glovebox-dev/glovebox", build},
		Submods: map[string]Submod{}, Evidence: v.Evidence, Accepted: v.Accepted(), Bound: v.Bound, Versions: v.Reference,
	}
	for i := range v.Parts {
		p := &v.Parts[i]
		name := string(p.Platform)
		if required(p.Platform) == nil {
			name = fmt.Sprintf("unknown-%d", i)
		} else if i > 0 {
			name = fmt.Sprintf("%s-%d", p.Platform, i)
		}
		s := Submod{
			Status: "affirming", Vector: p.vector(), Policy: v.Policy.String(), Assurance: p.Assurance, Reference: p.Matched,
			Measurements: p.Measurements, TCB: p.TCB, Chip: p.Chip, Checks: orEmpty(p.Checks), Facts: orEmpty(p.Facts),
		}
		if p.err() != nil {
			s.Status = "contraindicated"
		}
		out.Submods[name] = s
	}
	return out
}

// bound reports whether the evidence was compared with what it should be bound to.
func (p *PartVerdict) bound() bool {
	return slices.ContainsFunc(p.Checks, func(c Check) bool { return c.Name == checkBinding && c.Outcome == Pass })
}

// vector says by which kind of trust the part stands: who it is, what runs, how the platform is.
func (p *PartVerdict) vector() map[string]int {
	worth := func(covers func(c *Check) bool) int {
		v := earNone
		for i := range p.Checks {
			switch c := &p.Checks[i]; {
			case !covers(c) || c.Outcome == NotApplicable:
			case c.Outcome != Pass:
				return earContraindicated
			default:
				v = earAffirming
			}
		}
		return v
	}
	identity := worth(func(c *Check) bool { return c.Step != StepAppraise })
	if identity == earAffirming && !p.bound() {
		identity = earNone
	}
	return map[string]int{
		"instance-identity": identity,
		"executables":       worth(func(c *Check) bool { return c.Name == checkReference }),
		"hardware":          worth(func(c *Check) bool { return c.Step == StepAppraise && c.Name != checkReference }),
	}
}
