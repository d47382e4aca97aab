// SPDX-License-Identifier: Apache-2.0

package wasm

import (
	"context"

	"github.com/tetratelabs/wazero"

	"github.com/glovebox-dev/glovebox/enclave/fuel"
)

// Admit checks and rewrites a module exactly as [Compile] does, and neither compiles nor runs any of it: what it gives for
// a module is what an enclave's worker gives. Errors wrap ErrModule. The module's types are not checked; that is the engine's.
func Admit(ctx context.Context, module []byte) (*fuel.Admitted, error) {
	return admit(ctx, module, jobModules())
}

func admit(ctx context.Context, module []byte, builders []hostBuilder) (*fuel.Admitted, error) {
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter()) // for the table of imports, nothing else
	defer r.Close(ctx)
	imports, err := hostModules(ctx, r, builders)
	if err != nil {
		return nil, err
	}
	return fuel.Admit(module, imports)
}
