// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/broker"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// contributors are those of a world's dataset: p0 agreed to nothing, p1 to another purpose, the others to research.
type contributors struct {
	keys map[envelope.Digest]dataset.Key
	id   map[string]envelope.Digest
}

// newWorldOfContributors has a dataset of four contributors, whose terms ask for consent.
func newWorldOfContributors(t testing.TB, consent bool) (*world, *contributors) {
	t.Helper()
	w := newWorldOf(t, 10, nil)
	c := &contributors{map[envelope.Digest]dataset.Key{}, map[string]envelope.Digest{}}
	offer := w.offer(w.creator, dataset.KindDataset)
	offer.Terms.Consent = consent
	agreed := func(purpose string) *dataset.Consent {
		return &dataset.Consent{Reference: "form", Purposes: []string{purpose}, NotAfter: offer.Terms.NotAfter}
	}
	index := []byte("index")
	cfg := dataset.PackConfig{
		Manifest: offer, Source: strings.NewReader(visits(0, 1, 2, 3)), SegmentBytes: 64 << 10, BatchBytes: 8 << 10, Temp: t.TempDir(),
		Contributors: &dataset.Contributors{
			By: "who",
			Unit: func(name string) (envelope.Digest, dataset.Key, error) {
				id := dataset.UnitID(index, name)
				c.id[name], c.keys[id] = id, dataset.NewKey()
				return id, c.keys[id], nil
			},
			Consents: map[envelope.Digest]*dataset.Consent{
				dataset.UnitID(index, "p1"): agreed("advertising"), dataset.UnitID(index, "p2"): agreed("research"), dataset.UnitID(index, "p3"): agreed("research"),
			},
		},
	}
	w.data = w.pack(w.creator, cfg)
	k, err := keyholder.Open(w.creator.cfg.Layout().Keyholder(), w.creator.cfg.Layout().KeyholderIdentity())
	check(t, err)
	wrapped := map[envelope.Digest][]byte{}
	for id, key := range c.keys {
		wrapped[id], err = k.Wrap(t.Context(), keyholder.UnitContext(w.data.Manifest.Dataset, id), key.Bytes())
		check(t, err)
	}
	check(t, config.AddUnits(w.creator.dir, w.data.Manifest.Dataset, wrapped))
	w.signJob(nil)
	return w, c
}

// visits are three thousand records, of which only those of some contributors are there.
func visits(of ...int) string {
	var b strings.Builder
	b.WriteString("who,text\n")
	for _, k := range of {
		for i := range 750 {
			fmt.Fprintf(&b, "p%d,%x\n", k, sha256.Sum256([]byte{byte(k), byte(i), byte(i >> 8)}))
		}
	}
	return b.String()
}

// sees reports whether the code read exactly the records of some contributors, in any order of the units.
func (w *world) sees(of ...int) bool {
	files := w.open(w.result)
	for _, order := range permutations(of) {
		h := sha256.Sum256([]byte(visits(order...)))
		if files["model.bin"] == string(h[:]) {
			return true
		}
	}
	return false
}

func permutations(of []int) [][]int {
	if len(of) < 2 {
		return [][]int{of}
	}
	var out [][]int
	for i, first := range of {
		rest := append(append([]int{}, of[:i]...), of[i+1:]...)
		for _, p := range permutations(rest) {
			out = append(out, append([]int{first}, p...))
		}
	}
	return out
}

// TestCodeSeesWhoAgreed: records of contributors who did not agree to the purpose are not granted, not fetched, not billed,
// and the code sees a dataset without them.
func TestCodeSeesWhoAgreed(t *testing.T) {
	w, c := newWorldOfContributors(t, true)
	r, a := w.run(reader{})
	if r == nil || r.Outcome != usage.OutcomeCompleted {
		t.Fatalf("%+v, %+v", r, a)
	}
	if !w.sees(2, 3) {
		t.Error("the code read something else than the records of p2 and p3")
	}
	m := w.data.Manifest
	s, _ := w.statement(r)
	if used := s.Packages[1]; used.Records != 1500 || used.Billable != 1500 || used.Leaves[0].Count >= m.Tree.Size {
		t.Errorf("%+v was delivered, 1500 records are granted", used)
	}
	for _, u := range m.Units {
		if (u.ID == c.id["p2"] || u.ID == c.id["p3"]) != u.Consent.Covers("research", 1) {
			t.Fatal("the package has other consents")
		}
	}
}

// TestRevokedAndShreddedContributors: neither is granted from then on, everybody else is, from the very same bytes.
func TestRevokedAndShreddedContributors(t *testing.T) {
	w, c := newWorldOfContributors(t, false)
	id := w.data.Manifest.Dataset
	k, err := keyholder.Open(w.creator.cfg.Layout().Keyholder(), w.creator.cfg.Layout().KeyholderIdentity())
	check(t, err)
	check(t, w.creator.cfg.ShredUnit(t.Context(), k, id, c.id["p0"]))
	_, err = config.AddRevocation(w.creator.dir, &grant.Revocation{Unit: &grant.UnitRef{Dataset: id, ID: c.id["p2"]}, Reason: "asked for it", Time: 1})
	check(t, err)
	r, a := w.run(reader{})
	if r == nil || r.Outcome != usage.OutcomeCompleted {
		t.Fatalf("%+v, %+v", r, a)
	}
	if !w.sees(1, 3) {
		t.Error("the code read something else than the records of p1 and p3")
	}
	check(t, dataset.VerifyBlobs(t.Context(), w.data.Manifest, w.store))
}

