// SPDX-License-Identifier: Apache-2.0

// Package fuel admits untrusted WebAssembly modules and rewrites them so that they count what they run.
//
// It belongs to the measured enclave and runs there, on bytes that a stranger wrote, before any engine sees them. It does not
// validate types: the engine does that with the module that leaves here. What it does guarantee is that every instruction
// of the guest is charged before it runs, that no instruction of the guest can name the counter, and that a module too large
// or too deep for the engine's compiler is refused. docs/spec/fuel.md is the contract: who follows it counts the same.
package fuel

import (
	"errors"
	"fmt"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// CostTable names the costs and rules of rewriting below. Any change to what a module is charged needs a new name.
const CostTable = "fuel/1"

// Names that the rewrite exports. A module that exports a name with this prefix is refused.
const (
	reserved     = "glovebox:"
	GlobalExport = reserved + "fuel"    // mutable i64: the fuel that is left; below zero the module has run out
	StartExport  = reserved + "start"   // what was the start section, so that it too runs under fuel
	globalPrefix = reserved + "global:" // and the index: a mutable global of the module, for snapshots
)

// ErrModule is wrapped by every refusal. The text says what is wrong, where, and what to do about it.
var ErrModule = errors.New("module not admitted")

// Signature is a function's type: a byte for each value, as the binary format writes it.
type Signature struct{ Params, Results []byte }

// Imports is everything that a module may import, by module and name. All of it is functions.
type Imports map[[2]string]Signature

// Admitted is a module that may be compiled and run.
type Admitted struct {
	Module    []byte          // rewritten: what to give to the engine
	Original  envelope.Digest // SHA-256 of what came in
	Rewritten envelope.Digest // SHA-256 of Module
	Start     bool            // StartExport exists: call it before anything else, once the fuel is set
	Globals   []string        // export names of the module's own mutable globals, in order
	Fixed     string          // empty if memory and Globals are all the state there is; else why they are not
}

// Admit checks a module against the limits of this package and what it may import, and rewrites it to count fuel. Its
// time and memory are bounded by len(module). Errors wrap ErrModule. The result is not yet known to be well typed: an engine
// that is given it must validate it.
func Admit(module []byte, imports Imports) (*Admitted, error) {
	m, err := parse(module, imports)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModule, err)
	}
	out, err := m.rewrite()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModule, err)
	}
	a := &Admitted{
		Module:   out,
		Original: envelope.Sum(module), Rewritten: envelope.Sum(out),
		Start: m.start >= 0,
		Fixed: m.fixed,
	}
	for _, g := range m.mutable {
		a.Globals = append(a.Globals, globalName(g))
	}
	return a, nil
}

func globalName(index uint32) string { return fmt.Sprintf("%s%d", globalPrefix, index) }
