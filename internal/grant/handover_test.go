// SPDX-License-Identifier: Apache-2.0

package grant_test

import (
	"errors"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job/statementtest"
)

// succession is an owner, her broker's keys one after the other, and the hand-overs between them.
type succession struct {
	t       *testing.T
	owner   *statementtest.Key
	brokers []*statementtest.Key
	chain   [][]byte
}

func newSuccession(t *testing.T, n int) *succession {
	s := &succession{t: t, owner: statementtest.NewKey(t, envelope.RoleOwner)}
	for i := range n + 1 {
		s.brokers = append(s.brokers, statementtest.NewKey(t, envelope.RoleBroker))
		if i > 0 {
			s.chain = append(s.chain, s.handOver(s.owner, i-1, i, int64(i)))
		}
	}
	return s
}

func (s *succession) handOver(by *statementtest.Key, from, to int, time int64) []byte {
	s.t.Helper()
	signed, _, err := grant.Sign(&grant.HandOver{
		Old: s.brokers[from].Public(), New: s.brokers[to].Public(), Reason: "rotation", Time: time,
	}, by.Signer)
	if err != nil {
		s.t.Fatal(err)
	}
	return signed
}

func (s *succession) voice() grant.Voice {
	return grant.Voice{Owner: s.owner.Public(), Pinned: s.brokers[0].Public()}
}

func (s *succession) challenge(by int, chain [][]byte) []byte {
	s.t.Helper()
	signed, _, err := grant.Sign(&grant.Challenge{
		Nonce: envelope.Nonce{1}, Audience: s.brokers[by].Public(), Manifest: sum("m"), Job: sum("j"), Issued: 1, Expires: 2, HandOvers: chain,
	}, s.brokers[by].Signer)
	if err != nil {
		s.t.Fatal(err)
	}
	return signed
}

func TestHandOver(t *testing.T) {
	s := newSuccession(t, 3)
	for n := range len(s.brokers) {
		v, key, err := s.voice().Challenge(s.challenge(n, s.chain[:n]))
		if err != nil || !key.Equal(s.brokers[n].Public()) || v.Predicate.Nonce.IsZero() {
			t.Errorf("after %d hand-overs: %v", n, err)
		}
	}
}

// TestHandOverByAnother: only the manifest's owner hands over, from the key that speaks, each time once and later.
func TestHandOverByAnother(t *testing.T) {
	s := newSuccession(t, 3)
	stranger := statementtest.NewKey(t, envelope.RoleOwner)
	for name, c := range map[string]struct {
		by    int
		chain [][]byte
	}{
		"nobody handed over":        {1, nil},
		"a stranger handed over":    {1, [][]byte{s.handOver(stranger, 0, 1, 1)}},
		"one is left out":           {3, [][]byte{s.chain[0], s.chain[2]}},
		"from another key":          {2, [][]byte{s.handOver(s.owner, 1, 2, 1)}},
		"the old key after it":      {0, s.chain[:1]},
		"out of order":              {2, [][]byte{s.chain[1], s.chain[0]}},
		"earlier than before":       {2, [][]byte{s.chain[0], s.handOver(s.owner, 1, 2, 1)}},
		"not a hand-over":           {1, [][]byte{s.challenge(1, nil)}},
		"garbage":                   {1, [][]byte{[]byte("{}")}},
		"too large":                 {1, [][]byte{make([]byte, grant.MaxHandOver+1)}},
		"more than anybody follows": {1, make([][]byte, grant.MaxHandOvers+1)},
	} {
		if _, key, err := s.voice().Challenge(s.challenge(c.by, c.chain)); err == nil || !key.IsZero() {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := (grant.Voice{}).Speaker(nil); !errors.Is(err, grant.ErrInvalid) {
		t.Errorf("zero voice: %v", err)
	}
}
