// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestAsCommand is glovebox in a process of its own, which signals can be sent to, when run by [blocked].
func TestAsCommand(t *testing.T) {
	args := os.Getenv("GLOVEBOX_TEST_ARGS")
	if args == "" {
		t.Skip("run by the tests of signals")
	}
	os.Exit(run(strings.Split(args, "\n"), os.Stdout, os.Stderr))
}

// blocked starts a command that reads a pipe which nobody writes to, and returns once it has the pipe open.
func blocked(t *testing.T, args func(pipe string) []string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	var words bytes.Buffer
	cmd := exec.Command(os.Args[0], "-test.run=^TestAsCommand$")
	cmd.Env = append(os.Environ(), "GLOVEBOX_TEST_ARGS="+strings.Join(args(pipe), "\n"))
	cmd.Stderr = &words
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() }) //nolint:errcheck // it should be gone
	for range 1000 {
		w, err := os.OpenFile(pipe, os.O_WRONLY|syscall.O_NONBLOCK, 0)
		if err == nil {
			t.Cleanup(func() { w.Close() })
			return cmd, &words
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%s never reads the pipe: %s", cmd, words.String())
	return nil, nil
}

// ends waits for a command, at most two seconds.
func ends(t *testing.T, cmd *exec.Cmd) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		return err
	case <-time.After(2 * time.Second):
		t.Fatalf("%s does not end", cmd)
		return nil
	}
}

// TestSignalEndsBlockedRead: whoever waits for a pipe can be stopped, as evidence, as another file, and at import.
func TestSignalEndsBlockedRead(t *testing.T) {
	for name, args := range map[string]func(string) []string{
		"envelope":  func(p string) []string { return []string{"auditor", "evidence", "verify", p} },
		"reference": func(p string) []string { return []string{"auditor", "evidence", "verify", "gone", "--reference", p} },
		"explain":   func(p string) []string { return []string{"auditor", "evidence", "explain", p} },
		"report": func(p string) []string {
			return []string{"auditor", "evidence", "import", "--platform", "nitro", "--report", p, "-o", p + ".out"}
		},
		"ledgers": func(p string) []string { return []string{"auditor", "ledgers", p} },
	} {
		for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
			cmd, words := blocked(t, args)
			if err := cmd.Process.Signal(s); err != nil {
				t.Fatal(err)
			}
			err := ends(t, cmd)
			if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != int(KindTryAgain) || !strings.Contains(words.String(), "interrupted") {
				t.Errorf("%s, %v: %v, %s", name, s, err, words)
			}
		}
	}
}

// TestSecondSignalKills: what does not give way to the first signal is ended by the next.
func TestSecondSignalKills(t *testing.T) {
	cmd, words := blocked(t, func(p string) []string { return []string{"operator", "reference", "show", p} })
	for range 20 {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err := ends(t, cmd); err == nil {
		t.Errorf("it ended with 0: %s", words)
	}
}
