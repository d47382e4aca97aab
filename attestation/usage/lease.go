// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"slices"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// checkGrant: grant i is what the statement names, is for this lease, and obliges to no less than the signed terms and
// the job.
func (a *audit) checkGrant(i int) {
	l, p := &a.lease[i], part(PartGrant, i)
	if l.grant == nil {
		return
	}
	g := &l.grant.Predicate
	a.must(g.Binding == a.binding, "grant.binding", p, "is for binding %s, the evidence is for %s", g.Binding, a.binding)
	a.must(g.Evidence == a.evidenceID, "grant.evidence", p, "names evidence %s, the bundle has %s", g.Evidence, a.evidenceID)
	a.must(g.Manifest == l.manifest.ID, "grant.manifest", p, "is for manifest %s, not %s", g.Manifest, l.manifest.ID)
	if u := l.used; u != nil {
		a.must(u.Grant == l.grant.ID, "grant.usage", p, "is %s, the statement names %s", l.grant.ID, u.Grant)
		a.must(u.Policy == g.Policy, "grant.policy", p, "was decided by policy %s, the statement names %s", g.Policy, u.Policy)
		a.must(g.Attempt == a.usage.Predicate.Attempt, "grant.attempt", p, "is for attempt %d, the run was %d", g.Attempt, a.usage.Predicate.Attempt)
	}
	a.checkGrantTicket(l, p)
	if a.job != nil {
		a.checkGrantJob(g, p)
		for _, b := range CheckJob(&a.job.Predicate, &g.Obligations, &l.manifest.Predicate, a.coder()) {
			a.find(b.Rule, p, "%s", b.Message)
		}
	}
	for _, b := range slices.Concat(CheckGround(g, &l.manifest.Predicate), CheckSteps(&g.Obligations, &l.manifest.Predicate)) {
		a.find(b.Rule, p, "%s", b.Message)
	}
	a.checkGrantTerms(g, &l.manifest.Predicate, p)
	if l.manifest.Predicate.Kind == dataset.KindDataset {
		a.checkGrantOutputs(g, &l.manifest.Predicate.Terms, p)
	}
	a.checkReceipt(i)
}

// checkGrantTicket: the code comes with the ticket, everything else needs it, in time.
func (a *audit) checkGrantTicket(l *lease, p string) {
	g := &l.grant.Predicate
	if l.index == 0 {
		a.must(g.Ticket == nil, "grant.ticket", p, "the code's grant names a ticket, but is what a ticket comes with")
	} else if a.ticket != nil {
		a.must(g.Ticket != nil && *g.Ticket == a.ticket.ID, "grant.ticket", p, "was not given for the bundle's ticket")
	}
	if a.ticket != nil {
		t := &a.ticket.Predicate
		a.must(g.Issued <= t.Expires, "grant.ticket", p, "was issued after the ticket expired")
		a.must(g.Attempt == t.Attempt, "grant.attempt", p, "is for attempt %d, the ticket for %d", g.Attempt, t.Attempt)
	}
}

func (a *audit) checkGrantJob(g *grant.Grant, p string) {
	j := &a.job.Predicate
	a.must(g.Job == a.job.ID, "grant.job", p, "is for job %s, not %s", g.Job, a.job.ID)
	a.must(g.Buyer.Equal(j.Buyer), "grant.buyer", p, "is for buyer %s, the job is by %s", g.Buyer, j.Buyer)
	a.must(g.Obligations.Mode == j.Mode, "grant.mode", p, "obliges to mode %q, the job asks for %q", g.Obligations.Mode, j.Mode)
	a.must(g.Obligations.Epochs <= j.Epochs, "grant.epochs", p, "allows %d epochs, the job asks for %d", g.Obligations.Epochs, j.Epochs)
	a.must(g.Issued/1000 <= j.NotAfter, "grant.expiry", p, "was issued after the job expired")
}

