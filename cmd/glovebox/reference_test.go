// SPDX-License-Identifier: Apache-2.0

package main

import (
	"path/filepath"
	"testing"
)

// TestRolledBackReferenceList: the broker refuses a list that is older than one it has used, also after a restart.
func TestRolledBackReferenceList(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs all binaries; -short leaves that to `make test`")
	}
	runScripts(t, filepath.Join("testdata", "rollback"))
}
