// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// Ledgers holds the grants of many bundles against each other: each says where its broker's whole ledger was just before
// it, and a broker whose ledger was put back, or runs twice, says things that do not go together. The zero value is empty.
type Ledgers struct {
	grants   []placed
	seen     map[envelope.Digest]bool
	same     map[spoken]spoken // towards the key that stands for all of a broker's
	findings []Finding
}

// spoken is a broker's key by the word of an owner: another owner's hand-over says nothing about it. Both are did:keys.
type spoken struct{ owner, key string }

func speaks(owner, key envelope.PublicKey) spoken { return spoken{owner.String(), key.String()} }

// placed is a grant that verified, and where.
type placed struct {
	*envelope.Verified[grant.Grant]
	part   string
	broker spoken
}

// BrokerLedger is what the grants of one broker say of its ledger.
type BrokerLedger struct {
	Owner  string `json:"owner"`  // did:key
	Broker string `json:"broker"` // did:key, the first of its keys in order if it had several
	Grants int    `json:"grants"`
	First  int64  `json:"first"` // records before the first of the grants
	Last   int64  `json:"last"`
}

// LedgerVerdict is what became of comparing them.
type LedgerVerdict struct {
	Verified bool           `json:"verified"` // there were grants, and no findings
	Grants   int            `json:"grants"`   // compared, each counted once
	Brokers  []BrokerLedger `json:"brokers"`
	Findings []Finding      `json:"findings"`
}

// Add takes the grants of a bundle. The name is for findings.
func (l *Ledgers) Add(name string, raw []byte) {
	find := func(rule, part, f string, args ...any) {
		l.findings = append(l.findings, Finding{rule, name + " " + part, fmt.Sprintf(f, args...)})
	}
	b, err := ParseBundle(raw)
	if err != nil {
		part := PartBundle
		if p, ok := errors.AsType[*PartError](err); ok {
			part = p.Part
		}
		find("bundle.malformed", part, "%v", err)
		return
	}
	manifests := map[envelope.Digest]*dataset.Manifest{}
	for i, raw := range b.Manifests {
		m, err := dataset.Verify(raw)
		if err != nil {
			find("manifest.signature", part(PartManifest, i), "%v", err)
			continue
		}
		manifests[m.ID] = &m.Predicate
	}
	for i, raw := range b.Grants {
		p := part(PartGrant, i)
		if err := l.add(name+" "+p, raw, manifests); err != nil {
			find("grant.signature", p, "%v", err)
		}
	}
}

// add takes one grant, under the manifest that it names.
func (l *Ledgers) add(where string, raw []byte, manifests map[envelope.Digest]*dataset.Manifest) error {
	peeked, err := envelope.Peek[grant.Grant](raw, envelope.GrantType)
	if err != nil {
		return err
	}
	m := manifests[peeked.Predicate.Manifest]
	if m == nil {
		return fmt.Errorf("no verified manifest is %s, so nobody says which broker signs it", peeked.Predicate.Manifest)
	}
	g, _, err := voice(m).Grant(raw)
	if err != nil {
		return err
	}
	for _, signed := range g.Predicate.HandOvers { // verified, from the pinned key to the speaker's
		h, err := grant.VerifyHandOver(signed, m.Owner)
		if err != nil {
			return err
		}
		l.join(speaks(m.Owner, h.Predicate.Old), speaks(m.Owner, h.Predicate.New))
	}
	if l.seen[g.ID] {
		return nil
	}
	if l.seen == nil {
		l.seen = map[envelope.Digest]bool{}
	}
	l.seen[g.ID] = true
	l.grants = append(l.grants, placed{g, where, speaks(m.Owner, m.Broker.Key)})
	return nil
}

// join notes that two keys are the same broker's.
func (l *Ledgers) join(a, b spoken) {
	if a, b = l.first(a), l.first(b); a == b {
		return
	}
	if l.same == nil {
		l.same = map[spoken]spoken{}
	}
	if a.key > b.key {
		a, b = b, a
	}
	l.same[b] = a
}

// first is the key that stands for all of a broker's.
func (l *Ledgers) first(k spoken) spoken {
	for {
		next, ok := l.same[k]
		if !ok {
			return k
		}
		k = next
	}
}

