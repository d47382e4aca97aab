// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

var (
	manifestA = envelope.Sum([]byte("a"))
	manifestB = envelope.Sum([]byte("b"))
	jobID     = envelope.Sum([]byte("job"))
)

func at(dir string) Config {
	return Config{Path: filepath.Join(dir, "ledger.db"), Head: filepath.Join(dir, "ledger.head"), Lock: filepath.Join(dir, "ledger.lock")}
}

func open(t *testing.T, dir string) *Ledger {
	t.Helper()
	l, err := Open(t.Context(), at(dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func refused(t *testing.T, dir string, want error) {
	t.Helper()
	l, err := Open(t.Context(), at(dir))
	if err == nil {
		l.Close()
	}
	if !errors.Is(err, want) {
		t.Fatalf("Open: %v, want %v", err, want)
	}
}

func signer(t testing.TB) *envelope.Signer {
	s, err := envelope.GenerateSigner(envelope.RoleBroker)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// deny appends a denial, the simplest chained statement; note tells records apart.
func deny(l *Ledger, s *envelope.Signer, manifest envelope.Digest, note string) error {
	return l.Update(context.Background(), func(t *Tx) error {
		sequence, previous, err := t.Next(manifest)
		if err != nil {
			return err
		}
		signed, _, err := grant.Sign(&grant.Denial{
			Job: jobID, Manifest: manifest, Reasons: []grant.Reason{{Rule: "r", Message: note, Satisfy: "s"}},
			Sequence: sequence, Previous: previous, Time: 1,
		}, s)
		if err != nil {
			return err
		}
		return t.Append(manifest, signed, s.Public())
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func records(t *testing.T, l *Ledger) (out []Record) {
	t.Helper()
	must(t, l.Update(t.Context(), func(tx *Tx) (err error) {
		out, err = tx.Records(0, 1<<20)
		return err
	}))
	return out
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	must(t, err)
	must(t, os.WriteFile(to, b, 0o600))
}

// snapshot copies a closed ledger's files.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	copyFile(t, at(dir).Path, at(to).Path)
	copyFile(t, at(dir).Head, at(to).Head)
	return to
}

func TestChainsAreGapless(t *testing.T) {
	dir, s := t.TempDir(), signer(t)
	l := open(t, dir)
	for i := range 6 {
		must(t, deny(l, s, []envelope.Digest{manifestA, manifestB}[i%2], strconv.Itoa(i)))
	}
	must(t, l.Close())
	l = open(t, dir)
	for i, r := range records(t, l) {
		if r.N != int64(i+1) || r.Sequence != int64(i/2+1) {
			t.Errorf("record %d: %+v", i, r)
		}
	}
}

func TestRolledBackLedger(t *testing.T) {
	dir, s := t.TempDir(), signer(t)
	l := open(t, dir)
	must(t, deny(l, s, manifestA, "1"))
	must(t, l.Close())
	old := snapshot(t, dir)
	l = open(t, dir)
	must(t, deny(l, s, manifestA, "2"))
	must(t, l.Close())
	copyFile(t, at(old).Path, at(dir).Path)
	refused(t, dir, ErrRolledBack)
	must(t, os.Remove(at(dir).Path))
	refused(t, dir, ErrRolledBack)
}

// TestRolledBackNonce: state without a record is covered too.
func TestRolledBackNonce(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	n := Nonce{Nonce: envelope.NewNonce(), Manifest: manifestA, Job: jobID, Issued: 1, Expires: 2}
	must(t, l.Update(t.Context(), func(tx *Tx) error { return tx.AddNonce(&n) }))
	must(t, l.Close())
	old := snapshot(t, dir)
	l = open(t, dir)
	must(t, l.Update(t.Context(), func(tx *Tx) error { return tx.UseNonce(n.Nonce, manifestB) }))
	must(t, l.Close())
	copyFile(t, at(old).Path, at(dir).Path)
	refused(t, dir, ErrRolledBack)
}

func TestForkedLedger(t *testing.T) {
	dir, s := t.TempDir(), signer(t)
	l := open(t, dir)
	must(t, deny(l, s, manifestA, "1"))
	must(t, l.Close())
	fork := snapshot(t, dir)
	for d, note := range map[string]string{dir: "this", fork: "that"} {
		l := open(t, d)
		must(t, deny(l, s, manifestA, note))
		must(t, l.Close())
	}
	copyFile(t, at(fork).Path, at(dir).Path)
	refused(t, dir, ErrForked)
}

func TestAnchorMissing(t *testing.T) {
	dir, s := t.TempDir(), signer(t)
	l := open(t, dir)
	must(t, deny(l, s, manifestA, "1"))
	must(t, l.Close())
	must(t, os.Remove(at(dir).Head))
	refused(t, dir, ErrForked)
}

func TestAnchorMalformed(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "no version": `{"digest":null,"revision":0,"sequence":0}`, "other version": `{"digest":null,"revision":0,"sequence":0,"version":2}`,
		"no digest": `{"digest":null,"revision":0,"sequence":1,"version":1}`, "negative": `{"digest":null,"revision":-1,"sequence":0,"version":1}`,
		"unknown field": `{"digest":null,"revision":0,"sequence":0,"version":1,"x":1}`,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			must(t, open(t, dir).Close())
			must(t, os.WriteFile(at(dir).Head, []byte(text), 0o600))
			if l, err := Open(t.Context(), at(dir)); err == nil {
				l.Close()
				t.Error("opened")
			}
		})
	}
}

// TestCrashBeforeAnchor: the database may be ahead of the anchor by what nobody was told.
func TestCrashBeforeAnchor(t *testing.T) {
	dir, s := t.TempDir(), signer(t)
	l := open(t, dir)
	must(t, deny(l, s, manifestA, "1"))
	must(t, l.Close())
	old := snapshot(t, dir)
	l = open(t, dir)
	must(t, deny(l, s, manifestA, "2"))
	must(t, l.Close())
	copyFile(t, at(old).Head, at(dir).Head)
	l = open(t, dir)
	if n := len(records(t, l)); n != 2 {
		t.Errorf("%d records", n)
	}
	must(t, l.Close())
	copyFile(t, at(old).Path, at(dir).Path)
	refused(t, dir, ErrRolledBack) // opening had repaired the anchor
}

func TestTwoBrokersOneLedger(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	refused(t, dir, ErrLocked)
	must(t, l.Close())
	must(t, open(t, dir).Close())
}

// TestTamperedLedger changes the database behind the ledger's back.
func TestTamperedLedger(t *testing.T) {
	for name, query := range map[string]string{
		"record deleted":     `DELETE FROM records WHERE n = 2`,
		"last deleted":       `DELETE FROM records WHERE n = 3`,
		"statement replaced": `UPDATE records SET signed = (SELECT signed FROM records WHERE n = 1) WHERE n = 2`,
		"order swapped":      `UPDATE records SET n = 9 WHERE n = 1; UPDATE records SET n = 1 WHERE n = 2; UPDATE records SET n = 2 WHERE n = 9`,
		"sequence changed":   `UPDATE records SET sequence = 9 WHERE n = 2`,
		"manifest changed":   `UPDATE records SET manifest = x'00' WHERE n = 2`,
		"head changed":       `UPDATE records SET head = zeroblob(32) WHERE n = 2`,
		"digest changed":     `UPDATE records SET digest = zeroblob(32) WHERE n = 2`,
		"key changed":        `UPDATE records SET key = 'x' WHERE n = 2`,
		"place taken away":   `UPDATE records SET manifest = x'', sequence = 0 WHERE n = 3`,
	} {
		t.Run(name, func(t *testing.T) {
			dir, s := t.TempDir(), signer(t)
			l := open(t, dir)
			for i := range 3 {
				must(t, deny(l, s, manifestA, strconv.Itoa(i)))
			}
			_, err := l.conn.ExecContext(t.Context(), query)
			must(t, err)
			must(t, l.Close())
			if l, err := Open(t.Context(), at(dir)); err == nil {
				l.Close()
				t.Error("opened")
			} else if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrRolledBack) && !errors.Is(err, ErrForked) {
				t.Errorf("refused with %v", err)
			}
		})
	}
}

// TestStatementReplaced puts another signed statement in a record's place that says it belongs there.
func TestStatementReplaced(t *testing.T) {
	dir, s := t.TempDir(), signer(t)
	l := open(t, dir)
	must(t, deny(l, s, manifestA, "what was said"))
	other, _, err := grant.Sign(&grant.Denial{
		Job: jobID, Manifest: manifestA, Reasons: []grant.Reason{{Rule: "r", Message: "what was not", Satisfy: "s"}}, Sequence: 1, Time: 1,
	}, s)
	must(t, err)
	_, err = l.conn.ExecContext(t.Context(), `UPDATE records SET signed = ?`, other)
	must(t, err)
	must(t, l.Close())
	refused(t, dir, ErrCorrupt)
}

func TestAppendOutOfPlace(t *testing.T) {
	l, s := open(t, t.TempDir()), signer(t)
	previous := manifestB
	for name, d := range map[string]grant.Denial{
		"gap":            {Manifest: manifestA, Sequence: 2, Previous: &previous},
		"other manifest": {Manifest: manifestB, Sequence: 1},
	} {
		d.Job, d.Reasons, d.Time = jobID, []grant.Reason{{Rule: "r", Message: "m", Satisfy: "s"}}, 1
		signed, _, err := grant.Sign(&d, s)
		must(t, err)
		err = l.Update(t.Context(), func(tx *Tx) error { return tx.Append(manifestA, signed, s.Public()) })
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(records(t, l)); n != 0 {
		t.Errorf("%d records of refused statements", n)
	}
}

func TestFailedUpdateLeavesNothing(t *testing.T) {
	l := open(t, t.TempDir())
	boom := errors.New("boom")
	n := Nonce{Nonce: envelope.NewNonce(), Manifest: manifestA, Job: jobID, Issued: 1, Expires: 2}
	err := l.Update(t.Context(), func(tx *Tx) error {
		must(t, tx.AddNonce(&n))
		return boom
	})
	if !errors.Is(err, boom) {
		t.Fatal(err)
	}
	err = l.Update(t.Context(), func(tx *Tx) error {
		_, err := tx.Nonce(n.Nonce)
		return err
	})
	if !errors.Is(err, ErrNotFound) {
		t.Errorf("the nonce of a failed update: %v", err)
	}
}

// TestFailedUpdateInABatch: of operations that share a transaction, the one that fails leaves nothing and the others
// leave everything.
func TestFailedUpdateInABatch(t *testing.T) {
	l := open(t, t.TempDir())
	boom := errors.New("boom")
	nonces := []Nonce{}
	for range 3 {
		nonces = append(nonces, Nonce{Nonce: envelope.NewNonce(), Manifest: manifestA, Job: jobID, Issued: 1, Expires: 2})
	}
	entered, leave := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		err := l.Update(context.Background(), func(tx *Tx) error {
			close(entered)
			<-leave
			return tx.AddNonce(&nonces[0])
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-entered
	for i, want := range []error{boom, nil} {
		wg.Go(func() {
			err := l.Update(context.Background(), func(tx *Tx) error {
				return errors.Join(tx.AddNonce(&nonces[i+1]), want)
			})
			if !errors.Is(err, want) {
				t.Error(err)
			}
		})
	}
	for len(l.ops) < 2 {
		time.Sleep(time.Millisecond)
	}
	close(leave)
	wg.Wait()
	must(t, l.View(t.Context(), func(tx *Tx) error {
		for i, want := range []error{nil, ErrNotFound, nil} {
			if _, err := tx.Nonce(nonces[i].Nonce); !errors.Is(err, want) {
				t.Errorf("nonce %d: %v", i, err)
			}
		}
		if n, err := tx.Meta(metaRevision); err != nil || n != 1 {
			t.Errorf("%d transactions, %v", n, err)
		}
		return nil
	}))
}

// TestFullDisk lets SQLite run out of pages, as it does when the disk is full.
func TestFullDisk(t *testing.T) {
	dir, s := t.TempDir(), signer(t)
	l := open(t, dir)
	var pages int
	must(t, l.conn.QueryRowContext(t.Context(), `PRAGMA page_count`).Scan(&pages))
	_, err := l.conn.ExecContext(t.Context(), fmt.Sprintf(`PRAGMA max_page_count = %d`, pages+8))
	must(t, err)
	n := 0
	for err = nil; err == nil && n < 1000; n++ {
		err = deny(l, s, manifestA, strings.Repeat("x", 2000))
	}
	if !errors.Is(err, ErrWrite) {
		t.Fatalf("after %d records: %v", n, err)
	}
	_, err = l.conn.ExecContext(t.Context(), `PRAGMA max_page_count = 1000000`)
	must(t, err)
	must(t, deny(l, s, manifestA, "room again"))
	if got := len(records(t, l)); got != n {
		t.Errorf("%d records, want %d", got, n)
	}
	must(t, l.Close())
	must(t, open(t, dir).Close())
}

// TestAnchorCannotBeWritten: what is not anchored is not acknowledged, and nothing else is until it is.
func TestAnchorCannotBeWritten(t *testing.T) {
	dir, s := t.TempDir(), signer(t)
	cfg := at(dir)
	sub := filepath.Join(dir, "anchor")
	must(t, os.Mkdir(sub, 0o700))
	cfg.Head = filepath.Join(sub, "head")
	l, err := Open(t.Context(), cfg)
	must(t, err)
	defer l.Close()
	must(t, deny(l, s, manifestA, "1"))
	must(t, os.Rename(sub, sub+".away"))
	if err := deny(l, s, manifestA, "2"); !errors.Is(err, ErrWrite) {
		t.Fatalf("without an anchor: %v", err)
	}
	if err := l.Update(t.Context(), func(*Tx) error { return nil }); !errors.Is(err, ErrWrite) {
		t.Errorf("reading what is not anchored: %v", err)
	}
	must(t, os.Rename(sub+".away", sub))
	must(t, deny(l, s, manifestA, "3"))
	if n := len(records(t, l)); n != 3 {
		t.Errorf("%d records", n)
	}
}

func TestConcurrentUpdates(t *testing.T) {
	dir, s := t.TempDir(), signer(t)
	l := open(t, dir)
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			if err := deny(l, s, manifestA, strconv.Itoa(i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	must(t, l.Close())
	if n := len(records(t, open(t, dir))); n != 64 {
		t.Errorf("%d records", n)
	}
}

func TestClosed(t *testing.T) {
	l := open(t, t.TempDir())
	must(t, l.Close())
	must(t, l.Close())
	if err := l.Update(t.Context(), func(*Tx) error { return nil }); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

func TestAccountOverflow(t *testing.T) {
	l := open(t, t.TempDir())
	for _, a := range []Account{{Reserved: -1}, {Charged: 1 << 60}} {
		if err := l.Update(t.Context(), func(tx *Tx) error { return tx.SetAccount(manifestA, jobID, a) }); !errors.Is(err, ErrOverflow) {
			t.Errorf("%+v: %v", a, err)
		}
	}
	must(t, l.Update(t.Context(), func(tx *Tx) error {
		must(t, tx.SetAccount(manifestA, jobID, Account{Reserved: 1<<53 - 1}))
		return tx.SetAccount(manifestB, jobID, Account{Charged: 1<<53 - 1})
	}))
	err := l.Update(t.Context(), func(tx *Tx) error {
		_, err := tx.Committed(jobID, envelope.Sum([]byte("c")))
		return err
	})
	if !errors.Is(err, ErrOverflow) {
		t.Errorf("sum: %v", err)
	}
}

const childVariable = "GLOVEBOX_LEDGER_CHILD"

// TestMain turns the test binary into the victim of TestKillAtAnyPoint.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childVariable); dir != "" {
		child(dir)
	}
	if dir := os.Getenv(fullVariable); dir != "" {
		fullChild(dir)
	}
	os.Exit(m.Run())
}

// child appends records for ever and names each one that was acknowledged.
func child(dir string) {
	l, err := Open(context.Background(), at(dir))
	if err != nil {
		fmt.Println("open:", err)
		os.Exit(1)
	}
	s, err := envelope.GenerateSigner(envelope.RoleBroker)
	if err != nil {
		os.Exit(1)
	}
	for i := 0; ; i++ {
		if err := deny(l, s, manifestA, strconv.Itoa(i)); err != nil {
			fmt.Println("deny:", err)
			os.Exit(1)
		}
		fmt.Println("ok")
	}
}

// TestKillAtAnyPoint kills a writer with SIGKILL again and again: nothing acknowledged is lost, and the ledger opens.
func TestKillAtAnyPoint(t *testing.T) {
	dir, acknowledged := t.TempDir(), 0
	for round := range 8 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childVariable+"="+dir)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		lines := bufio.NewScanner(out)
		for i := 0; i <= round && lines.Scan(); i++ {
			if lines.Text() != "ok" {
				t.Fatalf("child: %s", lines.Text())
			}
			acknowledged++
		}
		time.Sleep(time.Duration(round*3) * time.Millisecond)
		must(t, cmd.Process.Kill())
		for lines.Scan() {
			if lines.Text() == "ok" {
				acknowledged++
			}
		}
		io.Copy(io.Discard, out) //nolint:errcheck // drained
		cmd.Wait()               //nolint:errcheck // it was killed
		l := open(t, dir)
		if n := len(records(t, l)); n < acknowledged {
			t.Fatalf("round %d: %d records, %d were acknowledged", round, n, acknowledged)
		}
		must(t, l.Close())
	}
}
