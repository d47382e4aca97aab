// SPDX-License-Identifier: Apache-2.0

package fuel_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/glovebox-dev/glovebox/enclave/fuel"
)

// compiler is a runtime that is only used to compile.
var compiler = sync.OnceValue(func() wazero.Runtime {
	return wazero.NewRuntimeWithConfig(context.Background(), wazero.NewRuntimeConfigCompiler().WithCoreFeatures(api.CoreFeaturesV2))
})

// errPanic is how wazero answers some invalid modules, such as a call of a function whose type does not exist.
var errPanic = errors.New("the engine panics")

func compile(t testing.TB, b []byte) (c wazero.CompiledModule, err error) {
	defer func() {
		if p := recover(); p != nil {
			c, err = nil, fmt.Errorf("%w: %v", errPanic, p)
		}
	}()
	return compiler().CompileModule(t.Context(), b)
}

// checkAdmission holds for any bytes: Admit does not panic; what it admits is refused if it comes again; and wazero takes
// what was admitted just if it takes what came in. It says whether both are taken. What Admit refuses wazero is not asked
// about: thirty bytes that promise three billion parameters cost it 25 GB.
func checkAdmission(t testing.TB, b []byte, allowed fuel.Imports) bool {
	t.Helper()
	a, err := fuel.Admit(b, allowed)
	if err != nil {
		if a != nil || !errors.Is(err, fuel.ErrModule) {
			t.Fatalf("%v, %v", a, err)
		}
		return false
	}
	plain, want := compile(t, b)
	if want == nil {
		defer plain.Close(t.Context())
	}
	if _, err := fuel.Admit(a.Module, allowed); !errors.Is(err, fuel.ErrModule) {
		t.Fatalf("admitted twice: %v", err)
	}
	c, err := compile(t, a.Module)
	if err == nil {
		defer c.Close(t.Context())
	}
	if errors.Is(err, errPanic) {
		t.Fatalf("%x\nadmitted: %v", b, err)
	}
	if want != nil && strings.Contains(want.Error(), "section custom") {
		return false // custom sections are dropped, with what is wrong in them
	}
	if (err == nil) != (want == nil) {
		t.Fatalf("%x\nadmitted: %v\nas it came: %v", b, err, want)
	}
	return err == nil
}

// importsOfModule allows what a module of wazero's own imports.
func importsOfModule(t testing.TB, b []byte) fuel.Imports {
	allowed := allowAll()
	if c, err := compile(t, b); err == nil {
		maps.Copy(allowed, importsOf(c))
		_ = c.Close(t.Context())
	}
	return allowed
}

// corpus is every module of wazero's own tests, small ones first in line.
func corpus(t testing.TB, below string, limit int64) [][]byte {
	t.Helper()
	var modules [][]byte
	root := filepath.Join(wazeroDir(t), below)
	err := filepath.Walk(root, func(path string, info os.FileInfo, err error) error {
		if err != nil || filepath.Ext(path) != ".wasm" || info.Size() > limit {
			return err
		}
		b, err := os.ReadFile(path)
		modules = append(modules, b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return modules
}

// TestModulesOfWazeroTests runs every module that wazero's tests have, also those that its fuzzers found.
func TestModulesOfWazeroTests(t *testing.T) {
	slowUnderRace(t)
	for below, least := range map[string][2]int{"internal/integration_test/fuzzcases": {30, 15}, "internal/integration_test/spectest": {5000, 2000}} {
		modules := corpus(t, below, 8<<20)
		if testing.Short() && len(modules) > 1000 {
			modules = modules[:1000]
			least = [2]int{1000, 100}
		}
		both := 0
		for _, b := range modules {
			if checkAdmission(t, b, importsOfModule(t, b)) {
				both++
			}
		}
		t.Logf("%s: %d modules, %d admitted and compiled", below, len(modules), both)
		if len(modules) < least[0] || both < least[1] {
			t.Errorf("%s: too few", below)
		}
	}
}

func FuzzAdmit(f *testing.F) {
	seeds := corpus(f, "internal/integration_test/fuzzcases", 1<<16)
	if len(seeds) < 20 {
		f.Fatalf("%d seeds", len(seeds))
	}
	for seed := range uint64(20) {
		seeds = append(seeds, generate(seed))
	}
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 1<<16 {
			checkAdmission(t, b, allowAll())
		}
	})
}
