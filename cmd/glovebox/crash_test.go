// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/ledger"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// canary is a value in the creator's data that must be found nowhere in the clear.
const canary = "canary-5b1f0c7e9a2d4468"

// system is one operator, one creator and one buyer as processes, with simulated attestation and impatient brokers.
type system struct {
	t    *testing.T
	dir  string
	bin  string
	wasm string
	host string
	data string

	daemons map[string]*exec.Cmd
	restart map[string]func()
}

func startSystem(t *testing.T) *system {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	bin, err := binaries(root)
	if err != nil {
		t.Fatal(err)
	}
	s := &system{
		t: t, dir: t.TempDir(), bin: filepath.Join(bin, "demo"), wasm: filepath.Join(bin, "guest", "hostile.wasm"),
		daemons: map[string]*exec.Cmd{}, restart: map[string]func(){},
	}
	host, creator, buyer := loopback(t), loopback(t), loopback(t)
	s.host = "http://" + host
	s.daemon("host", "http://"+host, "glovebox", "operator", "up", "--dir", "op", "--platform", "simulated", "--listen", host)
	s.await(func() bool { _, err := os.Stat(filepath.Join(s.dir, "op", measurementFile)); return err == nil })
	s.must("creator", "init", "--dir", "alice", "--address", "http://"+creator, "--host", s.host)
	s.must("buyer", "init", "--dir", "bob", "--address", "http://"+buyer, "--host", s.host)
	for _, d := range []string{"alice", "bob"} {
		c, err := config.Load(filepath.Join(s.dir, d, "broker.json"))
		if err != nil {
			t.Fatal(err)
		}
		c.HeartbeatTimeoutMillis = 3000
		if err := config.Write(filepath.Join(s.dir, d), c); err != nil {
			t.Fatal(err)
		}
	}
	s.must("creator", "trust", "op/"+measurementFile, "--dir", "alice")
	s.must("buyer", "trust", "op/"+measurementFile, "--dir", "bob")
	var csv bytes.Buffer
	csv.WriteString("id,note\n")
	for i := range 2000 {
		fmt.Fprintf(&csv, "%d,%s\n", i, canary)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "small.csv"), csv.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	out := s.must("creator", "pack", "small.csv", "--dir", "alice", "--test", "--purpose", "research", "--uses", "100", "--price-per-use", "3", "--json")
	var packed struct {
		Packages []struct{ Manifest string }
	}
	if err := json.Unmarshal(out, &packed); err != nil || len(packed.Packages) != 1 {
		t.Fatalf("creator pack: %v\n%s", err, out)
	}
	s.data = packed.Packages[0].Manifest
	if err := os.Remove(filepath.Join(s.dir, "small.csv")); err != nil {
		t.Fatal(err)
	}
	s.must("creator", "publish", "--all", "--dir", "alice")
	s.daemon("creator", "http://"+creator, "glovebox-broker", "--config", "alice/broker.json")
	s.daemon("buyer", "http://"+buyer, "glovebox-broker", "--config", "bob/broker.json")
	s.await(func() bool { return answers("http://"+creator+"/healthz") && answers("http://"+buyer+"/healthz") })
	return s
}

