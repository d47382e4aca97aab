// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"github.com/glovebox-dev/glovebox/broker/ledger/privacy"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// filled is a closed ledger with some of everything, and the state to find in it again.
func filled(t *testing.T, dir string) string {
	t.Helper()
	l, s, buyer := open(t, dir), signer(t), signer(t).Public()
	for i := range 12 {
		lease := newLease(manifestA, newDigest(), buyer)
		update(t, l, func(tx *Tx) error {
			must(t, tx.SetAccount(manifestA, lease.Job, Account{Reserved: 5}))
			return addGrant(tx, s, lease)
		})
		if i%3 == 0 {
			continue
		}
		update(t, l, func(tx *Tx) error { return commitLease(tx, s, lease, 4) })
	}
	for range 3 {
		_, _, err := reserve(l, t, people, buyer, privacy.Cost{Pure: 100_000_000})
		must(t, err)
	}
	state := stateOf(t, l)
	must(t, l.Close())
	return state
}

// commitLease ends a lease as a commit does.
func commitLease(tx *Tx, s *envelope.Signer, l *Lease, amount int64) error {
	sequence, previous, err := tx.Next(l.Manifest)
	if err != nil {
		return err
	}
	usage := newDigest()
	signed, _, err := grant.Sign(&grant.Commit{
		Binding: l.Binding, Grant: l.Grant, Job: l.Job, Manifest: l.Manifest, Usage: usage, Outcome: "completed", Amount: amount,
		Currency: "EUR", Sequence: sequence, Previous: previous, Time: 2,
	}, s)
	if err != nil {
		return err
	}
	if err := tx.Append(l.Manifest, signed, s.Public()); err != nil {
		return err
	}
	if err := tx.SetAccount(l.Manifest, l.Job, Account{Charged: amount, Used: true}); err != nil {
		return err
	}
	l.State, l.Usage, l.Commit = Completed, &usage, signed
	return tx.SetLease(l)
}

// stateOf is what must not be lost: records, leases, charges, uses and privacy.
func stateOf(t *testing.T, l *Ledger) string {
	t.Helper()
	var b strings.Builder
	view(t, l, func(tx *Tx) error {
		list, err := tx.Records(0, 1<<20)
		must(t, err)
		for _, r := range list {
			fmt.Fprintln(&b, r.N, r.Digest)
			if lease, err := tx.Lease(r.Digest); err == nil {
				a, err := tx.Account(lease.Manifest, lease.Job)
				must(t, err)
				fmt.Fprintln(&b, lease.State, a.Charged, a.Used)
			}
		}
		n, err := tx.Uses(manifestA, jobID)
		must(t, err)
		sum, err := tx.PopulationSum(people.Name, nil)
		must(t, err)
		fmt.Fprintln(&b, n, sum.Releases, sum.Pure)
		return nil
	})
	return b.String()
}

