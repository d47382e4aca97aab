// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/broker/keyholder/vault/vaulttest"
)

// TestVaultKeyholder is an owner's life with Vault: the set-up script of deploy/vault, a directory, packages, a broker,
// rotation and an outage, by the real binaries and a real Vault server.
func TestVaultKeyholder(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs all binaries; -short leaves that to `make test`")
	}
	s := vaulttest.Start(t)
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	bin, err := binaries(root)
	if err != nil {
		t.Fatal(err)
	}
	w := &vaultWorld{t: t, s: s, bin: filepath.Join(bin, "production"), dir: t.TempDir()}
	w.setUp(root)

	w.run(0, "creator", "init", "--dir", "alice", "--keyholder", "keyholder.json", "--address", w.address(), "--host", "")
	if _, err := os.Stat(filepath.Join(w.dir, "alice", "keyholder.age")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is a key file beside Vault: %v", err)
	}
	w.write("data.csv", "a,b\n1,2\n")
	w.run(0, "creator", "pack", "data.csv", "--dir", "alice")
	w.write("data.csv", "a,b\n3,4\n")
	w.run(0, "creator", "pack", "data.csv", "--dir", "alice", "--previous", "data", "--name", "data")
	w.packagesAreVaults(2)

	w.run(0, "creator", "keyholder", "rotate", "--dir", "alice")
	w.says(w.run(0, "creator", "keyholder", "status", "--dir", "alice", "--json"), `"behind": 2`, `"kind": "vault"`)
	w.says(w.run(2, "creator", "keyholder", "retire", "--dir", "alice"), "keys that would be lost: 2")
	w.says(w.run(0, "creator", "keyholder", "rewrap", "--dir", "alice"), "keys rewrapped: 2")
	w.says(w.run(0, "creator", "keyholder", "retire", "--dir", "alice", "--json"), `"oldest": 2`, `"lost": 0`)

	w.brokerAnchors()

	if err := s.Seal(); err != nil {
		t.Fatal(err)
	}
	w.says(w.run(5, "creator", "pack", "data.csv", "--dir", "alice", "--name", "more"), "try again", "hint: see that the keyholder runs, is unsealed")
	if code, out := w.broker().wait(); code != 5 || !strings.Contains(out, "hint: see that the keyholder runs") {
		t.Errorf("a broker whose Vault is sealed: code %d\n%s", code, out)
	}
	if err := s.Unseal(); err != nil {
		t.Fatal(err)
	}
	w.run(0, "creator", "pack", "data.csv", "--dir", "alice", "--name", "more")
	w.packagesAreVaults(3)
	w.rolledBack()
}

type vaultWorld struct {
	t        *testing.T
	s        *vaulttest.Server
	bin, dir string
	listen   string
}

// setUp runs deploy/vault/setup.sh as an administrator would, twice: the second time changes nothing but the secret ids.
func (w *vaultWorld) setUp(root string) {
	w.t.Helper()
	var out []byte
	for range 2 {
		cmd := exec.Command(filepath.Join(root, "deploy", "vault", "setup.sh"), "alice", filepath.Join(w.dir, "credentials"))
		cmd.Dir = w.dir
		cmd.Env = []string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + w.dir, "VAULT_BIN=" + vaulttest.Binary(), "VAULT_ADDR=" + w.s.Address,
			"VAULT_TOKEN=" + w.s.Root, "VAULT_CACERT=" + w.s.CAFile, "KV=anchors",
		}
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		var err error
		if out, err = cmd.Output(); err != nil {
			w.t.Fatalf("setup.sh: %v\n%s", err, stderr.String())
		}
	}
	w.write("keyholder.json", string(out))
	files, err := filepath.Glob(filepath.Join(w.dir, "credentials", "*"))
	if err != nil || len(files) != 4 {
		w.t.Fatalf("credentials: %v, %v", files, err)
	}
	for _, f := range files {
		if st, err := os.Stat(f); err != nil || st.Mode().Perm() != 0o600 {
			w.t.Errorf("%s: %v, %v", f, st.Mode(), err)
		}
	}
}

func (w *vaultWorld) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// run runs glovebox and gives what it said.
func (w *vaultWorld) run(code int, args ...string) string {
	w.t.Helper()
	cmd := exec.Command(filepath.Join(w.bin, "glovebox"), args...)
	cmd.Dir, cmd.Env = w.dir, []string{"PATH=" + w.bin + ":" + os.Getenv("PATH"), "HOME=" + w.dir}
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		w.t.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != code {
		w.t.Fatalf("glovebox %s: exit code %d, want %d\n%s", strings.Join(args, " "), got, code, out)
	}
	return string(out)
}

