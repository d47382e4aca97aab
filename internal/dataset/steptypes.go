// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"encoding/json"
	"errors"
	"slices"
)

// OtherFinding counts findings of types that a module's step does not pin.
const OtherFinding = "OTHER"

// Types are types of findings, sorted. None is an empty list in JSON, never null.
type Types []string

// MarshalJSON implements [json.Marshaler].
func (t Types) MarshalJSON() ([]byte, error) {
	if len(t) == 0 {
		return []byte("[]"), nil
	}
	return json.Marshal([]string(t))
}

// UnmarshalJSON implements [json.Unmarshaler].
func (t *Types) UnmarshalJSON(b []byte) error {
	var list []string
	if err := json.Unmarshal(b, &list); err != nil {
		return err
	}
	if list == nil {
		return errors.New("null in place of a list of types")
	}
	if *t = nil; len(list) > 0 {
		*t = list
	}
	return nil
}

// FindingType reports whether a name can be that of a type of findings: such names go into signed statements.
func FindingType(name string) bool {
	for _, c := range []byte(name) {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return name != "" && len(name) <= MaxCountName
}

// Rounded is a figure that somebody's module had a hand in, as signed statements have it: rounded up to two significant digits, so
// that it tells little else. It stays within MaxAmount.
func Rounded(n int64) int64 {
	unit := int64(1)
	for n/unit >= 100 {
		unit *= 10
	}
	if rest := n % unit; n > 0 && rest != 0 {
		n += unit - rest
	}
	return min(n, MaxAmount)
}

// Round rounds what a report says of findings and of what came out, and what went in where a module made it.
func (r *StepReport) Round(made bool) {
	if made {
		r.BytesIn = Rounded(r.BytesIn)
	}
	r.BytesOut = Rounded(r.BytesOut)
	r.Findings = slices.Clone(r.Findings)
	for i := range r.Findings {
		r.Findings[i].Count = Rounded(r.Findings[i].Count)
	}
}

// CheckRounded reports whether the steps' figures are rounded from the first module on, as they must be.
func CheckRounded(all []StepReport) bool {
	made := false
	for i := range all {
		r := &all[i]
		if made && Rounded(r.BytesIn) != r.BytesIn {
			return false
		}
		if made = made || r.Step == StepModule; !made {
			continue
		}
		if Rounded(r.BytesOut) != r.BytesOut || slices.ContainsFunc(r.Findings, func(c Count) bool { return Rounded(c.Count) != c.Count }) {
			return false
		}
	}
	return true
}

// KeepsAll reports whether a built-in makes one record of each: those that it leaves out are quarantined, and counted.
func KeepsAll(name string) bool {
	return slices.Contains([]string{"discrete-gaussian", "discrete-laplace", "drop", "k-rr", "keep", "suppress"}, name)
}
