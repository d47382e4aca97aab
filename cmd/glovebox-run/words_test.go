// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	hostileWords = "loss 0.5\n\x1b]52;c;ZXZpbA==\x07\x1b[2J\ttab\r über \x9b31m \u009b31m \u202eabc \x7f\x00 \xe2\x82"
	visibleWords = "loss 0.5\n^[]52;c;ZXZpbA==^G^[[2J\ttab^M über \\x9b31m \\u009b31m \\u202eabc ^?^@ \\xe2\\x82"
)

// TestEscapeSequences: code cannot make a terminal do anything, however it cuts its words up.
func TestEscapeSequences(t *testing.T) {
	for _, size := range []int{1, 2, 3, 7, len(hostileWords)} {
		var got bytes.Buffer
		v := &visible{w: &got}
		for p := []byte(hostileWords); len(p) > 0; p = p[min(size, len(p)):] {
			if _, err := v.Write(p[:min(size, len(p))]); err != nil {
				t.Fatal(err)
			}
		}
		if v.end(); got.String() != visibleWords {
			t.Errorf("in pieces of %d: %q, want %q", size, got.String(), visibleWords)
		}
	}
}

func TestOnlyTerminalsAreProtected(t *testing.T) {
	terminal, screen := newTerminal(t)
	w, end := words(terminal)
	if _, err := io.WriteString(w, "\x1b[2J\x07"); err != nil {
		t.Fatal(err)
	}
	end()
	b := make([]byte, 100)
	if n, err := screen.Read(b); err != nil || string(b[:n]) != "^[[2J^G" {
		t.Errorf("a terminal got %q, %v", b[:n], err)
	}
	file, err := os.Create(t.TempDir() + "/words")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w, end = words(file)
	if _, err := io.WriteString(w, hostileWords); err != nil {
		t.Fatal(err)
	}
	end()
	if got, err := os.ReadFile(file.Name()); err != nil || string(got) != hostileWords {
		t.Errorf("a file got %q, %v", got, err)
	}
}

// newTerminal is a terminal and what its screen shows.
func newTerminal(t *testing.T) (terminal, screen *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { screen.Close() })
	n, err := unix.IoctlGetInt(int(screen.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	if err := unix.IoctlSetPointerInt(int(screen.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { terminal.Close() })
	return terminal, screen
}
