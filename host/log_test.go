// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"connectrpc.com/connect"

	pb "github.com/glovebox-dev/glovebox/host/api/glovebox/v1"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/tlog"
)

func mustSign[P any](t *testing.T) func(signed []byte, id envelope.Digest, err error) ([]byte, envelope.Digest) {
	return func(signed []byte, id envelope.Digest, err error) ([]byte, envelope.Digest) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return signed, id
	}
}

// grantRecord is a grant for the world's dataset, signed by s.
func (w *world) grantRecord(s *envelope.Signer) ([]byte, envelope.Digest) {
	w.t.Helper()
	return mustSign[grant.Grant](w.t)(grant.Sign(testGrant(envelope.Sum([]byte("job")), w.data.ID), s))
}

func (w *world) leaseLost(g envelope.Digest, manifest envelope.Digest, s *envelope.Signer) []byte {
	w.t.Helper()
	some := envelope.Sum([]byte("some"))
	b, _ := mustSign[grant.LeaseLost](w.t)(grant.Sign(&grant.LeaseLost{
		Binding: some, Grant: g, Job: envelope.Sum([]byte("job")), Manifest: manifest, Attempt: 1, Reason: grant.LostSilent,
		Sequence: 2, Previous: &some, Time: 1,
	}, s))
	return b
}

func (w *world) published() {
	w.t.Helper()
	eventually(w.t, "published", func() bool {
		n, err := w.h.seq.unpublished(context.Background())
		return err == nil && n == 0
	})
}

func TestRecordIsLoggedAndProven(t *testing.T) {
	w := newWorld(t, anywhere, nil)
	ctx := context.Background()
	b, id := w.grantRecord(w.broker)
	for range 3 {
		if err := w.c.AppendRecord(ctx, b, w.broker.Public()); err != nil {
			t.Fatal(err)
		}
	}
	w.published()
	r, err := w.c.Log.Inclusion(ctx, connect.NewRequest(&pb.InclusionRequest{Entry: &pb.InclusionRequest_Statement{Statement: id.String()}}))
	if err != nil {
		t.Fatal(err)
	}
	want, err := tlog.Body(b, w.broker.Public())
	if err != nil || !bytes.Equal(r.Msg.Body, want) {
		t.Fatalf("body %s, %v", r.Msg.Body, err)
	}
	p := tlog.Proof{Index: r.Msg.Index, Size: r.Msg.Size, Checkpoint: string(r.Msg.Checkpoint)}
	for _, h := range r.Msg.Hashes {
		p.Hashes = append(p.Hashes, envelope.Digest(h))
	}
	cp, err := w.c.Log.Checkpoint(ctx, connect.NewRequest(&pb.CheckpointRequest{}))
	if err != nil {
		t.Fatal(err)
	}
	log, err := tlog.NewLog(cp.Msg.Verifier)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := log.VerifyInclusion(want, p); err != nil {
		t.Fatal(err)
	}
	if p.Size != 1 {
		t.Errorf("the log has %d entries for one record", p.Size)
	}
	recs, err := w.c.Records(ctx, false)
	if err != nil || len(recs) != 1 || !recs[0].Published || !bytes.Equal(recs[0].Signed, b) || recs[0].Signer != w.broker.Public().String() {
		t.Fatalf("%v, %v", recs, err)
	}
}

