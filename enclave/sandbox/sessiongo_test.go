// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSessionGo: a Go program, with its collector, its clock and its random numbers, forgets too, in every order.
func TestSessionGo(t *testing.T) {
	if raceEnabled && testing.Short() {
		t.Skip("under the race detector a worker compiles a Go guest for half a minute; the tests without it do so too")
	}
	out := filepath.Join(t.TempDir(), "guest.wasm")
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", out, "./testdata/guests/records")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	module, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	sp := sessionSpec(module)
	sp.RecordFuel, sp.Params = 1<<30, map[string]string{"COLOUR": "blue"}
	x := newSessionOf(t, newSpawner(t), sp)
	seen := map[string]Answer{}
	for _, in := range []string{
		"a", "b", "grow", "a", "panic", "a", "exit", "b", "loop", "a", "file", "", "grow", "loop", "exit", "panic", "b", "", "file", "a",
	} {
		a := mustRecord(t, x, in)
		if before, ok := seen[in]; ok && !cmp.Equal(a, before) {
			t.Errorf("%q: once %+v, then %+v", in, before, a)
		}
		seen[in] = a
	}
	for in, want := range map[string]string{"panic": ReasonTrap, "exit": ReasonTrap, "loop": ReasonFuel, "a": ReasonNone, "grow": ReasonNone, "": ReasonNone} {
		if a := seen[in]; a.Reason != want {
			t.Errorf("%q: %+v, want %q", in, a, want)
		}
	}
	if a := seen["a"]; !strings.HasPrefix(string(a.Out), "[a] 0 ") || !strings.HasSuffix(string(a.Out), "blue") {
		t.Errorf("%+v", a)
	}
}
