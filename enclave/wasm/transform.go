// SPDX-License-Identifier: Apache-2.0

package wasm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/tetratelabs/wazero/api"
)

// What a guest exports that transforms records, see docs/spec/transform-abi.md.
const (
	txAbiFunction       = "tx_abi"
	txAllocFunction     = "tx_alloc"
	txInitFunction      = "tx_init"
	txTransformFunction = "tx_transform"
	txFlushFunction     = "tx_flush"
	txAbi               = 1
)

// transforming is what an instance knows of the batch that its guest transforms.
type transforming struct {
	lengths  []uint32         // of the batch's records; nil outside of a batch
	findings map[string]int64 // by type, since they were last asked for
	types    map[string]bool  // all there ever were
}

// CompileTransform is [Compile] for a module that transforms records: of tx/1 or, if it may import nothing, a WASI command
// without files.
func CompileTransform(ctx context.Context, module []byte, may TransformImports) (*Module, error) {
	return compileFor(ctx, module, may.modules())
}

// Transformer gives nil for a module that follows tx/1. For any other it gives an error that wraps ErrModule.
func (m *Module) Transformer() error {
	const i32, i64 = api.ValueTypeI32, api.ValueTypeI64
	type types = []api.ValueType
	for _, f := range []struct {
		name            string
		params, results types
		optional        bool
	}{
		{initFunction, nil, nil, true},
		{txAbiFunction, nil, types{i32}, false},
		{txAllocFunction, types{i32}, types{i32}, false},
		{txInitFunction, types{i32, i32}, types{i32}, false},
		{txTransformFunction, types{i32, i32}, types{i64}, false},
		{txFlushFunction, nil, types{i64}, false},
	} {
		def, ok := m.exports[f.name]
		if !ok && f.optional {
			continue
		}
		if !ok || !slices.Equal(def.ParamTypes(), f.params) || !slices.Equal(def.ResultTypes(), f.results) {
			return fmt.Errorf("%w: no function %s as in tx/1", ErrModule, f.name)
		}
	}
	if m.compiled.ExportedMemories()[memoryExport] == nil {
		return fmt.Errorf("%w: no %s as in tx/1", ErrModule, memoryExport)
	}
	return nil
}

// OpenTransform starts a guest of tx/1: its start section, _initialize, and tx_init with the configuration. A guest of another
// version, or one that refuses the configuration, gives ErrTrap.
func (i *Instance) OpenTransform(ctx context.Context, config []byte) error {
	if err := i.Initialize(ctx); err != nil {
		return err
	}
	abi, err := i.Call(ctx, txAbiFunction)
	if err != nil {
		return err
	}
	if got := int32(abi[0]); got != txAbi {
		return txTrap("%s gives %d, want %d", txAbiFunction, got, txAbi)
	}
	at, err := i.give(ctx, config)
	if err != nil {
		return err
	}
	said, err := i.Call(ctx, txInitFunction, uint64(at), uint64(len(config)))
	if err != nil {
		return err
	}
	if code := int32(said[0]); code != 0 {
		return txTrap("%s refuses the configuration: %d", txInitFunction, code)
	}
	return nil
}

// Transform gives a batch of framed records to a guest of tx/1, with this much fuel, and returns its answer: at most limit
// bytes, which are the guest's memory and valid until the next call of the instance. Batch and answer cost fuel by their bytes
// beside what the guest uses. What is in the answer is not looked at. After an error the guest has ended.
func (i *Instance) Transform(ctx context.Context, batch []byte, units int64, limit int) ([]byte, error) {
	lengths, err := recordLengths(batch, i.tx.lengths[:0])
	if err != nil {
		return nil, err
	}
	if err := i.Refuel(units); err != nil {
		return nil, err
	}
	i.setFuel(i.left() - flatRun)
	at, err := i.give(ctx, batch)
	if err != nil {
		return nil, err
	}
	i.tx.lengths = lengths
	said, err := i.Call(ctx, txTransformFunction, uint64(at), uint64(len(batch)))
	i.tx.lengths = lengths[:0]
	if err != nil {
		return nil, err
	}
	return i.answer(said[0], limit)
}

// Flush tells a guest of tx/1 that there are no more records, as [Instance.Transform] otherwise.
func (i *Instance) Flush(ctx context.Context, units int64, limit int) ([]byte, error) {
	if err := i.Refuel(units); err != nil {
		return nil, err
	}
	i.setFuel(i.left() - flatRun)
	said, err := i.Call(ctx, txFlushFunction)
	if err != nil {
		return nil, err
	}
	return i.answer(said[0], limit)
}

// Findings are how many of which type the guest told since it was asked last.
func (i *Instance) Findings() map[string]int64 {
	f := i.tx.findings
	i.tx.findings = nil
	return f
}

// give puts bytes where the guest wants them.
func (i *Instance) give(ctx context.Context, p []byte) (at uint32, err error) {
	said, err := i.Call(ctx, txAllocFunction, uint64(len(p)))
	if err != nil {
		return 0, err
	}
	at = uint32(said[0])
	if at == 0 && len(p) > 0 {
		return 0, i.noRoom(len(p))
	}
	return at, i.Write(at, p)
}

// answer lends what a guest's pointer and length say.
func (i *Instance) answer(said uint64, limit int) ([]byte, error) {
	ptr, size := uint32(said>>32), uint32(said)
	if uint64(size) > uint64(limit) {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrAnswer, size, limit)
	}
	return i.Read(ptr, size)
}

// recordLengths are those of framed records. The frames are the enclave's.
func recordLengths(batch []byte, out []uint32) ([]uint32, error) {
	for len(batch) > 0 {
		if len(batch) < 4 {
			return nil, fmt.Errorf("%w: frames of a batch do not add up", ErrState)
		}
		n := binary.LittleEndian.Uint32(batch)
		if uint64(n) > uint64(len(batch)-4) {
			return nil, fmt.Errorf("%w: frames of a batch do not add up", ErrState)
		}
		out, batch = append(out, n), batch[4+n:]
	}
	return out, nil
}

// errTransform is the cause of traps that this file makes.
var errTransform = errors.New("not as in tx/1")

func txTrap(f string, a ...any) error {
	text := fmt.Sprintf(f, a...)
	return trap{text, errTransform}
}