func TestRecordRefused(t *testing.T) {
	w := newWorld(t, anywhere, nil)
	ctx := context.Background()
	good, _ := w.grantRecord(w.broker)
	stranger := signer(t, envelope.RoleBroker)
	strangers, _ := w.grantRecord(stranger)
	elsewhere, _ := mustSign[grant.Grant](t)(grant.Sign(testGrant(envelope.Sum([]byte("j")), envelope.Sum([]byte("unpublished"))), w.broker))
	challenge, _ := mustSign[grant.Challenge](t)(grant.Sign(&grant.Challenge{
		Nonce: envelope.NewNonce(), Audience: w.broker.Public(), Manifest: w.data.ID, Job: w.data.ID, Issued: 1, Expires: 2,
	}, w.broker))
	for name, c := range map[string]struct {
		record []byte
		key    envelope.PublicKey
		code   connect.Code
	}{
		"another key than signed":     {good, stranger.Public(), connect.CodeInvalidArgument},
		"not the package's broker":    {strangers, stranger.Public(), connect.CodePermissionDenied},
		"about an unknown package":    {elsewhere, w.broker.Public(), connect.CodeNotFound},
		"of a type that is no record": {challenge, w.broker.Public(), connect.CodeInvalidArgument},
		"oversize":                    {bytes.Repeat([]byte{' '}, maxRecord+1), w.broker.Public(), connect.CodeInvalidArgument},
		"empty":                       {nil, w.broker.Public(), connect.CodeInvalidArgument},
		"a manifest":                  {w.data.Signed, w.broker.Public(), connect.CodeInvalidArgument},
		"flipped":                     {bytes.Replace(good, []byte(`"sig":"`), []byte(`"sig":"A`), 1), w.broker.Public(), connect.CodeInvalidArgument},
	} {
		t.Run(name, func(t *testing.T) {
			if err := w.c.AppendRecord(ctx, c.record, c.key); connect.CodeOf(err) != c.code {
				t.Fatalf("got %v, want %v", err, c.code)
			}
		})
	}
	if recs, err := w.c.Records(ctx, false); err != nil || len(recs) != 0 {
		t.Fatalf("%v, %v", recs, err)
	}
	_, err := w.c.Log.AppendRecord(ctx, connect.NewRequest(&pb.AppendRecordRequest{Record: good, Broker: "did:key:zNobody"}))
	wantCode(t, err, connect.CodeInvalidArgument)
}

func TestOpenGrants(t *testing.T) {
	w := newWorld(t, anywhere, nil)
	ctx := context.Background()
	a, aid := w.grantRecord(w.broker)
	b, bid := w.grantRecord(w.broker)
	for _, r := range [][]byte{a, b} {
		if err := w.c.AppendRecord(ctx, r, w.broker.Public()); err != nil {
			t.Fatal(err)
		}
	}
	// Another owner's broker, whose package is published too, must not hide this one's grants.
	other := signer(t, envelope.RoleBroker)
	w.broker, other = other, w.broker
	theirs := w.pack("dataset", "theirs", anywhere)
	w.broker, other = other, w.broker
	w.publish(theirs)
	if err := w.c.AppendRecord(ctx, w.leaseLost(aid, theirs.ID, other), other.Public()); err != nil {
		t.Fatal(err)
	}
	open := func() (out []string) {
		recs, err := w.c.Records(ctx, true)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range recs {
			out = append(out, r.Statement)
		}
		return out
	}
	if got := open(); len(got) != 2 {
		t.Fatalf("open grants %v, want both", got)
	}
	if err := w.c.AppendRecord(ctx, w.leaseLost(aid, w.data.ID, w.broker), w.broker.Public()); err != nil {
		t.Fatal(err)
	}
	if got := open(); len(got) != 1 || got[0] != bid.String() {
		t.Fatalf("open grants %v, want %s", got, bid)
	}
}

func TestUsageClosesItsGrants(t *testing.T) {
	w := newWorld(t, anywhere, always("good"))
	id := w.submit(nil)
	w.wait(id)
	var n int
	if err := w.h.db.read.QueryRow(`SELECT count(*) FROM closed_grants WHERE signer = ''`).Scan(&n); err != nil || n != 2 {
		t.Fatalf("%d grants are accounted for, want 2: %v", n, err)
	}
	for q, want := range map[*pb.ListRecordsRequest]int{
		{Job: id.String()}: 1, {Type: envelope.UsageType}: 1, {Type: envelope.GrantType}: 0, {Job: w.data.ID.String()}: 0,
		{Job: id.String(), OpenGrants: true}: 0,
	} {
		r, err := w.c.Log.ListRecords(context.Background(), connect.NewRequest(q))
		if err != nil || len(r.Msg.Records) != want {
			t.Errorf("%v: %v, %v", q, r, err)
		}
	}
}

