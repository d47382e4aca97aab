// SPDX-License-Identifier: Apache-2.0

package attestation_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation"
)

func TestReadEndorsements(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	got, err := attestation.ReadEndorsements(write("good", `[ {"type": "application/pkix-crl", "body": "AQI="} ]`))
	if err != nil || len(got) != 1 || got[0].Type != attestation.CRLType || !bytes.Equal(got[0].Body, []byte{1, 2}) {
		t.Fatalf("got %v, %v", got, err)
	}
	one := `{"type":"x","body":"AQI="},`
	for name, content := range map[string]string{
		"nothing":   "",
		"random":    "\x00\xff\x17",
		"empty":     "[]",
		"null":      "null",
		"object":    `{"type":"x","body":"AQI="}`,
		"truncated": `[{"type":"x","body":"AQI="}`,
		"trailing":  `[{"type":"x","body":"AQI="}] x`,
		"unknown":   `[{"type":"x","body":"AQI=","note":"y"}]`,
		"twice":     `[{"type":"x","type":"y","body":"AQI="}]`,
		"base64":    `[{"type":"x","body":"A"}]`,
		"no-type":   `[{"type":"","body":"AQI="}]`,
		"no-body":   `[{"type":"x","body":""}]`,
		"too-many":  "[" + strings.TrimSuffix(strings.Repeat(one, 65), ",") + "]",
	} {
		if got, err := attestation.ReadEndorsements(write(name, content)); !errors.Is(err, attestation.ErrMalformed) {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
	for name, path := range map[string]string{
		"missing":   filepath.Join(dir, "none"),
		"directory": dir,
		"oversized": write("big", strings.Repeat(" ", attestation.MaxEvidence+1)),
	} {
		if got, err := attestation.ReadEndorsements(path); err == nil {
			t.Errorf("%s: got %v", name, got)
		}
	}
}
