// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/internal/tlog"
)

// checkBinding: what the evidence vouches for is this job with these packages and their brokers, in order.
func (a *audit) checkBinding() {
	if a.evidence == nil {
		return
	}
	b := &a.evidence.Claims
	if a.job != nil {
		a.must(b.Job == a.job.ID, "binding.job", PartEvidence, "bound to job %s, not %s", b.Job, a.job.ID)
		a.must(b.Runtime == a.job.Predicate.Runtime, "binding.runtime", PartEvidence, "bound to runtime %q, the job asks for %q", b.Runtime, a.job.Predicate.Runtime)
	}
	a.must(len(b.Owners) == len(a.manifests), "binding.owners", PartEvidence, "bound to %d owners, want %d", len(b.Owners), len(a.manifests))
	for i, m := range a.manifests {
		if m == nil || i >= len(b.Owners) {
			continue
		}
		a.must(b.Owners[i].Manifest == m.ID, "binding.owners", PartEvidence, "owner %d is bound for another manifest than %s", i, part(PartManifest, i))
		a.must(b.Owners[i].Audience.Equal(a.speaker(i)), "binding.owners", PartEvidence, "owner %d is bound for another broker than speaks for %s", i, part(PartManifest, i))
	}
}

// checkPeople: in a differentially private mode nobody is a unit of two datasets that are added up under one noise.
func (a *audit) checkPeople() {
	if a.job == nil || !dataset.Private(a.job.Predicate.Mode) || a.job.Predicate.Privacy == nil {
		return
	}
	for i, m := range a.manifests {
		for n := 1; n < i; n++ { // 0 is the code
			if other := a.manifests[n]; m != nil && other != nil {
				a.must(!dataset.SamePeople(&other.Predicate, &m.Predicate, a.job.Predicate.Privacy.Unit), "terms.privacy", part(PartManifest, i),
					"%s and this: %s", part(PartManifest, n), dataset.CountedTwice)
			}
		}
	}
}

// checkStatement: the statement is about this evidence and job, names the granted packages in the job's order, and its
// outputs and times are such as the job allows.
func (a *audit) checkStatement() {
	if a.usage == nil {
		return
	}
	s := &a.usage.Predicate
	a.must(s.Binding == a.binding, "usage.binding", PartUsage, "is for binding %s, the evidence is for %s", s.Binding, a.binding)
	a.must(s.Evidence == a.evidenceID, "usage.evidence", PartUsage, "names evidence %s, the bundle has %s", s.Evidence, a.evidenceID)
	a.must(len(s.Packages) == len(a.lease), "usage.packages", PartUsage, "%d packages for %d grants", len(s.Packages), len(a.lease))
	a.must(s.Outcome != OutcomeCompleted || len(s.Packages) == len(a.manifests), "usage.packages", PartUsage,
		"completed with %d of %d packages", len(s.Packages), len(a.manifests))
	last := -1
	for i := range a.lease {
		if a.lease[i].used == nil {
			continue
		}
		at := a.lease[i].index
		a.must(at > last && (i > 0 || at == 0), "usage.packages", PartUsage, "package %d is not the job's, or out of order", i)
		last = max(last, at)
	}
	if a.job == nil {
		return
	}
	j := &a.job.Predicate
	a.must(s.Job == a.job.ID, "usage.job", PartUsage, "names job %s, the bundle has %s", s.Job, a.job.ID)
	a.must(s.Runtime == j.Runtime, "usage.runtime", PartUsage, "runtime %q, the job asks for %q", s.Runtime, j.Runtime)
	limit := j.Limits.WallSeconds*1000 + maxWait.Milliseconds()
	a.must(s.Outcome != OutcomeCompleted || s.Measured.WallMillis <= limit, "usage.wall", PartUsage,
		"ran %d ms, the job allows %d s", s.Measured.WallMillis, j.Limits.WallSeconds)
	for _, p := range CheckMeasured(s, j) {
		a.find(p.Rule, PartUsage, "%s", p.Message)
	}
	a.checkPrivacy(s)
	a.must(s.Measured.WallMillis <= s.Time.Finished-s.Time.Started+maxWait.Milliseconds(), "usage.time", PartUsage,
		"ran %d ms between start and finish %d ms apart", s.Measured.WallMillis, s.Time.Finished-s.Time.Started)
	a.checkOutputs(s, j)
}

