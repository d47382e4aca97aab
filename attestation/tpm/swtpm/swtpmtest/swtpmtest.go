// SPDX-License-Identifier: Apache-2.0

// Package swtpmtest starts software TPMs for tests.
//
// Trust domain: tests only. Its one job: skip loudly where swtpm is missing, and fail there where
// GLOVEBOX_REQUIRE_SWTPM=1 says that it must not be.
package swtpmtest

import (
	"os"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation/tpm/swtpm"
)

// RequireVariable makes a missing swtpm a failure, as CI does.
const RequireVariable = "GLOVEBOX_REQUIRE_SWTPM"

// SkipMark opens every skip's message, so that a test run can count them.
const SkipMark = "SKIPPED-FOR-SWTPM"

// Require skips t, or fails it where skipping is forbidden, unless swtpm is installed.
func Require(t testing.TB) {
	t.Helper()
	err := swtpm.Available()
	switch {
	case err == nil:
	case os.Getenv(RequireVariable) == "1":
		t.Fatalf("%s=1, but %v", RequireVariable, err)
	default:
		t.Skipf("%s: %v", SkipMark, err)
	}
}

// Start starts a software TPM that ends with the test.
func Start(t testing.TB) *swtpm.Instance {
	t.Helper()
	Require(t)
	i, err := swtpm.Start(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := i.Stop(); err != nil {
			t.Error(err)
		}
	})
	return i
}
