// SPDX-License-Identifier: Apache-2.0

package wasm

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// goGuest compiles testdata/guests/name.
func goGuest(t testing.TB, name string, flags ...string) []byte {
	t.Helper()
	if raceEnabled && testing.Short() {
		t.Skip("under the race detector Go guests take half a minute to compile; the tests without it do so too")
	}
	out := filepath.Join(t.TempDir(), "guest.wasm")
	args := append([]string{"build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", out}, flags...)
	cmd := exec.Command("go", append(args, "./testdata/guests/"+name)...)
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// cGuest compiles testdata/c/name.c, a reactor.
func cGuest(t testing.TB, name string, flags ...string) []byte {
	t.Helper()
	clang, err := exec.LookPath("clang")
	if err != nil {
		if os.Getenv("CI") == "true" && os.Getenv("GLOVEBOX_NO_CLANG") == "" {
			t.Fatal(err)
		}
		t.Skip("no clang, lld and wasi-libc: C guests are not tested")
	}
	out := filepath.Join(t.TempDir(), "guest.wasm")
	args := append([]string{"--target=wasm32-wasi", "-mexec-model=reactor", "-O2", "-o", out, "testdata/c/" + name + ".c"}, flags...)
	cmd := exec.Command(clang, args...)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var epoch = time.Now()

// nanos is a clock for measuring.
func nanos() int64 { return int64(time.Since(epoch)) }
