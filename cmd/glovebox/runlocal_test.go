// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/cmd/glovebox-run/localrun"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// TestScriptsC drives the scripts that compile C for the sandbox.
func TestScriptsC(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs all binaries; -short leaves that to `make test`")
	}
	requireClang(t)
	runScripts(t, filepath.Join("testdata", "c"))
}

func TestHintsOfFailedRuns(t *testing.T) {
	limits := job.Limits{MemoryBytes: 64 << 20, Fuel: 1000}
	for want, r := range map[string]localrun.Result{
		"--fuel 102001 would do: it needs 100000":           {Reason: "fuel-limit", Need: 100_000},
		"it needs more than --fuel 1000, and without":       {Reason: "fuel-limit"},
		"how much more was not measured":                    {Reason: "fuel-limit", Measuring: true},
		"give it longer with --wall":                        {Reason: "wall-limit"},
		"give it more than --memory 64MiB":                  {Reason: "memory-limit"},
		"raise --max-output and the bytes in --output":      {Reason: "output-limit"},
		"build it for WASI preview 1":                       {Reason: "module"},
		"reads its data more often than --epochs says":      {Reason: localrun.ReasonEpochs},
		"the code ended itself, and what it said is above":  {Reason: "trap", Detail: "exit code 3"},
		"what it said is above; run it outside the sandbox": {Reason: "trap", Detail: "unreachable"},
	} {
		if got := (&localView{Result: &r, Limits: limits}).hint(); !strings.Contains(got, want) {
			t.Errorf("%s: hint %q, want %q", r.Reason, got, want)
		}
	}
}

// requireClang skips where clang cannot compile for WASI; `make deps` installs what it needs.
func requireClang(t *testing.T) {
	t.Helper()
	src := filepath.Join(t.TempDir(), "main.c")
	if err := os.WriteFile(src, []byte("#include <stdio.h>\nint main(void) { return puts(\"\"); }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("clang", "--target=wasm32-wasi", "-o", src+".wasm", src).CombinedOutput()
	switch {
	case err == nil:
	case os.Getenv("CI") == "true" && os.Getenv("GLOVEBOX_NO_CLANG") == "":
		t.Fatalf("clang cannot compile for WASI, and CI=true: %v\n%s", err, out)
	default:
		t.Skipf("clang cannot compile for WASI (apt-get install clang lld wasi-libc libclang-rt-dev-wasm32): %v\n%s", err, out)
	}
}
