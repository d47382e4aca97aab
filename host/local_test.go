// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	pb "github.com/glovebox-dev/glovebox/host/api/glovebox/v1"
	"github.com/glovebox-dev/glovebox/host/client"
	"github.com/glovebox-dev/glovebox/internal/door"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// local starts this test binary as an enclave.
func local(t *testing.T, behaviour string) func(*Config) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return func(c *Config) {
		c.Enclaves, c.Launcher = 1, &Local{Binary: self, Args: []string{fakeEnclave, behaviour}, LogDir: c.Dir}
	}
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func (w *world) enclave() *pb.Enclave {
	w.t.Helper()
	st, err := w.c.Status(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	return st.Enclaves[0]
}

func TestLocalEnclaveRunsJobs(t *testing.T) {
	w := newWorld(t, anywhere, local(t, "good"))
	for range 3 {
		if j, _ := w.wait(w.submit(nil)); j.State != StateCompleted {
			t.Fatalf("%v", j)
		}
	}
	e := w.enclave()
	if e.State != slotIdle || e.Pid == 0 || e.Restarts != 0 {
		t.Errorf("enclave %v", e)
	}
	w.stop()
	if alive(int(e.Pid)) {
		t.Error("the enclave outlived its host's Run")
	}
}

func TestLocalEnclaveIsKilled(t *testing.T) {
	w := newWorld(t, anywhere, local(t, "hang"))
	id := w.submit(nil)
	eventually(t, "working", func() bool { return w.enclave().State == slotWorking })
	first := w.enclave()
	if first.Job != id.String() {
		t.Errorf("enclave %v", first)
	}
	if err := syscall.Kill(int(first.Pid), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "tried again", func() bool {
		j, err := w.c.Job(context.Background(), id)
		return err == nil && j.Attempts == 2
	})
	e := w.enclave()
	if e.Pid == first.Pid || e.Restarts != 1 || !strings.Contains(e.LastExit, "killed") {
		t.Errorf("enclave %v", e)
	}
}

func TestEnclaveDoesNotStart(t *testing.T) {
	w := newWorld(t, anywhere, func(c *Config) {
		c.Enclaves, c.Launcher = 1, &Local{Binary: filepath.Join(c.Dir, "missing"), LogDir: c.Dir}
	})
	eventually(t, "restarts", func() bool { e := w.enclave(); return e.Restarts > 1 && e.State == slotDown })
	if e := w.enclave(); !strings.Contains(e.LastExit, "no such file") {
		t.Errorf("enclave %v", e)
	}
}

func TestEnclaveWordsAreKept(t *testing.T) {
	w := newWorld(t, anywhere, func(c *Config) { local(t, "die")(c); c.MaxDeaths = 1 })
	j, _ := w.wait(w.submit(nil))
	if j.Reason != reasonAttempts || !strings.Contains(j.Message, "exit status 1: fake enclave: died of an ill") {
		t.Errorf("%v", j)
	}
	b, err := os.ReadFile(filepath.Join(w.cfg.Dir, "enclave-0.log"))
	if err != nil || !strings.Contains(string(b), "died of an ill") {
		t.Errorf("%q, %v", b, err)
	}
}

func TestSilentEnclaveIsReplaced(t *testing.T) {
	d := &desk{lastWord: time.Now().Add(-24 * time.Hour)}
	if d.stalled() {
		t.Error("an idle enclave may be silent")
	}
	d.attempt = &attempt{order: &job.Job{Limits: job.Limits{WallSeconds: 24 * 3600}}}
	if d.stalled() {
		t.Error("silent for as long as the job may take")
	}
	d.attempt.order.Limits.WallSeconds = 3600
	if !d.stalled() {
		t.Error("silent for too long, and not noticed")
	}
}

// A result that does not fit on the disk leaves nothing behind, and the job says why.
func TestFullDisk(t *testing.T) {
	w := newWorld(t, anywhere, func(c *Config) {
		c.MaxDeaths = 2
		with(func(ctx context.Context, c *door.Client, _ int) error {
			for {
				a, err := c.Next(ctx)
				if err != nil {
					return err
				}
				if a == nil {
					continue
				}
				err = c.Output(ctx, a.Token, make([]byte, 1<<20))
				if err == nil {
					return errors.New("the payload fitted")
				}
				if err := c.Abandon(ctx, a.Token, door.Abandon{Code: "full", Message: err.Error(), Retry: false}); err != nil {
					return err
				}
			}
		})(c)
	})
	w.tight("64k")
	j, _ := w.wait(w.submit(nil))
	if j.State != StateFailed || !strings.Contains(j.Message, "no space left") {
		t.Errorf("%v", j)
	}
	only(t, w.h.results.dir)
}

func TestEnclaveGetsNoEnvironment(t *testing.T) {
	t.Setenv("GLOVEBOX_SECRET", "x")
	for _, kv := range environment() {
		if strings.HasPrefix(kv, "GLOVEBOX") {
			t.Error(kv)
		}
	}
}

func TestBoundedLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, err := openBoundedLog(path)
	if err != nil {
		t.Fatal(err)
	}
	line := bytes.Repeat([]byte("x"), 100_000)
	for range 50 {
		if n, err := l.Write(line); n != len(line) || err != nil {
			t.Fatal(n, err)
		}
	}
	l.Write(make([]byte, 5*maxLog)) //nolint:errcheck // never fails
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l.Write(line) //nolint:errcheck // never fails
	for _, p := range []string{path, path + ".1"} {
		if st, err := os.Stat(p); err != nil || st.Size() > maxLog || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", p, st, err)
		}
	}
}

