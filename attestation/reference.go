// SPDX-License-Identifier: Apache-2.0

package attestation

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
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
	Policy   *Policy          `json:"policy,omitempty"` // what else is demanded; absent: DefaultPolicy
}

// ReferenceValue accepts one measured state of one platform: every measurement named must be reported, and equal.
type ReferenceValue struct {
	Name         string            `json:"name"` // for people, e.g. "glovebox-enclave v0.1.0"
	Platform     Platform          `json:"platform"`
	Measurements map[string]string `json:"measurements"` // name → lower-case hex; at least the platform's required ones
}

var hexValue = regexp.MustCompile(`^([0-9a-f]{2}){16,64}$`)

// required lists the measurements without which a reference value pins nothing: everything that can hold code, or say
// which code may run. A boot may leave some of them untouched; then they are pinned to what they are.
func required(p Platform) []string {
	switch p {
	case PlatformSimulated:
		return []string{"enclave"}
	case PlatformTPM:
		return append([]string{"pcr0"}, measuredBoot()...)
	case PlatformSGX:
		return []string{"mrenclave"}
	case PlatformSNP:
		return []string{"measurement", "hostdata"}
	case PlatformTDX:
		return []string{"mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3", "mrconfigid"}
	case PlatformNitro:
		return []string{"pcr0", "pcr1", "pcr2"}
	case PlatformAzureSNP:
		return append([]string{"measurement", "hostdata"}, measuredBoot()...)
	case PlatformAzureTDX:
		return append([]string{"mrtd"}, measuredBoot()...)
	case PlatformGCE:
		return append([]string{"pcr0"}, measuredBoot()...)
	case PlatformOIDC:
		return []string{"image"}
	case PlatformGPU:
		return []string{"driver", "vbios"}
	}
	return nil
}

// Required lists the measurements that a reference value of p has to pin; nil if there is no such platform.
func Required(p Platform) []string { return slices.Clone(required(p)) }

// measuredBoot are the PCRs of a vTPM in which firmware (2: option ROMs), boot loaders (4; GRUB: 8, 9; systemd-stub: 11 to 13)
// and Glovebox's launcher (14) measure what runs, and Secure Boot who may say so (7).
func measuredBoot() []string {
	return []string{"pcr2", "pcr4", "pcr7", "pcr8", "pcr9", "pcr11", "pcr12", "pcr13", "pcr14"}
}

// nonzero lists the measurements that say which code runs: at zero they say that none was measured. Other registers of a
// platform are rightly zero, such as a software TPM's, which has no firmware.
func nonzero(p Platform) []string {
	switch p {
	case PlatformTPM:
		return []string{"pcr14", "enclave"}
	case PlatformSNP:
		return []string{"measurement"}
	case PlatformAzureSNP:
		return []string{"measurement", "pcr4", "pcr7", "pcr14"}
	case PlatformAzureTDX:
		return []string{"mrtd", "pcr4", "pcr7", "pcr14"}
	case PlatformGCE:
		return []string{"pcr0", "pcr4", "pcr7", "pcr14"}
	case PlatformTDX:
		return []string{"mrtd", "rtmr1", "rtmr2"}
	}
	return required(p)
}

// Validate refuses an empty or incomplete list with [ErrReference].
func (r *Reference) Validate() error {
	if r == nil || len(r.Values) == 0 {
		return fmt.Errorf("%w: the list is empty, and empty means deny", ErrReference)
	}
	if r.Policy != nil {
		if err := r.Policy.Validate(); err != nil {
			return err
		}
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
		if strings.Trim(h, "0") == "" && slices.Contains(nonzero(v.Platform), m) {
			return fmt.Errorf("%w: %s pins %s to zero, which means that no enclave was measured", ErrReference, v.Name, m)
		}
	}
	return nil
}

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

// appraise finds a value that the report meets in full. If there is none it says how the closest one differs.
func (r *Reference) appraise(rep *Report, now int64) (c Check, name string) {
	seen := strconv.Itoa(len(rep.Measurements)) + " measurements"
	if r == nil {
		return appraised(checkReference, false, seen, "reference values", "none were given, and empty means deny"), ""
	}
	want := fmt.Sprintf("one of %d values, list version %d", len(r.Values), r.Version)
	if now > r.NotAfter {
		return appraised(checkReference, false, "expired at "+day(r.NotAfter), "holds at "+day(now), "reference values expired"), ""
	}
	var closest []string
	for _, v := range r.Values {
		if v.Platform != rep.Platform {
			continue
		}
		differ := v.differences(rep)
		if len(differ) == 0 && len(v.Measurements) > 0 {
			return appraised(checkReference, true, v.Name, want, ""), v.Name
		}
		if closest == nil || len(differ) < len(closest) {
			closest = differ
			want = v.describe(differ)
		}
	}
	note := fmt.Sprintf("measurements match none of %d reference values", len(r.Values))
	if closest != nil {
		seen = describe(rep.Measurements, closest)
	}
	return appraised(checkReference, false, seen, want, note), ""
}

// differences are the names of the measurements that are not as v wants them, sorted.
func (v ReferenceValue) differences(rep *Report) []string {
	var out []string
	for m, want := range v.Measurements {
		if got, ok := rep.Measurements[m]; !ok || got != want {
			out = append(out, m)
		}
	}
	slices.Sort(out)
	return out
}

func (v ReferenceValue) describe(names []string) string {
	return v.Name + ": " + describe(v.Measurements, names)
}

func describe(values map[string]string, names []string) string {
	var out []string
	for _, n := range names {
		out = append(out, n+"="+values[n])
	}
	return strings.Join(out, " ")
}
