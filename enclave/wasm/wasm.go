// SPDX-License-Identifier: Apache-2.0

// Package wasm runs untrusted WebAssembly modules, counted in fuel, in a world that holds nothing but what a [Config] names.
//
// Trust domain: the worker process, which holds no key. A guest that breaks out of the engine owns the worker and nothing
// else; what the worker may do is for enclave/sandbox to say. The package's one job: a module that [fuel.Admit] rewrote runs
// until it ends, traps or is out of fuel, gives the same output for the same input and seed, and can be put back to an
// earlier state so completely that nothing it saw in between is left ([Instance.Restore]).
//
// Whatever a guest passes is checked here: pointers and lengths against its memory, work against its fuel before it is done.
package wasm

import (
	"context"
	"errors"
	"fmt"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/glovebox-dev/glovebox/enclave/fuel"
)

// Errors of this package. A guest that ends badly gives exactly one of ErrFuel, ErrMemory, ErrTrap, ErrAnswer and
// [ErrExit].
var (
	// ErrModule means that the module is not admitted, or lacks what it was asked for.
	ErrModule = fuel.ErrModule
	// ErrFuel means that the guest has used all the fuel it was given.
	ErrFuel = errors.New("out of fuel")
	// ErrMemory means that the guest ended badly after the memory limit had refused it memory.
	ErrMemory = errors.New("out of memory")
	// ErrTrap means that the guest did what ends a guest; the text says what, and an error of a [Files] is wrapped beside it.
	ErrTrap = errors.New("trap")
	// ErrAnswer means that a guest's answer to a record is longer than allowed.
	ErrAnswer = errors.New("answer too long")
	// ErrState means that the instance cannot do what it was asked to do now. The caller is to blame, not the guest.
	ErrState = errors.New("wasm: wrong state")
)

// ErrExit is how a guest ended that called proc_exit.
type ErrExit struct{ Code uint32 }

// Error implements error.
func (e ErrExit) Error() string { return fmt.Sprintf("exit code %d", e.Code) }

// compilationWorkers is how many threads compile a module.
const compilationWorkers = 2

// Module is an admitted module, compiled. It may be instantiated more than once, one instance after the other or beside it.
type Module struct {
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	exports  map[string]api.FunctionDefinition
	admitted *fuel.Admitted
}

// Compile admits and compiles a module. A module that is refused gives an error that wraps ErrModule. How long the engine's
// compiler takes is bounded only by the limits of admission: call it where CPU time is limited.
func Compile(ctx context.Context, module []byte) (*Module, error) {
	return compileFor(ctx, module, jobModules())
}

// compileFor compiles a module that may import what builders make.
func compileFor(ctx context.Context, module []byte, builders []hostBuilder) (m *Module, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: engine: %v", ErrModule, p)
		}
	}()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler(). // never the interpreter, which is 70 times slower
											WithCoreFeatures(api.CoreFeaturesV2).WithDebugInfoEnabled(false))
	defer func() {
		if m == nil {
			_ = r.Close(ctx)
		}
	}()
	imports, err := hostModules(ctx, r, builders)
	if err != nil {
		return nil, err
	}
	admitted, err := fuel.Admit(module, imports)
	if err != nil {
		return nil, err
	}
	compiled, err := r.CompileModule(experimental.WithCompilationWorkers(ctx, compilationWorkers), admitted.Module)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModule, err)
	}
	return &Module{r, compiled, compiled.ExportedFunctions(), admitted}, nil
}

// Admitted is what admission found and made of the module. The caller must not change it.
func (m *Module) Admitted() *fuel.Admitted { return m.admitted }

// Close releases the native code. Every instance must be closed before.
func (m *Module) Close() error { return m.runtime.Close(context.Background()) }
