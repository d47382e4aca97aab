// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/broker"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// manyUses lets a test's jobs be denied for nothing but what it is about.
func manyUses(t *dataset.Terms) { t.MaxUses = 100 }

// contributedWorld is a world whose data is of four contributors, each with a key in the creator's directory.
func contributedWorld(t testing.TB) (*world, *dataset.Keys) {
	t.Helper()
	keys := map[envelope.Digest]dataset.Key{}
	var src strings.Builder
	src.WriteString("who,text\n")
	for i := range rows {
		fmt.Fprintf(&src, "p%d,%s\n", i%4, envelope.Sum([]byte{byte(i)}))
	}
	w := newWorld(t, withTerms(manyUses), func(c *dataset.PackConfig) {
		c.Source = strings.NewReader(src.String())
		c.Contributors = &dataset.Contributors{By: "who", Unit: func(name string) (envelope.Digest, dataset.Key, error) {
			id, k := dataset.UnitID([]byte("index"), name), dataset.NewKey()
			keys[id] = k
			return id, k, nil
		}}
	})
	m, l := w.data.Manifest, w.creator.cfg.Layout()
	kh, err := keyholder.Open(l.Keyholder(), l.KeyholderIdentity())
	must(t, err)
	all, wrapped := &dataset.Keys{Package: w.data.k}, map[envelope.Digest][]byte{}
	for _, u := range m.Units {
		all.Units = append(all.Units, dataset.UnitKey{ID: u.ID, Key: keys[u.ID]})
		wrapped[u.ID], err = kh.Wrap(t.Context(), keyholder.UnitContext(m.Dataset, u.ID), keys[u.ID].Bytes())
		must(t, err)
	}
	if len(wrapped) != 4 || len(m.Units) != 4 {
		t.Fatalf("%d contributors in %d units", len(wrapped), len(m.Units))
	}
	must(t, config.AddUnits(w.creator.dir, m.Dataset, wrapped))
	w.data.key = all.Append(nil, true)
	return w, all
}

// other is the world with another job by the same buyer.
func (w *world) other() *world {
	n := *w
	n.newJob(nil)
	return &n
}

// stops sends a heartbeat that delivers nothing new and returns its answer's stop.
func (e *enclave) stops(p *packed, delivered int64) string {
	e.w.t.Helper()
	a, err := e.heartbeat(p, delivered)
	must(e.w.t, err)
	if a.Stop != "" && a.Leaves != delivered {
		e.w.t.Errorf("stopped for %q after %d leaves, and %d may be delivered", a.Stop, delivered, a.Leaves)
	}
	return a.Stop
}

// deniedAs wants the rule among the reasons, and no other.
func deniedAs(t *testing.T, err error, rule string) {
	t.Helper()
	if got := rules(t, err); !slices.Equal(got, []string{rule}) {
		t.Errorf("rules %v, want %s", got, rule)
	}
}

// revocationCase is one kind of revocation: what it says of a running lease, whether it stops the same buyer's lease for
// another job too, and what becomes of a release afterwards.
type revocationCase struct {
	world func(*testing.T) *world
	names func(*world, *enclave) grant.Revocation
	wide  bool
	after func(*testing.T, *world)
}

func revocationCases() map[string]revocationCase {
	open := func(t *testing.T) *world { return newWorld(t, withTerms(manyUses)) }
	another := func(t *testing.T, w *world) { deniedAs(t, w.other().asking(1).release(w.data), "revoked") }
	goesOn := func(t *testing.T, w *world) { must(t, w.other().asking(1).release(w.data)) }
	var permit envelope.Digest
	var keys *dataset.Keys
	return map[string]revocationCase{
		"Dataset": {open, func(w *world, _ *enclave) grant.Revocation {
			return grant.Revocation{Dataset: &w.data.Manifest.Dataset}
		}, true, func(t *testing.T, w *world) {
			another(t, w)
			w.data = w.next(manyUses) // nor is a later version there for anybody
			another(t, w)
		}},
		"Manifest": {open, func(w *world, _ *enclave) grant.Revocation { return grant.Revocation{Manifest: &w.data.ID} }, true, func(t *testing.T, w *world) {
			another(t, w)
			w.data = w.next(manyUses)
			goesOn(t, w)
		}},
		"Unit": {func(t *testing.T) (w *world) {
			w, keys = contributedWorld(t)
			return w
		}, func(w *world, _ *enclave) grant.Revocation {
			return grant.Revocation{Unit: &grant.UnitRef{Dataset: w.data.Manifest.Dataset, ID: keys.Units[1].ID}}
		}, true, func(t *testing.T, w *world) { withheld(t, w, keys, 1) }},
		"Job": {open, func(w *world, _ *enclave) grant.Revocation { return grant.Revocation{Job: &w.jobID} }, false, func(t *testing.T, w *world) {
			deniedAs(t, w.asking(2).release(w.data), "revoked")
			goesOn(t, w)
		}},
		"Buyer": {open, func(w *world, _ *enclave) grant.Revocation { return grant.Revocation{Buyer: &w.job.Buyer} }, true, another},
		"Grant": {open, func(w *world, e *enclave) grant.Revocation { return grant.Revocation{Grant: &e.grants[w.data.ID].ID} }, false, func(t *testing.T, w *world) {
			goesOn(t, w)
			deniedAs(t, w.asking(2).release(w.data), "revoked") // who stops a lease does not mean that its job tries again
		}},
		"Code": {open, func(w *world, _ *enclave) grant.Revocation { return grant.Revocation{Code: &w.code.ID} }, true, func(t *testing.T, w *world) {
			another(t, w)
			w.code = w.buyer.pack(dataset.KindCode)
			goesOn(t, w)
		}},
		"Permit": {func(t *testing.T) *world {
			w := newWorld(t, withTerms(manyUses), withTerms(func(t *dataset.Terms) { t.Access = dataset.AccessPermit }))
			permit = w.permit(func(p *grant.Permit) { p.Count = 10 })
			return w
		}, func(*world, *enclave) grant.Revocation { return grant.Revocation{Permit: &permit} }, true, func(t *testing.T, w *world) {
			got := rules(t, w.other().asking(1).release(w.data))
			if !slices.Equal(got, []string{"entitlement-uses", "revoked"}) {
				t.Errorf("rules %v", got)
			}
			w.permit(nil)
			goesOn(t, w)
		}},
	}
}

