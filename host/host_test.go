// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/host/client"
	"github.com/glovebox-dev/glovebox/internal/door"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/job"
)

type doorClient = door.Client

const anywhere = "http://127.0.0.1:1"

// wantCode asserts how an error travels, and that it has a hint.
func wantCode(t *testing.T, err error, code connect.Code) {
	t.Helper()
	if connect.CodeOf(err) != code {
		t.Fatalf("got %v (%v), want %v", connect.CodeOf(err), err, code)
	}
	if client.Hint(err) == "" {
		t.Errorf("%v has no hint", err)
	}
}

func TestJobRunsToItsBundle(t *testing.T) {
	w := newWorld(t, anywhere, always("good"))
	ctx := context.Background()
	id := w.submit(nil)
	j, states := w.wait(id)
	if j.State != StateCompleted || j.Reason != "" || j.Attempts != 1 || j.Leaves == 0 || j.Leaves != j.Total {
		t.Fatalf("ended as %v after %v", j, states)
	}
	var file bytes.Buffer
	d, n, err := w.c.Result(ctx, id, &file, 1<<20)
	if err != nil || file.String() != fakeHeader+fakePayload || d.String() != j.Result || n != j.ResultBytes {
		t.Fatalf("result %q, digest %s of %s, %d bytes of %d: %v", file.String(), d, j.Result, n, j.ResultBytes, err)
	}
	b, err := w.c.Bundle(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := usage.ParseBundle(b); err != nil {
		t.Fatal(err)
	}
	only(t, w.h.results.dir, id.Hex()+resultSuffix)
	only(t, filepath.Join(w.cfg.Dir, bundlesDir), id.Hex()+".json")
	root, err := os.ReadFile(filepath.Join(w.cfg.Dir, rootFile))
	if err != nil {
		t.Fatal(err)
	}
	if l, err := usage.ParseTrustedRoot(root); err != nil || l.ID() != w.h.seq.log.ID() {
		t.Fatalf("trusted root: %v", err)
	}
	if _, _, err := w.c.Result(ctx, id, &file, 10); !errors.Is(err, client.ErrTooLarge) {
		t.Errorf("a result larger than wanted: %v", err)
	}
}

func TestSubmitIsIdempotent(t *testing.T) {
	w := newWorld(t, anywhere, nil)
	signed, id := w.job(nil)
	for i := range 3 {
		r, err := w.h.submit(context.Background(), signed)
		if err != nil || r.Created != (i == 0) || r.Job.Id != id.String() || r.Job.State != StateQueued {
			t.Fatalf("submission %d: %v, %v", i, r, err)
		}
	}
	jobs, err := w.c.List(context.Background(), w.buyer.Public().String())
	if err != nil || len(jobs) != 1 {
		t.Fatalf("%d jobs, %v", len(jobs), err)
	}
	if jobs, err := w.c.List(context.Background(), w.broker.Public().String()); err != nil || len(jobs) != 0 {
		t.Fatalf("another buyer has %d jobs, %v", len(jobs), err)
	}
}

func TestSubmitRefuses(t *testing.T) {
	w := newWorld(t, anywhere, func(c *Config) { c.MaxQueued = 1 })
	ctx := context.Background()
	good, _ := w.job(nil)
	unknown, _ := w.job(func(j *job.Job) { j.Datasets = []envelope.Digest{envelope.Sum([]byte("nobody's"))} })
	swapped, _ := w.job(func(j *job.Job) { j.Code, j.Datasets = w.data.ID, []envelope.Digest{w.code.ID} })
	flipped := bytes.Replace(good, []byte(`"sig":"`), []byte(`"sig":"A`), 1)
	for name, c := range map[string]struct {
		signed []byte
		code   connect.Code
	}{
		"empty":            {nil, connect.CodeInvalidArgument},
		"not JSON":         {[]byte("job"), connect.CodeInvalidArgument},
		"flipped":          {flipped, connect.CodeInvalidArgument},
		"oversize":         {bytes.Repeat([]byte{' '}, maxJob+1), connect.CodeInvalidArgument},
		"a manifest":       {w.data.Signed, connect.CodeInvalidArgument},
		"unknown manifest": {unknown, connect.CodeNotFound},
		"code as data":     {swapped, connect.CodeInvalidArgument},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.c.Submit(ctx, c.signed)
			if connect.CodeOf(err) != c.code {
				t.Fatalf("got %v, want %v", err, c.code)
			}
		})
	}
	if jobs, err := w.c.List(ctx, ""); err != nil || len(jobs) != 0 {
		t.Fatalf("refused jobs were queued: %v, %v", jobs, err)
	}
	w.submit(nil)
	again, _ := w.job(nil)
	_, err := w.c.Submit(ctx, again)
	wantCode(t, err, connect.CodeUnavailable)
	if !client.TryAgain(err) {
		t.Error("a full queue is not for ever")
	}
}

