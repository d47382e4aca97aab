// SPDX-License-Identifier: Apache-2.0

package attestation

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Reference is the predicate of a [envelope.ReferenceType] statement: the allow-list of what may be released to. Its
// subject is the digest of its measurements, named "reference-values". An empty list denies everything and is refused as
// a mistake.
type Reference struct {
	Version  int64            `json:"version"`  // rises; a relying party keeps the highest seen
	NotAfter int64            `json:"notAfter"` // Unix seconds
	Values   []ReferenceValue `json:"values"`
}

// ReferenceValue accepts one measured state of one platform: every measurement named must be reported, and equal.
type ReferenceValue struct {
	Name         string            `json:"name"` // for people, e.g. "glovebox-enclave v0.1.0"
	Platform     Platform          `json:"platform"`
	Measurements map[string]string `json:"measurements"` // name → lower-case hex; at least the platform's required ones
}

var hexValue = regexp.MustCompile(`^([0-9a-f]{2}){16,64}$`)

// required lists the measurements without which a reference value pins nothing.
func required(p Platform) []string {
	switch p {
	case PlatformSimulated:
		return []string{"enclave"}
	case PlatformTPM:
		return []string{"pcr0", "pcr2", "pcr4", "pcr7", "pcr14"}
	}
	return nil
}

// Validate refuses an empty or incomplete list with [ErrReference].
func (r *Reference) Validate() error {
	if r == nil || len(r.Values) == 0 {
		return fmt.Errorf("%w: the list is empty, and empty means deny", ErrReference)
	}
	if r.Version <= 0 || r.NotAfter <= 0 || len(r.Values) > maxReferences {
		return fmt.Errorf("%w: version, expiry or size", ErrReference)
	}
	names := map[string]bool{}
	for _, v := range r.Values {
		if err := v.validate(); err != nil {
			return err
		}
		if names[v.Name] {
			return fmt.Errorf("%w: two values are named %q", ErrReference, v.Name)
		}
		names[v.Name] = true
	}
	return nil
}

func (v *ReferenceValue) validate() error {
	need := required(v.Platform)
	if v.Name == "" || len(v.Name) > maxName || need == nil || len(v.Measurements) > maxMeasured {
		return fmt.Errorf("%w: value without a fit name, of unknown platform %q, or with too much", ErrReference, v.Platform)
	}
	for _, m := range need {
		if v.Measurements[m] == "" {
			return fmt.Errorf("%w: %s does not pin %s", ErrReference, v.Name, m)
		}
	}
	for m, h := range v.Measurements {
		if m == "" || len(m) > maxName || !hexValue.MatchString(h) {
			return fmt.Errorf("%w: %s: measurement %q is not hex", ErrReference, v.Name, m)
		}
		if strings.Trim(h, "0") == "" && slices.Contains(ofEnclave(), m) {
			return fmt.Errorf("%w: %s pins %s to zero, which means that no enclave was measured", ErrReference, v.Name, m)
		}
	}
	return nil
}

// ofEnclave lists the measurements that say which enclave runs. At zero they say that none was measured; other PCRs of a
// software TPM are rightly zero, since it has no firmware.
func ofEnclave() []string { return []string{"enclave", "pcr14"} }

func (r *Reference) clone() *Reference {
	c := *r
	c.Values = slices.Clone(r.Values)
	for i := range c.Values {
		c.Values[i].Measurements = maps.Clone(c.Values[i].Measurements)
	}
	return &c
}

// SignReference signs a validated list with a key of role reference.
func SignReference(r *Reference, s *envelope.Signer) ([]byte, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	d, err := r.valuesDigest()
	if err != nil {
		return nil, err
	}
	signed, _, err := envelope.Sign(s, envelope.ReferenceType, []envelope.Subject{envelope.NewSubject("reference-values", d)}, r)
	return signed, err
}

// VerifyReference reads a signed list. Callers keep the highest version and check it with [Reference.Fresh].
func VerifyReference(signed []byte, key envelope.PublicKey) (*Reference, envelope.Digest, error) {
	v, err := envelope.Verify[Reference](signed, envelope.Expect{
		Role: envelope.RoleReference, Key: key, PayloadType: envelope.PayloadType, PredicateType: envelope.ReferenceType,
	})
	if err != nil {
		return nil, envelope.Digest{}, fmt.Errorf("%w: %w", ErrReference, err)
	}
	r := &v.Predicate
	if err := r.Validate(); err != nil {
		return nil, envelope.Digest{}, err
	}
	d, err := r.valuesDigest()
	if err != nil {
		return nil, envelope.Digest{}, err
	}
	if !slices.Equal(v.Subject, []envelope.Subject{envelope.NewSubject("reference-values", d)}) {
		return nil, envelope.Digest{}, fmt.Errorf("%w: subject is not the list", ErrReference)
	}
	return r, v.ID, nil
}

// Fresh refuses an expired list and one older than the highest version already seen.
func (r *Reference) Fresh(now, highest int64) error {
	if r == nil || now <= 0 || highest < 0 {
		return fmt.Errorf("%w: no list, or no time to check it at", ErrReference)
	}
	if now > r.NotAfter {
		return fmt.Errorf("%w: expired at %d", ErrReference, r.NotAfter)
	}
	if r.Version < highest {
		return fmt.Errorf("%w: version %d, but %d was seen before", ErrReference, r.Version, highest)
	}
	return nil
}

func (r *Reference) valuesDigest() (envelope.Digest, error) {
	b, err := envelope.Canonical(r.Values)
	return envelope.Sum(b), err
}

// appraise finds a value that the report meets in full.
func (r *Reference) appraise(rep *Report, now int64) (string, error) {
	if rep.Debug {
		return "", fmt.Errorf("%w: debug mode", ErrAppraise)
	}
	if now > r.NotAfter {
		return "", fmt.Errorf("%w: reference values expired", ErrAppraise)
	}
	for _, v := range r.Values {
		if v.Platform == rep.Platform && v.matches(rep) {
			return v.Name, nil
		}
	}
	return "", fmt.Errorf("%w: measurements match none of %d reference values", ErrAppraise, len(r.Values))
}

func (v ReferenceValue) matches(rep *Report) bool {
	for m, want := range v.Measurements {
		if got, ok := rep.Measurements[m]; !ok || got != want {
			return false
		}
	}
	return len(v.Measurements) > 0
}
