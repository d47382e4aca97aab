// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// newCouncil is a world whose job is over the data of three creators, each with her own broker.
func newCouncil(t *testing.T, last ...packOption) *world {
	t.Helper()
	w := newWorld(t)
	for i, options := range [][]packOption{nil, last} {
		o := newOwner(t, config.Creator, w.clock)
		name := []string{"second", "third"}[i]
		options = append(options, func(c *dataset.PackConfig) { c.Manifest.Name = name })
		w.more = append(w.more, o.pack(dataset.KindDataset, options...))
	}
	w.newJob(nil)
	return w
}

// planOf is the forecast of one package's broker.
func (w *world) planOf(p *packed) *grant.PlanReply {
	w.t.Helper()
	r, err := p.owner.Plan(w.t.Context(), &grant.PlanRequest{Job: w.signedJob, Manifest: p.Signed, Code: w.code.Signed})
	must(w.t, err)
	return r
}

func TestThreeOwners(t *testing.T) {
	t.Parallel()
	w := newCouncil(t)
	e := w.newEnclave(nil)
	for _, p := range w.packs() {
		must(t, e.release(p))
	}
	signed := e.usage(nil)
	for _, p := range w.packs() {
		c, err := e.commit(p, signed)
		must(t, err)
		if p != w.code && c.Amount != perUse+rows*perRecord {
			t.Errorf("%s is owed %d", p.Manifest.Name, c.Amount)
		}
	}
}

// TestOneOwnerSaysNo: the run ends before anything is read, and uses and money that the others reserved come back with the
// commit of the failed run.
func TestOneOwnerSaysNo(t *testing.T) {
	t.Parallel()
	w := newCouncil(t, withTerms(func(t *dataset.Terms) { t.Purposes = []string{"teaching"} }))
	for range 3 { // more often than there are uses: each comes back
		w.newJob(nil)
		e := w.newEnclave(nil)
		must(t, e.release(w.code))
		must(t, e.release(w.data))
		must(t, e.release(w.more[0]))
		if got := rules(t, e.release(w.more[1])); got[0] != "purpose" {
			t.Errorf("rules %v", got)
		}
		signed := e.usage(unread)
		for _, p := range w.packs()[:3] {
			c, err := e.commit(p, signed)
			must(t, err)
			if c.Amount != 0 || c.Outcome != usage.OutcomeFailed {
				t.Errorf("%s: %+v", p.Manifest.Name, c)
			}
		}
	}
	w.newJob(nil)
	for _, p := range []*packed{w.data, w.more[0]} {
		if r := w.planOf(p); r.UsesLeft != 2 || !r.Allowed {
			t.Errorf("%s: %+v", p.Manifest.Name, r)
		}
	}
}

// TestOneOwnerRevokesHalfWay: her broker stops the run; the others accept the failed run, and what was read is used.
func TestOneOwnerRevokesHalfWay(t *testing.T) {
	t.Parallel()
	w := newCouncil(t)
	e := w.newEnclave(nil)
	for _, p := range w.packs() {
		must(t, e.release(p))
	}
	w.revoke(&grant.Revocation{Dataset: &w.data.Manifest.Dataset})
	for _, p := range w.packs() {
		a, err := e.heartbeat(p, 1)
		must(t, err)
		if stopped := a.Stop == grant.StopRevoked; stopped != (p == w.data) {
			t.Errorf("%s: stop %q", p.Manifest.Name, a.Stop)
		}
	}
	signed := e.usage(failed)
	for _, p := range w.packs() {
		_, err := e.commit(p, signed)
		must(t, err)
	}
	w.newJob(nil)
	if r := w.planOf(w.more[0]); r.UsesLeft != 1 {
		t.Errorf("what was read is not used: %d uses left", r.UsesLeft)
	}
}

// TestWhatABrokerSeesOfTheOthers: manifests by digest and brokers by key, in evidence and job; nothing of their terms,
// names, addresses, nonces' answers, grants or keys.
func TestWhatABrokerSeesOfTheOthers(t *testing.T) {
	t.Parallel()
	w := newCouncil(t)
	e := w.newEnclave(nil)
	for _, p := range w.packs() {
		must(t, e.release(p))
	}
	request, err := json.Marshal(e.request(w.data))
	must(t, err)
	var all []byte // as a broker reads it: with what base64 hides
	for _, member := range [][]byte{e.request(w.data).Evidence, payload(t, w.signedJob), payload(t, w.code.Signed), payload(t, w.data.Signed), payload(t, e.ticket)} {
		all = append(all, member...)
	}
	all = append(all, request...)
	for _, p := range w.more {
		if !bytes.Contains(all, []byte(p.ID.String())) || !bytes.Contains(all, []byte(p.Manifest.Broker.Key.String())) {
			t.Error("the binding does not name all owners")
		}
		for what, secret := range map[string]string{
			"name": `"` + p.Manifest.Name + `"`, "dataset": p.Manifest.Dataset.String(), "owner": p.Manifest.Owner.String(),
			"root": p.Manifest.Tree.Root.String(), "grant": e.grants[p.ID].ID.String(),
		} {
			if bytes.Contains(all, []byte(secret)) {
				t.Errorf("the first broker sees the %s of %s", what, p.Manifest.Name)
			}
		}
	}
}

func payload(t *testing.T, signed []byte) []byte {
	t.Helper()
	_, p, _, err := envelope.Parts(signed)
	must(t, err)
	return p
}

// TestTwoMeaningsOfOnePopulation: packages that name one population must mean the same by it.
func TestTwoMeaningsOfOnePopulation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	must(t, w.asking(1).release(w.data))
	w.data = w.creator.pack(dataset.KindDataset, withTerms(func(t *dataset.Terms) { t.Privacy.Adjacency = dataset.ReplaceOne }))
	w.newJob(nil)
	r, err := w.creator.Plan(w.t.Context(), &grant.PlanRequest{Job: w.signedJob, Manifest: w.data.Signed, Code: w.code.Signed})
	must(t, err)
	if r.Allowed || len(r.Reasons) != 1 || r.Reasons[0].Rule != "population" || r.Reasons[0].Satisfy == "" {
		t.Errorf("planned: %v %v", r.Allowed, r.Reasons)
	}
	if got := rules(t, w.asking(1).release(w.data)); got[0] != "population" {
		t.Errorf("rules %v", got)
	}
}
