// SPDX-License-Identifier: Apache-2.0

package input_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/policies/input"
)

func unit(name byte) envelope.Digest { return envelope.Sum([]byte{name}) }

// people is a package of six segments of ten leaves: one of nobody, then those of three contributors.
func people(consent bool) *dataset.Manifest {
	m := &dataset.Manifest{Terms: dataset.Terms{Consent: consent}}
	for range 6 {
		m.Segments = append(m.Segments, dataset.Segment{Leaves: 10, Records: 5})
	}
	agrees := &dataset.Consent{Purposes: []string{"research"}, NotAfter: 100}
	m.Units = []dataset.ErasureUnit{
		{ID: unit('a'), First: 1, Count: 2, Consent: agrees},
		{ID: unit('b'), First: 3, Count: 1},
		{ID: unit('c'), First: 4, Count: 2, Consent: agrees},
	}
	return m
}

func TestGrantable(t *testing.T) {
	none := func(envelope.Digest) bool { return false }
	for _, c := range []struct {
		name    string
		consent bool
		purpose string
		now     int64
		gone    func(envelope.Digest) bool
		want    grant.Ranges
		people  int64
	}{
		{"all", false, "research", 1, none, grant.Ranges{{First: 0, Count: 60}}, 3},
		{"one erased", false, "research", 1, func(d envelope.Digest) bool { return d == unit('b') }, grant.Ranges{{First: 0, Count: 30}, {First: 40, Count: 20}}, 2},
		{"consent", true, "research", 99, none, grant.Ranges{{First: 10, Count: 20}, {First: 40, Count: 20}}, 2},
		{"consent ended", true, "research", 100, none, grant.Ranges{}, 0},
		{"consent to something else", true, "art", 1, none, grant.Ranges{}, 0},
		{"nobody knows who is gone", false, "research", 1, nil, grant.Ranges{{First: 0, Count: 10}}, 0},
	} {
		got := input.Grantable(people(c.consent), c.purpose, c.now, c.gone)
		if diff := cmp.Diff(c.want, got.Leaves); diff != "" || got.Leaves.Count()+got.Withheld != 60 {
			t.Errorf("%s: withheld %d\n%s", c.name, got.Withheld, diff)
		}
		if got.Units != got.Records {
			t.Errorf("%s: %d units, and one is a record of %d", c.name, got.Units, got.Records)
		}
		m := people(c.consent)
		m.Terms.Privacy.Unit = dataset.UnitContributor
		if got, want := input.Grantable(m, c.purpose, c.now, c.gone).Units, c.people; got != want {
			t.Errorf("%s: of %d contributors, want %d", c.name, got, want)
		}
		if (got.Purpose == c.purpose) != c.consent {
			t.Errorf("%s: consent checked for %q", c.name, got.Purpose)
		}
	}
}

// TestErasedIsNotGrantable: a tombstone holds whatever keys there are.
func TestErasedIsNotGrantable(t *testing.T) {
	m := people(false)
	m.Tombstones = []dataset.Tombstone{{First: 3, Count: 1, Version: 2}}
	g := input.Grantable(m, "research", 1, func(envelope.Digest) bool { return false })
	if diff := cmp.Diff(grant.Ranges{{First: 0, Count: 30}, {First: 40, Count: 20}}, g.Leaves); diff != "" || g.Records != 25 || g.Withheld != 10 {
		t.Errorf("%d records, withheld %d\n%s", g.Records, g.Withheld, diff)
	}
}

// TestHeaderIsNobodys: a segment without records needs nobody's consent, and is not released alone.
func TestHeaderIsNobodys(t *testing.T) {
	m := people(true)
	m.Segments[0].Records = 0
	none := func(envelope.Digest) bool { return false }
	want := grant.Ranges{{First: 0, Count: 30}, {First: 40, Count: 20}}
	if diff := cmp.Diff(want, input.Grantable(m, "research", 1, none).Leaves); diff != "" {
		t.Error(diff)
	}
	if g := input.Grantable(m, "art", 1, none); len(g.Leaves) != 0 || g.Withheld != 60 {
		t.Errorf("%+v", g)
	}
}

// TestMoreRangesThanAGrantHolds: the rest is withheld, and none is lost.
func TestMoreRangesThanAGrantHolds(t *testing.T) {
	m := &dataset.Manifest{}
	for i := range int64(2*grant.MaxRanges + 10) {
		m.Segments = append(m.Segments, dataset.Segment{Leaves: 1, Records: 1})
		m.Units = append(m.Units, dataset.ErasureUnit{ID: unit(byte(i % 2)), First: i, Count: 1})
	}
	g := input.Grantable(m, "x", 1, func(d envelope.Digest) bool { return d == unit(1) })
	if len(g.Leaves) != grant.MaxRanges || g.Leaves.Count()+g.Withheld != int64(len(m.Segments)) {
		t.Errorf("%d ranges, %d withheld", len(g.Leaves), g.Withheld)
	}
}

func TestReleased(t *testing.T) {
	r := input.Request{Granted: input.Granted{Leaves: grant.Ranges{{First: 0, Count: 10}, {First: 20, Count: 10}}}}
	r.Entitlement.Leaves = grant.Ranges{{First: 5, Count: 20}}
	want := grant.Ranges{{First: 5, Count: 5}, {First: 20, Count: 5}}
	for access, want := range map[string]grant.Ranges{"": want, dataset.AccessReceipt: want, dataset.AccessOpen: r.Granted.Leaves} {
		r.Terms.Access = access
		if diff := cmp.Diff(want, r.Released()); diff != "" {
			t.Errorf("%q: %s", access, diff)
		}
	}
	r.Terms.Access, r.Entitlement = dataset.AccessPermit, input.None()
	if got := r.Released(); len(got) != 0 {
		t.Errorf("without an entitlement: %v", got)
	}
}

func TestPermitAndReceipt(t *testing.T) {
	code := unit('x')
	p := input.Permit(&grant.Permit{MinPrice: 7, NotAfter: 9}, 3, 60)
	if p.Code != input.Any || p.Buyer != input.Any || p.Left != 3 || p.MinPrice != 7 || p.Leaves.Count() != 60 {
		t.Errorf("%+v", p)
	}
	if p := input.Permit(&grant.Permit{Code: &code}, 1, 60); p.Code != code.String() {
		t.Errorf("%+v", p)
	}
	s := input.Receipt(input.Sale{Chunks: &grant.Range{First: 3, Count: 4}, Epochs: 2, Operations: []string{"train"}}, 1, 60)
	if s.Buyer != "" || s.Epochs != 2 || s.Leaves.Count() != 4 || s.Kind != input.EntitlementReceipt {
		t.Errorf("a receipt of nobody is for nobody: %+v", s)
	}
}

func TestZeroRequestIsRefused(t *testing.T) {
	if err := new(input.Request).Validate(); !errors.Is(err, input.ErrRequest) {
		t.Error(err)
	}
}