// TestNobodyAgreed: without anything to grant the broker denies.
func TestNobodyAgreed(t *testing.T) {
	w, c := newWorldOfContributors(t, true)
	k, err := keyholder.Open(w.creator.cfg.Layout().Keyholder(), w.creator.cfg.Layout().KeyholderIdentity())
	check(t, err)
	for _, name := range []string{"p2", "p3"} {
		check(t, w.creator.cfg.ShredUnit(t.Context(), k, w.data.Manifest.Dataset, c.id[name]))
	}
	if r, a := w.run(reader{}); r == nil || r.Outcome == usage.OutcomeCompleted {
		t.Errorf("%+v, %+v", r, a)
	}
}

// TestBrokerGrantsWithheldUnit: the enclave holds a broker to the consents that the owner signed.
func TestBrokerGrantsWithheldUnit(t *testing.T) {
	w, c := newWorldOfContributors(t, true)
	signed := *w.data.Manifest
	m := &signed
	m.Terms.Purposes = []string{"advertising", "research"}
	keep := func(names ...string) grant.Ranges {
		return grant.RangesOf(m.Keep(func(u *dataset.ErasureUnit) bool {
			for _, n := range names {
				if u.ID == c.id[n] {
					return true
				}
			}
			return false
		}))
	}
	now := (m.Terms.NotAfter - 300) * 1000
	try := func(purpose string, leaves grant.Ranges, issued, expires int64) error {
		g := &grant.Grant{Issued: issued, Assurance: "simulated", Population: m.Terms.Privacy.Population, Obligations: grant.Obligations{
			Mode: grant.ModeRaw, Leaves: leaves, Epochs: 1, Logs: grant.LogsOff, Allowance: 1, Expires: expires,
		}}
		v, err := job.Verify(w.job)
		check(t, err)
		v.Predicate.Purpose = purpose
		_, err = withinTerms(g, m, &v.Predicate, w.code.Manifest.Owner)
		return err
	}
	if err := try("research", keep("p2", "p3"), now, now+1000); err != nil {
		t.Fatal(err)
	}
	cut := keep("p3")
	cut[len(cut)-1].Count--
	for name, c := range map[string]struct {
		purpose string
		leaves  grant.Ranges
		issued  int64
		expires int64
		want    error
	}{
		"who never agreed":          {"research", keep("p0", "p2"), now, now + 1000, dataset.ErrConsent},
		"who agreed to another use": {"research", keep("p1"), now, now + 1000, dataset.ErrConsent},
		"everybody":                 {"research", keep("p0", "p1", "p2", "p3"), now, now + 1000, dataset.ErrConsent},
		"for another purpose":       {"advertising", keep("p2"), now, now + 1000, dataset.ErrConsent},
		"beyond the consent":        {"research", keep("p2"), now, m.Terms.NotAfter*1000 + 1, ErrGrant},
		"after the consent":         {"research", keep("p2"), m.Terms.NotAfter * 1000, m.Terms.NotAfter*1000 + 1, dataset.ErrConsent},
		"a part of a contributor":   {"research", cut, now, now + 1000, dataset.ErrRange},
		"beyond the tree":           {"research", grant.Ranges{{First: 0, Count: m.Tree.Size + 1}}, now, now + 1000, dataset.ErrRange},
	} {
		if err := try(c.purpose, c.leaves, c.issued, c.expires); !errors.Is(err, c.want) || !errors.Is(err, ErrGrant) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// TestSealedKeysOfOtherUnits: what a broker seals must be the keys of exactly the contributors granted.
func TestSealedKeysOfOtherUnits(t *testing.T) {
	w, c := newWorldOfContributors(t, true)
	m := w.data.Manifest
	l, err := newLease()
	check(t, err)
	l.d = envelope.Sum([]byte("d"))
	id := envelope.Sum([]byte("grant"))
	sel, err := m.Select(m.Keep(func(u *dataset.ErasureUnit) bool { return u.Consent.Covers("research", 1) }))
	check(t, err)
	seal := func(units ...envelope.Digest) []byte {
		keys := dataset.Keys{Package: dataset.NewKey()}
		for _, u := range units {
			keys.Units = append(keys.Units, dataset.UnitKey{ID: u, Key: c.keys[u]})
		}
		sealed, err := broker.Seal(l.hpke.PublicKey().Bytes(), l.d, id, keys.Append(nil, true))
		check(t, err)
		return sealed
	}
	ids := sel.IDs(m)
	if _, err := l.openKeys(seal(ids...), id, m, sel); err != nil || len(ids) != 2 {
		t.Fatal(err)
	}
	for name, sealed := range map[string][]byte{
		"swapped": seal(ids[1], ids[0]), "one more": seal(ids[0], ids[1], c.id["p0"]), "one fewer": seal(ids[0]), "another": seal(ids[0], c.id["p0"]), "none": seal(),
	} {
		if k, err := l.openKeys(sealed, id, m, sel); !errors.Is(err, ErrGrant) || len(k.Units) > 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}