func typed(err error) bool {
	for _, target := range []error{ErrCorrupt, ErrRolledBack, ErrForked, ErrVersion} {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

// intactOrRefused opens a damaged ledger: it is refused with a reason, or nothing is missing.
func intactOrRefused(t *testing.T, dir, what, want string) (refused bool) {
	t.Helper()
	l, err := Open(t.Context(), at(dir))
	if err != nil {
		if !typed(err) {
			t.Errorf("%s: %v", what, err)
		}
		return true
	}
	defer l.Close()
	var got string
	if err := l.Update(t.Context(), func(*Tx) error { return nil }); err == nil {
		got = stateOf(t, l)
	}
	if got != want {
		t.Errorf("%s: opened, and something is lost:\n%s\nwant:\n%s", what, got, want)
	}
	return false
}

func TestLedgerTruncated(t *testing.T) {
	dir := t.TempDir()
	want := filled(t, dir)
	whole, err := os.ReadFile(at(dir).Path)
	must(t, err)
	for _, size := range []int{0, 1, 99, 100, 4095, 4096, 8192, len(whole) / 2, len(whole) - 4096, len(whole) - 1} {
		must(t, os.WriteFile(at(dir).Path, whole[:size], 0o600))
		if !intactOrRefused(t, dir, fmt.Sprintf("%d of %d bytes", size, len(whole)), want) && size < len(whole)-4096 {
			t.Errorf("opened with %d of %d bytes", size, len(whole))
		}
	}
}

func TestLedgerFlippedBits(t *testing.T) {
	dir := t.TempDir()
	want := filled(t, dir)
	whole, err := os.ReadFile(at(dir).Path)
	must(t, err)
	head, err := os.ReadFile(at(dir).Head)
	must(t, err)
	r, refusals, rounds := rand.New(rand.NewPCG(3, 4)), 0, 150
	if testing.Short() {
		rounds = 30
	}
	for range rounds {
		spoiled := append([]byte(nil), whole...)
		i := r.IntN(len(whole))
		spoiled[i] ^= byte(1 << r.IntN(8))
		must(t, os.WriteFile(at(dir).Path, spoiled, 0o600))
		must(t, os.WriteFile(at(dir).Head, head, 0o600))
		if intactOrRefused(t, dir, fmt.Sprintf("byte %d", i), want) {
			refusals++
		}
	}
	if refusals == 0 {
		t.Error("no flip was noticed")
	}
	t.Logf("%d of %d flips were noticed, the others hit nothing that counts", refusals, rounds)
}

// TestTamperedAccounts changes what follows from the records, consistently, behind the ledger's back.
func TestTamperedAccounts(t *testing.T) {
	dir := t.TempDir()
	filled(t, dir)
	const ended = `SELECT job FROM leases WHERE state = 'completed' LIMIT 1`
	for name, query := range map[string]string{
		"grant without lease": `DELETE FROM progress WHERE n = 1; CREATE TABLE gone AS SELECT job FROM leases WHERE n = 1; DELETE FROM leases WHERE n = 1;
			UPDATE accounts SET used = 0, live = 0 WHERE job IN (SELECT job FROM gone); DELETE FROM accounts WHERE job IN (SELECT job FROM gone)`,
		"ended lease revived": `UPDATE accounts SET live = 1 WHERE job IN (` + ended + `); UPDATE leases SET state = 'live' WHERE job IN (` + ended + `)`,
		"charge lowered":      `UPDATE accounts SET charged = 1 WHERE job IN (` + ended + `)`,
		"use taken back":      `UPDATE accounts SET used = 0 WHERE job IN (` + ended + `)`,
		"counter lowered":     `UPDATE uses SET n = n - 1`,
		"counter deleted":     `DELETE FROM uses`,
		"account deleted":     `DELETE FROM accounts WHERE job IN (` + ended + `)`,
		"progress deleted":    `DELETE FROM progress WHERE n = 2`,
		"another's account":   `UPDATE accounts SET used = 0, live = 0; UPDATE accounts SET buyer = 'x'`,
		"nonces uncounted":    `INSERT INTO nonces VALUES (x'01', x'02', x'03', 1, 2, NULL); DELETE FROM outstanding`,
	} {
		t.Run(name, func(t *testing.T) {
			spoiled := t.TempDir()
			copyFile(t, at(dir).Path, at(spoiled).Path)
			copyFile(t, at(dir).Head, at(spoiled).Head)
			db, err := openDB(at(spoiled).Path, "")
			must(t, err)
			_, err = db.ExecContext(t.Context(), query)
			must(t, errors.Join(err, db.Close()))
			refused(t, spoiled, ErrCorrupt)
		})
	}
}

func TestNotADatabase(t *testing.T) {
	dir := t.TempDir()
	filled(t, dir)
	must(t, os.WriteFile(at(dir).Path, []byte(strings.Repeat("this is no database\n", 1000)), 0o600))
	refused(t, dir, ErrCorrupt)
}

// TestLockedByAnotherProgram: something else holds the database, without the lock file.
func TestLockedByAnotherProgram(t *testing.T) {
	dir, s := t.TempDir(), signer(t)
	l := open(t, dir)
	_, err := l.conn.ExecContext(t.Context(), `PRAGMA busy_timeout = 20`)
	must(t, err)
	other, err := openDB(at(dir).Path, "_txlock=immediate")
	must(t, err)
	defer other.Close()
	tx, err := other.BeginTx(t.Context(), nil)
	must(t, err)
	if err := deny(l, s, manifestA, "1"); !errors.Is(err, ErrBusy) {
		t.Errorf("locked: %v", err)
	}
	must(t, tx.Rollback())
	must(t, deny(l, s, manifestA, "2"))
	if n := len(records(t, l)); n != 1 {
		t.Errorf("%d records", n)
	}
}

func TestClockJumpsBack(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	now := int64(1_800_000_000_000)
	clock := func(now int64) error {
		return l.Update(t.Context(), func(tx *Tx) error { return tx.Clock(now, 120_000) })
	}
	must(t, clock(now))
	must(t, clock(now-119_000))
	if err := clock(now - 121_000); !errors.Is(err, ErrClock) {
		t.Errorf("two minutes back: %v", err)
	}
	must(t, l.Close())
	l = open(t, dir)
	if err := clock(now - 86_400_000); !errors.Is(err, ErrClock) {
		t.Errorf("a day back, after a restart: %v", err)
	}
	must(t, clock(now+5))
	n := Nonce{Nonce: envelope.NewNonce(), Manifest: manifestA, Job: jobID, Issued: now, Expires: now + 1000}
	update(t, l, func(tx *Tx) error { return tx.AddNonce(&n) })
	update(t, l, func(tx *Tx) error {
		_, err := tx.PruneNonces(manifestA, now-86_400_000)
		return err
	})
	view(t, l, func(tx *Tx) error {
		_, err := tx.Nonce(n.Nonce)
		return err
	})
}

const fullVariable = "GLOVEBOX_LEDGER_FULL"

// fullChild writes until no file may grow any more, and goes on when it may again.
func fullChild(dir string) {
	signal.Ignore(syscall.SIGXFSZ)
	l, err := Open(context.Background(), at(dir))
	if err != nil {
		fmt.Println("open:", err)
		os.Exit(1)
	}
	s, err := envelope.GenerateSigner(envelope.RoleBroker)
	if err != nil {
		os.Exit(1)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		os.Exit(1)
	}
	tight := limit
	tight.Cur = 300_000
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &tight); err != nil {
		os.Exit(1)
	}
	failures := 0
	for i := 0; i < 4000 && failures < 3; i++ {
		switch err := deny(l, s, manifestA, strings.Repeat("x", 2000)); {
		case err == nil:
			fmt.Println("ok")
		case errors.Is(err, ErrWrite):
			failures++
			fmt.Println("full")
		default:
			fmt.Println("other:", err)
			os.Exit(1)
		}
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		os.Exit(1)
	}
	for range 5 {
		if err := deny(l, s, manifestA, "room again"); err != nil {
			fmt.Println("after:", err)
			os.Exit(1)
		}
		fmt.Println("ok")
	}
	os.Exit(0) // as if killed: nothing is closed
}

// TestDiskFills: a process whose files may not grow gets typed errors, loses nothing it was told is there, and goes on
// when there is room.
func TestDiskFills(t *testing.T) {
	dir := t.TempDir()
	must(t, open(t, dir).Close())
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fullVariable+"="+dir)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	ok, full := 0, 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		switch lines.Text() {
		case "ok":
			ok++
		case "full":
			full++
		default:
			t.Error(lines.Text())
		}
	}
	if err := cmd.Wait(); err != nil || full == 0 || ok <= 5 {
		t.Fatalf("%v, %d written, %d refused", err, ok, full)
	}
	if n := len(records(t, open(t, dir))); n < ok {
		t.Errorf("%d records, %d were acknowledged", n, ok)
	}
}
