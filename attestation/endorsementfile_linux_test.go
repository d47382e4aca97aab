// SPDX-License-Identifier: Apache-2.0

package attestation_test

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation"
)

// TestEndorsementsFromPipe: a file that never ends, or never begins, would keep an enclave waiting.
func TestEndorsementsFromPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := attestation.ReadEndorsements(path); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("got %v", err)
	}
}
