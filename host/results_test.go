// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"connectrpc.com/connect"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/internal/door"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/job"
)

func sealedResult(t *testing.T, header, payload string) (results, *lease, *os.File, envelope.Digest) {
	t.Helper()
	r, l := results{t.TempDir()}, &lease{job: envelope.Sum([]byte("job")), epoch: 1}
	f, err := r.payload(l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := f.WriteString(payload); err != nil {
		t.Fatal(err)
	}
	return r, l, f, envelope.Sum([]byte(header + payload))
}

func TestResultFile(t *testing.T) {
	for _, c := range []struct{ header, payload string }{{"header", "payload"}, {"h", ""}, {strings.Repeat("h", maxHeader), "p"}} {
		r, l, f, want := sealedResult(t, c.header, c.payload)
		for _, try := range []struct {
			header string
			want   error
		}{{"another", ErrDigest}, {c.header, nil}, {"another", ErrDigest}, {c.header, nil}} {
			n, err := r.seal(l, []byte(try.header), f, int64(len(c.payload)), want)
			if !errors.Is(err, try.want) || (err == nil && n != int64(len(c.header)+len(c.payload))) {
				t.Fatalf("sealed %d bytes, %v, want %v", n, err, try.want)
			}
		}
		for range 2 {
			if err := r.publish(l); err != nil {
				t.Fatal(err)
			}
		}
		only(t, r.dir, l.job.Hex()+resultSuffix)
		got, err := r.open(l.job)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(got)
		if err != nil || string(b) != c.header+c.payload {
			t.Errorf("%.40q, %v", b, err)
		}
		got.Close()
	}
}

func TestResultFileRefuses(t *testing.T) {
	r, l, f, _ := sealedResult(t, "", "payload")
	long := strings.Repeat("h", maxHeader+1)
	if _, err := r.seal(l, []byte(long), f, 7, envelope.Sum([]byte(long+"payload"))); !errors.Is(err, ErrTooLarge) {
		t.Errorf("long header: %v", err)
	}
	if _, err := r.open(l.job); !errors.Is(err, ErrUnknown) {
		t.Errorf("no file: %v", err)
	}
	for _, b := range []string{"", "abc", "\x00\x00\x00\x01", "h\x00\x00\x00\x02", long + "\x00\x01\x00\x01"} {
		if err := os.WriteFile(r.path(l.job), []byte(b), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := r.open(l.job); !errors.Is(err, ErrSize) {
			t.Errorf("%d bytes: %v", len(b), err)
		}
	}
}

// tight puts the results of a world on a small file system.
func (w *world) tight(size string) {
	w.t.Helper()
	if err := syscall.Mount("tmpfs", w.h.results.dir, "tmpfs", 0, "mode=700,size="+size); err != nil {
		w.t.Skipf("needs a small file system: %v", err)
	}
	w.t.Cleanup(func() {
		w.stop()
		if err := syscall.Unmount(w.h.results.dir, 0); err != nil {
			w.t.Error(err)
		}
	})
}

// The end of a run is paid for: it succeeds on a disk that has become full meanwhile, with no room for another payload.
func TestFinishOnFullDisk(t *testing.T) {
	const size = 8 << 20
	var filler string
	finished := make(chan error, 1)
	w := newWorld(t, anywhere, with(func(ctx context.Context, c *door.Client, _ int) error {
		for {
			a, err := c.Next(ctx)
			if err != nil {
				return err
			}
			if a == nil {
				continue
			}
			v, err := job.Verify(a.Job)
			if err != nil {
				return err
			}
			file := append([]byte(fakeHeader), bytes.Repeat([]byte("p"), size)...)
			for at := len(fakeHeader); at < len(file); at += maxOutput {
				if err := c.Output(ctx, a.Token, file[at:min(len(file), at+maxOutput)]); err != nil {
					return err
				}
			}
			if err := fill(filler, 64<<10); err != nil {
				return err
			}
			finished <- c.Finish(ctx, a.Token, fakeRun(v.ID, usage.ReasonNone, file))
		}
	}))
	w.tight("80m")
	filler = filepath.Join(w.h.results.dir, "filler")
	id := w.submit(nil)
	if err := <-finished; err != nil {
		t.Fatal(err)
	}
	if j, _ := w.wait(id); j.State != StateCompleted || j.ResultBytes != int64(len(fakeHeader)+size) {
		t.Errorf("%v", j)
	}
	var file bytes.Buffer
	if _, _, err := w.c.Result(context.Background(), id, &file, 2*size); err != nil || !strings.HasPrefix(file.String(), fakeHeader) {
		t.Error(err)
	}
}

// fill leaves so many bytes free in the directory of the file it makes.
func fill(path string, left int64) error {
	n, err := free(filepath.Dir(path))
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(syscall.Fallocate(int(f.Fd()), 0, 0, n-left), f.Close())
}

// A payload does not take what the ends of runs may need.
func TestOutputLeavesTheReserve(t *testing.T) {
	w := newWorld(t, anywhere, nil)
	w.tight("65m") // one more than the reserve
	if err := w.h.results.room(1 << 19); err != nil {
		t.Error(err)
	}
	if err := w.h.results.room(2 << 20); !errors.Is(err, ErrFull) {
		t.Errorf("into the reserve: %v", err)
	}
}

// An enclave whose Finish is refused may correct it: the paid result is still there.
func TestFinishAgain(t *testing.T) {
	answers := make(chan error, 2)
	w := newWorld(t, anywhere, with(func(ctx context.Context, c *door.Client, _ int) error {
		for {
			a, err := c.Next(ctx)
			if err != nil {
				return err
			}
			if a == nil {
				continue
			}
			v, err := job.Verify(a.Job)
			if err != nil {
				return err
			}
			if err := c.Output(ctx, a.Token, []byte(fakePayload)); err != nil {
				return err
			}
			good := fakeRun(v.ID, usage.ReasonNone, []byte(fakeHeader+fakePayload))
			bad := good
			bad.Header = []byte("another")
			answers <- c.Finish(ctx, a.Token, bad)
			answers <- c.Finish(ctx, a.Token, good)
		}
	}))
	j, _ := w.wait(w.submit(nil))
	if err := <-answers; !errors.Is(err, door.ErrRefused) {
		t.Errorf("another header: %v", err)
	}
	if err := <-answers; err != nil || j.State != StateCompleted || j.Attempts != 1 {
		t.Errorf("%v, %v", err, j)
	}
}

// A job whose bundle could not be made is refused before anybody pays for it.
func TestSubmitBoundsTheBundle(t *testing.T) {
	w := newWorld(t, anywhere, nil)
	ctx := context.Background()
	signed, _ := w.job(nil)
	sizes := func(code, data int) {
		t.Helper()
		for id, n := range map[envelope.Digest]int{w.code.ID: code, w.data.ID: data} {
			if _, err := w.h.db.write.Exec(`UPDATE manifests SET signed = zeroblob(?) WHERE id = ?`, n, id[:]); err != nil {
				t.Fatal(err)
			}
		}
	}
	sizes(maxManifests-1000, 1001)
	_, err := w.c.Submit(ctx, signed)
	wantCode(t, err, connect.CodeInvalidArgument)
	if !strings.Contains(err.Error(), "fit its bundle") {
		t.Error(err)
	}
	sizes(maxManifests-1000, 1000)
	if _, err := w.c.Submit(ctx, signed); err != nil {
		t.Error(err)
	}
}
