// SPDX-License-Identifier: Apache-2.0

//go:build unix

package name_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/transforms/redact/name"
)

// spent is the processor time of this process: other programs on the machine do not change it.
func spent(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestDoubling: twice the text takes about twice the processor time, at the best of several runs.
func TestDoubling(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	tagger := name.Default()
	for _, s := range []string{"San ", "a@", "O'", "1", "x/", "e\u0301", "12 Main St\n", "   \t", "a..", "Ann Lee "} {
		const size = 1 << 19
		text := []byte(strings.Repeat(s, 2*size/len(s)))
		one, two := time.Hour, time.Hour
		for tries := 0; tries < 4 || tries < 12 && two > 3*one; tries++ {
			start := spent(t)
			tagger.Tag(nil, text[:len(text)/2])
			middle := spent(t)
			tagger.Tag(nil, text)
			one, two = min(one, middle-start), min(two, spent(t)-middle)
		}
		if two > 3*one+time.Millisecond {
			t.Errorf("%q: %v, and %v for twice the text", s, one, two)
		}
	}
}
