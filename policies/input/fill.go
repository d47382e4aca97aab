// SPDX-License-Identifier: Apache-2.0

package input

import (
	"maps"
	"slices"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// Fill copies what a manifest and a job say into r. The owner of the code is not in the job: codeOwner is whom the
// caller saw sign the code's manifest, the zero key if nobody.
func (r *Request) Fill(manifest envelope.Digest, m *dataset.Manifest, id envelope.Digest, j *job.Job, codeOwner envelope.PublicKey) {
	r.Package = Package{manifest, m.Dataset, m.Kind, m.Test, m.Version, r.Package.Latest, m.Tree.Size}
	r.Terms = terms(&m.Terms, j.Mode)
	classes := []string{}
	for _, o := range j.Outputs {
		classes = append(classes, o.Class)
	}
	slices.Sort(classes)
	r.Job = Job{
		ID: id, Buyer: j.Buyer.String(), Code: j.Code.String(), CodeOwner: codeOwner.String(), Datasets: texts(j.Datasets),
		Purpose: j.Purpose, Commercial: j.Use.Commercial, Derive: j.Use.Derive, Territory: j.Use.Territory, Mode: j.Mode,
		Operation: OperationTrain, Runtime: j.Runtime, Epochs: j.Epochs, Outputs: slices.Compact(classes),
		OutputBytes: j.Limits.OutputBytes, SpendCap: j.SpendCap, NotAfter: j.NotAfter, Privacy: declared(j.Privacy),
	}
	if r.Entitlement.Kind == "" {
		r.Entitlement = None()
	}
}

// declared is what a job says of its privacy. Whether it is so is for the broker to compute.
func declared(p *job.Privacy) Privacy {
	if p == nil {
		return Privacy{}
	}
	out := Privacy{
		Declared: true, Unit: p.Unit, Adjacency: p.Adjacency, Contributions: p.Contributions, Epsilon: p.Epsilon, Delta: p.Delta,
	}
	if p.Aggregate != nil {
		out.Shards = p.Aggregate.Shards
	}
	return out
}

func terms(t *dataset.Terms, mode string) Terms {
	out := Terms{
		Modes: list(t.Modes), Purposes: list(t.Purposes), Outputs: list(t.Outputs), MaxOutputBytes: t.MaxOutputBytes,
		MaxEpochs: t.MaxEpochs, MaxUses: t.MaxUses, Logs: t.Logs, Allowance: t.Allowance, LeaseSeconds: t.LeaseSeconds,
		NotAfter: t.NotAfter, MinAssurance: t.MinAssurance, Access: t.Access, Currency: t.Price.Currency,
		Code:    Code{t.Code.Any, texts(t.Code.Manifests), texts(t.Code.Owners)},
		Buyers:  Buyers{t.Buyers.Any, texts(t.Buyers.Keys), append([]dataset.Attribute{}, t.Buyers.Require...), t.Buyers.MaxUses},
		Licence: t.Licence, Privacy: t.Privacy, Consent: t.Consent, Spends: t.EpsilonFor(mode),
	}
	if ids, err := t.StepIDs(mode); err == nil { // without a list the request is not valid
		out.Steps = texts(ids)
	}
	out.Private.Runtimes = []string{}
	if p := t.PrivacyFor(mode); p != nil {
		out.Private = Private{p.Epsilon, p.Delta, p.Contributions, p.Shards, list(p.Runtimes)}
	}
	out.Licence.Prohibited, out.Licence.Territories = list(t.Licence.Prohibited), list(t.Licence.Territories)
	if t.Receipts != nil {
		out.MinPaid = t.Receipts.MinAmount
	}
	return out
}

// list makes an absent list an empty one: JSON null is not a list.
func list(s []string) []string { return append([]string{}, s...) }

func texts[T interface{ String() string }](in []T) []string {
	out := make([]string, 0, len(in))
	for _, x := range in {
		out = append(out, x.String())
	}
	return out
}

// None is the entitlement of a buyer who brings nothing.
func None() Entitlement {
	return Entitlement{Kind: EntitlementNone, Operations: []string{}, Leaves: grant.Ranges{}, Attributes: map[string][]string{}}
}

// Permit is what a verified permit entitles to in a package of so many leaves. left is how many jobs it is still good
// for, the one asking included.
func Permit(p *grant.Permit, left, leaves int64) Entitlement {
	e := Entitlement{
		Kind: EntitlementPermit, Left: left, Operations: []string{OperationTrain}, Code: Any, Buyer: Any, Epochs: job.MaxEpochs,
		Leaves: grant.Ranges{{First: 0, Count: leaves}}, Attributes: map[string][]string{}, MinPrice: p.MinPrice, NotAfter: p.NotAfter,
	}
	if p.Code != nil {
		e.Code = p.Code.String()
	}
	if p.Buyer != nil {
		e.Buyer = p.Buyer.String()
	}
	return e
}

// Sale is what a verified receipt says that bears on the decision.
type Sale struct {
	Buyer      envelope.PublicKey
	Operations []string
	Chunks     *grant.Range // the only leaves it covers; nil: all
	Epochs     int64        // of one job; 0: as many as the terms allow
	Attributes map[string][]string
	Amount     int64
	Currency   string
	Expires    int64 // Unix seconds
}

// Receipt is what a verified receipt entitles to in a package of so many leaves.
func Receipt(s Sale, left, leaves int64) Entitlement {
	e := Entitlement{
		Kind: EntitlementReceipt, Left: left, Operations: list(s.Operations), Code: Any, Buyer: s.Buyer.String(), Epochs: s.Epochs,
		Leaves: grant.Ranges{{First: 0, Count: leaves}}, Attributes: map[string][]string{}, Paid: s.Amount, Currency: s.Currency,
		NotAfter: s.Expires,
	}
	if e.Epochs == 0 {
		e.Epochs = job.MaxEpochs
	}
	if s.Chunks != nil {
		e.Leaves = grant.Ranges{*s.Chunks}
	}
	maps.Copy(e.Attributes, s.Attributes)
	return e
}

// Grantable is what can be released of a package now, in Unix seconds: every segment that has no tombstone, whose
// contributor's key is not gone and, where the terms ask for it, whose contributor agrees to the purpose. Records of no contributor have nobody's
// consent; without gone, contributors' segments are withheld. What has no record left is nothing. A grant has a bounded number of ranges; what is beyond them is withheld too.
func Grantable(m *dataset.Manifest, purpose string, now int64, gone func(unit envelope.Digest) bool) Granted {
	out := Granted{Leaves: grant.Ranges{}}
	if m.Terms.Consent {
		out.Purpose = purpose
	}
	at, unit, records := int64(0), 0, int64(0)
	persons := map[envelope.Digest]bool{}
	for i, s := range m.Segments {
		for unit < len(m.Units) && int64(i) >= m.Units[unit].First+m.Units[unit].Count {
			unit++
		}
		free := !m.Terms.Consent || s.Records == 0 // a CSV header is nobody's
		var who *envelope.Digest
		if unit < len(m.Units) && int64(i) >= m.Units[unit].First {
			u := &m.Units[unit]
			who = &u.ID
			free = gone != nil && !gone(u.ID) && m.Erased(i) == nil && (!m.Terms.Consent || u.Consent.Covers(purpose, now))
		}
		if !free || !out.add(grant.Range{First: at, Count: s.Leaves}) {
			out.Withheld += s.Leaves
		} else {
			records += s.Records
			if who != nil && m.Terms.Privacy.Unit == dataset.UnitContributor {
				persons[*who] = true
			}
		}
		at += s.Leaves
	}
	if out.Records, out.Units = records, records; records == 0 {
		out.Leaves, out.Withheld = grant.Ranges{}, at
	} else if m.Terms.Privacy.Unit == dataset.UnitContributor {
		out.Units = int64(len(persons))
	}
	return out
}

// add appends a run of leaves, joined to the one before where they touch.
func (g *Granted) add(r grant.Range) bool {
	if n := len(g.Leaves); n > 0 && g.Leaves.End() == r.First {
		g.Leaves[n-1].Count += r.Count
		return true
	}
	if len(g.Leaves) >= grant.MaxRanges {
		return false
	}
	g.Leaves = append(g.Leaves, r)
	return true
}

// Released is what an allowed request is granted: what the broker can release and, where access takes an entitlement,
// what that covers.
func (r *Request) Released() grant.Ranges {
	if r.Terms.Access == dataset.AccessOpen {
		return slices.Clone(r.Granted.Leaves)
	}
	return intersect(r.Granted.Leaves, r.Entitlement.Leaves)
}

// intersect keeps the order of both; neither has ranges that touch, so the result has none.
func intersect(a, b grant.Ranges) grant.Ranges {
	out := grant.Ranges{}
	for len(a) > 0 && len(b) > 0 && len(out) < grant.MaxRanges {
		first := max(a[0].First, b[0].First)
		enda, endb := a[0].First+a[0].Count, b[0].First+b[0].Count
		if end := min(enda, endb); first < end {
			out = append(out, grant.Range{First: first, Count: end - first})
		}
		if enda <= endb {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return out
}
