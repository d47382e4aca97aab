// SPDX-License-Identifier: Apache-2.0

package attestation

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

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

// Verifier holds the platforms, the appraisal policy and the reference values one relying party accepts.
type Verifier struct {
	formats map[Platform]Format
	ref     *Reference // nil only in an inspection, which it fails
	policy  *Policy
	id      envelope.Digest // of the policy
}

// NewVerifier refuses an empty reference ([ErrReference]) and an empty list of formats ([ErrPlatform]). The appraisal
// policy is the reference's own, or [DefaultPolicy].
func NewVerifier(ref *Reference, formats ...Format) (*Verifier, error) {
	if err := ref.Validate(); err != nil {
		return nil, err
	}
	ref = ref.clone()
	p := ref.Policy
	if p == nil {
		p = DefaultPolicy()
	}
	return newVerifier(ref, p, formats)
}

// NewInspector is a verifier for people who look at evidence: it may lack reference values, which fails every inspection,
// and take its policy (nil: the reference's own) from elsewhere. It makes no claims.
func NewInspector(ref *Reference, p *Policy, formats ...Format) (*Inspector, error) {
	if ref != nil {
		if err := ref.Validate(); err != nil {
			return nil, err
		}
		ref = ref.clone()
		if p == nil {
			p = ref.Policy
		}
	}
	if p == nil {
		p = DefaultPolicy()
	}
	v, err := newVerifier(ref, p, formats)
	return &Inspector{v}, err
}

// Inspector renders verdicts without claims.
type Inspector struct{ v *Verifier }

func newVerifier(ref *Reference, p *Policy, formats []Format) (*Verifier, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	p, err := p.clone()
	if err != nil {
		return nil, err
	}
	id, err := p.Digest()
	if err != nil {
		return nil, err
	}
	if len(formats) == 0 {
		return nil, fmt.Errorf("%w: no platform configured", ErrPlatform)
	}
	v := &Verifier{map[Platform]Format{}, ref, p, id}
	for _, f := range formats {
		if f == nil || required(f.Platform()) == nil {
			return nil, fmt.Errorf("%w: a format that is none, or of no known platform", ErrPlatform)
		}
		if v.formats[f.Platform()] != nil {
			return nil, fmt.Errorf("%w: %s configured twice", ErrPlatform, f.Platform())
		}
		if a, ok := f.(Anchored); ok {
			if f, err = a.WithPolicy(p); err != nil {
				return nil, err
			}
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
	if v.ref == nil || v.formats[e.Platform] == nil {
		return nil, v.unknown(e.Platform)
	}
	d, err := e.Claims.Digest()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBind, err)
	}
	verdict, err := v.judge(ctx, e, raw, now, nil, true)
	if err != nil {
		return nil, err
	}
	if err := verdict.Err(); err != nil {
		return nil, err
	}
	p := &verdict.Parts[0]
	return &Claims{p.Platform, p.Assurance, p.Matched, verdict.Evidence, d, e.Claims.clone(), maps.Clone(p.Measurements)}, nil
}

// Inspect judges raw evidence, also imported, and says every check. Bound is what its report data, nonce or qualifying
// data must be, where the caller knows; nil if not. An error means that the envelope could not be read at all.
func (i *Inspector) Inspect(ctx context.Context, raw []byte, now int64, bound []byte) (*Verdict, error) {
	if i == nil || now <= 0 {
		return nil, fmt.Errorf("%w: no verifier or no time", ErrEvidence)
	}
	e, err := ParseImported(raw)
	if err != nil {
		return nil, err
	}
	return i.v.judge(ctx, e, raw, now, bound, false)
}

func (v *Verifier) unknown(p Platform) error {
	return fmt.Errorf("%w: %q is refused by name, accepted here: %q", ErrPlatform, p, slices.Sorted(maps.Keys(v.formats)))
}

