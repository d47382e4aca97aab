// SPDX-License-Identifier: Apache-2.0

//go:build unix

package redact_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/transforms/redact"
)

// cpu is the processor time that the process has used: a busy machine does not change it.
func cpu(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Skip("no processor time here")
	}
	return time.Duration(u.Utime.Nano())
}

// TestLinear: eight times the text takes about eight times the time, whatever the text is; were the time quadratic, it would be sixty-four
// times. The bound is far from both, so that caches and collectors do not matter.
func TestLinear(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	d := detector(t, redact.Detect{
		Types:    []string{"structured", "A", "W"},
		Patterns: []redact.Pattern{{Name: "a", Type: "A", Regexp: `a[b-y]{0,40}z|aaa`}},
		Words:    []redact.Words{{Type: "W", Words: []string{"a", "a a", "a a a", "a a a a", "b a a a", "aaaa", "ab"}}},
	})
	for _, unit := range []string{
		"a(1", "&#", "&#64;", "=4", "=40", "%", "\\u0", "(at)", "<US_SSN>", "<US_SSN:aaaa", "<", "a ", "\u00ad", "１", "\xff", "[dot] ", "1.1.1.1.1", "@@@@",
		"=?utf-8?q?", "=?a?b?=", "a dot ", "a at a dot a dot ", "a @ a.", "user=", "password: ", "cvv ", "4111111111111111 cvv 123 ",
		"jane@acme.com, ", "4111 1111 1111 1111 ", "one two three ", "\n",
	} {
		const size = 128 << 10
		spent := func(n int) time.Duration {
			text := []byte(strings.Repeat(unit, n/len(unit)))
			best := time.Hour
			for range 2 {
				start := cpu(t)
				d.Find(nil, text)
				best = min(best, cpu(t)-start)
			}
			return best
		}
		one, eight := spent(size), spent(8*size)
		if eight > 28*one+50*time.Millisecond {
			t.Errorf("%q: %v for 128 KiB, %v for 1 MiB", unit, one, eight)
		}
	}
}
