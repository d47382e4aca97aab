// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/internal/tlog"
)

// Formats makes the platform verifiers an auditor accepts. brokers are the keys whose word on attestation keys counts:
// those of the broker on whose decision the evidence is judged. An empty answer accepts no platform.
type Formats func(brokers []envelope.PublicKey) []attestation.Format

// Audit parses and verifies a bundle. A bundle that does not parse is refused with one finding that names the part.
func Audit(ctx context.Context, raw []byte, t Trust, formats Formats) (*Verdict, error) {
	b, err := ParseBundle(raw)
	if p, ok := errors.AsType[*PartError](err); ok {
		return &Verdict{Findings: []Finding{{"bundle.malformed", p.Part, p.Err.Error()}}, Facts: []Fact{}, Paid: []Paid{}}, nil
	} else if err != nil {
		return nil, err
	}
	return b.Verify(ctx, t, formats)
}

// Verify checks every claim in the bundle against what t pins, offline, and returns all findings, not just the first.
// The error is only ever that of ctx.
func (b *Bundle) Verify(ctx context.Context, t Trust, formats Formats) (*Verdict, error) {
	a := &audit{bundle: b, trust: t, formats: formats, verdict: &Verdict{Findings: []Finding{}, Facts: []Fact{}, Paid: []Paid{}}, roots: map[int64]envelope.Digest{}}
	a.checkTrust()
	if err := b.check(); err != nil {
		a.find("bundle.malformed", PartBundle, "%v", err)
		return a.verdict, ctx.Err()
	}
	a.readJob()
	a.readManifests()
	a.readEvidence()
	a.readUsage()
	a.readGrants()
	a.readTicket()
	a.readCommits()
	if err := a.appraise(ctx); err != nil {
		return nil, err
	}
	a.checkBinding()
	a.checkPeople()
	a.checkStatement()
	a.checkTicket()
	a.checkLog()
	for i := range a.lease {
		a.checkGrant(i)
		a.checkUse(i)
		a.checkCommit(i)
		a.checkPublic(i)
	}
	a.checkSpend()
	a.checkKeys()
	a.finish()
	return a.verdict, nil
}

// audit is one verification in progress. A nil member did not verify, and a finding says so; what depends on it cannot
// be checked, so the verdict already stands.
type audit struct {
	bundle  *Bundle
	trust   Trust
	formats Formats
	verdict *Verdict

	log        *tlog.Log
	asked      bool                      // for witnesses
	witnesses  *tlog.Witnesses           // nil if none is trusted, or what is said of them is malformed
	roots      map[int64]envelope.Digest // of the log's trees, by size, that the bundle shows
	references []*attestation.Reference
	job        *envelope.Verified[job.Job]
	manifests  []*envelope.Verified[dataset.Manifest]
	evidence   *attestation.Evidence
	evidenceID envelope.Digest
	binding    envelope.Digest // d; zero if there is no evidence
	usage      *envelope.Verified[Statement]
	result     *envelope.Digest
	ticket     *envelope.Verified[grant.Ticket]
	lease      []lease // in the order of the bundle's grants
}

// lease is one package's share of the run.
type lease struct {
	index    int // of the manifest; -1 if the statement's package is none of the job's
	manifest *envelope.Verified[dataset.Manifest]
	used     *Package
	grant    *envelope.Verified[grant.Grant]
	speaker  envelope.PublicKey // who signed the grant: the key the manifest pins, or one handed over to
	commit   *envelope.Verified[grant.Commit]
	derived  attestation.Assurance // "" if the evidence earned none
}

func (a *audit) find(rule, part, f string, args ...any) {
	a.verdict.Findings = append(a.verdict.Findings, Finding{rule, part, fmt.Sprintf(f, args...)})
}

// must adds a finding unless ok.
func (a *audit) must(ok bool, rule, part, f string, args ...any) {
	if !ok {
		a.find(rule, part, f, args...)
	}
}

