// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"fmt"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Count is how many there were of something.
type Count struct {
	Name  string `json:"name"`
	Count int64  `json:"count"`
}

// Bounds of lists of counts.
const (
	MaxCounts    = 256 // entries
	MaxCountName = 64  // bytes of a name
)

// ValidateCounts refuses a list of counts that is not sorted by name, has a name that could carry text, or a count of nothing.
func ValidateCounts(list []Count) error {
	if list == nil || len(list) > MaxCounts {
		return fmt.Errorf("%w: %d counts, want a list of at most %d", ErrManifest, len(list), MaxCounts)
	}
	if !ordered(list, func(c Count) string { return c.Name }) {
		return invalid("counts must be sorted by name and distinct")
	}
	for _, c := range list {
		if c.Name == "" || len(c.Name) > MaxCountName || !countName(c.Name) || c.Count < 1 || c.Count > MaxAmount {
			return invalid("a count without a name of letters, digits, dash, dot and underscore, or of nothing")
		}
	}
	return nil
}

func countName(s string) bool {
	for _, c := range []byte(s) {
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

// SumCounts adds a list's counts; it stops at MaxAmount.
func SumCounts(list []Count) (sum int64) {
	for _, c := range list {
		sum = min(sum, MaxAmount-c.Count) + c.Count
	}
	return sum
}

// StepReport is what one step of a pipeline did to records. It has figures only, nothing of a record.
type StepReport struct {
	Step        string          `json:"step"`   // its name
	ID          envelope.Digest `json:"id"`     // of the step with its configuration, see [Step.ID]
	Digest      envelope.Digest `json:"digest"` // of the method
	Config      envelope.Digest `json:"config"` // see [Step.ConfigDigest]
	RecordsIn   int64           `json:"recordsIn"`
	RecordsOut  int64           `json:"recordsOut"`
	BytesIn     int64           `json:"bytesIn"`
	BytesOut    int64           `json:"bytesOut"`
	Findings    []Count         `json:"findings"`    // by type, sorted
	Quarantined []Count         `json:"quarantined"` // records left out because the step could not make them safe, by reason, sorted
}

// Validate checks a report by itself. Whether more records may come out than went in is for the step's shape to say.
func (r *StepReport) Validate() error {
	switch {
	case r.Step == "" || len(r.Step) > MaxStepName || r.ID.IsZero() || r.Digest.IsZero() || r.Config.IsZero():
		return invalid("a step's report without its name or digests")
	case min(r.RecordsIn, r.RecordsOut, r.BytesIn, r.BytesOut) < 0 || max(r.RecordsIn, r.RecordsOut, r.BytesIn, r.BytesOut) > MaxAmount:
		return invalid("report of step %q: a figure is out of range", r.Step)
	case r.Step != StepModule && r.RecordsOut > r.RecordsIn:
		return invalid("report of step %q: more records came out than went in", r.Step)
	}
	for _, l := range [][]Count{r.Findings, r.Quarantined} {
		if err := ValidateCounts(l); err != nil {
			return fmt.Errorf("report of step %q: %w", r.Step, err)
		}
	}
	if r.Step != StepModule && SumCounts(r.Quarantined) > r.RecordsIn-r.RecordsOut {
		return invalid("report of step %q: more records were left out than are missing", r.Step)
	}
	return nil
}

// PIIScan says that records were scanned for personal data before they were packed, as they are packed. The report stays
// with the owner.
type PIIScan struct {
	Tool     string          `json:"tool"`
	Version  string          `json:"version"`
	Method   envelope.Digest `json:"method"`   // of the detector: a built-in's digest, or that of another tool's release
	Date     string          `json:"date"`     // YYYY-MM-DD
	Records  int64           `json:"records"`  // that were packed
	Unread   int64           `json:"unread"`   // of them, those that could not be looked at, or not all of them
	Findings int64           `json:"findings"` // in all
	Types    []Count         `json:"types"`    // findings by type, sorted; their sum is Findings
	Report   envelope.Digest `json:"report"`
}

func (s *PIIScan) validate() error {
	switch {
	case s == nil:
		return nil
	case s.Tool == "" || s.Version == "" || len(s.Tool)+len(s.Version) > MaxText || s.Method.IsZero() || s.Report.IsZero() || !date.MatchString(s.Date):
		return invalid("metadata: incomplete PII scan")
	case s.Records < 0 || s.Records > MaxAmount || s.Unread < 0 || s.Unread > s.Records:
		return invalid("metadata: PII scan of %d records, %d of them unread", s.Records, s.Unread)
	}
	if err := ValidateCounts(s.Types); err != nil {
		return fmt.Errorf("metadata: PII scan: %w", err)
	}
	if s.Findings != SumCounts(s.Types) {
		return invalid("metadata: PII scan: %d findings, its types have %d", s.Findings, SumCounts(s.Types))
	}
	return nil
}

// Anonymity is what was reached over all records of the version, as they are packed.
type Anonymity struct {
	K          int64    `json:"k"`          // every combination of the quasi-identifiers' values is shared by at least so many records
	L          int64    `json:"l"`          // each with at least so many values of every sensitive field; 0: none was named
	Quasi      []string `json:"quasi"`      // fields, sorted
	Sensitive  []string `json:"sensitive"`  // fields, sorted
	Records    int64    `json:"records"`    // all that are packed
	Suppressed int64    `json:"suppressed"` // records left out to reach it
}

func (a *Anonymity) validate(records int64) error {
	switch {
	case a == nil:
		return nil
	case a.K < 1 || a.K > a.Records || a.L < 0 || a.L > a.K || (a.L > 0) != (len(a.Sensitive) > 0):
		return invalid("metadata: anonymity of k %d and l %d in %d records", a.K, a.L, a.Records)
	case a.Records != records || a.Suppressed < 0 || a.Suppressed > MaxAmount:
		return invalid("metadata: anonymity is of %d records, the package has %d", a.Records, records)
	case len(a.Quasi) == 0 || a.Sensitive == nil:
		return invalid("metadata: anonymity without quasi-identifiers")
	}
	for _, l := range [][]string{a.Quasi, a.Sensitive} {
		if len(l) > MaxList || !ordered(l, text) {
			return invalid("metadata: anonymity: fields must be sorted and distinct")
		}
		for _, name := range l {
			if name == "" || len(name) > MaxText {
				return invalid("metadata: anonymity: a field without a name, or with one too long")
			}
		}
	}
	return nil
}

// validateIngest checks what is said about the time before packing.
func (m *Manifest) validateIngest() error {
	d := &m.Metadata
	if err := d.PIIScan.validate(); err != nil {
		return err
	}
	if d.Transforms == nil || len(d.Transforms) > MaxSteps {
		return invalid("metadata: gb:transforms must be a list of at most %d", MaxSteps)
	}
	for i := range d.Transforms {
		if err := d.Transforms[i].Validate(); err != nil {
			return fmt.Errorf("metadata: gb:transforms: %w", err)
		}
	}
	if !CheckRounded(d.Transforms) {
		return invalid("metadata: gb:transforms: figures that a module had a hand in are not rounded")
	}
	if err := d.Duplicates.validate(m.Records); err != nil {
		return err
	}
	return d.Anonymity.validate(m.Records)
}