// runHost is what a killed host process does: fake-host DIR.
func runHost(dir string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	h, err := New(context.Background(), Config{
		Dir: dir, Origin: "log.test", RetryMin: time.Millisecond, RetryMax: 10 * time.Millisecond, MaxDeaths: 1000,
		Enclaves: 2, Launcher: &Local{Binary: self, Args: []string{fakeEnclave, "good"}, LogDir: dir},
	})
	if err != nil {
		return err
	}
	s := h.Server()
	ln, err := listenLoopback()
	if err != nil {
		return err
	}
	fmt.Println("http://" + ln.Addr().String())
	go h.Run(context.Background())
	return s.Serve(ln)
}

// hostProcess is a host that can be killed.
type hostProcess struct {
	cmd *exec.Cmd
	c   *client.Client
}

func startHost(t *testing.T, dir string) *hostProcess {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, fakeHost, dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := bufio.NewScanner(out)
	if !s.Scan() {
		t.Fatalf("no address: %v", s.Err())
	}
	return &hostProcess{cmd, client.New(s.Text())}
}

func (p *hostProcess) kill() {
	p.cmd.Process.Signal(syscall.SIGKILL) //nolint:errcheck // it is ours and running
	p.cmd.Wait()                          //nolint:errcheck // killed
	p.c.Close()
}

// kill -9 of the host at any point: no job is lost, each ends, and the log has each usage attestation once.
func TestKillNine(t *testing.T) {
	w := newWorld(t, anywhere, nil)
	var ids []envelope.Digest
	jobs := 12
	if testing.Short() {
		jobs = 4
	}
	for range jobs {
		ids = append(ids, w.submit(nil))
	}
	w.stop()
	ctx := context.Background()
	for i := 0; ; i++ {
		p := startHost(t, w.cfg.Dir)
		time.Sleep(time.Duration(10+60*i) * time.Millisecond)
		st, err := p.c.Status(ctx)
		if err != nil {
			p.kill()
			t.Fatal(err)
		}
		pids := st.Enclaves
		p.kill()
		for _, e := range pids {
			if pid := int(e.Pid); pid != 0 {
				eventually(t, "enclave "+strconv.Itoa(pid)+" ended with its host", func() bool { return !running(pid) })
			}
		}
		if st.Jobs[StateCompleted] == int64(len(ids)) {
			break
		}
		if i > 60 {
			t.Fatalf("jobs %v", st.Jobs)
		}
	}
	w.open()
	w.published()
	for _, id := range ids {
		if j, err := w.c.Job(ctx, id); err != nil || j.State != StateCompleted {
			t.Errorf("%v, %v", j, err)
		}
		var file bytes.Buffer
		if _, _, err := w.c.Result(ctx, id, &file, 1<<20); err != nil || file.String() != fakeHeader+fakePayload {
			t.Errorf("result %q, %v", file.String(), err)
		}
		if _, err := w.c.Bundle(ctx, id); err != nil {
			t.Error(err)
		}
	}
	recs, err := w.c.Records(ctx, false)
	_, size, serr := w.h.seq.checkpoint(ctx)
	if err != nil || serr != nil || len(recs) != len(ids) || size != int64(len(ids)) {
		t.Errorf("%d jobs, %d records, %d log entries: %v, %v", len(ids), len(recs), size, err, serr)
	}
	for _, d := range []string{resultsDir, bundlesDir} {
		entries, err := os.ReadDir(filepath.Join(w.cfg.Dir, d))
		if err != nil || len(entries) != len(ids) {
			t.Errorf("%s: %d files, %v", d, len(entries), err)
		}
	}
}

// running says whether a process that is not our child still runs; a zombie does not.
func running(pid int) bool {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return false
	}
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	return len(f) > 0 && f[0] != "Z" && f[0] != "X"
}

func TestServerRefusesSlowHeaders(t *testing.T) {
	w := newWorld(t, anywhere, nil)
	s := w.h.Server()
	if s.ReadHeaderTimeout == 0 || s.MaxHeaderBytes == 0 || s.IdleTimeout == 0 {
		t.Error("a server without limits")
	}
	r, err := http.Get(w.srv.URL + "/healthz")
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatal(r, err)
	}
	r.Body.Close()
}