func (a *audit) fact(rule, part, f string, args ...any) {
	a.verdict.Facts = append(a.verdict.Facts, Fact{rule, part, fmt.Sprintf(f, args...)})
}

func (a *audit) finish() {
	a.tellWitnesses()
	v := a.verdict
	if v.Assurance != "" {
		a.fact("assurance", PartEvidence, "%s: %s", v.Assurance, meaning(v.Assurance))
	}
	if a.usage != nil {
		s := a.usage.Predicate
		v.Statement, v.Usage, v.Result = &s, &a.usage.ID, a.result
		c := a.evidence.Claims
		v.Enclave = &Enclave{c.Configuration, c.SelfTest, c.Engine}
	} else if len(v.Findings) == 0 {
		a.find("usage.signature", PartUsage, "no usage statement verified")
	}
	v.complete = true
	v.Verified = len(v.Findings) == 0
	v.Witnessed = v.Verified && a.asked
}

// checkTrust reads the anchors. Each one missing is a finding, because a check without an anchor would be skipped.
func (a *audit) checkTrust() {
	if empty(a.trust.Log) {
		a.find("trust.log", PartTrust, "no log key is trusted")
	} else if log, err := ParseTrustedRoot(a.trust.Log); err != nil {
		a.find("trust.log", PartTrust, "%v", err)
	} else {
		a.log = log
	}
	a.checkWitnesses()
	a.must(len(a.trust.Owners) > 0, "trust.owners", PartTrust, "no owner is trusted")
	a.must(len(a.trust.References) > 0, "trust.references", PartTrust, "no reference values are trusted")
	seen := map[string]bool{}
	for i, r := range a.trust.References {
		ref, _, err := attestation.VerifyReference(r.Signed, r.Key)
		if err != nil {
			a.find("trust.references", PartTrust, "reference %d: %v", i, err)
			continue
		}
		a.must(!seen[r.Key.String()], "trust.references", PartTrust, "reference %d: a second list by %s; keep the newest only", i, r.Key)
		seen[r.Key.String()] = true
		a.references = append(a.references, ref)
	}
	a.must(a.trust.MinAssurance.AtLeast(attestation.AssuranceSimulated), "trust.assurance", PartTrust,
		"minimum assurance %q is none of those known", a.trust.MinAssurance)
	a.must(a.formats != nil, "trust.platforms", PartTrust, "no platform is accepted")
}

func (a *audit) readJob() {
	j, err := job.Verify(a.bundle.Job)
	if err != nil {
		a.find("job.signature", PartJob, "%v", err)
		return
	}
	a.job = j
}

func (a *audit) readManifests() {
	a.manifests = make([]*envelope.Verified[dataset.Manifest], len(a.bundle.Manifests))
	for i, raw := range a.bundle.Manifests {
		p := part(PartManifest, i)
		m, err := dataset.Verify(raw)
		if err != nil {
			a.find("manifest.signature", p, "%v", err)
			continue
		}
		a.manifests[i] = m
		a.must(a.trustsOwner(m.Predicate.Owner), "manifest.owner", p, "owner %s is not trusted", m.Predicate.Owner)
		want := dataset.KindDataset
		if i == 0 {
			want = dataset.KindCode
		}
		a.must(m.Predicate.Kind == want, "manifest.kind", p, "kind %q, want %q", m.Predicate.Kind, want)
	}
	if a.job == nil {
		return
	}
	want := a.job.Predicate.Manifests()
	a.must(len(want) == len(a.manifests), "manifest.job", PartBundle, "%d manifests, the job names %d", len(a.manifests), len(want))
	for i, m := range a.manifests {
		if m != nil && i < len(want) {
			a.must(m.ID == want[i], "manifest.job", part(PartManifest, i), "is %s, the job names %s", m.ID, want[i])
		}
	}
}

