// SPDX-License-Identifier: Apache-2.0

package input

import (
	"fmt"
	"slices"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
)

func bad(f string, a ...any) error { return fmt.Errorf("%w: %s", ErrRequest, fmt.Sprintf(f, a...)) }

// Validate is the schema: what is missing or out of range never reaches the rules. The zero Request is invalid.
func (r *Request) Validate() error {
	if r == nil || r.Now <= 0 || r.Now > job.MaxAmount {
		return bad("no time")
	}
	for _, check := range []func() error{
		r.Package.validate, r.Terms.validate, r.Job.validate, r.Evidence.validate, r.Entitlement.validate, r.Account.validate,
		r.validateGranted,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (p *Package) validate() error {
	switch {
	case p.Manifest.IsZero() || p.Dataset.IsZero():
		return bad("no manifest or no dataset")
	case p.Kind != dataset.KindDataset && p.Kind != dataset.KindCode:
		return bad("kind %q", p.Kind)
	case p.Version < 1 || p.Latest < p.Version || p.Leaves < 1 || !amounts(p.Latest, p.Leaves):
		return bad("version or leaves")
	}
	return nil
}

func (t *Terms) validate() error {
	l := &t.Licence
	switch {
	case absent(t.Modes, t.Purposes, t.Outputs, t.Code.Manifests, t.Code.Owners, t.Buyers.Keys, l.Prohibited, l.Territories, t.Steps, t.Private.Runtimes) || t.Buyers.Require == nil:
		return bad("terms: absent list")
	case blank(t.Modes, t.Purposes, t.Outputs, t.Code.Manifests, t.Code.Owners, t.Buyers.Keys, l.Prohibited, l.Territories, t.Steps, t.Private.Runtimes) || t.MinAssurance == "":
		return bad("terms: empty entry")
	case !amounts(t.MaxOutputBytes, int64(t.MaxEpochs), t.MaxUses, t.NotAfter, t.MinPaid, t.Buyers.MaxUses, l.RoyaltyPPM):
		return bad("terms: negative or too large")
	case t.Allowance < 1 || t.Allowance > job.MaxAmount || t.LeaseSeconds < 1 || t.LeaseSeconds > job.MaxWall:
		return bad("terms: allowance or lease")
	case t.Logs != grant.LogsOff && t.Logs != grant.LogsSealed:
		return bad("terms: logs %q", t.Logs)
	case t.Access != dataset.AccessOpen && t.Access != dataset.AccessReceipt && t.Access != dataset.AccessPermit:
		return bad("terms: access %q", t.Access)
	case t.Currency == "" || t.Privacy.Population == "" || t.Privacy.Unit == "" || t.Privacy.Adjacency == "":
		return bad("terms: no currency, population, unit or adjacency")
	case !amounts(t.Privacy.Epsilon, t.Privacy.BuyerEpsilon, t.Privacy.Delta, t.Spends),
		!amounts(t.Private.Epsilon, t.Private.Delta, t.Private.Contributions, t.Private.Shards):
		return bad("terms: privacy budget")
	}
	if err := l.Validate(); err != nil {
		return bad("terms: %v", err)
	}
	for _, a := range t.Buyers.Require {
		if a.Name == "" || len(a.AnyOf) == 0 || blank(a.AnyOf) {
			return bad("terms: attribute %q", a.Name)
		}
	}
	return nil
}

func (j *Job) validate() error {
	switch {
	case j.ID.IsZero() || j.Buyer == "" || j.Code == "" || j.Purpose == "" || j.Mode == "" || j.Runtime == "":
		return bad("job incomplete")
	case j.Territory == "" || j.Operation == "" || len(j.Datasets) == 0 || len(j.Outputs) == 0:
		return bad("job incomplete")
	case j.Epochs < 1 || j.Epochs > job.MaxEpochs || j.OutputBytes < 1 || j.NotAfter < 1 || !amounts(j.OutputBytes, j.SpendCap, j.NotAfter):
		return bad("job out of range")
	case blank(j.Datasets, j.Outputs):
		return bad("job: empty entry")
	}
	return j.Privacy.validate()
}

// validate wants nothing said where nothing is declared, and no bound where there is none.
func (p *Privacy) validate() error {
	switch {
	case !p.Declared && *p != Privacy{}:
		return bad("job: what is not declared says something")
	case !p.Declared:
		return nil
	case p.Unit == "" || p.Adjacency == "" || !amounts(p.Contributions, p.Shards, p.Epsilon, p.Delta, p.Computed):
		return bad("job: privacy incomplete or out of range")
	case !p.Bounded && p.Computed != 0:
		return bad("job: a bound of no accountant's")
	}
	return nil
}

func (e *Evidence) validate() error {
	if e.Assurance == "" || e.Reference == "" || e.Runtime == "" {
		return bad("evidence incomplete")
	}
	return nil
}

func (e *Entitlement) validate() error {
	switch {
	case e.Kind != EntitlementNone && e.Kind != EntitlementReceipt && e.Kind != EntitlementPermit:
		return bad("entitlement %q", e.Kind)
	case e.Operations == nil || e.Leaves == nil || e.Attributes == nil || len(e.Leaves) > grant.MaxRanges:
		return bad("entitlement: absent list")
	case blank(e.Operations):
		return bad("entitlement: empty entry")
	case !amounts(e.Left, e.Epochs, e.Paid, e.MinPrice, e.NotAfter):
		return bad("entitlement: negative or too large")
	}
	for name, values := range e.Attributes {
		if name == "" || values == nil || blank(values) {
			return bad("entitlement: attribute %q", name)
		}
	}
	return ordered(e.Leaves)
}

func (a *Account) validate() error {
	if !amounts(a.Uses, a.BuyerUses, a.Reserved, a.Cost, a.Epsilon, a.EpsilonAfter, a.BuyerEpsilonAfter, a.JobEpsilonAfter) {
		return bad("account: negative or too large")
	}
	return nil
}

func (r *Request) validateGranted() error {
	g := &r.Granted
	if err := ordered(g.Leaves); err != nil {
		return err
	}
	switch {
	case g.Leaves == nil || len(g.Leaves) > grant.MaxRanges:
		return bad("granted leaves are absent or too many")
	case !amounts(g.Records, g.Units, g.Together) || g.Together > g.Units:
		return bad("%d records of %d granted, %d released", g.Records, g.Units, g.Together)
	case g.Leaves.End() > r.Package.Leaves || g.Leaves.Count()+g.Withheld != r.Package.Leaves || g.Withheld < 0:
		return bad("%d leaves granted, %d withheld, of %d", g.Leaves.Count(), g.Withheld, r.Package.Leaves)
	}
	return nil
}

// ordered refuses ranges that are empty, out of order or touch.
func ordered(rs grant.Ranges) error {
	next := int64(0)
	for i, x := range rs {
		if x.First < next || x.Count < 1 || x.First > job.MaxAmount-x.Count {
			return bad("leaf range %d", i)
		}
		next = x.First + x.Count + 1
	}
	return nil
}

// amounts reports whether all are integers that JSON keeps exact, and none is negative.
func amounts(ns ...int64) bool {
	for _, n := range ns {
		if n < 0 || n > job.MaxAmount {
			return false
		}
	}
	return true
}

func absent(lists ...[]string) bool {
	return slices.ContainsFunc(lists, func(l []string) bool { return l == nil })
}

func blank(lists ...[]string) bool {
	return slices.ContainsFunc(lists, func(l []string) bool { return slices.Contains(l, "") })
}
