// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/door"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// TestCommitsOfARun: those that belong to a package here, by the broker that granted it, are logged; the others are left out.
func TestCommitsOfARun(t *testing.T) {
	w := newWorld(t, anywhere, nil)
	data, stranger, second := w.owned("rotated"), signer(t, envelope.RoleBroker), signer(t, envelope.RoleBroker)
	first := w.handOver(w.broker, second, w.owner, 1)
	pinned, pid := w.granted(data.ID, w.broker)
	rotated, rid := w.granted(data.ID, second, first)
	strangers, sid := w.granted(data.ID, stranger)
	unknown := envelope.Sum([]byte("unknown"))
	elsewhere, eid := w.granted(unknown, w.broker)
	for name, c := range map[string]struct {
		grant, commit []byte
		by            *envelope.Signer // nil: left out
	}{
		"the pinned key's":                 {pinned, w.committed(pid, data.ID, w.broker), w.broker},
		"a rotated key's":                  {rotated, w.committed(rid, data.ID, second), second},
		"none":                             {pinned, nil, nil},
		"a stranger's":                     {strangers, w.committed(sid, data.ID, stranger), nil},
		"a stranger's for another's grant": {pinned, w.committed(pid, data.ID, stranger), nil},
		"the old key's for the new one's":  {rotated, w.committed(rid, data.ID, w.broker), nil},
		"of a package that is not here":    {elsewhere, w.committed(eid, unknown, w.broker), nil},
		"a grant in its place":             {pinned, pinned, nil},
		"garbage":                          {pinned, []byte("{}"), nil},
	} {
		got := w.h.commitRecords(context.Background(), &door.Result{Grants: [][]byte{c.grant}, Commits: [][]byte{c.commit}})
		switch {
		case c.by == nil && len(got) != 0:
			t.Errorf("%s: logged", name)
		case c.by != nil && (len(got) != 1 || !got[0].signer.Equal(c.by.Public()) || got[0].typ != envelope.CommitType):
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := w.h.commitRecords(context.Background(), &door.Result{Commits: [][]byte{w.committed(pid, data.ID, w.broker)}}); len(got) != 0 {
		t.Error("a commit without a grant was logged")
	}
}

// TestBundleWaitsForWitnesses: while they are away, entries are not proven unless the bundle is overdue; once they are back, they are.
func TestBundleWaitsForWitnesses(t *testing.T) {
	a := newFakeWitness(t, "a.test")
	a.misbehave(refuse(http.StatusServiceUnavailable))
	w := newWorld(t, anywhere, witnessed(1, a))
	ctx := context.Background()
	b, id := w.grantRecord(w.broker)
	commit := w.committed(id, w.data.ID, w.broker)
	for _, r := range [][]byte{b, commit} {
		if err := w.c.AppendRecord(ctx, r, w.broker.Public()); err != nil {
			t.Fatal(err)
		}
	}
	w.published()
	again := w.committed(id, w.data.ID, w.broker) // another signature by the same key, or the same
	index, err := w.h.recordIndex(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.h.publicly(ctx, index, false); !errors.Is(err, errUnproven) {
		t.Errorf("witness away: %v", err)
	}
	if _, err := w.h.proofs(ctx, [][]byte{commit}, false); !errors.Is(err, errUnproven) {
		t.Errorf("witness away: %v", err)
	}
	p, err := w.h.publicly(ctx, index, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, names, err := believe(t, 1, a).Cosigned(w.h.seq.log, p.Checkpoint); err == nil {
		t.Errorf("cosigned by %v, who is away", names)
	}
	unknown := w.committed(envelope.Sum([]byte("never logged")), w.data.ID, w.broker)
	list, err := w.h.proofs(ctx, [][]byte{nil, commit, unknown}, true)
	if err != nil || len(list) != 3 || list[0] != nil || list[1] == nil || list[2] != nil {
		t.Errorf("overdue: %v, %v", list, err)
	}
	a.misbehave(nil)
	by := believe(t, 1, a)
	eventually(t, "cosigned", func() bool {
		p, err := w.h.publicly(ctx, index, false)
		return err == nil && p.Validate() == nil
	})
	list, err = w.h.proofs(ctx, [][]byte{commit, nil}, false)
	if err != nil || list[0] == nil || list[1] != nil {
		t.Fatalf("%v, %v", list, err)
	}
	if _, _, err := by.Cosigned(w.h.seq.log, list[0].Checkpoint); err != nil {
		t.Errorf("the witness is back: %v", err)
	}
	if string(again) != string(commit) {
		if list, err = w.h.proofs(ctx, [][]byte{again}, true); err != nil || list[0] != nil {
			t.Errorf("another signature than the logged one is proven: %v, %v", list, err)
		}
	}
}

// TestBundleWaitsForTheLog: a commit that is recorded and not yet in the log is waited for, and then left out.
func TestBundleWaitsForTheLog(t *testing.T) {
	w := newWorld(t, anywhere, nil)
	w.stop()
	ctx := context.Background()
	h, err := New(ctx, w.cfg) // and not run
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	commit := w.committed(envelope.Sum([]byte("g")), w.data.ID, w.broker)
	r, err := parseRecord(commit, w.broker.Public())
	if err != nil {
		t.Fatal(err)
	}
	if err := h.db.update(ctx, func(tx *sql.Tx) error { _, err := r.insert(tx, 1); return err }); err != nil {
		t.Fatal(err)
	}
	if _, err := h.proofs(ctx, [][]byte{commit}, false); !errors.Is(err, errUnproven) {
		t.Errorf("at once: %v", err)
	}
	if list, err := h.proofs(ctx, [][]byte{commit}, true); err != nil || list[0] != nil {
		t.Errorf("overdue: %v, %v", list, err)
	}
}
