// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"testing"

	"connectrpc.com/connect"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// owned publishes a dataset of an owner whose key the test has.
func (w *world) owned(name string) *dataset.Packed {
	w.t.Helper()
	w.owner = signer(w.t, envelope.RoleOwner)
	p := w.pack(dataset.KindDataset, name, anywhere)
	w.publish(p)
	return p
}

func (w *world) handOver(from, to, by *envelope.Signer, time int64) []byte {
	w.t.Helper()
	signed, _ := mustSign[grant.HandOver](w.t)(grant.Sign(&grant.HandOver{Old: from.Public(), New: to.Public(), Reason: "rotation", Time: time}, by))
	return signed
}

// granted is a grant for a package, by a broker that was handed over.
func (w *world) granted(manifest envelope.Digest, by *envelope.Signer, handOvers ...[]byte) ([]byte, envelope.Digest) {
	w.t.Helper()
	g := testGrant(envelope.Sum([]byte("job")), manifest)
	g.HandOvers = handOvers
	return mustSign[grant.Grant](w.t)(grant.Sign(g, by))
}

// committed is a commit for a grant.
func (w *world) committed(g, manifest envelope.Digest, by *envelope.Signer) []byte {
	w.t.Helper()
	some := envelope.Sum([]byte("some"))
	signed, _ := mustSign[grant.Commit](w.t)(grant.Sign(&grant.Commit{
		Binding: some, Grant: g, Job: envelope.Sum([]byte("job")), Manifest: manifest, Usage: some, Outcome: "completed", Currency: "EUR", Sequence: 1, Time: 1,
	}, by))
	return signed
}

// TestRotatedBrokerLogs: a key that the owner handed over to logs like the one that the manifest pins, also after a restart.
// Nobody else's does.
func TestRotatedBrokerLogs(t *testing.T) {
	w := newWorld(t, anywhere, nil)
	data := w.owned("rotated")
	owner, second, third := w.owner, signer(t, envelope.RoleBroker), signer(t, envelope.RoleBroker)
	elsewhere := w.owned("elsewhere")
	log := func(record []byte, by *envelope.Signer) error {
		return w.c.AppendRecord(context.Background(), record, by.Public())
	}
	first, next := w.handOver(w.broker, second, owner, 1), w.handOver(second, third, owner, 2)
	stolen := w.handOver(w.broker, second, w.owner, 1) // by the owner of something else
	grantOf := func(manifest envelope.Digest, by *envelope.Signer, handOvers ...[]byte) []byte {
		b, _ := w.granted(manifest, by, handOvers...)
		return b
	}
	some := envelope.Sum([]byte("some"))
	refused := func(when string) {
		t.Helper()
		for name, c := range map[string]struct {
			record []byte
			by     *envelope.Signer
		}{
			"a grant without hand-overs":             {grantOf(data.ID, second), second},
			"a hand-over by somebody else":           {grantOf(data.ID, second, stolen), second},
			"a hand-over to another key":             {grantOf(data.ID, third, first), third},
			"a hand-over from another key":           {grantOf(data.ID, third, next), third},
			"hand-overs out of order":                {grantOf(data.ID, third, next, first), third},
			"a hand-over of another owner's package": {grantOf(elsewhere.ID, second, first), second},
			"a commit on another owner's package":    {w.committed(some, elsewhere.ID, second), second},
			"a commit by a key that never spoke":     {w.committed(some, data.ID, third), third},
		} {
			if err := log(c.record, c.by); connect.CodeOf(err) != connect.CodePermissionDenied {
				t.Errorf("%s, %s: %v", when, name, err)
			}
		}
	}
	refused("before")
	if err := log(w.committed(some, data.ID, second), second); connect.CodeOf(err) != connect.CodePermissionDenied {
		t.Errorf("a commit before the first grant: %v", err)
	}
	b, id := w.granted(data.ID, second, first)
	for range 2 {
		if err := log(b, second); err != nil {
			t.Fatal(err)
		}
	}
	if err := log(w.committed(id, data.ID, second), second); err != nil {
		t.Error(err)
	}
	w.restart()
	if err := log(w.committed(some, data.ID, second), second); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	if err := log(grantOf(data.ID, w.broker), w.broker); err != nil {
		t.Errorf("the pinned key: %v", err)
	}
	refused("after")
	w.published()
}

// TestRotatedBrokerClosesGrants: a loss that the new key signed ends what the old ones granted.
func TestRotatedBrokerClosesGrants(t *testing.T) {
	w := newWorld(t, anywhere, nil)
	ctx := context.Background()
	data := w.owned("rotated")
	second, third := signer(t, envelope.RoleBroker), signer(t, envelope.RoleBroker)
	chain := [][]byte{w.handOver(w.broker, second, w.owner, 1), w.handOver(second, third, w.owner, 2)}
	a, aid := w.granted(data.ID, w.broker)
	b, bid := w.granted(data.ID, second, chain[0])
	some := envelope.Sum([]byte("some"))
	for _, r := range []struct {
		record []byte
		by     *envelope.Signer
	}{{a, w.broker}, {b, second}} {
		if err := w.c.AppendRecord(ctx, r.record, r.by.Public()); err != nil {
			t.Fatal(err)
		}
	}
	for i, id := range []envelope.Digest{aid, bid} {
		lost, _ := mustSign[grant.LeaseLost](t)(grant.Sign(&grant.LeaseLost{
			Binding: some, Grant: id, Job: envelope.Sum([]byte("job")), Manifest: data.ID, Attempt: 1, Reason: grant.LostSilent,
			Sequence: 2, Previous: &some, Time: 1, HandOvers: chain,
		}, third))
		if err := w.c.AppendRecord(ctx, lost, third.Public()); err != nil {
			t.Fatal(err)
		}
		if open, err := w.c.Records(ctx, true); err != nil || len(open) != 1-i {
			t.Errorf("%d open grants after %d losses: %v", len(open), i+1, err)
		}
	}
}
