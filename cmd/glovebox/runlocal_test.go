// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestScriptsC drives the scripts that compile C for the sandbox.
func TestScriptsC(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs all binaries; -short leaves that to `make test`")
	}
	requireClang(t)
	runScripts(t, filepath.Join("testdata", "c"))
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
