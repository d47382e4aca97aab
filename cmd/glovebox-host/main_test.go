// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/host/client"
	"github.com/glovebox-dev/glovebox/host/config"
)

// asHost makes the test binary the daemon.
const asHost = "GLOVEBOX_TEST_AS_HOST"

func TestMain(m *testing.M) {
	if os.Getenv(asHost) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), asHost+"=1")
	return cmd
}

func TestDaemon(t *testing.T) {
	dir := t.TempDir()
	if err := config.Write(dir, &config.Config{Listen: "127.0.0.1:0", Origin: "log.test"}); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, config.FileName)
	cmd := command(t, "--config", file)
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill() //nolint:errcheck // ended already
	s := bufio.NewScanner(out)
	address := ""
	for address == "" && s.Scan() {
		address, _ = strings.CutPrefix(s.Text(), "listening on ")
		if address == s.Text() {
			address = ""
		}
	}
	if address == "" {
		t.Fatalf("no address: %v", s.Err())
	}
	go io.Copy(io.Discard, out) //nolint:errcheck // until it ends
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if st, err := client.New(address).Status(ctx); err != nil || st.LogOrigin != "log.test" {
		t.Fatalf("%v, %v", st, err)
	}
	if b, err := command(t, "--config", file).CombinedOutput(); err == nil || !strings.Contains(string(b), "another host uses this directory") {
		t.Errorf("a second host: %v, %s", err, b)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("stopping: %v", err)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{nil, {"--config"}, {"--config", "x", "y"}, {"--frobnicate"}} {
		err := command(t, args...).Run()
		if e, ok := err.(*exec.ExitError); !ok || e.ExitCode() != 2 {
			t.Errorf("%q: %v", args, err)
		}
	}
	b, err := command(t, "--config", filepath.Join(t.TempDir(), "missing.json")).CombinedOutput()
	if e, ok := err.(*exec.ExitError); !ok || e.ExitCode() != 1 || !strings.HasPrefix(string(b), "glovebox-host: error: ") {
		t.Errorf("%v, %s", err, b)
	}
}