// The enclave dies in its first attempt at each of two jobs.
func TestEnclaveDies(t *testing.T) {
	n := 0
	w := newWorld(t, anywhere, always("die"))
	w.stop()
	w.cfg.Launcher.(*inProcess).run = nil
	w.cfg.Launcher = &inProcess{run: dieTwice(&n)}
	w.open()
	id := w.submit(nil)
	j, states := w.wait(id)
	if j.State != StateCompleted || j.Attempts != 3 {
		t.Fatalf("%v after %v", j, states)
	}
	only(t, w.h.results.dir, id.Hex()+resultSuffix)
	st, err := w.c.Status(context.Background())
	if err != nil || st.Enclaves[0].Restarts != 2 || !strings.Contains(st.Enclaves[0].LastExit, "died of an ill") {
		t.Errorf("status %v, %v", st, err)
	}
}

func TestEnclaveAlwaysDies(t *testing.T) {
	w := newWorld(t, anywhere, func(c *Config) { always("die")(c); c.MaxDeaths = 3 })
	id := w.submit(nil)
	j, _ := w.wait(id)
	if j.State != StateFailed || j.Reason != reasonAttempts || !strings.Contains(j.Message, "3 attempts") || j.Hint == "" {
		t.Fatalf("%v", j)
	}
	only(t, w.h.results.dir)
	_, err := w.c.Bundle(context.Background(), id)
	wantCode(t, err, connect.CodeFailedPrecondition)
	_, _, err = w.c.Result(context.Background(), id, os.Stderr, 1)
	wantCode(t, err, connect.CodeFailedPrecondition)
}

func TestTryAgainIsRetried(t *testing.T) {
	w := newWorld(t, anywhere, func(c *Config) { always("try-again,try-again,good")(c) })
	j, states := w.wait(w.submit(nil))
	if j.State != StateCompleted || j.Attempts != 3 {
		t.Fatalf("%v after %v", j, states)
	}
}

func TestDenialIsFinal(t *testing.T) {
	w := newWorld(t, anywhere, always("denied"))
	j, _ := w.wait(w.submit(nil))
	if j.State != StateFailed || j.Reason != "denied" || j.Message != "purpose not allowed" || j.Hint != "ask" || string(j.Denial) != "signed" || j.Attempts != 1 {
		t.Fatalf("%v", j)
	}
}

func TestFailedRunHasABundle(t *testing.T) {
	w := newWorld(t, anywhere, always("trap"))
	id := w.submit(nil)
	j, states := w.wait(id)
	if j.State != StateFailed || j.Reason != usage.ReasonTrap || j.Hint == "" || j.Usage == "" || j.Result != "" {
		t.Fatalf("%v after %v", j, states)
	}
	if b, err := w.c.Bundle(context.Background(), id); err != nil || len(b) == 0 {
		t.Fatal(err)
	}
	_, _, err := w.c.Result(context.Background(), id, os.Stderr, 1)
	wantCode(t, err, connect.CodeFailedPrecondition)
}