func (a *audit) trustsOwner(k envelope.PublicKey) bool {
	for _, o := range a.trust.Owners {
		if o.Equal(k) {
			return true
		}
	}
	return false
}

func (a *audit) readEvidence() {
	e, err := attestation.ParseEvidence(a.bundle.Evidence)
	if err != nil {
		a.find("evidence.malformed", PartEvidence, "%v", err)
		return
	}
	d, err := e.Claims.Digest()
	if err != nil {
		a.find("evidence.malformed", PartEvidence, "%v", err)
		return
	}
	a.evidence, a.evidenceID, a.binding = e, envelope.Sum(a.bundle.Evidence), d
}

func (a *audit) readUsage() {
	if a.evidence == nil {
		a.find("usage.signature", PartUsage, "no evidence says which key signs it")
		return
	}
	u, result, err := Verify(a.bundle.sigstore.DSSE, a.evidence.Claims.SigningKey)
	if err != nil {
		a.find("usage.signature", PartUsage, "%v", err)
		return
	}
	a.usage, a.result = u, result
}

// readGrants pairs each grant with the statement's package at its place and that package's manifest.
func (a *audit) readGrants() {
	a.lease = make([]lease, len(a.bundle.Grants))
	for i := range a.lease {
		l, p := &a.lease[i], part(PartGrant, i)
		l.index = i
		if a.usage != nil && i < len(a.usage.Predicate.Packages) {
			l.used = &a.usage.Predicate.Packages[i]
			l.index = a.manifestIndex(l.used.Manifest)
		}
		if l.index >= 0 && l.index < len(a.manifests) {
			l.manifest = a.manifests[l.index]
		}
		if l.manifest == nil {
			a.find("grant.signature", p, "no verified manifest says which broker signs it")
			continue
		}
		g, speaker, err := voice(&l.manifest.Predicate).Grant(a.bundle.Grants[i])
		if err != nil {
			a.find("grant.signature", p, "%v", err)
			continue
		}
		l.grant, l.speaker = g, speaker
		if !speaker.Equal(l.manifest.Predicate.Broker.Key) {
			a.fact("hand-over", p, "the manifest's owner handed the broker over %d times, at last to %s", len(g.Predicate.HandOvers), speaker)
		}
	}
}

// voice says who may speak for a package's broker.
func voice(m *dataset.Manifest) grant.Voice {
	return grant.Voice{Owner: m.Owner, Pinned: m.Broker.Key}
}

// speaker is who spoke for the broker of manifest i: who signed its grant, else the key that it pins.
func (a *audit) speaker(i int) envelope.PublicKey {
	for _, l := range a.lease {
		if l.index == i && l.grant != nil {
			return l.speaker
		}
	}
	return a.manifests[i].Predicate.Broker.Key
}

func (a *audit) manifestIndex(id envelope.Digest) int {
	for i, m := range a.manifests {
		if m != nil && m.ID == id {
			return i
		}
	}
	return -1
}

func (a *audit) readTicket() {
	if a.manifests[0] == nil {
		a.find("ticket.signature", PartTicket, "no verified code manifest says which broker signs it")
		return
	}
	t, err := grant.VerifyTicket(a.bundle.Ticket, a.speaker(0))
	if err != nil {
		a.find("ticket.signature", PartTicket, "%v", err)
		return
	}
	a.ticket = t
}

func (a *audit) readCommits() {
	for i := range a.lease {
		l, p := &a.lease[i], part(PartCommit, i)
		if empty(a.bundle.Commits[i]) {
			a.find("commit.missing", p, "the broker did not commit this usage")
			continue
		}
		if l.manifest == nil {
			a.find("commit.signature", p, "no verified manifest says which broker signs it")
			continue
		}
		c, err := grant.VerifyCommit(json.RawMessage(a.bundle.Commits[i]), a.speaker(l.index))
		if err != nil {
			a.find("commit.signature", p, "%v", err)
			continue
		}
		l.commit = c
	}
}