// withheld wants the next job's grant without the leaves of contributor i, and the sealed keys without hers.
func withheld(t *testing.T, w *world, keys *dataset.Keys, i int) {
	t.Helper()
	rest := dataset.Keys{Package: keys.Package, Units: slices.Delete(slices.Clone(keys.Units), i, i+1)}
	w.data.key = rest.Append(nil, true)
	e := w.other().asking(1)
	must(t, e.release(w.data)) // opens to exactly the rest's keys
	m := w.data.Manifest
	want := grant.RangesOf(m.Keep(func(u *dataset.ErasureUnit) bool { return u.ID != keys.Units[i].ID }))
	if got := e.grants[w.data.ID].Predicate.Obligations.Leaves; !reflect.DeepEqual(got, want) || want.Count() >= m.Tree.Size || want.Count() == 0 {
		t.Errorf("granted %v of %d leaves, want %v", got, m.Tree.Size, want)
	}
}

// TestEveryKindOfRevocation: a running lease that a revocation names stops with its next heartbeat, nothing that it names is
// released again, and what a run that was stopped says of its use is still put on record, for nothing.
func TestEveryKindOfRevocation(t *testing.T) {
	t.Parallel()
	cases := revocationCases()
	kinds := 0
	for f := range reflect.TypeFor[grant.Revocation]().Fields() {
		if f.Type.Kind() != reflect.Pointer {
			continue
		}
		kinds++
		c, ok := cases[f.Name]
		if !ok {
			t.Errorf("no test revokes a %s", f.Name)
			continue
		}
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			w := c.world(t)
			e, beside := w.released(), w.other().asking(1)
			must(t, beside.release(w.data))
			if a, b := e.stops(w.data, 1), beside.stops(w.data, 0); a != "" || b != "" {
				t.Fatalf("they stop for %q and %q before anything was revoked", a, b)
			}
			r := c.names(w, e)
			if p := reflect.ValueOf(r).FieldByName(f.Name); p.IsNil() {
				t.Fatal("the case revokes something else")
			}
			w.revoke(&r)
			if got := e.stops(w.data, 1); got != grant.StopRevoked {
				t.Errorf("stop %q", got)
			}
			if got := beside.stops(w.data, 0); (got == grant.StopRevoked) != c.wide || !c.wide && got != "" {
				t.Errorf("another job's lease: stop %q", got)
			}
			committedForNothing(t, w, e)
			c.after(t, w)
		})
	}
	if kinds != len(cases) {
		t.Errorf("%d kinds of revocation, %d cases", kinds, len(cases))
	}
}

// committedForNothing: of a stopped run only that it failed is believed, and that costs nothing.
func committedForNothing(t *testing.T, w *world, e *enclave) {
	t.Helper()
	fits := func(s *usage.Statement) { // a segment of the data may hold less than all records
		p := &s.Packages[1]
		p.Records, p.Billable = w.data.Manifest.Segments[0].Records, w.data.Manifest.Segments[0].Records
	}
	_, err := e.commit(w.data, e.usage(fits))
	want(t, err, broker.ErrWithdrawn)
	signed := e.usage(func(s *usage.Statement) { fits(s); failed(s) })
	c, err := e.commit(w.data, signed)
	must(t, err)
	if id, err := envelope.ID(signed); err != nil || c.Usage != id || c.Amount != 0 || c.Records != 0 || c.Outcome != usage.OutcomeFailed {
		t.Errorf("commit %+v, %v", c, err)
	}
	first, err := w.creator.Commit(t.Context(), signed, nil)
	must(t, err)
	w.creator.restart()
	again, err := w.creator.Commit(t.Context(), signed, nil)
	must(t, err)
	if !bytes.Equal(first, again) {
		t.Error("after a restart the same statement gets another commit")
	}
}
