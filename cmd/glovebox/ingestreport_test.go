// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/transforms"
)

// TestReportDigestCannotBeGuessed: the digest of a report is public, so who guesses what was found must not be able to see it there.
func TestReportDigestCannotBeGuessed(t *testing.T) {
	dir := t.TempDir()
	seen := map[envelope.Digest]bool{}
	for range 2 {
		drawn, err := reportSalt(&dataset.PackConfig{})
		if err != nil {
			t.Fatal(err)
		}
		r, err := newScanReport(dir, drawn)
		if err != nil {
			t.Fatal(err)
		}
		r.found(&transforms.Finding{Path: "ssn", Type: "US_SSN", End: 11, Score: 990, TextSHA256: envelope.Sum([]byte("219-09-9999"))})
		d, err := r.keep()
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(dir, d.Hex()+".jsonl"))
		if err != nil || envelope.Sum(b) != d {
			t.Fatalf("%s: %v", b, err)
		}
		salt, lines, _ := bytes.Cut(b, []byte("\n"))
		if !regexp.MustCompile(`^\{"salt":"[0-9a-f]{64}"\}$`).Match(salt) || bytes.Count(lines, []byte("\n")) != 1 {
			t.Errorf("%s", b)
		}
		if seen[d] || seen[envelope.Sum(salt)] || envelope.Sum(lines) == d {
			t.Errorf("%s: the same digest, or the same salt, or none", d)
		}
		seen[d], seen[envelope.Sum(salt)] = true, true
	}
}
