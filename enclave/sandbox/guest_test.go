// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// filesGuest compiles testdata/guests/files, once.
var filesGuest = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "guest")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "guest.wasm")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", out, "./testdata/guests/files")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, err
	}
	return os.ReadFile(out)
})

func buildGuest(t testing.TB) []byte {
	t.Helper()
	if raceEnabled && testing.Short() {
		t.Skip("under the race detector a worker compiles a Go guest for half a minute; the tests without it do so too")
	}
	b, err := filesGuest()
	if err != nil {
		t.Fatal(err)
	}
	return b
}