// checkGrantTerms: a broker may narrow the terms its owner signed, never widen them.
func (a *audit) checkGrantTerms(g *grant.Grant, m *dataset.Manifest, p string) {
	o, t := &g.Obligations, &m.Terms
	a.must(slices.Contains(t.Modes, o.Mode), "terms.mode", p, "mode %q is not in the terms", o.Mode)
	a.checkGrantUnits(g, m, p)
	a.must(o.Epochs <= t.MaxEpochs, "terms.epochs", p, "allows %d epochs, the terms %d", o.Epochs, t.MaxEpochs)
	a.must(o.Logs == grant.LogsOff || t.Logs == grant.LogsSealed, "terms.logs", p, "allows logs %q, the terms %q", o.Logs, t.Logs)
	a.must(o.Allowance <= t.Allowance, "terms.allowance", p, "allows %d leaves per heartbeat, the terms %d", o.Allowance, t.Allowance)
	a.must(o.Expires-g.Issued <= t.LeaseSeconds*1000, "terms.lease", p, "lasts %d ms, the terms allow %d s", o.Expires-g.Issued, t.LeaseSeconds)
	a.must(g.Issued/1000 <= t.NotAfter, "terms.expiry", p, "was issued after the terms expired")
}

// checkGrantUnits: what is granted is whole segments and whole contributors, each of whom agrees, where terms ask for it, to
// the job's purpose from the grant's issue to its expiry. What contributors withheld is told.
func (a *audit) checkGrantUnits(g *grant.Grant, m *dataset.Manifest, p string) {
	o := &g.Obligations
	sel, err := m.Select(o.Leaves.Spans())
	if err != nil {
		a.find("terms.leaves", p, "%v", err)
		return
	}
	if m.Units == nil {
		return
	}
	if all := m.Contributors(); int64(len(sel.IDs(m))) < all {
		a.fact("withheld", p, "%d of %d contributors' records were withheld", all-int64(len(sel.IDs(m))), all)
	}
	if a.job == nil {
		return
	}
	until, err := sel.Consented(m, a.job.Predicate.Purpose, g.Issued/1000)
	if err != nil {
		a.find("terms.consent", p, "%v", err)
		return
	}
	a.must(until == 0 || o.Expires <= until*1000, "terms.consent", p, "lasts to %d, a contributor's consent ends at %d", o.Expires, until*1000)
	if m.Terms.Consent {
		a.fact("consent", p, "every record granted is of a contributor who agrees to the purpose %q", a.job.Predicate.Purpose)
	}
}

// coder is who signed the code package; nobody if it does not verify.
func (a *audit) coder() (k envelope.PublicKey) {
	if m := a.manifests[0]; m != nil {
		k = m.Predicate.Owner
	}
	return k
}

// checkGrantOutputs: what a creator lets out of her data. The job is the word of the code's own owner, who needs no second
// permission from herself.
func (a *audit) checkGrantOutputs(g *grant.Grant, t *dataset.Terms, p string) {
	o := &g.Obligations
	for _, c := range o.Outputs {
		a.must(slices.Contains(t.Outputs, c), "terms.outputs", p, "output class %q is not in the terms", c)
	}
	a.must(o.MaxOutput <= t.MaxOutputBytes, "terms.outputs", p, "allows %d bytes of output, the terms %d", o.MaxOutput, t.MaxOutputBytes)
}

// checkUse: what was used of package i is within its obligations and its manifest.
func (a *audit) checkUse(i int) {
	l := &a.lease[i]
	if l.grant == nil || l.used == nil {
		return
	}
	u, g, m, s := l.used, &l.grant.Predicate, &l.manifest.Predicate, &a.usage.Predicate
	o := &g.Obligations
	bad := func(ok bool, rule, f string, args ...any) {
		a.must(ok, rule, PartUsage, part("package", i)+": "+f, args...)
	}
	for _, p := range slices.Concat(CheckMetered(u, m, o, s.Outcome), CheckTransforms(s, i, m, o)) {
		bad(false, p.Rule, "%s", p.Message)
	}
	if a.job != nil {
		for _, p := range CheckSpend(s, i, m, &a.job.Predicate, o) {
			bad(false, p.Rule, "%s", p.Message)
		}
		a.tellSpend(i)
	}
	bad(u.Reads <= product(o.Allowance, addCapped(u.Heartbeat, 1)), "use.allowance",
		"%d leaves read, but %d heartbeats allow %d each after the first %d", u.Reads, u.Heartbeat, o.Allowance, o.Allowance)
	if whole := len(u.Leaves) == 1 && u.Leaves[0].First == 0 && u.Leaves[0].Count == m.Tree.Size; whole {
		bad(u.ReadRoot != nil && *u.ReadRoot == m.Tree.Root, "use.root", "every leaf was delivered, but the read root is not the tree's")
	} else if u.ReadRoot != nil {
		a.fact("partial-read", PartUsage, "package[%d]: a part was read; its read root needs the package's hash blobs to recompute", i)
	}
	a.checkUseOutputs(i, o, s)
	a.checkUseTime(i, l, s)
}