func (w *vaultWorld) says(out string, want ...string) {
	w.t.Helper()
	for _, s := range want {
		if !strings.Contains(out, s) {
			w.t.Errorf("%q is not in:\n%s", s, out)
		}
	}
}

func (w *vaultWorld) address() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	defer l.Close()
	w.listen = l.Addr().String()
	return "http://" + w.listen
}

func (w *vaultWorld) packagesAreVaults(n int) {
	w.t.Helper()
	c, err := config.Load(filepath.Join(w.dir, "alice", "broker.json"))
	if err != nil {
		w.t.Fatal(err)
	}
	keys, err := c.WrappedKeys()
	if err != nil || len(keys) != n {
		w.t.Fatalf("%d wrapped keys, %v", len(keys), err)
	}
	for _, k := range keys {
		if keyholder.Kind(k.Wrapped) != "vault" {
			w.t.Errorf("package %s is wrapped by %q", k.Package, keyholder.Kind(k.Wrapped))
		}
	}
}

type vaultBroker struct {
	cmd *exec.Cmd
	out bytes.Buffer
}

func (w *vaultWorld) broker() *vaultBroker {
	w.t.Helper()
	b := &vaultBroker{cmd: exec.Command(filepath.Join(w.bin, "glovebox-broker"), "--config", filepath.Join(w.dir, "alice", "broker.json"))}
	b.cmd.Stdout, b.cmd.Stderr = &b.out, &b.out
	if err := b.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { b.cmd.Process.Kill() }) //nolint:errcheck // it may have ended
	return b
}

func (b *vaultBroker) wait() (int, string) {
	late := time.AfterFunc(time.Minute, func() { b.cmd.Process.Kill() }) //nolint:errcheck // it may have ended
	defer late.Stop()
	b.cmd.Wait() //nolint:errcheck // the code says it
	return b.cmd.ProcessState.ExitCode(), b.out.String()
}

// anchor is what Vault holds.
func (w *vaultWorld) anchor() string {
	w.t.Helper()
	var out struct {
		Data struct {
			Data struct {
				Anchor []byte `json:"anchor"`
			} `json:"data"`
		} `json:"data"`
	}
	w.s.MustDo(w.t, http.MethodGet, "anchors/data/alice/anchor", nil, &out)
	return string(out.Data.Data.Anchor)
}

// brokerAnchors: a broker serves with Vault, and keeps the ledger's anchor there and not in the directory.
func (w *vaultWorld) brokerAnchors() {
	w.t.Helper()
	b := w.broker()
	ready := false
	for end := time.Now().Add(30 * time.Second); !ready && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		resp, err := http.Get("http://" + w.listen + "/healthz")
		if err == nil {
			ready = resp.StatusCode == http.StatusOK
			resp.Body.Close() //nolint:errcheck // only the status counts
		}
	}
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		w.t.Fatal(err)
	}
	if code, out := b.wait(); !ready || code != 0 {
		w.t.Fatalf("the broker with Vault: ready %v, code %d\n%s", ready, code, out)
	}
	if a := w.anchor(); !strings.Contains(a, `"revision"`) {
		w.t.Errorf("the anchor in Vault is %q", a)
	}
	if _, err := os.Stat(filepath.Join(w.dir, "alice", "ledger.head")); !errors.Is(err, os.ErrNotExist) {
		w.t.Errorf("there is a head file beside the anchor in Vault: %v", err)
	}
}

// rolledBack: somebody who has the whole directory puts an older copy of it back. The anchor in Vault is ahead, and tells.
func (w *vaultWorld) rolledBack() {
	w.t.Helper()
	var head struct {
		Data struct {
			Metadata struct {
				Version int `json:"version"`
			} `json:"metadata"`
		} `json:"data"`
	}
	w.s.MustDo(w.t, http.MethodGet, "anchors/data/alice/anchor", nil, &head)
	later := []byte(`{"digest":null,"revision":1000,"sequence":0,"version":1}`)
	w.s.MustDo(w.t, http.MethodPut, "anchors/data/alice/anchor", map[string]any{
		"options": map[string]int{"cas": head.Data.Metadata.Version}, "data": map[string][]byte{"anchor": later},
	}, nil)
	if code, out := w.broker().wait(); code != 1 || !strings.Contains(out, "older copy of the ledger") {
		w.t.Errorf("a broker whose ledger is behind the anchor in Vault: code %d\n%s", code, out)
	}
}
