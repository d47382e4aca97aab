// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"crypto/elliptic"
	"encoding/asn1"
	"math/big"
	"sync"
	"testing"

	"connectrpc.com/connect"

	pb "github.com/glovebox-dev/glovebox/host/api/glovebox/v1"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// malleate gives the other signature that everybody can make from one: s becomes n - s.
func malleate(t *testing.T, signed []byte) []byte {
	t.Helper()
	typ, payload, sig, err := envelope.Parts(signed)
	if err != nil {
		t.Fatal(err)
	}
	var rs struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(sig, &rs); err != nil || len(rest) != 0 {
		t.Fatal(err)
	}
	rs.S.Sub(elliptic.P256().Params().N, rs.S)
	if sig, err = asn1.Marshal(rs); err != nil {
		t.Fatal(err)
	}
	out, err := envelope.Join(typ, payload, sig)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestOneStatementOneEntry: the same statement by the same signer is one entry, however often it is sent, under whichever
// of its signatures, by how many at once, and over a restart.
func TestOneStatementOneEntry(t *testing.T) {
	w := newWorld(t, anywhere, nil)
	ctx := context.Background()
	b, id := w.grantRecord(w.broker)
	variants := [][]byte{b, malleate(t, b)}
	send := func() (created int) {
		var mu sync.Mutex
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				r, err := w.c.Log.AppendRecord(ctx, connect.NewRequest(&pb.AppendRecordRequest{Record: variants[i%2], Broker: w.broker.Public().String()}))
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err != nil:
					t.Error(err)
				case r.Msg.Statement != id.String():
					t.Errorf("statement %s", r.Msg.Statement)
				case r.Msg.Created:
					created++
				}
			})
		}
		wg.Wait()
		return created
	}
	if n := send(); n != 1 {
		t.Errorf("%d of 16 made an entry", n)
	}
	w.published()
	w.restart()
	if n := send(); n != 0 {
		t.Errorf("%d of 16 made an entry after a restart", n)
	}
	w.append()
	if _, size, err := w.h.seq.checkpoint(ctx); err != nil || size != 2 {
		t.Errorf("%d entries of two statements, %v", size, err)
	}
}

// TestKilledWhileAppending: the entries went into the log, and the host died before it noted any of them, again and again.
func TestKilledWhileAppending(t *testing.T) {
	w := newWorld(t, anywhere, nil)
	ctx := context.Background()
	for round := range int64(3) {
		for range 5 {
			b, _ := w.grantRecord(w.broker)
			if err := w.c.AppendRecord(ctx, b, w.broker.Public()); err != nil {
				t.Fatal(err)
			}
		}
		w.published()
		w.stop()
		db, err := openDatabase(ctx, w.cfg.Dir+"/"+databaseFile)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.write.Exec(`UPDATE records SET idx = NULL WHERE idx >= ?`, 5*round+2); err != nil {
			t.Fatal(err)
		}
		if err := db.close(); err != nil {
			t.Fatal(err)
		}
		w.open()
		w.published()
		if _, size, err := w.h.seq.checkpoint(ctx); err != nil || size != 5*(round+1) {
			t.Fatalf("%d entries of %d statements, %v", size, 5*(round+1), err)
		}
	}
}
