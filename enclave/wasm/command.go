// SPDX-License-Identifier: Apache-2.0

package wasm

import "fmt"

// Command gives nil for a module that can be run as a WASI command: it exports _start, without parameters and results. For
// any other it gives an error that wraps ErrModule.
func (m *Module) Command() error {
	f, ok := m.exports[startFunction]
	if !ok || len(f.ParamTypes())+len(f.ResultTypes()) != 0 {
		return fmt.Errorf("%w: no %s function", ErrModule, startFunction)
	}
	return nil
}