func TestRecordsAreRateBounded(t *testing.T) {
	r := rateLimit{perSecond: 10, burst: 5}
	now := time.Unix(1, 0)
	count := func(key string) (n int) {
		for range 100 {
			if r.allow(key, now) {
				n++
			}
		}
		return n
	}
	if got := count("a"); got != 5 {
		t.Errorf("%d at once", got)
	}
	if got := count("b"); got != 5 {
		t.Errorf("%d for another broker", got)
	}
	now = now.Add(300 * time.Millisecond)
	if got := count("a"); got != 3 {
		t.Errorf("%d after 300 ms", got)
	}
	now = now.AddDate(-1, 0, 0)
	if got := count("a"); got != 0 {
		t.Errorf("%d after the clock jumped back", got)
	}
}

func TestLogPages(t *testing.T) {
	w := newWorld(t, anywhere, nil)
	ctx := context.Background()
	n := 300 // more than one entry bundle and one batch
	if testing.Short() {
		n = 30
	}
	for range n {
		b, _ := w.grantRecord(w.broker)
		if err := w.c.AppendRecord(ctx, b, w.broker.Public()); err != nil {
			t.Fatal(err)
		}
	}
	w.published()
	recs, err := w.c.Records(ctx, false)
	if err != nil || len(recs) != n {
		t.Fatalf("%d records, %v", len(recs), err)
	}
	var bodies [][]byte
	for len(bodies) < n {
		r, err := w.c.Log.Entries(ctx, connect.NewRequest(&pb.EntriesRequest{First: int64(len(bodies)), Count: 77}))
		if err != nil || r.Msg.Size != int64(n) || len(r.Msg.Bodies) == 0 {
			t.Fatalf("entries from %d: %v, %v", len(bodies), r, err)
		}
		bodies = append(bodies, r.Msg.Bodies...)
	}
	for _, r := range recs {
		want, err := tlog.Body(r.Signed, w.broker.Public())
		if err != nil || !bytes.Equal(bodies[r.Index], want) {
			t.Fatalf("entry %d is not its record's: %v", r.Index, err)
		}
	}
	if _, err := w.c.Log.Entries(ctx, connect.NewRequest(&pb.EntriesRequest{First: 0, Count: 100_000})); connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Error(err)
	}
	if _, err := w.c.Log.Inclusion(ctx, connect.NewRequest(&pb.InclusionRequest{Entry: &pb.InclusionRequest_Index{Index: int64(n)}})); connect.CodeOf(err) != connect.CodeNotFound {
		t.Error(err)
	}
	if _, err := w.c.Log.Inclusion(ctx, connect.NewRequest(&pb.InclusionRequest{})); connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Error(err)
	}
}