// checkPrivacy: the statement states what the grants debited, and says what the steps of each package spare the auditor.
func (a *audit) checkPrivacy(s *Statement) {
	var sum int64
	for i := range a.lease {
		if g := a.lease[i].grant; g != nil {
			sum = addCapped(sum, g.Predicate.Obligations.Privacy)
		}
	}
	a.must(s.Privacy == sum, "usage.privacy", PartUsage, "%d millionths of epsilon, the grants debit %d", s.Privacy, sum)
	for i, p := range s.Packages {
		if did := s.TransformsOf(p.Manifest); len(did) > 0 {
			a.fact("transformed", PartUsage, "package[%d]: the code saw what %s left of the records", i, told(did))
		}
	}
}

// tellSpend says for people what a run may reveal of one unit of package i.
func (a *audit) tellSpend(i int) {
	if sp := a.usage.Predicate.SpentOn(i); sp != nil {
		a.fact("privacy", PartUsage, "package[%d]: one %s is hidden to epsilon %s at delta %s (%s, by %s), because %s", i, sp.Unit,
			Micro(sp.Epsilon), Pico(sp.Delta), sp.Adjacency, sp.Accountant, RestsOn(sp.Isolation))
		if i == 1 {
			a.fact("time", PartJob, "the times of the run may tell at most %d bits beyond epsilon", a.job.Predicate.TimeBits())
		}
	}
}

// told lists steps for people, with what is said of them.
func told(steps []Transform) string {
	var out []string
	for _, t := range steps {
		switch found, left := dataset.SumCounts(t.Findings), dataset.SumCounts(t.Quarantined); {
		case t.Sealed:
			out = append(out, t.Step+" (figures are not let out)")
		default:
			out = append(out, fmt.Sprintf("%s (%d records in, %d out, %d findings, %d quarantined)", t.Step, t.RecordsIn, t.RecordsOut, found, left))
		}
	}
	return strings.Join(out, ", then ")
}

func (a *audit) checkOutputs(s *Statement, j *job.Job) {
	last, total := -1, int64(0)
	for _, o := range s.Outputs {
		at := slices.IndexFunc(j.Outputs, func(d job.Output) bool { return d.Name == o.Name })
		if at < 0 {
			a.find("usage.outputs", PartUsage, "output %q was not declared", o.Name)
			continue
		}
		d := j.Outputs[at]
		a.must(at > last, "usage.outputs", PartUsage, "output %q is repeated or out of order", o.Name)
		a.must(o.Class == d.Class, "usage.outputs", PartUsage, "output %q has class %q, declared %q", o.Name, o.Class, d.Class)
		a.must(o.Bytes <= d.MaxBytes, "usage.outputs", PartUsage, "output %q has %d bytes, declared at most %d", o.Name, o.Bytes, d.MaxBytes)
		last, total = max(last, at), addCapped(total, o.Bytes)
	}
	a.must(total <= j.Limits.OutputBytes, "usage.outputs", PartUsage, "%d bytes of output, the job allows %d", total, j.Limits.OutputBytes)
}

// checkTicket: the buyer's broker let this attempt of this job run in this enclave.
func (a *audit) checkTicket() {
	if a.ticket == nil {
		return
	}
	t := &a.ticket.Predicate
	a.must(t.Binding == a.binding, "ticket.binding", PartTicket, "is for binding %s, the evidence is for %s", t.Binding, a.binding)
	if a.job != nil {
		a.must(t.Job == a.job.ID, "ticket.job", PartTicket, "is for job %s, not %s", t.Job, a.job.ID)
	}
	if a.usage != nil {
		a.must(t.Attempt == a.usage.Predicate.Attempt, "ticket.attempt", PartTicket, "is for attempt %d, the run was %d", t.Attempt, a.usage.Predicate.Attempt)
	}
}

