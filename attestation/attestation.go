// SPDX-License-Identifier: Apache-2.0

// Package attestation says what evidence is, what it is bound to, and in which four steps it becomes claims:
// authenticate → bind → appraise → decide.
//
// Trust domain: pure; used by the enclave (which collects) and by brokers, buyers and auditors (who verify). Its one
// job: make it impossible to hold [Claims] that evidence did not earn. Platforms live in sub-packages, the collector and
// the verifier of each apart, since verifiers bring dependencies that the enclave must not have.
// docs/spec/evidence.md is the format.
package attestation

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Errors, one for each step that can refuse; [ErrEvidence] is the root of all of them.
var (
	ErrEvidence     = errors.New("attestation: evidence refused")
	ErrMalformed    = fmt.Errorf("%w: malformed", ErrEvidence)
	ErrPlatform     = fmt.Errorf("%w: platform not accepted", ErrEvidence)
	ErrAuthenticate = fmt.Errorf("%w: not authentic", ErrEvidence)
	ErrBind         = fmt.Errorf("%w: not bound to this exchange", ErrEvidence)
	ErrAppraise     = fmt.Errorf("%w: not acceptable", ErrEvidence)
	ErrReference    = errors.New("attestation: reference values refused")
	ErrBinding      = errors.New("attestation: incomplete binding")
)

// Platform names a kind of root of trust.
type Platform string

// The platforms of this release.
const (
	PlatformSimulated Platform = "simulated"
	PlatformTPM       Platform = "tpm"
)

// Assurance is what an authenticated root lets one conclude. It is derived, never claimed. The zero value assures
// nothing.
type Assurance string

// Assurances, from none to memory kept secret from the host.
const (
	AssuranceSimulated   Assurance = "simulated"    // a key in a file: nothing
	AssuranceSoftwareTPM Assurance = "software-tpm" // a TPM in software: the host could forge it
	AssuranceTPM         Assurance = "tpm"          // known code was booted; the host can read memory
	AssuranceTEE         Assurance = "tee"          // known code, and memory the host cannot read
)

// AtLeast reports whether a is as strong as b. Unknown assurances are weaker than everything, themselves included.
func (a Assurance) AtLeast(b Assurance) bool {
	return a.rank() > 0 && b.rank() > 0 && a.rank() >= b.rank()
}

func (a Assurance) rank() int {
	switch a {
	case AssuranceSimulated:
		return 1
	case AssuranceSoftwareTPM:
		return 2
	case AssuranceTPM:
		return 3
	case AssuranceTEE:
		return 4
	}
	return 0
}

// Evidence is the one envelope for all platforms. Its canonical encoding is what digests refer to.
type Evidence struct {
	Version      int           `json:"version"` // 1
	Platform     Platform      `json:"platform"`
	Evidence     []byte        `json:"evidence"`     // the platform's own format
	Endorsements []Endorsement `json:"endorsements"` // certificates, collateral, AK endorsements
	EventLogs    []EventLog    `json:"eventLogs"`
	Claims       Binding       `json:"claims"` // what the evidence is bound to
	Nested       []Evidence    `json:"nested"` // vTPM in SNP, GPU
}

// Endorsement is a statement by somebody else that helps to authenticate evidence.
type Endorsement struct {
	Type string `json:"type"` // a media type or a predicate type
	Body []byte `json:"body"`
}

// EventLog is a measured-boot log.
type EventLog struct {
	Type string `json:"type"` // "tcg2"
	Body []byte `json:"body"`
}

// ParseEvidence reads an envelope strictly. Nothing in it is trusted yet.
func ParseEvidence(b []byte) (*Evidence, error) {
	var e Evidence
	if err := envelope.Decode(b, MaxEvidence, &e); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if err := e.check(0); err != nil {
		return nil, err
	}
	if err := e.Claims.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return &e, nil
}

func (e *Evidence) check(depth int) error {
	switch {
	case e.Version != 1:
		return fmt.Errorf("%w: version %d", ErrMalformed, e.Version)
	case e.Platform == "" || len(e.Evidence) == 0:
		return fmt.Errorf("%w: no platform or no evidence", ErrMalformed)
	case len(e.Nested) > maxNested || depth >= maxDepth || len(e.Endorsements) > maxEndorsement || len(e.EventLogs) > maxEventLogs:
		return fmt.Errorf("%w: too many parts", ErrMalformed)
	}
	for _, x := range e.Endorsements {
		if x.Type == "" || len(x.Body) == 0 {
			return fmt.Errorf("%w: empty endorsement", ErrMalformed)
		}
	}
	for _, l := range e.EventLogs {
		if l.Type == "" || len(l.Body) == 0 {
			return fmt.Errorf("%w: empty event log", ErrMalformed)
		}
	}
	for i := range e.Nested {
		if err := e.Nested[i].check(depth + 1); err != nil {
			return err
		}
	}
	return nil
}

// Encode is the canonical encoding.
func (e *Evidence) Encode() ([]byte, error) { return envelope.Canonical(e) }

// Collector produces evidence over a binding digest. The enclave holds one.
type Collector interface {
	Platform() Platform
	// Collect fills Platform, Evidence, Endorsements and EventLogs for d.
	Collect(ctx context.Context, d envelope.Digest) (Evidence, error)
}