func loopback(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func answers(url string) bool {
	r, err := http.Get(url)
	if err != nil {
		return false
	}
	r.Body.Close()
	return r.StatusCode == http.StatusOK
}

func (s *system) await(done func() bool) {
	s.t.Helper()
	for range 1200 {
		if done() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.t.Fatal("it did not come")
}

// daemon starts a long-running program and remembers how to start it again.
func (s *system) daemon(name, _ string, program string, args ...string) {
	s.t.Helper()
	log, err := os.OpenFile(filepath.Join(s.dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(s.bin, program), args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, log, log
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.daemons[name] = cmd
	s.restart[name] = func() { s.daemon(name, "", program, args...) }
	s.t.Cleanup(func() { _ = cmd.Process.Signal(syscall.SIGTERM); _ = cmd.Wait() })
}

func (s *system) run(args ...string) ([]byte, error) {
	cmd := exec.Command(filepath.Join(s.bin, "glovebox"), args...)
	cmd.Dir = s.dir
	var words bytes.Buffer
	cmd.Stderr = &words
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("glovebox %s: %w\n%s", strings.Join(args, " "), err, words.String())
	}
	return out, nil
}

func (s *system) must(args ...string) []byte {
	s.t.Helper()
	out, err := s.run(args...)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

// submit queues a job that runs for about a second.
func (s *system) submit() string {
	s.t.Helper()
	out := s.must("buyer", "submit", "--dir", "bob", "--code", s.wasm, "--data", s.data, "--test", "--purpose", "research",
		"--spend-cap", "3", "--param", "MODE=slow", "--detach", "--json")
	var v struct{ Job string }
	if err := json.Unmarshal(out, &v); err != nil || v.Job == "" {
		s.t.Fatalf("buyer submit: %v\n%s", err, out)
	}
	return v.Job
}

// job is what the buyer sees of one job; the host may be away at the time.
func (s *system) job(id string) (jobView, error) {
	out, err := s.run("buyer", "ls", "--dir", "bob", "--json")
	if err != nil {
		return jobView{}, err
	}
	var v struct{ Jobs []jobView }
	if err := json.Unmarshal(out, &v); err != nil {
		return jobView{}, err
	}
	i := slices.IndexFunc(v.Jobs, func(j jobView) bool { return j.Job == id })
	if i < 0 {
		return jobView{}, fmt.Errorf("job %s is gone", id)
	}
	return v.Jobs[i], nil
}

func (s *system) awaitState(id string, states ...string) (v jobView) {
	s.t.Helper()
	for range 1200 {
		var err error
		if v, err = s.job(id); err == nil && slices.Contains(states, v.State) {
			return v
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.t.Fatalf("job %s is %s (%s %s), want one of %v", id, v.State, v.Reason, v.Message, states)
	return v
}

// processes finds this system's processes by the argument that names them, worker and spawner included.
func (s *system) processes(name string) (pids []int) {
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		s.t.Fatal(err)
	}
	for _, path := range all {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			continue
		}
		line, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(line), name) || !s.descends(pid) {
			continue
		}
		pids = append(pids, pid)
	}
	return pids
}

// descends reports whether a process belongs to this system's host.
func (s *system) descends(pid int) bool {
	for pid > 1 {
		if pid == s.daemons["host"].Process.Pid {
			return true
		}
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return false
		}
		rest := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		if pid, err = strconv.Atoi(rest[1]); err != nil {
			return false
		}
	}
	return false
}

// kill ends a process as the machine's owner would, without notice, and starts again what nobody else does.
func (s *system) kill(victim string) {
	s.t.Helper()
	switch victim {
	case "creator", "buyer":
		_ = s.daemons[victim].Process.Kill()
		_ = s.daemons[victim].Wait()
		s.restart[victim]()
	case "host":
		pids := append(s.processes("glovebox-host"), s.daemons["host"].Process.Pid)
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		_ = s.daemons["host"].Wait()
		time.Sleep(300 * time.Millisecond) // its enclaves see their door close
		s.restart["host"]()
	default:
		for _, pid := range s.processes(victim) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// TestKill9 kills each process of the system in different stages of a job. Whatever dies: the job ends, completed or with
// a reason; it is charged once or not at all; and nothing that was done is done again.
func TestKill9(t *testing.T) {
	if testing.Short() {
		t.Skip("kills real processes; -short leaves that to `make test`")
	}
	s := startSystem(t)
	ended := map[string]jobView{}
	for _, victim := range []string{"glovebox-enclave", "glovebox-worker", "creator", "buyer", "host"} {
		for i, delay := range []time.Duration{0, 600 * time.Millisecond} {
			id := s.submit()
			if i > 0 {
				s.awaitState(id, "running", "committing", "publishing", "completed")
			}
			time.Sleep(delay)
			s.kill(victim)
			v := s.awaitState(id, "completed", "failed")
			t.Logf("%s killed %v in: %s %s", victim, delay, v.State, v.Reason)
			if v.State == "failed" && v.Reason == "" {
				t.Errorf("job failed without a reason after %s was killed", victim)
			}
			ended[id] = v
		}
	}
	completed, retried := 0, 0
	for id, v := range ended {
		s.checkEnd(id, v)
		if v.Attempts > 1 {
			retried++
		}
		if v.State == "completed" {
			completed++
		}
	}
	if completed < len(ended)/2 {
		t.Errorf("only %d of %d jobs survived", completed, len(ended))
	}
	if retried == 0 {
		t.Error("no job was tried again: nothing was killed in the middle of its work")
	}
	s.checkLog()
	s.checkCharges(ended)
}

// checkLog audits the log that the operator's restarts left.
func (s *system) checkLog() {
	s.t.Helper()
	for file, args := range map[string][]string{
		"alice.json": {"creator", "card", "--dir", "alice", "--json"}, "bob.json": {"buyer", "card", "--dir", "bob", "--json"},
	} {
		if err := os.WriteFile(filepath.Join(s.dir, file), s.must(args...), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	trust := s.must("auditor", "trust", "alice.json", "bob.json", "--log", "op/trusted_root.json", "--min-assurance", "simulated")
	if err := os.WriteFile(filepath.Join(s.dir, "trust.json"), trust, 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.must("auditor", "log", "--host", s.host, "--trust", "trust.json", "--json")
}

// checkEnd opens what completed.
func (s *system) checkEnd(id string, v jobView) {
	if v.State != "completed" {
		return
	}
	s.must("buyer", "fetch", id, "--dir", "bob")
	s.must("buyer", "open", id, "--dir", "bob", "--out", "out-"+id[len(id)-8:])
}

// checkCharges reads the creator's books: three euros for each completed job, nothing for the others, nothing held back.
func (s *system) checkCharges(ended map[string]jobView) {
	t := s.t
	_ = s.daemons["creator"].Process.Signal(syscall.SIGTERM)
	_ = s.daemons["creator"].Wait()
	l := config.Layout{Dir: filepath.Join(s.dir, "alice")}
	books, err := ledger.Open(context.Background(), ledger.Config{Path: l.Ledger(), Head: l.Head(), Lock: l.Lock()})
	if err != nil {
		t.Fatal(err)
	}
	defer books.Close()
	manifest, err := envelope.ParseDigest(s.data)
	if err != nil {
		t.Fatal(err)
	}
	for id, v := range ended {
		job, err := envelope.ParseDigest(id)
		if err != nil {
			t.Fatal(err)
		}
		var a ledger.Account
		if err := books.Update(t.Context(), func(tx *ledger.Tx) (err error) {
			a, err = tx.Account(manifest, job)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		want := int64(0)
		if v.State == "completed" {
			want = 3_000_000
		}
		if a.Charged != want || a.Reserved != 0 {
			t.Errorf("%s job %s: charged %d, reserved %d, want %d and 0", v.State, id, a.Charged, a.Reserved, want)
		}
	}
}

// TestMemoryCanary looks for a value of the data in everything that a job leaves behind on disk: stores, databases, logs
// of every process, results, temporary files.
func TestMemoryCanary(t *testing.T) {
	if testing.Short() {
		t.Skip("runs real processes; -short leaves that to `make test`")
	}
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	s := startSystem(t)
	id := s.submit()
	s.awaitState(id, "running", "committing", "publishing", "completed")
	s.lookForCanary("while it runs", s.dir, tmp)
	if v := s.awaitState(id, "completed", "failed"); v.Reason != usage.ReasonNone {
		t.Fatalf("%s %s %s", v.State, v.Reason, v.Message)
	}
	s.lookForCanary("after the job", s.dir, tmp)
	s.must("buyer", "fetch", id, "--dir", "bob")
	s.lookForCanary("after fetching", s.dir, tmp)
	s.must("buyer", "open", id, "--dir", "bob", "--out", "opened")
	b, err := os.ReadFile(filepath.Join(s.dir, "opened", "model.safetensors"))
	if err != nil || !bytes.Contains(b, bytes.ToUpper([]byte(canary))) {
		t.Fatalf("the code was to see the canary, else this test sees nothing: %v", err)
	}
}

func (s *system) lookForCanary(when string, dirs ...string) {
	s.t.Helper()
	files := 0
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil // gone meanwhile, or a socket
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return nil
			}
			files++
			for _, c := range [][]byte{[]byte(canary), bytes.ToUpper([]byte(canary))} {
				if bytes.Contains(b, c) {
					s.t.Errorf("%s: plaintext in %s", when, path)
				}
			}
			return nil
		})
		if err != nil {
			s.t.Fatal(err)
		}
	}
	if files < 20 {
		s.t.Fatalf("%s: only %d files looked at", when, files)
	}
}
