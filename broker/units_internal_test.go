// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"errors"
	"slices"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// threeUnits is a header segment, then three contributors of two segments with two leaves and ten records each.
func threeUnits(consent bool) *dataset.Manifest {
	m := &dataset.Manifest{Segments: []dataset.Segment{{Leaves: 1}}, Tree: dataset.Tree{Size: 13}, Records: 60}
	m.Terms.Consent = consent
	for i := range int64(3) {
		m.Segments = append(m.Segments, dataset.Segment{Leaves: 2, Records: 10}, dataset.Segment{Leaves: 2, Records: 10})
		m.Units = append(m.Units, dataset.ErasureUnit{
			ID: envelope.Sum([]byte{byte(i)}), First: 1 + 2*i, Count: 2,
			Consent: &dataset.Consent{Reference: "r", Purposes: []string{"research"}, NotAfter: 1000 + 10*i},
		})
	}
	return m
}

// TestGrantsHoldWholeContributors: whatever a receipt covers, what is granted of it is whole segments and contributors.
func TestGrantsHoldWholeContributors(t *testing.T) {
	m := threeUnits(false)
	for _, c := range []struct{ in, want grant.Ranges }{
		{grant.Ranges{{First: 0, Count: 13}}, grant.Ranges{{First: 0, Count: 13}}},
		{grant.Ranges{{First: 0, Count: 12}}, grant.Ranges{{First: 0, Count: 9}}},
		{grant.Ranges{{First: 2, Count: 10}}, grant.Ranges{{First: 5, Count: 4}}},
		{grant.Ranges{{First: 0, Count: 1}, {First: 9, Count: 4}}, grant.Ranges{{First: 0, Count: 1}, {First: 9, Count: 4}}},
		{grant.Ranges{{First: 2, Count: 3}}, nil},
	} {
		o := grant.Obligations{Leaves: slices.Clone(c.in), Expires: 5_000_000}
		err := narrow(m, "research", &o, 0)
		if (err == nil) != (c.want != nil) || err != nil && !errors.Is(err, ErrRequest) || err == nil && !slices.Equal(o.Leaves, c.want) {
			t.Errorf("%v: %v, %v, want %v", c.in, o.Leaves, err, c.want)
		}
		if err == nil && o.Expires != 5_000_000 {
			t.Errorf("%v: expires %d", c.in, o.Expires)
		}
	}
}

// TestUnitsOfWhatIsReleased counts persons as the terms mean them, and only those that are released whole.
func TestUnitsOfWhatIsReleased(t *testing.T) {
	m := threeUnits(false)
	for unit, want := range map[string][]int64{dataset.UnitContributor: {3, 1, 0, 0}, dataset.UnitRecord: {60, 20, 0, 0}} {
		m.Terms.Privacy.Unit = unit
		for i, in := range []grant.Ranges{{{First: 0, Count: 13}}, {{First: 2, Count: 10}}, {{First: 2, Count: 3}}, nil} {
			if got := unitsIn(m, in); got != want[i] {
				t.Errorf("%v: %d %ss, want %d", in, got, unit, want[i])
			}
		}
	}
}

// TestGrantEndsWithFirstConsent: no grant outlives a consent of what it grants.
func TestGrantEndsWithFirstConsent(t *testing.T) {
	m := threeUnits(true)
	for _, c := range []struct {
		in   grant.Range
		want int64
	}{{grant.Range{First: 0, Count: 13}, 1_000_000}, {grant.Range{First: 9, Count: 4}, 1_020_000}, {grant.Range{First: 5, Count: 8}, 1_010_000}} {
		o := grant.Obligations{Leaves: grant.Ranges{c.in}, Expires: 5_000_000}
		if err := narrow(m, "research", &o, 0); err != nil || o.Expires != c.want {
			t.Errorf("%v: expires %d, %v, want %d", c.in, o.Expires, err, c.want)
		}
	}
	o := grant.Obligations{Leaves: grant.Ranges{{First: 0, Count: 13}}, Expires: 5_000_000}
	if err := narrow(m, "research", &o, 1_005_000); !errors.Is(err, ErrRequest) {
		t.Errorf("after the first consent ended: %v", err)
	}
	if err := narrow(m, "advertising", &o, 0); !errors.Is(err, ErrRequest) {
		t.Errorf("for what nobody agreed to: %v", err)
	}
}

// TestCostOfWhatIsGranted: withheld records cost nothing.
func TestCostOfWhatIsGranted(t *testing.T) {
	m := threeUnits(false)
	for leaves, want := range map[grant.Range]int64{{First: 0, Count: 13}: 60, {First: 0, Count: 5}: 20, {First: 9, Count: 4}: 20, {First: 0, Count: 1}: 0, {First: 0, Count: 2}: 0} {
		if got := recordsIn(m, grant.Ranges{leaves}); got != want {
			t.Errorf("%v: %d records, want %d", leaves, got, want)
		}
	}
	if recordsIn(m, nil) != 0 {
		t.Error("nothing has records")
	}
}