// The host was killed after entries went into the log and before it noted where.
func TestKilledBetweenLogAndDatabase(t *testing.T) {
	w := newWorld(t, anywhere, always("good"))
	ctx := context.Background()
	id := w.submit(nil)
	w.wait(id)
	b, _ := w.grantRecord(w.broker)
	if err := w.c.AppendRecord(ctx, b, w.broker.Public()); err != nil {
		t.Fatal(err)
	}
	w.published()
	run := w.runOf(id)
	if err := w.h.db.update(ctx, func(tx *sql.Tx) error {
		_, err := tx.Exec(`UPDATE records SET idx = NULL`)
		if err == nil {
			_, err = tx.Exec(`UPDATE jobs SET state = ?, run = ?`, StatePublishing, run)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	w.stop()
	results := filepath.Join(w.cfg.Dir, resultsDir)
	if err := os.Remove(w.h.bundlePath(id)); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(w.h.results.path(id), filepath.Join(results, id.Hex()+".1"+sealedSuffix)); err != nil {
		t.Fatal(err)
	}
	for _, junk := range []string{id.Hex() + ".1.part", "x.7.sealed"} {
		if err := os.WriteFile(filepath.Join(results, junk), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.open()
	j, _ := w.wait(id)
	if j.State != StateCompleted {
		t.Fatalf("%v", j)
	}
	if _, err := w.c.Bundle(ctx, id); err != nil {
		t.Error(err)
	}
	only(t, results, id.Hex()+resultSuffix)
	w.published()
	if _, size, err := w.h.seq.checkpoint(ctx); err != nil || size != 2 {
		t.Fatalf("the log has %d entries for two records, %v", size, err)
	}
}

// runOf rebuilds what the database kept of a run before its bundle was made.
func (w *world) runOf(id envelope.Digest) []byte {
	w.t.Helper()
	var signed []byte
	if err := w.h.db.read.QueryRow(`SELECT signed FROM records WHERE job = ?`, id[:]).Scan(&signed); err != nil {
		w.t.Fatal(err)
	}
	b, err := w.c.Bundle(context.Background(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return keptOf(w.t, signed, b)
}

func TestLogKey(t *testing.T) {
	w := newWorld(t, anywhere, nil)
	key := filepath.Join(w.cfg.Dir, logKeyFile)
	if st, err := os.Stat(key); err != nil || st.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", st.Mode(), err)
	}
	root, err := os.ReadFile(filepath.Join(w.cfg.Dir, rootFile))
	if err != nil {
		t.Fatal(err)
	}
	vkey := w.h.seq.vkey
	w.restart()
	if w.h.seq.vkey != vkey {
		t.Error("the key changed in a restart")
	}
	if again, err := os.ReadFile(filepath.Join(w.cfg.Dir, rootFile)); err != nil || !bytes.Equal(root, again) {
		t.Errorf("the trusted root changed in a restart: %v", err)
	}
	w.stop()
	open := func(cfg Config) error {
		h, err := New(context.Background(), cfg)
		if err == nil {
			h.Close()
		}
		return err
	}
	moved := w.cfg
	moved.Origin = "other.test"
	if err := open(moved); !errors.Is(err, ErrConfig) {
		t.Errorf("another origin: %v", err)
	}
	if err := os.Chmod(key, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := open(w.cfg); !errors.Is(err, envelope.ErrKeyMode) {
		t.Errorf("a key that others can read: %v", err)
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	if err := open(w.cfg); !errors.Is(err, ErrConfig) {
		t.Errorf("a log without its key: %v", err)
	}
}

func TestLogFiles(t *testing.T) {
	w := newWorld(t, anywhere, nil)
	b, _ := w.grantRecord(w.broker)
	if err := w.c.AppendRecord(context.Background(), b, w.broker.Public()); err != nil {
		t.Fatal(err)
	}
	w.published()
	for path, want := range map[string]int{
		"/log/checkpoint": 200, "/log/tile/0/000.p/1": 200, "/log/tile/entries/000.p/1": 200, "/healthz": 200,
		"/log/": 404, "/log/tile/": 404, "/log/tile/0/": 404, "/log/.state/treeState": 404, "/log/../host.db": 404,
		"/log/tile/../.state/treeState": 404, "/log/tile/%2e%2e/.state/treeState": 404, "/host.db": 404,
	} {
		r, err := http.Get(w.srv.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, r.Body)
		r.Body.Close()
		if r.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, r.StatusCode, want)
		}
	}
}

func TestEmptyLog(t *testing.T) {
	w := newWorld(t, anywhere, nil)
	st, err := w.c.Status(context.Background())
	if err != nil || st.LogSize != 0 || st.LogPending != 0 || st.Manifests != 2 || st.LogOrigin != "log.test" || st.DiskFree < 1 {
		t.Fatalf("%v, %v", st, err)
	}
	r, err := w.c.Log.Entries(context.Background(), connect.NewRequest(&pb.EntriesRequest{First: 0, Count: 1}))
	if err != nil || len(r.Msg.Bodies) != 0 {
		t.Fatalf("%v, %v", r, err)
	}
}
