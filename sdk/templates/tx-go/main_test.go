// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/sdk/go/glovebox/tx"
)

// TestTransform runs the transform outside the sandbox.
func TestTransform(t *testing.T) {
	read := func(name string) []string {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	}
	out, found, err := tx.Run(open, &tx.Config{JSON: []byte("{}"), Format: "jsonl", Shape: "filter"}, read("sample.jsonl")...)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(out, "\n"), strings.Join(read("expected.jsonl"), "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if len(found) == 0 {
		t.Error("nothing was found")
	}
}
