// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/transforms/builtin"
)

// releasing is a run of a world's job to which the code's key has been released, and what the creator's broker would grant.
func releasing(t *testing.T, w *world, terms func(*dataset.Terms), ask func(*job.Job)) (*attempt, *pack, *grant.Grant) {
	t.Helper()
	l, err := newLease()
	check(t, err)
	l.d = envelope.Sum([]byte("d"))
	v, err := job.Verify(w.job)
	check(t, err)
	m := *w.data.Manifest
	if terms != nil {
		terms(&m.Terms)
	}
	if ask != nil {
		ask(&v.Predicate)
	}
	now := time.Now()
	data := &pack{id: w.data.ID, m: &m, broker: m.Broker.Key, clock: clock{asked: now, issued: now.UnixMilli()}}
	r := &attempt{
		job: v, lease: l, evidence: []byte("evidence"), attempt: 1, ticket: w.job, // any statement: only its identity counts
		packages: []*pack{{id: w.code.ID, m: w.code.Manifest}, data},
	}
	ticket, err := envelope.ID(r.ticket)
	check(t, err)
	return r, data, &grant.Grant{
		Binding: l.d, Evidence: envelope.Sum(r.evidence), Job: v.ID, Manifest: data.id, Buyer: v.Predicate.Buyer, Ticket: &ticket, Attempt: 1,
		Assurance: "simulated", Reference: "r", Policy: envelope.Sum([]byte("policy")), Sequence: 1, Issued: now.UnixMilli(), Population: m.Terms.Privacy.Population,
		Obligations: grant.Obligations{
			Mode: grant.ModeRaw, Transforms: []envelope.Digest{}, Leaves: grant.Ranges{{First: 0, Count: m.Tree.Size}}, Epochs: 1, Outputs: []string{"model"},
			MaxOutput: 1 << 12, Logs: grant.LogsOff, Allowance: 1, Expires: now.UnixMilli() + 60_000,
		},
	}
}

// redactedToo are terms that allow more modes, of which one redacts.
func redactedToo(t *dataset.Terms) {
	t.Modes = []string{dataset.ModeLocalDP, dataset.ModeRaw, dataset.ModeRedacted}
	t.Steps = []dataset.ModeSteps{{Mode: dataset.ModeRedacted, Steps: []dataset.Step{{
		Name: dataset.StepRedact, Digest: builtin.Digest(dataset.StepRedact), Config: json.RawMessage(`{}`),
	}}}}
}

func askRedacted(j *job.Job) { j.Mode = dataset.ModeRedacted }