// An enclave whose parts do not fit is refused before anything is recorded, and the job is tried again.
func TestEnclaveHandsOverNonsense(t *testing.T) {
	for _, bad := range []string{"swap-result", "other-job", "no-grants"} {
		t.Run(bad, func(t *testing.T) {
			n := 0
			w := newWorld(t, anywhere, with(func(ctx context.Context, c *doorClient, _ int) error {
				n++
				if n == 1 {
					return runFake(ctx, c, bad)
				}
				return runFake(ctx, c, "good")
			}))
			id := w.submit(nil)
			j, states := w.wait(id)
			if j.State != StateCompleted || j.Attempts != 2 || slices.Contains(states[:1], StatePublishing) {
				t.Fatalf("%v after %v", j, states)
			}
			only(t, w.h.results.dir, id.Hex()+resultSuffix)
			if recs, err := w.c.Records(context.Background(), false); err != nil || len(recs) != 1 {
				t.Fatalf("%d records, %v", len(recs), err)
			}
		})
	}
}

func TestCancel(t *testing.T) {
	w := newWorld(t, anywhere, nil)
	ctx := context.Background()
	id := w.submit(nil)
	other := signer(t, envelope.RoleBuyer)
	forged, _, err := job.SignCancel(&job.Cancel{Job: id, Reason: "spite"}, other)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.c.Cancel(ctx, forged)
	wantCode(t, err, connect.CodeInvalidArgument)
	signed, _, err := job.SignCancel(&job.Cancel{Job: id, Reason: "second thoughts"}, w.buyer)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if j, err := w.c.Cancel(ctx, signed); err != nil || j.State != StateCancelled || !j.CancelRequested {
			t.Fatalf("%v, %v", j, err)
		}
	}
}

func TestCancelReachesTheEnclave(t *testing.T) {
	w := newWorld(t, anywhere, always("wait-for-cancel"))
	id := w.submit(nil)
	eventually(t, "running", func() bool {
		j, err := w.c.Job(context.Background(), id)
		return err == nil && j.State == "running"
	})
	signed, _, err := job.SignCancel(&job.Cancel{Job: id, Reason: "second thoughts"}, w.buyer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.c.Cancel(context.Background(), signed); err != nil {
		t.Fatal(err)
	}
	j, _ := w.wait(id)
	if j.State != StateCancelled || j.Usage == "" {
		t.Fatalf("%v", j)
	}
	if _, err := w.c.Bundle(context.Background(), id); err != nil {
		t.Fatalf("a cancelled run was attested too: %v", err)
	}
}

func TestResultOnlyWhenComplete(t *testing.T) {
	w := newWorld(t, anywhere, always("hang"))
	id := w.submit(nil)
	_, _, err := w.c.Result(context.Background(), id, os.Stderr, 1)
	wantCode(t, err, connect.CodeUnavailable)
	_, err = w.c.Bundle(context.Background(), id)
	wantCode(t, err, connect.CodeUnavailable)
	_, _, err = w.c.Result(context.Background(), envelope.Sum([]byte("unknown")), os.Stderr, 1)
	wantCode(t, err, connect.CodeNotFound)
}

func TestOneHostInADirectory(t *testing.T) {
	w := newWorld(t, anywhere, nil)
	if _, err := New(context.Background(), w.cfg); !errors.Is(err, ErrLocked) {
		t.Fatalf("a second host opened the directory: %v", err)
	}
}

func TestConfigRefused(t *testing.T) {
	for name, c := range map[string]Config{
		"no directory":         {Origin: "log.test"},
		"no origin":            {Dir: t.TempDir()},
		"origin with a path":   {Dir: t.TempDir(), Origin: "log.test/x"},
		"enclaves, no launch":  {Dir: t.TempDir(), Origin: "log.test", Enclaves: 1},
		"negative limit":       {Dir: t.TempDir(), Origin: "log.test", MaxDeaths: -1},
		"checkpoints too fast": {Dir: t.TempDir(), Origin: "log.test", Checkpoint: 1},
	} {
		if h, err := New(context.Background(), c); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v, %v", name, h, err)
		}
	}
}

// dieTwice dies in the first two launches.
func dieTwice(n *int) func(context.Context, *doorClient, int) error {
	return func(ctx context.Context, c *doorClient, launch int) error {
		*n = launch
		if launch < 2 {
			return runFake(ctx, c, "die")
		}
		return runFake(ctx, c, "good")
	}
}