// checkSpend: all commits together stay within the buyer's cap.
func (a *audit) checkSpend() {
	if a.job == nil {
		return
	}
	var total int64
	for i := range a.lease {
		if c := a.lease[i].commit; c != nil {
			total = addCapped(total, c.Predicate.Amount)
		}
	}
	a.must(total <= a.job.Predicate.SpendCap, "commit.spend", PartJob, "%d committed, the job's spend cap is %d", total, a.job.Predicate.SpendCap)
}

// checkKeys: one key, one role.
func (a *audit) checkKeys() {
	roles := map[string]envelope.Role{}
	use := func(k envelope.PublicKey, r envelope.Role, part string) {
		if k.IsZero() {
			return
		}
		had, seen := roles[k.String()]
		a.must(!seen || had == r, "keys.reuse", part, "key %s is used as %s and as %s", k, had, r)
		roles[k.String()] = r
	}
	for _, r := range a.trust.References {
		use(r.Key, envelope.RoleReference, PartTrust)
	}
	for i, m := range a.manifests {
		if m != nil {
			use(m.Predicate.Owner, envelope.RoleOwner, part(PartManifest, i))
			use(m.Predicate.Broker.Key, envelope.RoleBroker, part(PartManifest, i))
			use(a.speaker(i), envelope.RoleBroker, part(PartManifest, i))
		}
	}
	if a.job != nil {
		use(a.job.Predicate.Buyer, envelope.RoleBuyer, PartJob)
	}
	if a.evidence != nil {
		use(a.evidence.Claims.SigningKey, envelope.RoleEnclave, PartEvidence)
	}
}

// checkLog: the entry is this statement's, under a checkpoint that the trusted log signed.
func (a *audit) checkLog() {
	s := &a.bundle.sigstore
	e := &s.Material.Entries[0]
	a.must(e.KindVersion.Kind == tlog.Kind && e.KindVersion.Version == tlog.KindVersion, "log.kind", PartProof,
		"entry of kind %s %s, want %s %s", e.KindVersion.Kind, e.KindVersion.Version, tlog.Kind, tlog.KindVersion)
	if a.evidence != nil {
		key := a.evidence.Claims.SigningKey
		a.must(s.Material.PublicKey.Hint == key.ID().Hex(), "log.hint", PartProof, "key hint is not the lease key's digest")
		if err := tlog.VerifyBody(e.Body, s.DSSE, key); err != nil {
			a.find("log.body", PartProof, "%v", err)
		}
	}
	p, ok := e.proof()
	if !ok {
		a.find("log.proof", PartProof, "index, size or hashes are malformed, or stated twice and differently")
		return
	}
	if a.log == nil {
		a.find("log.key", PartProof, "no trusted log key to check it with")
		return
	}
	id := a.log.ID()
	a.must(bytes.Equal(e.LogID.KeyID, id[:]), "log.key", PartProof, "is of another log than the trusted one")
	seen := a.seen("log.proof", PartProof, "the usage statement", e.Body, p)
	if seen == nil {
		return
	}
	a.must(bytes.Equal(e.InclusionProof.RootHash, seen.checkpoint.Root[:]), "log.proof", PartProof, "root hash is not the signed one")
	if a.usage != nil {
		t := &a.usage.Predicate.Time
		a.plausible(seen, addCapped(t.Broker, t.Finished), 0, PartProof, "the usage statement")
	}
}

// proof reads the entry's proof; false if a number or hash is malformed or two statements of one number differ.
func (e *logEntry) proof() (tlog.Proof, bool) {
	p := tlog.Proof{Checkpoint: e.InclusionProof.Checkpoint.Envelope}
	var ok1, ok2 bool
	p.Index, ok1 = number(e.InclusionProof.LogIndex)
	p.Size, ok2 = number(e.InclusionProof.TreeSize)
	if !ok1 || !ok2 || e.LogIndex != e.InclusionProof.LogIndex {
		return p, false
	}
	for _, h := range e.InclusionProof.Hashes {
		if len(h) != len(envelope.Digest{}) {
			return p, false
		}
		p.Hashes = append(p.Hashes, envelope.Digest(h))
	}
	return p, true
}

// number reads a protobuf-JSON int64 in its one canonical form.
func number(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && n >= 0 && strconv.FormatInt(n, 10) == s
}
