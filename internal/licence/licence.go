// SPDX-License-Identifier: Apache-2.0

// Package licence is what an owner's licence lets a buyer do with the results of a job, in one small type that terms
// pin, brokers decide over and enclaves combine. It says nothing about keys, budgets or who the buyer is.
//
// Trust domain: all, it is pure. Its one job: tell whether a use is licensed, and whether several licences can be kept
// at once; every refusal names the clause.
package licence

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Bounds of a licence.
const (
	MaxPurposes = 256       // prohibited ones
	MaxRoyalty  = 1_000_000 // the whole revenue, in millionths
	Worldwide   = "*"       // the one entry of Territories that means no limit
)

// ErrLicence is the root of every error of this package.
var ErrLicence = errors.New("invalid licence")

// Licence is what may be done with the results. The zero Licence permits nothing and is invalid.
//
// Signed as part of a manifest: a field is never renamed, and a new one denies where it is absent.
type Licence struct {
	SPDX         string   `json:"spdx"`         // what it was compiled from; "" if terms of its own
	Commercial   bool     `json:"commercial"`   // commercial use is allowed
	Derivatives  bool     `json:"derivatives"`  // results may be changed, built upon and passed on
	ShareAlike   bool     `json:"shareAlike"`   // ... only under this licence
	Attribution  bool     `json:"attribution"`  // a duty to name the creator
	TrainingOnly bool     `json:"trainingOnly"` // outputs are models and metrics, never tables
	Prohibited   []string `json:"prohibited"`   // purposes, sorted; they win over allowed ones
	Territories  []string `json:"territories"`  // ISO 3166-1 alpha-2, sorted; or the one entry "*"
	Revocable    bool     `json:"revocable"`    // results must be given up when the owner withdraws
	RoyaltyPPM   int64    `json:"royaltyPPM"`   // of revenue made with results, in millionths
}

var (
	identifier = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.+-]{0,63}$`)
	purpose    = regexp.MustCompile(`^[a-z0-9][a-z0-9._:/-]{0,127}$`)
)

func invalid(f string, a ...any) error { return fmt.Errorf("%w: %s", ErrLicence, fmt.Sprintf(f, a...)) }

// Validate checks every field for itself and against the others.
func (l *Licence) Validate() error {
	switch {
	case l == nil:
		return invalid("none")
	case l.SPDX != "" && !identifier.MatchString(l.SPDX):
		return invalid("SPDX identifier %q", l.SPDX)
	case l.ShareAlike && !l.Derivatives:
		return invalid("share-alike without derivatives: nothing could be shared")
	case l.RoyaltyPPM < 0 || l.RoyaltyPPM > MaxRoyalty:
		return invalid("royalty of %d millionths, want 0 to %d", l.RoyaltyPPM, MaxRoyalty)
	}
	if err := l.validateProhibited(); err != nil {
		return err
	}
	return validateTerritories(l.Territories)
}

func (l *Licence) validateProhibited() error {
	if l.Prohibited == nil || len(l.Prohibited) > MaxPurposes {
		return invalid("prohibited purposes must be a list of at most %d", MaxPurposes)
	}
	if !ascending(l.Prohibited) {
		return invalid("prohibited purposes must be sorted and distinct")
	}
	for _, p := range l.Prohibited {
		if !purpose.MatchString(p) {
			return invalid("prohibited purpose %q", p)
		}
	}
	return nil
}

func validateTerritories(list []string) error {
	if len(list) == 0 {
		return invalid("no territory: %q is everywhere", Worldwide)
	}
	if len(list) == 1 && list[0] == Worldwide {
		return nil
	}
	if !ascending(list) {
		return invalid("territories must be sorted and distinct")
	}
	for _, t := range list {
		if !IsTerritory(t) {
			return invalid("territory %q is not an ISO 3166-1 alpha-2 code", t)
		}
	}
	return nil
}

// ascending reports whether s is sorted without repetition.
func ascending(s []string) bool {
	for i := range s {
		if i > 0 && s[i-1] >= s[i] {
			return false
		}
	}
	return true
}

// Use is what a buyer wants to do with the results of a job.
type Use struct {
	Commercial bool     // results serve a commercial end
	Derive     bool     // results are changed, built upon or passed on
	Territory  string   // where they are used: ISO 3166-1 alpha-2, or "*"
	Purpose    string   // of the job
	Outputs    []string // classes of output: "metrics", "model", "table"
}

// Reason is one clause of a licence that a use does not keep.
type Reason struct {
	Rule    string // short and stable
	Message string // what is not allowed
	Satisfy string // what would be
}

// Rules that a [Reason] names.
const (
	RuleInvalid     = "licence"
	RuleCommercial  = "commercial"
	RuleDerivatives = "derivatives"
	RuleProhibited  = "prohibited"
	RuleTerritory   = "territory"
	RuleTraining    = "training-only"
)

// Permits lists every clause that u does not keep. An empty list permits; an invalid licence permits nothing.
func (l Licence) Permits(u Use) []Reason {
	var out []Reason
	add := func(rule, msg, satisfy string) { out = append(out, Reason{rule, msg, satisfy}) }
	if err := l.Validate(); err != nil {
		add(RuleInvalid, err.Error(), "ask the owner for a version with a valid licence")
	}
	if u.Commercial && !l.Commercial {
		add(RuleCommercial, "the licence does not allow commercial use", "state a use that is not commercial")
	}
	if u.Derive && !l.Derivatives {
		add(RuleDerivatives, "the licence does not allow derivatives", "state a use that does not change or pass on the results")
	}
	if u.Purpose == "" || slices.Contains(l.Prohibited, u.Purpose) {
		add(RuleProhibited, fmt.Sprintf("the licence prohibits purpose %q", u.Purpose), fmt.Sprintf("state a purpose other than %s", quoted(l.Prohibited)))
	}
	if !l.covers(u.Territory) {
		add(RuleTerritory, fmt.Sprintf("the licence does not cover use in %q", u.Territory), "use the results in "+l.where())
	}
	if len(u.Outputs) == 0 || l.TrainingOnly && !trains(u.Outputs) {
		add(RuleTraining, "the licence is for training only", "declare outputs of class metrics and model only")
	}
	return out
}

// covers reports whether the licence holds in a territory; use everywhere needs a licence for everywhere.
func (l Licence) covers(territory string) bool {
	if slices.Equal(l.Territories, []string{Worldwide}) {
		return territory == Worldwide || IsTerritory(territory)
	}
	return IsTerritory(territory) && slices.Contains(l.Territories, territory)
}

func (l Licence) where() string {
	if slices.Equal(l.Territories, []string{Worldwide}) {
		return "any country, by its ISO 3166-1 code"
	}
	return "one of " + strings.Join(l.Territories, ", ")
}

// trains reports whether classes are those that training makes.
func trains(classes []string) bool {
	for _, c := range classes {
		if c != "metrics" && c != "model" {
			return false
		}
	}
	return len(classes) > 0
}

func quoted(list []string) string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = fmt.Sprintf("%q", s)
	}
	return strings.Join(out, ", ")
}
