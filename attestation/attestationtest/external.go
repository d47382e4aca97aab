// SPDX-License-Identifier: Apache-2.0

package attestationtest

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Evidence of real hardware is other people's and stays out of this repository. Tests find it in three places.
const (
	// VectorsEnv names the directory of vectors kept beside this repository; "../shared/vectors" from its root by default.
	VectorsEnv = "GLOVEBOX_VECTORS"
	// PeersEnv names a directory with a sub-directory for each peer's repository, which holds its test data. There is no
	// default.
	PeersEnv = "GLOVEBOX_PEER_VECTORS"
)

// Module is the directory of a Go module's source, downloaded once by the go command: "github.com/google/go-sev-guest@v0.15.0".
// The module need not be a dependency. Without a network and a cached copy the test skips.
func Module(t testing.TB, module string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", module)
	cmd.Dir = t.TempDir() // outside our module, which does not depend on it
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
	out, err := cmd.Output()
	var m struct{ Dir, Error string }
	if json.Unmarshal(out, &m) != nil || err != nil || m.Dir == "" {
		t.Skipf("SKIP 1: module %s cannot be had (%v %s)", module, err, m.Error)
	}
	return m.Dir
}

// ModuleFile reads a file of a module, see [Module].
func ModuleFile(t testing.TB, module, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(Module(t, module), path))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Shared reads evidence/name of the vectors kept beside this repository, or skips.
func Shared(t testing.TB, name string) []byte {
	t.Helper()
	dir := os.Getenv(VectorsEnv)
	if dir == "" {
		dir = filepath.Join(root(t), "..", "shared", "vectors")
	}
	b, err := os.ReadFile(filepath.Join(dir, "evidence", name))
	if err != nil {
		t.Skipf("SKIP 1: vector %s is not here: set %s", name, VectorsEnv)
	}
	return b
}

// Peer reads a file of a peer's test data, or skips.
func Peer(t testing.TB, repository, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(os.Getenv(PeersEnv), repository, name))
	if os.Getenv(PeersEnv) == "" || err != nil {
		t.Skipf("SKIP 1: %s of %s is not here: set %s", name, repository, PeersEnv)
	}
	return b
}

// root is the directory that holds go.mod.
func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("no go.mod above the test")
		}
		dir = up
	}
}
