// SPDX-License-Identifier: Apache-2.0

package fuel_test

import (
	"context"
	"os/exec"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/glovebox-dev/glovebox/enclave/fuel"
)

// plenty is more fuel than any test uses.
const plenty = 1 << 50

// wazeroDir is where the wazero module lies, whose own test data we read.
func wazeroDir(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	if err != nil {
		t.Fatalf("where is wazero: %v", err)
	}
	return strings.TrimSpace(string(out))
}

func newRuntime(t testing.TB) wazero.Runtime {
	t.Helper()
	rt := wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfigCompiler().
		WithCoreFeatures(api.CoreFeaturesV2).WithMemoryLimitPages(1<<16))
	t.Cleanup(func() { _ = rt.Close(context.Background()) })
	return rt
}

// importsOf allows just what a compiled module imports.
func importsOf(c wazero.CompiledModule) fuel.Imports {
	allowed := fuel.Imports{}
	for _, f := range c.ImportedFunctions() {
		m, n, _ := f.Import()
		allowed[[2]string{m, n}] = fuel.Signature{Params: typeBytes(f.ParamTypes()), Results: typeBytes(f.ResultTypes())}
	}
	return allowed
}

func typeBytes(types []api.ValueType) []byte {
	b := make([]byte, len(types))
	for i, t := range types {
		b[i] = byte(t)
	}
	return b
}

// setFuel gives an instance fuel and returns what tells how much is left.
func setFuel(t testing.TB, m api.Module, n int64) func() int64 {
	t.Helper()
	g, ok := m.ExportedGlobal(fuel.GlobalExport).(api.MutableGlobal)
	if !ok {
		t.Fatal("no fuel global")
	}
	g.Set(uint64(n))
	return func() int64 { return int64(g.Get()) }
}

// admit admits a module that a test made.
func admit(t testing.TB, module []byte, allowed fuel.Imports) *fuel.Admitted {
	t.Helper()
	a, err := fuel.Admit(module, allowed)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// message is an error without the addresses and the wasm stack trace that follow its first line.
func message(err error) string {
	if err == nil {
		return ""
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// slowUnderRace leaves a test of one goroutine and much work to the runs without the race detector.
func slowUnderRace(t *testing.T) {
	t.Helper()
	if raceEnabled && testing.Short() {
		t.Skip("one goroutine: run without the race detector")
	}
}
