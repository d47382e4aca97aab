// SPDX-License-Identifier: Apache-2.0

package wasm

import (
	"context"
	"fmt"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/glovebox-dev/glovebox/enclave/fuel"
)

// txModule is the module that guests of tx/1 import beside WASI.
const txModule = "glovebox_tx"

// TransformImports is what a module that transforms records may import beside WASI.
type TransformImports struct {
	Findings bool // emit_finding: of tx/1
	Token    bool // token
	Noise    bool // noise_laplace
}

// TransformHost does for a guest what its own process cannot: the process has no key and draws no noise. An error ends the
// guest.
type TransformHost interface {
	// Token makes a token of a text; ok is false if there is none of this kind for this text.
	Token(kind uint32, text []byte) (token []byte, ok bool, err error)
	// Laplace draws noise for a record of the batch at hand.
	Laplace(record uint32, sensitivity, epsilon int64) (int64, error)
}

// modules are the host modules for what may be imported.
func (may TransformImports) modules() []hostBuilder {
	if may == (TransformImports{}) {
		return []hostBuilder{wasiModule}
	}
	return []hostBuilder{wasiModule, may.module}
}

// module compiles the functions of glovebox_tx. Any pointer or length outside of the guest's memory is a trap.
func (may TransformImports) module(ctx context.Context, r wazero.Runtime) (string, wazero.CompiledModule, error) {
	const i32, i64 = api.ValueTypeI32, api.ValueTypeI64
	type types = []api.ValueType
	b := r.NewHostModuleBuilder(txModule)
	for _, f := range []struct {
		name            string
		there           bool
		params, results types
		run             func(call)
	}{
		{"emit_finding", may.Findings, types{i32, i32, i32, i32, i32, i32}, nil, emitFinding},
		{"token", may.Token, types{i32, i32, i32, i32, i32}, types{i32}, token},
		{"noise_laplace", may.Noise, types{i32, i64, i64}, types{i64}, noiseLaplace},
	} {
		if !f.there {
			continue
		}
		run := f.run
		b = b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, m api.Module, stack []uint64) {
			run(newCall(ctx, m, stack))
		}), f.params, f.results).Export(f.name)
	}
	c, err := b.Compile(ctx)
	return txModule, c, err
}

// record is an argument that is a record of the batch at hand: its place and its bytes.
func (c call) record(arg int) (place, size uint32) {
	place = c.u32(arg)
	if uint64(place) >= uint64(len(c.tx.lengths)) {
		panic(fmt.Errorf("%w: record %d of a batch of %d", errTransform, place, len(c.tx.lengths)))
	}
	return place, c.tx.lengths[place]
}

// emitFinding counts a finding by its type. Where in the record it is must be possible, and is not kept.
func emitFinding(c call) {
	_, size := c.record(0)
	length := c.u32(2)
	start, end, score := c.u32(3), c.u32(4), c.u32(5)
	if length == 0 || length > maxFindingType {
		panic(fmt.Errorf("%w: a finding's type of %d bytes, want 1 to %d", errTransform, length, maxFindingType))
	}
	kind := c.bytes(c.u32(1), length)
	c.spend(fuel.Bytes(uint64(length)))
	for _, b := range kind {
		if (b < 'A' || b > 'Z') && (b < '0' || b > '9') && b != '_' {
			panic(fmt.Errorf("%w: a finding's type has other characters than A to Z, 0 to 9 and _", errTransform))
		}
	}
	if start > end || end > size || score > maxScore {
		panic(fmt.Errorf("%w: a finding from %d to %d of %d bytes, with score %d", errTransform, start, end, size, score))
	}
	c.tx.count(kind)
}

func (x *transforming) count(kind []byte) {
	if !x.types[string(kind)] {
		if len(x.types) >= maxFindingTypes {
			panic(fmt.Errorf("%w: more than %d types of findings", errTransform, maxFindingTypes))
		}
		if x.types == nil {
			x.types = map[string]bool{}
		}
		x.types[string(kind)] = true
	}
	if x.findings == nil {
		x.findings = map[string]int64{}
	}
	x.findings[string(kind)]++
}

// token writes a token of a text and gives its length; -1 if there is none, or no room for it.
func token(c call) {
	length := c.u32(2)
	if length > maxTokenText {
		panic(fmt.Errorf("%w: a token of %d bytes, at most %d", errTransform, length, maxTokenText))
	}
	text, room := c.bytes(c.u32(1), length), c.bytes(c.u32(3), c.u32(4))
	c.spend(flatAsk)
	made, ok, err := c.config.Transform.Token(c.u32(0), text)
	if err != nil {
		panic(fmt.Errorf("token: %w", err))
	}
	c.stack[0] = api.EncodeI32(-1)
	if ok && len(made) <= len(room) {
		c.stack[0] = api.EncodeI32(int32(copy(room, made)))
	}
}

// noiseLaplace gives noise for a record.
func noiseLaplace(c call) {
	place, _ := c.record(0)
	sensitivity, epsilon := int64(c.stack[1]), int64(c.stack[2])
	if sensitivity < 1 || sensitivity > maxSensitivity || epsilon < 1 || epsilon > maxNoiseEpsilon {
		panic(fmt.Errorf("%w: noise for sensitivity %d and %d millionths", errTransform, sensitivity, epsilon))
	}
	c.spend(flatAsk)
	noise, err := c.config.Transform.Laplace(place, sensitivity, epsilon)
	if err != nil {
		panic(fmt.Errorf("noise: %w", err))
	}
	c.stack[0] = api.EncodeI64(noise)
}