// TestBrokerGrantsAgainstTheTerms: whom, whose code, which use and which account the owner signed for is not her broker's
// to change. Such a grant is refused before its sealed key is looked at.
func TestBrokerGrantsAgainstTheTerms(t *testing.T) {
	w := newWorldOf(t, 100, nil)
	creator, err := envelope.LoadKeyFile(w.creator.cfg.Layout().BrokerKey(), envelope.RoleBroker)
	check(t, err)
	stranger, capability := creator.Public(), envelope.Sum([]byte("capability"))
	signedJob, err := job.Verify(w.job)
	check(t, err)
	const opened = "sealed keys"
	for name, c := range map[string]struct {
		want  string
		terms func(*dataset.Terms)
		ask   func(*job.Job)
		bend  func(*grant.Grant)
	}{
		"as signed": {want: opened},
		"a buyer on the list": {want: opened, terms: func(t *dataset.Terms) {
			t.Buyers.Any, t.Buyers.Keys = false, []envelope.PublicKey{signedJob.Predicate.Buyer}
		}},
		"code on the list":         {want: opened, terms: func(t *dataset.Terms) { t.Code = dataset.Code{Manifests: []envelope.Digest{w.code.ID}} }},
		"code by an owner on it":   {want: opened, terms: func(t *dataset.Terms) { t.Code = dataset.Code{Owners: []envelope.PublicKey{w.code.Manifest.Owner}} }},
		"a capability asked for":   {want: opened, terms: func(t *dataset.Terms) { t.Access = dataset.AccessPermit }, bend: func(g *grant.Grant) { g.Entitlement = &capability }},
		"another buyer":            {want: "terms.buyers", terms: func(t *dataset.Terms) { t.Buyers.Any, t.Buyers.Keys = false, []envelope.PublicKey{stranger} }},
		"no buyer at all":          {want: "terms.buyers", terms: func(t *dataset.Terms) { t.Buyers = dataset.Buyers{} }},
		"other code":               {want: "terms.code", terms: func(t *dataset.Terms) { t.Code = dataset.Code{Manifests: []envelope.Digest{capability}} }},
		"code of another owner":    {want: "terms.code", terms: func(t *dataset.Terms) { t.Code = dataset.Code{Owners: []envelope.PublicKey{stranger}} }},
		"no code at all":           {want: "terms.code", terms: func(t *dataset.Terms) { t.Code = dataset.Code{} }},
		"another purpose":          {want: "terms.purpose", terms: func(t *dataset.Terms) { t.Purposes = []string{"art"} }},
		"weapons":                  {want: "terms.purpose", ask: func(j *job.Job) { j.Purpose = "weapons" }},
		"a prohibited purpose":     {want: "terms.licence: prohibited", terms: func(t *dataset.Terms) { t.Licence.Prohibited = []string{"research"} }},
		"another territory":        {want: "terms.licence: territory", terms: func(t *dataset.Terms) { t.Licence.Territories = []string{"CH"} }},
		"commercial use":           {want: "terms.licence: commercial", terms: func(t *dataset.Terms) { t.Licence.Commercial = false }, ask: func(j *job.Job) { j.Use.Commercial = true }},
		"derivatives":              {want: "terms.licence: derivatives", terms: func(t *dataset.Terms) { t.Licence.Derivatives = false }, ask: func(j *job.Job) { j.Use.Derive = true }},
		"a table out of training":  {want: "terms.licence: training-only", terms: trainingOnly, ask: func(j *job.Job) { j.Outputs[0].Class = "table" }},
		"tables let out as well":   {want: "terms.licence: training-only", terms: trainingOnly, bend: func(g *grant.Grant) { g.Obligations.Outputs = []string{"model", "table"} }},
		"no licence at all":        {want: "terms.licence", terms: func(t *dataset.Terms) { t.Licence.Territories = nil }},
		"no permit":                {want: "grant.entitlement", terms: func(t *dataset.Terms) { t.Access = dataset.AccessPermit }},
		"no receipt":               {want: "grant.entitlement", terms: func(t *dataset.Terms) { t.Access = dataset.AccessReceipt }},
		"terms that say no access": {want: "grant.entitlement", terms: func(t *dataset.Terms) { t.Access = "" }},
		"a capability for nothing": {want: "grant.entitlement", bend: func(g *grant.Grant) { g.Entitlement = &capability }},
		"another account":          {want: "grant.population", bend: func(g *grant.Grant) { g.Population = "elsewhere" }},
		"steps left out":           {want: "terms.transforms", terms: redactedToo, ask: askRedacted, bend: func(g *grant.Grant) { g.Obligations.Mode = dataset.ModeRedacted }},
		"steps of nobody": {want: "terms.transforms", terms: redactedToo, ask: askRedacted, bend: func(g *grant.Grant) {
			g.Obligations.Mode, g.Obligations.Transforms = dataset.ModeRedacted, []envelope.Digest{capability}
		}},
		"another mode": {want: "more than its owner's terms", bend: func(g *grant.Grant) {
			g.Obligations.Mode, g.Obligations.Transforms = dataset.ModePseudonymised, []envelope.Digest{capability}
		}},
		"no account": {want: "grant.population", bend: func(g *grant.Grant) { g.Population = "" }},
	} {
		r, data, g := releasing(t, w, c.terms, c.ask)
		if c.bend != nil {
			c.bend(g)
		}
		signed, _, err := grant.Sign(g, creator)
		check(t, err)
		err = r.acceptRelease(data, false, &grant.ReleaseReply{Grant: signed})
		if !errors.Is(err, ErrGrant) || !strings.Contains(err.Error(), c.want) || data.grant != nil || len(r.live) != 0 {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

// TestTermsThatNameEverybody: terms that name one buyer, one owner's code, one country and ask for a permit are kept by a
// real broker's grant, and the run completes.
func TestTermsThatNameEverybody(t *testing.T) {
	w := newWorldOf(t, 100, nil)
	signed, err := job.Verify(w.job)
	check(t, err)
	offer := w.offer(w.creator, dataset.KindDataset)
	offer.Terms.Access = dataset.AccessPermit
	offer.Terms.Buyers.Any, offer.Terms.Buyers.Keys = false, []envelope.PublicKey{signed.Predicate.Buyer}
	offer.Terms.Code = dataset.Code{Manifests: []envelope.Digest{}, Owners: []envelope.PublicKey{w.code.Manifest.Owner}}
	offer.Terms.Licence.Territories, offer.Terms.Licence.TrainingOnly, offer.Terms.Privacy.Population = []string{"DE"}, true, "volunteers"
	w.data = w.packNumbers(offer)
	w.signJob(nil)
	_, err = config.AddPermit(w.creator.dir, &grant.Permit{ID: envelope.NewNonce(), Dataset: w.data.Manifest.Dataset, Count: 1, NotAfter: offer.Terms.NotAfter})
	check(t, err)
	res, no := w.run(reader{})
	if res == nil || res.Outcome != usage.OutcomeCompleted {
		t.Fatalf("%+v, %+v", res, no)
	}
	g, err := grant.VerifyGrant(res.Grants[1], offer.Broker.Key)
	check(t, err)
	if g.Predicate.Entitlement == nil || g.Predicate.Population != "volunteers" {
		t.Errorf("%+v", g.Predicate)
	}
}

func trainingOnly(t *dataset.Terms) {
	t.Licence.TrainingOnly, t.Outputs = true, []string{"metrics", "model", "table"}
}

// TestCodeIsItsOwnersWord: of the code's own grant nothing is asked but that it claims no capability and no account.
func TestCodeIsItsOwnersWord(t *testing.T) {
	w := newWorldOf(t, 100, nil)
	nothing := func(t *dataset.Terms) {
		t.Buyers, t.Code, t.Purposes = dataset.Buyers{}, dataset.Code{}, nil
	}
	r, data, g := releasing(t, w, nothing, nil)
	data.m.Kind, g.Population = dataset.KindCode, ""
	try := func() error {
		_, err := withinTerms(g, data.m, &r.job.Predicate, data.m.Owner)
		return err
	}
	if err := try(); err != nil {
		t.Fatal(err)
	}
	g.Population = "default"
	if err := try(); !errors.Is(err, ErrGrant) {
		t.Errorf("debited: %v", err)
	}
	capability := envelope.Sum([]byte("capability"))
	g.Population, g.Entitlement = "", &capability
	if err := try(); !errors.Is(err, ErrGrant) {
		t.Errorf("spent on: %v", err)
	}
}
