// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/tlog"
)

// maxSkew is between the clocks of a broker and of a witness: both are machines that keep time, and no order rests on it.
const maxSkew = 5 * time.Minute

// TrustedWitnesses are those whose cosignatures count, and how many of them a checkpoint must have.
type TrustedWitnesses struct {
	Threshold int      `json:"threshold"`
	Keys      []string `json:"keys"` // verifier keys of type cosignature/v1
}

// sighting is where and when an entry was seen in the log.
type sighting struct {
	checkpoint tlog.Checkpoint
	at, last   int64 // Unix seconds at which enough witnesses had cosigned, and all; 0 without trusted witnesses
}

// checkWitnesses reads who is trusted. To trust none is possible: the verdict then says that nothing was witnessed.
func (a *audit) checkWitnesses() {
	t := a.trust.Witnesses
	if t == nil {
		return
	}
	a.asked = true
	w, err := tlog.NewWitnesses(t.Threshold, t.Keys...)
	if err != nil {
		a.find("trust.witnesses", PartTrust, "%v", err)
		return
	}
	a.witnesses = w
}

// seen verifies that an entry is in the trusted log, and, where witnesses are trusted, under a checkpoint that enough of
// them cosigned. rule is the finding's if the proof itself is wrong.
func (a *audit) seen(rule, part, what string, body []byte, p tlog.Proof) *sighting {
	if a.log == nil {
		a.find(rule, part, "no trusted log key to check %s with", what)
		return nil
	}
	cp, err := a.log.VerifyInclusion(body, p)
	if err != nil {
		a.find(rule, part, "%s: %v", what, err)
		return nil
	}
	if root, had := a.roots[cp.Size]; had && root != cp.Root {
		a.find("log.fork", part, "%s is in another tree of %d entries than what came before it: the log shows two", what, cp.Size)
	}
	a.roots[cp.Size] = cp.Root
	if !a.asked {
		return &sighting{checkpoint: cp}
	}
	_, sigs, err := a.witnesses.VerifyInclusion(a.log, body, p)
	if err != nil {
		a.find("log.witnesses", part, "%s: %v", what, err)
		return nil
	}
	return &sighting{cp, a.witnesses.When(sigs), sigs[len(sigs)-1].Time}
}

// checkPublic: release and commit of package i are in the log; where witnesses are trusted, the release was cosigned before
// the commit was signed, and usage and commit are cosigned too.
func (a *audit) checkPublic(i int) {
	l, p := &a.lease[i], part(PartCommit, i)
	if l.commit == nil || l.grant == nil {
		return // a finding says so
	}
	c := &l.commit.Predicate
	switch {
	case c.Witnessed != nil:
		if body, ok := a.entry(PartCommit, i, a.bundle.Grants[i], l.speaker); ok {
			if s := a.seen("commit.witnessed", p, "its grant", body, *c.Witnessed); s != nil {
				a.plausible(s, l.grant.Predicate.Issued, c.Time, p, "the release")
			}
		}
	case a.asked:
		a.find("commit.witnessed", p, "its broker committed without having seen the grant cosigned: its owner asked for no witnesses (glovebox creator log, glovebox buyer log)")
	}
	p = part(PartProof, i)
	switch proof := a.bundle.proofs[i]; {
	case proof != nil:
		if body, ok := a.entry(PartProof, i, a.bundle.Commits[i], l.speaker); ok {
			if s := a.seen("log.commit", p, "the commit", body, *proof); s != nil {
				a.plausible(s, c.Time, 0, p, "the commit")
			}
		}
	case a.asked:
		a.find("log.commit", p, "the bundle has no proof that the commit is in the log")
	}
}

// entry is the log entry of a statement that verified.
func (a *audit) entry(name string, i int, signed []byte, key envelope.PublicKey) ([]byte, bool) {
	body, err := tlog.Body(signed, key)
	if err != nil {
		a.find("log.body", part(name, i), "%v", err)
	}
	return body, err == nil
}

// plausible: what was cosigned at a time was signed before it and, unless before is 0, what rests on the cosignatures
// after it. Times are Unix milliseconds of the broker's clock and compare with a witness's only roughly. That one witness's clock
// is slow says nothing against the others, who saw it too.
func (a *audit) plausible(s *sighting, after, before int64, part, what string) {
	if s.at == 0 {
		return
	}
	at, last, slack := s.at*1000, s.last*1000, maxSkew.Milliseconds()
	a.must(last >= after-slack, "log.time", part, "%s was cosigned %d s before it was signed", what, (after-last)/1000)
	a.must(before == 0 || at <= before+slack, "log.time", part, "%s was cosigned %d s after it was relied on", what, (at-before)/1000)
}

// tellWitnesses says whether others than the operator vouch for the log.
func (a *audit) tellWitnesses() {
	if !a.asked {
		a.fact("unwitnessed", PartProof, "no witness is trusted: that the log shows everybody the same releases, usage and commits is the operator's word")
		return
	}
	if len(a.verdict.Findings) == 0 {
		split := ""
		if a.witnesses.Split() {
			split = "; so few can honestly cosign two histories of one log"
		}
		a.fact("witnessed", PartProof, "%d of %d trusted witnesses cosigned usage, releases and commits; each release before its broker committed%s",
			a.witnesses.Threshold(), len(a.witnesses.Keys()), split)
	}
}

// readProofs reads the proofs of commits strictly.
func (b *Bundle) readProofs() error {
	b.proofs = make([]*tlog.Proof, len(b.Proofs))
	for i, raw := range b.Proofs {
		if empty(raw) {
			continue
		}
		bad := func(err error) error { return &PartError{part(PartProof, i), err} }
		if empty(b.Commits[i]) {
			return bad(errors.New("of no commit"))
		}
		var p tlog.Proof
		if err := envelope.DecodeStrict(raw, MaxBundle, &p); err != nil {
			return bad(err)
		}
		// As in the sigstore bundle, only the struct's own encoding counts.
		if c, err := envelope.Canonical(&p); err != nil || !bytes.Equal(c, raw) {
			return bad(envelope.ErrNotCanonical)
		}
		if err := p.Validate(); err != nil {
			return bad(err)
		}
		b.proofs[i] = &p
	}
	return nil
}

// rawProofs encodes the proofs of n commits; those that are not there are null.
func rawProofs(in []*tlog.Proof, n int) ([]json.RawMessage, error) {
	out := make([]json.RawMessage, max(n, len(in)))
	for i := range out {
		out[i] = json.RawMessage("null")
		if i >= len(in) || in[i] == nil {
			continue
		}
		b, err := envelope.Canonical(in[i])
		if err != nil {
			return nil, err
		}
		out[i] = b
	}
	return out, nil
}
