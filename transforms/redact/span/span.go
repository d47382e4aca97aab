// SPDX-License-Identifier: Apache-2.0

// Package span says what personal data in a text is: its type, where it stands, and how sure we are.
//
// Trust domain: pure; it runs natively and inside WebAssembly. Its one job: recognisers, the tagger and the operators mean
// the same by a [Finding], and of findings that overlap one remains.
package span

import "slices"

// Type is a kind of personal data, named as Presidio names it where Presidio has it.
type Type string

// Score is how likely a finding is what its type says, in thousandths: 0 to 1000.
type Score int16

// What scores mean. Checksums and context words move a score; neither alone decides.
const (
	Weak    Score = 300  // the form alone, and many other things have it
	Medium  Score = 500  // the form is rare, or words around it say so
	Strong  Score = 850  // form and checksum, or form and context
	Certain Score = 1000 // nothing else looks like it
)

// Finding is a part of a text that looks like personal data.
type Finding struct {
	Type       Type
	Start, End int // bytes of the text, End excluded
	Score      Score
	Rule       string // that found it, e.g. "us-ssn" or "tagger"; a constant, never text of a record
	Why        Why
}

// Why is what moved a finding's score, for the decision trace.
type Why uint16

// Reasons.
const (
	ByForm      Why = 1 << iota // its form
	ByChecksum                  // its check digits are right
	NoChecksum                  // it has check digits, and they are wrong
	ByContext                   // a word near it says what it is
	AgainstIt                   // a word near it says that it is something else
	ByGazetteer                 // it is in a list
	ByModel                     // the statistical tagger says so
	ByList                      // a word list or pattern of the creator's
)

// Len is the finding's length in bytes.
func (f *Finding) Len() int { return f.End - f.Start }

// Resolve sorts findings and drops those that a better one overlaps: the higher score, then the longer, then the earlier,
// then the lesser type, so that the outcome does not depend on the order they came in. It works in place and returns what remains,
// in the order of the text. Findings with Start >= End are dropped.
func Resolve(all []Finding) []Finding {
	all = slices.DeleteFunc(all, func(f Finding) bool { return f.Start >= f.End })
	slices.SortFunc(all, before)
	kept := all[:0]
	for _, f := range all {
		replaced := false
		for len(kept) > 0 && kept[len(kept)-1].End > f.Start { // it overlaps what was kept last
			last := kept[len(kept)-1]
			if better(&last, &f) {
				replaced = true
				break
			}
			kept = kept[:len(kept)-1]
		}
		if !replaced {
			kept = append(kept, f)
		}
	}
	return kept
}

func before(a, b Finding) int {
	switch {
	case a.Start != b.Start:
		return a.Start - b.Start
	case better(&a, &b):
		return -1
	case better(&b, &a):
		return 1
	}
	return 0
}

// better is a total order but for equal findings.
func better(a, b *Finding) bool {
	switch {
	case a.Score != b.Score:
		return a.Score > b.Score
	case a.Len() != b.Len():
		return a.Len() > b.Len()
	case a.Start != b.Start:
		return a.Start < b.Start
	case a.Type != b.Type:
		return a.Type < b.Type
	}
	return a.Rule < b.Rule
}