// judge puts every question to every part. Whoever will refuse the whole for one part has no need of the others, and stops
// there: nested evidence costs more than the machine's, and anybody may send some. It fails only when interrupted.
func (v *Verifier) judge(ctx context.Context, e *Evidence, raw []byte, now int64, bound []byte, stop bool) (*Verdict, error) {
	out := &Verdict{Evidence: envelope.Sum(raw), Time: now, Policy: v.id, Bound: e.Bound()}
	if v.ref != nil {
		out.Reference = v.ref.Version
	}
	for i := range 1 + len(e.Nested) {
		j := &judgement{v: v, e: e, now: now, expected: bound}
		if i > 0 {
			j.e, j.expected, j.nested = e.Nested[i-1].evidence(), nestedBound(bound), true
		}
		if e.Bound() {
			d, err := e.Claims.Digest()
			if err != nil {
				return nil, fmt.Errorf("%w: %w", ErrBind, err)
			}
			if i > 0 {
				d = NestedDigest(d)
			}
			j.d = &d
		}
		p := j.run(ctx)
		if i == 0 && (p.Assurance != "" || v.policy.GPU.Required) {
			p.Checks = append(p.Checks, v.policy.demandGPU(e))
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		out.Parts = append(out.Parts, p)
		if stop && p.err() != nil {
			break
		}
	}
	return out, nil
}

// nestedBound is what a device under a machine bound to b must be bound to. B is a digest, or one in report data; of
// anything else nothing can be derived, and nothing is bound to it.
func nestedBound(b []byte) []byte {
	if b == nil {
		return nil
	}
	var d envelope.Digest
	switch {
	case len(b) == len(d):
		d = envelope.Digest(b)
	case len(b) == len(ReportData(d)) && bytes.Equal(b[len(d):], make([]byte, len(d))):
		d = envelope.Digest(b[:len(d)])
	default:
		return []byte{}
	}
	n := NestedDigest(d)
	return n[:]
}

// judgement is the verdict on one part in the making.
type judgement struct {
	v        *Verifier
	e        *Evidence
	now      int64
	d        *envelope.Digest // what it must be bound to; nil in imported evidence
	expected []byte           // what an inspector says it must be bound to; nil if she does not
	nested   bool
}

func (j *judgement) run(ctx context.Context) PartVerdict {
	p := PartVerdict{Platform: j.e.Platform}
	if c := j.nesting(); c.Outcome == Fail { // everything else is for people who look
		p.Checks = []Check{c}
	}
	f := j.v.formats[j.e.Platform]
	if f == nil {
		p.Checks = append(p.Checks, failed(StepAuthenticate, checkAuthentic, j.v.unknown(j.e.Platform)))
		return p
	}
	r, err := authenticate(ctx, f, j.e, j.now)
	if r != nil {
		p.Checks, p.Facts = append(p.Checks, r.Checks...), r.Facts
	}
	if err != nil {
		if r == nil || len(r.Checks) == 0 || r.Checks[len(r.Checks)-1].Outcome != Fail {
			p.Checks = append(p.Checks, failed(StepAuthenticate, checkAuthentic, err))
		}
		p.Checks[len(p.Checks)-1].cause = err
		return p
	}
	p.Checks = append(p.Checks, Check{Step: StepAuthenticate, Name: checkAuthentic, Outcome: Pass, Seen: r.Root, Want: "an accepted root"})
	p.Assurance, p.Measurements, p.TCB, p.Chip = r.Assurance, maps.Clone(r.Measurements), r.TCB, r.Chip
	p.Checks = append(p.Checks, j.bind(f, r))
	p.Checks = append(p.Checks, j.v.policy.appraise(r, j.now)...)
	if a, ok := f.(Appraiser); ok {
		p.Checks = append(p.Checks, a.Appraise(r, j.v.policy, j.now)...)
	}
	c, name := j.v.ref.appraise(r, j.now)
	p.Checks, p.Matched = append(p.Checks, c), name
	return p
}

func failed(s Step, name string, err error) Check {
	return Check{Step: s, Name: name, Outcome: Fail, Note: err.Error(), cause: err}
}

// authenticate asks the format, and does not take its word for more than its platform can earn. What parses a stranger's
// bytes is in part other people's code: if it panics, that is a refusal and not the end of a broker.
func authenticate(ctx context.Context, f Format, e *Evidence, now int64) (r *Report, err error) {
	defer func() {
		if x := recover(); x != nil {
			r, err = nil, fmt.Errorf("%s: the verifier panicked", e.Platform)
		}
	}()
	r, err = f.Authenticate(ctx, e, now)
	switch {
	case err != nil:
		return r, err
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
	case PlatformGCE:
		return []Assurance{AssuranceTPM}
	case PlatformOIDC:
		return []Assurance{AssuranceTPM, AssuranceTEE}
	case PlatformSGX, PlatformSNP, PlatformTDX, PlatformNitro, PlatformAzureSNP, PlatformAzureTDX, PlatformGPU:
		return []Assurance{AssuranceTEE}
	}
	return nil
}

// nesting: a GPU's evidence says nothing of the code that uses it and can be relayed, so it counts under a CPU's only;
// and a CPU's is nobody's device.
func (j *judgement) nesting() Check {
	device := j.e.Platform == PlatformGPU
	if device == j.nested {
		return Check{Step: StepBind, Name: checkNesting, Outcome: Pass}
	}
	err := fmt.Errorf("%w: %s evidence is not accepted on its own", ErrBind, j.e.Platform)
	if j.nested {
		err = fmt.Errorf("%w: nested evidence is not accepted of %s", ErrBind, j.e.Platform)
	}
	return failed(StepBind, checkNesting, err)
}

func (j *judgement) bind(f Format, r *Report) Check {
	seen := hex.EncodeToString(r.Bound)
	switch {
	case j.d != nil:
		want := j.d.Hex()
		if err := f.CheckBound(r, *j.d); err != nil {
			c := failed(StepBind, checkBinding, err)
			c.Seen, c.Want = seen, want
			return c
		}
		return Check{Step: StepBind, Name: checkBinding, Outcome: Pass, Seen: seen, Want: want}
	case j.expected != nil:
		want := hex.EncodeToString(j.expected)
		if len(j.expected) == 0 || !bytes.Equal(r.Bound, j.expected) {
			c := failed(StepBind, checkBinding, fmt.Errorf("%w: bound to something else", ErrBind))
			c.Seen, c.Want = seen, want
			return c
		}
		return Check{Step: StepBind, Name: checkBinding, Outcome: Pass, Seen: seen, Want: want}
	}
	c := inapplicable(StepBind, checkBinding, "imported evidence: it answers nobody's question, and releases nothing")
	c.Seen = seen
	return c
}