func (a *audit) checkUseOutputs(i int, o *grant.Obligations, s *Statement) {
	var total int64
	for _, out := range s.Outputs {
		total = addCapped(total, out.Bytes)
		a.must(slices.Contains(o.Outputs, out.Class), "use.outputs", PartUsage, "output %q has class %q, which grant[%d] does not let out", out.Name, out.Class, i)
	}
	a.must(total <= o.MaxOutput, "use.outputs", PartUsage, "%d bytes of output, grant[%d] lets out %d", total, i, o.MaxOutput)
}

// checkUseTime: the run ended within the lease. Only the code's broker shares a clock with the statement; for the others
// the length of the run is compared with the length of the lease.
func (a *audit) checkUseTime(i int, l *lease, s *Statement) {
	g := &l.grant.Predicate
	slack := maxWait.Milliseconds()
	ran := s.Time.Finished - s.Time.Released
	a.must(s.Outcome != OutcomeCompleted || ran <= g.Obligations.Expires-g.Issued+slack, "use.expiry", PartUsage,
		"ran %d ms on grant[%d], which lasts %d ms", ran, i, g.Obligations.Expires-g.Issued)
	if l.index != 0 {
		return
	}
	a.must(s.Outcome != OutcomeCompleted || addCapped(s.Time.Broker, s.Time.Finished) <= g.Obligations.Expires+slack, "use.expiry", PartUsage,
		"finished after grant[%d] expired", i)
	a.must(g.Issued >= s.Time.Broker-slack && g.Issued <= addCapped(s.Time.Broker, s.Time.Released)+slack, "use.time", PartUsage,
		"grant[%d] was not issued between challenge and release", i)
	a.must(g.Issued-s.Time.Broker <= grant.MaxNonceLife.Milliseconds()+slack, "use.time", PartUsage,
		"grant[%d] was issued on a nonce older than %v", i, grant.MaxNonceLife)
}

// checkCommit: broker i accepted this usage, after its grant, and billed what the terms say.
func (a *audit) checkCommit(i int) {
	l, p := &a.lease[i], part(PartCommit, i)
	if l.commit == nil {
		return
	}
	c := &l.commit.Predicate
	a.must(c.Binding == a.binding, "commit.binding", p, "is for binding %s, the evidence is for %s", c.Binding, a.binding)
	a.must(c.Manifest == l.manifest.ID, "commit.manifest", p, "is for manifest %s, not %s", c.Manifest, l.manifest.ID)
	if a.job != nil {
		a.must(c.Job == a.job.ID, "commit.job", p, "is for job %s, not %s", c.Job, a.job.ID)
	}
	if l.grant != nil {
		g := &l.grant.Predicate
		a.must(c.Grant == l.grant.ID, "commit.grant", p, "is for grant %s, not %s", c.Grant, l.grant.ID)
		a.must(c.Sequence > g.Sequence, "commit.sequence", p, "is record %d, not after its grant, %d", c.Sequence, g.Sequence)
		a.must(c.Sequence != g.Sequence+1 || (c.Previous != nil && *c.Previous == l.grant.ID), "commit.sequence", p, "follows its grant, but names another record before it")
		a.must(c.Time >= g.Issued, "commit.time", p, "was signed before its grant")
	}
	if l.used == nil {
		return
	}
	s := &a.usage.Predicate
	a.must(c.Usage == a.usage.ID, "commit.usage", p, "is over usage %s, not %s", c.Usage, a.usage.ID)
	a.must(c.Outcome == s.Outcome, "commit.outcome", p, "says %q, the statement %q", c.Outcome, s.Outcome)
	price := l.manifest.Predicate.Terms.Price
	records, amount, err := Charge(price, s.Outcome, l.used.Billable)
	if err != nil {
		a.find("commit.amount", p, "%v", err)
		return
	}
	a.must(c.Records == records, "commit.records", p, "bills %d records, the statement has %d", c.Records, records)
	a.must(c.Amount == amount, "commit.amount", p, "bills %d, the terms make it %d", c.Amount, amount)
	a.must(c.Currency == price.Currency, "commit.currency", p, "bills in %q, the terms in %q", c.Currency, price.Currency)
}
