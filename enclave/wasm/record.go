// SPDX-License-Identifier: Apache-2.0

package wasm

import (
	"context"
	"fmt"
	"slices"

	"github.com/tetratelabs/wazero/api"

	"github.com/glovebox-dev/glovebox/enclave/fuel"
)

// What a guest exports that is called for one record at a time, see docs/spec/record-abi.md.
const (
	initFunction   = "_initialize"
	allocFunction  = "record_alloc"
	recordFunction = "record"
	memoryExport   = "memory"
)

// Recorder gives nil for a module that follows record/1. For any other it gives an error that wraps ErrModule.
func (m *Module) Recorder() error {
	const i32, i64 = api.ValueTypeI32, api.ValueTypeI64
	for _, f := range []struct {
		name            string
		params, results []api.ValueType
		optional        bool
	}{
		{initFunction, nil, nil, true},
		{allocFunction, []api.ValueType{i32}, []api.ValueType{i32}, false},
		{recordFunction, []api.ValueType{i32, i32}, []api.ValueType{i64}, false},
	} {
		def, ok := m.exports[f.name]
		if !ok && f.optional {
			continue
		}
		if !ok || !slices.Equal(def.ParamTypes(), f.params) || !slices.Equal(def.ResultTypes(), f.results) {
			return fmt.Errorf("%w: no function %s as in record/1", ErrModule, f.name)
		}
	}
	if m.compiled.ExportedMemories()[memoryExport] == nil {
		return fmt.Errorf("%w: no %s as in record/1", ErrModule, memoryExport)
	}
	if why := m.admitted.Fixed; why != "" {
		return fmt.Errorf("%w: no snapshots: %s", ErrModule, why)
	}
	return nil
}

// Initialize starts a reactor: its start section, then _initialize if it has one. It comes before any other call.
func (i *Instance) Initialize(ctx context.Context) error {
	if !i.started {
		i.setFuel(i.left() - flatRun)
	}
	if err := i.Start(ctx); err != nil {
		return err
	}
	if _, ok := i.module.exports[initFunction]; !ok {
		return nil
	}
	_, err := i.call(ctx, initFunction)
	return err
}

// Record gives a record to a guest that follows record/1, and returns its answer: at most limit bytes, which are the guest's
// memory and valid until the next call of the instance. A record costs fuel by its bytes and its answer's beside what the
// guest uses. An error is the guest's end, as of [Instance.Call], or [ErrAnswer].
func (i *Instance) Record(ctx context.Context, record []byte, limit int) ([]byte, error) {
	i.setFuel(i.left() - flatRun)
	at, err := i.Call(ctx, allocFunction, uint64(len(record)))
	if err != nil {
		return nil, err
	}
	if uint32(at[0]) == 0 && len(record) > 0 {
		return nil, i.noRoom(len(record))
	}
	if err := i.Write(uint32(at[0]), record); err != nil {
		return nil, err
	}
	answer, err := i.Call(ctx, recordFunction, uint64(uint32(at[0])), uint64(len(record)))
	if err != nil {
		return nil, err
	}
	ptr, size := uint32(answer[0]>>32), uint32(answer[0])
	if uint64(size) > uint64(limit) {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrAnswer, size, limit)
	}
	return i.Read(ptr, size)
}

// noRoom is how a record ends that the guest found no memory for.
func (i *Instance) noRoom(size int) error {
	text := fmt.Sprintf("the guest has no room for a record of %d bytes", size)
	if i.memory.denied {
		return fmt.Errorf("%w: %s", ErrMemory, text)
	}
	return trap{text, errBounds}
}

// Write copies p into the guest's memory and charges for it. Memory that the guest does not have gives ErrTrap, and nothing
// is written.
func (i *Instance) Write(at uint32, p []byte) error {
	b, err := i.span(at, uint64(len(p)))
	copy(b, p)
	return err
}

// Read lends the guest's memory, until the next call of the instance, and charges for it. Memory that the guest does not
// have gives ErrTrap.
func (i *Instance) Read(at, size uint32) ([]byte, error) { return i.span(at, uint64(size)) }

// span is a piece of the guest's memory that was paid for.
func (i *Instance) span(at uint32, size uint64) ([]byte, error) {
	if i.closed || i.broken || i.exited {
		return nil, fmt.Errorf("%w: the guest has ended", ErrState)
	}
	mem := i.guest.Memory()
	if mem == nil || uint64(at)+size > uint64(mem.Size()) {
		return nil, trap{fmt.Sprintf("%v: %d bytes at %d", errBounds, size, at), errBounds}
	}
	units := fuel.Bytes(size)
	if units > i.left() {
		i.setFuel(-1)
		return nil, ErrFuel
	}
	i.setFuel(i.left() - units)
	b, ok := mem.Read(at, uint32(size))
	if !ok {
		return nil, trap{errBounds.Error(), errBounds}
	}
	return b, nil
}

// Refuel gives the guest this much fuel, whatever is left, and counts [Instance.Used] from there. Done before a snapshot, it
// is also what every restore gives.
func (i *Instance) Refuel(units int64) error {
	if i.closed || units < 1 || units > maxFuel {
		return fmt.Errorf("%w: closed, or fuel %d, want 1 to %d", ErrState, units, int64(maxFuel))
	}
	i.config.Fuel = units
	i.setFuel(units)
	return nil
}