// Report is what a [Format] read from authentic evidence: who vouches for it and what it measured. It is not yet bound
// or appraised.
type Report struct {
	Platform     Platform
	Assurance    Assurance
	Bound        []byte            // report data or qualifying data, whole
	Measurements map[string]string // name → lower-case hex, e.g. "enclave", "pcr0"
	Root         string            // the root that authenticated it, for people
	Debug        bool              // the platform is in a debug mode
}

// Format authenticates one platform's evidence: chain and signature, nothing else. It works offline.
type Format interface {
	Platform() Platform
	Authenticate(ctx context.Context, e *Evidence, now int64) (*Report, error)
	// CheckBound compares the report's bound bytes with d in the platform's own way.
	CheckBound(r *Report, d envelope.Digest) error
}

// Claims is what evidence earned. Only [Verifier.Verify] makes one; consumers refuse the zero value.
type Claims struct {
	platform  Platform
	assurance Assurance
	reference string
	digest    envelope.Digest
	bound     envelope.Digest
	binding   Binding
	measured  map[string]string
}

// Valid reports whether c came out of a verification.
func (c *Claims) Valid() bool { return c != nil && c.assurance.rank() > 0 && !c.digest.IsZero() }

// Platform is the platform that was authenticated.
func (c *Claims) Platform() Platform { return c.platform }

// Assurance is derived from the authenticated root.
func (c *Claims) Assurance() Assurance { return c.assurance }

// Reference names the reference value that matched.
func (c *Claims) Reference() string { return c.reference }

// EvidenceDigest identifies the evidence envelope.
func (c *Claims) EvidenceDigest() envelope.Digest { return c.digest }

// Bound is d, the digest of the binding.
func (c *Claims) Bound() envelope.Digest { return c.bound }

// Binding is what the evidence vouches for.
func (c *Claims) Binding() Binding { return c.binding.clone() }

// Measurements are what was measured, by name.
func (c *Claims) Measurements() map[string]string { return maps.Clone(c.measured) }

// Verifier holds the platforms and reference values one relying party accepts.
type Verifier struct {
	formats map[Platform]Format
	ref     *Reference
}

// NewVerifier refuses an empty reference ([ErrReference]) and an empty list of formats ([ErrPlatform]).
func NewVerifier(ref *Reference, formats ...Format) (*Verifier, error) {
	if err := ref.Validate(); err != nil {
		return nil, err
	}
	if len(formats) == 0 {
		return nil, fmt.Errorf("%w: no platform configured", ErrPlatform)
	}
	v := &Verifier{map[Platform]Format{}, ref.clone()}
	for _, f := range formats {
		if f == nil || required(f.Platform()) == nil {
			return nil, fmt.Errorf("%w: a format that is none, or of no known platform", ErrPlatform)
		}
		if v.formats[f.Platform()] != nil {
			return nil, fmt.Errorf("%w: %s configured twice", ErrPlatform, f.Platform())
		}
		v.formats[f.Platform()] = f
	}
	return v, nil
}

// Verify authenticates, binds and appraises raw evidence as of now (Unix seconds) and returns its claims. Deciding what
// they are worth is policy, and somebody else's.
func (v *Verifier) Verify(ctx context.Context, raw []byte, now int64) (*Claims, error) {
	if v == nil || now <= 0 {
		return nil, fmt.Errorf("%w: no verifier or no time", ErrEvidence)
	}
	e, err := ParseEvidence(raw)
	if err != nil {
		return nil, err
	}
	f := v.formats[e.Platform]
	if f == nil {
		return nil, fmt.Errorf("%w: %q is refused by name, accepted here: %q", ErrPlatform, e.Platform, v.platforms())
	}
	r, err := authenticate(ctx, f, e, now)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAuthenticate, err)
	}
	d, err := e.bind(f, r)
	if err != nil {
		return nil, err
	}
	name, err := v.ref.appraise(r, now)
	if err != nil {
		return nil, err
	}
	return &Claims{r.Platform, r.Assurance, name, envelope.Sum(raw), d, e.Claims.clone(), maps.Clone(r.Measurements)}, nil
}

// authenticate asks the format, and does not take its word for more than its platform can earn.
func authenticate(ctx context.Context, f Format, e *Evidence, now int64) (*Report, error) {
	r, err := f.Authenticate(ctx, e, now)
	switch {
	case err != nil:
		return nil, err
	case r == nil || r.Platform != e.Platform:
		return nil, fmt.Errorf("%s: no report of this platform", e.Platform)
	case !slices.Contains(earns(e.Platform), r.Assurance):
		return nil, fmt.Errorf("%s: assurance %q is beyond this platform", e.Platform, r.Assurance)
	}
	return r, nil
}

// earns lists the assurances that a platform's roots may have.
func earns(p Platform) []Assurance {
	switch p {
	case PlatformSimulated:
		return []Assurance{AssuranceSimulated}
	case PlatformTPM:
		return []Assurance{AssuranceSoftwareTPM, AssuranceTPM}
	}
	return nil
}

func (e *Evidence) bind(f Format, r *Report) (envelope.Digest, error) {
	d, err := e.Claims.Digest()
	if err != nil {
		return d, fmt.Errorf("%w: %w", ErrBind, err)
	}
	if err := f.CheckBound(r, d); err != nil {
		return d, fmt.Errorf("%w: %w", ErrBind, err)
	}
	if len(e.Nested) != 0 {
		return d, fmt.Errorf("%w: nested evidence is not accepted on %s", ErrBind, e.Platform)
	}
	return d, nil
}

func (v *Verifier) platforms() []Platform { return slices.Sorted(maps.Keys(v.formats)) }
