// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

func TestNameFrames(t *testing.T) {
	const trace = "unreachable\nwasm stack trace:\n\t.$6(i32)\n\t.$7() i32\n\t._start()"
	header := "\x00asm\x01\x00\x00\x00"
	names := "\x01\x0b\x02\x06\x02in\x07\x04\x1b[2J"
	section := "\x00" + string(rune(5+len(names))) + "\x04name" + names
	want := strings.NewReplacer(".$6(", "in(", ".$7(", `\x1b[2J(`).Replace(trace)
	if got := nameFrames(trace, []byte(header+section)); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	whole := header + section
	for i := range whole { // a name section that is cut short names what it can, and nothing goes wrong
		if got := nameFrames(trace, []byte(whole[:i])); !strings.HasSuffix(got, "\t._start()") {
			t.Errorf("cut at %d: %q", i, got)
		}
	}
	if got := nameFrames("exit code 3", []byte(whole)); got != "exit code 3" {
		t.Errorf("got %q", got)
	}
}