// Verdict compares what was added.
func (l *Ledgers) Verdict() *LedgerVerdict {
	v := &LedgerVerdict{Grants: len(l.grants), Brokers: []BrokerLedger{}, Findings: append([]Finding{}, l.findings...)}
	brokers := map[spoken][]placed{}
	for _, g := range l.grants {
		k := l.first(g.broker)
		brokers[k] = append(brokers[k], g)
	}
	order := slices.SortedFunc(maps.Keys(brokers), func(a, b spoken) int {
		return cmp.Or(cmp.Compare(a.owner, b.owner), cmp.Compare(a.key, b.key))
	})
	for _, k := range order {
		grants := brokers[k]
		slices.SortStableFunc(grants, func(a, b placed) int {
			x, y := &a.Predicate, &b.Predicate
			return cmp.Or(cmp.Compare(x.Ledger.Records, y.Ledger.Records), cmp.Compare(x.Issued, y.Issued))
		})
		v.compare(grants)
		v.Brokers = append(v.Brokers, BrokerLedger{
			k.owner, k.key, len(grants), grants[0].Predicate.Ledger.Records, grants[len(grants)-1].Predicate.Ledger.Records,
		})
	}
	if v.Grants == 0 {
		v.Findings = append(v.Findings, Finding{"ledger.none", PartBundle, "there is no grant to compare"})
	}
	v.Verified = len(v.Findings) == 0
	return v
}

// compare holds one broker's grants, by records, against each other. The head in a grant is the one before the grant's own
// record, so two grants never have the same.
func (v *LedgerVerdict) compare(grants []placed) {
	find := func(rule string, g, before placed, f string, args ...any) {
		v.Findings = append(v.Findings, Finding{rule, g.part, fmt.Sprintf(f, args...) + ": see " + before.part})
	}
	latest, furthest := grants[0], grants[0] // by time, and by transactions, of those with fewer records
	chains := map[envelope.Digest]placed{}   // the last of each manifest
	for i, g := range grants {
		h := &g.Predicate.Ledger
		if last, ok := chains[g.Predicate.Manifest]; ok && g.Predicate.Sequence <= last.Predicate.Sequence {
			find("ledger.sequence", g, last, "is record %d of its package's chain after %d records, but record %d was there after %d",
				g.Predicate.Sequence, h.Records, last.Predicate.Sequence, last.Predicate.Ledger.Records)
		}
		chains[g.Predicate.Manifest] = g
		if i > 0 && h.Records == grants[i-1].Predicate.Ledger.Records {
			before := grants[i-1]
			if b := before.Predicate.Ledger.Digest; b != nil && h.Digest != nil && *b != *h.Digest {
				find("ledger.fork", g, before, "after %d records the ledger is another: it forked", h.Records)
			} else {
				find("ledger.again", g, before, "two grants were made from the same %d records: the ledger was put back", h.Records)
			}
		}
		switch {
		case h.Records > latest.Predicate.Ledger.Records && g.Predicate.Issued < latest.Predicate.Issued:
			find("ledger.back", latest, g, "was issued later, after %d records, than one after %d: the ledger was put back",
				latest.Predicate.Ledger.Records, h.Records)
		case g.Predicate.Issued >= latest.Predicate.Issued:
			latest = g
		}
		switch was := furthest.Predicate.Ledger.Revision; {
		case h.Revision < was:
			find("ledger.back", g, furthest, "comes after %d records in transaction %d, one after %d in transaction %d: the ledger was put back",
				h.Records, h.Revision, furthest.Predicate.Ledger.Records, was)
		default:
			furthest = g
		}
	}
}

// Err is nil if nothing speaks against the ledgers, else [ErrLedger].
func (v *LedgerVerdict) Err() error {
	switch {
	case v != nil && v.Verified && len(v.Findings) == 0 && v.Grants > 0:
		return nil
	case v == nil || len(v.Findings) == 0:
		return fmt.Errorf("%w: not compared", ErrLedger)
	}
	return fmt.Errorf("%w: %s (%d findings)", ErrLedger, v.Findings[0], len(v.Findings))
}

// ErrLedger means that grants do not go together, or do not verify.
var ErrLedger = errors.New("usage: the grants do not show one ledger")
