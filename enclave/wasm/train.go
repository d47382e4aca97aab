// SPDX-License-Identifier: Apache-2.0

package wasm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"unsafe"

	"github.com/tetratelabs/wazero/api"
)

// What a guest exports that computes gradients, see docs/spec/train-abi.md.
const (
	trainOpenFunction           = "train_open"
	trainInitFunction           = "train_init"
	trainParamsFunction         = "train_params"
	trainGradientBufferFunction = "train_gradient_buffer"
	trainRecordBufferFunction   = "train_record_buffer"
	trainGradientFunction       = "train_gradient"
	trainPrepareFunction        = "train_prepare"
	trainPredictFunction        = "train_predict"
)

// Trainer gives nil for a module that follows train/1. For any other it gives an error that wraps ErrModule.
func (m *Module) Trainer() error {
	const i32, i64, f32 = api.ValueTypeI32, api.ValueTypeI64, api.ValueTypeF32
	type types = []api.ValueType
	for _, f := range []struct {
		name            string
		params, results types
		optional        bool
	}{
		{initFunction, nil, nil, true},
		{trainOpenFunction, types{i32}, types{i32}, false},
		{trainInitFunction, types{i32, i32}, types{i32}, false},
		{trainParamsFunction, nil, types{i64}, false},
		{trainGradientBufferFunction, nil, types{i32}, false},
		{trainRecordBufferFunction, nil, types{i32}, false},
		{trainGradientFunction, types{i32}, types{i32}, false},
		{trainPrepareFunction, types{i32}, types{i64}, true},
		{trainPredictFunction, types{i32}, types{f32}, true},
	} {
		def, ok := m.exports[f.name]
		if !ok && f.optional {
			continue
		}
		if !ok || !slices.Equal(def.ParamTypes(), f.params) || !slices.Equal(def.ResultTypes(), f.results) {
			return fmt.Errorf("%w: no function %s as in train/1", ErrModule, f.name)
		}
	}
	if m.compiled.ExportedMemories()[memoryExport] == nil {
		return fmt.Errorf("%w: no %s as in train/1", ErrModule, memoryExport)
	}
	if why := m.admitted.Fixed; why != "" {
		return fmt.Errorf("%w: no snapshots: %s", ErrModule, why)
	}
	return nil
}

// Prepares and Predicts tell whether the module has these functions of train/1, which it may leave out. [Trainee.Predicts] tells
// whether there is anything behind the second.
func (m *Module) Prepares() bool { return m.has(trainPrepareFunction) }

// Predicts is described at Prepares.
func (m *Module) Predicts() bool { return m.has(trainPredictFunction) }

func (m *Module) has(name string) bool { _, ok := m.exports[name]; return ok }

// Training is what a guest of train/1 is opened with.
type Training struct {
	Config      []byte
	RecordBytes int64 // of a record, at most
	MaxParams   int64
	RecordFuel  int64 // for each record anew
}

// Trainee is a guest of train/1 at its snapshot, which [Trainee.Restore] goes back to after each call with a record.
type Trainee struct {
	*Instance
	params, gradient, record buffer
	trusted                  []byte // the snapshot, as the file holds it
	put                      putBack
	opening                  int64 // fuel
	predicts                 bool
}

// buffer is a piece of the guest's memory that the host remembers: where it is, is asked once.
type buffer struct{ at, size uint64 }

func (b buffer) end() uint64 { return b.at + b.size }

// OpenTrain starts a guest of train/1 and makes the snapshot. Errors are those of [Instance.Call], and [ErrTrap] for a guest that
// refuses its configuration, or whose buffers cannot be.
func (i *Instance) OpenTrain(ctx context.Context, o Training) (*Trainee, error) {
	if err := i.Initialize(ctx); err != nil {
		return nil, err
	}
	t := &Trainee{Instance: i}
	if err := t.configure(ctx, o); err != nil {
		return nil, err
	}
	if err := t.buffers(ctx, o); err != nil {
		return nil, err
	}
	for _, p := range t.Initial() {
		if math.IsNaN(float64(p)) || math.IsInf(float64(p), 0) {
			return nil, trainTrap("an initial parameter is not finite")
		}
	}
	t.opening = i.Used()
	// Written, so that the snapshot's file has their pages.
	clear(t.bytes(t.gradient))
	clear(t.bytes(t.record))
	copy(t.bytes(t.params), bytes.Clone(t.bytes(t.params)))
	if err := errors.Join(i.Refuel(o.RecordFuel), i.Snapshot()); err != nil {
		return nil, err
	}
	if err := t.lend(); err != nil {
		return t, err
	}
	return t, t.probe(ctx)
}

// noPrediction is a guest's answer to a record without bytes that cannot leave train_predict out, and predicts nothing.
const noPrediction = -1

// probe asks whether the guest predicts. Whatever else it answers, and a trap, is that of one that does.
func (t *Trainee) probe(ctx context.Context) error {
	if !t.module.Predicts() {
		return nil
	}
	p, err := t.Predict(ctx, nil)
	if errors.Is(err, ErrState) {
		return err
	}
	t.predicts = err != nil || p != noPrediction
	return t.Restore()
}

// Predicts tells whether the guest has predictions.
func (t *Trainee) Predicts() bool { return t.predicts }

// configure gives the guest its configuration, and asks it to allocate what it will ever need.
func (t *Trainee) configure(ctx context.Context, o Training) error {
	at, err := t.Call(ctx, trainOpenFunction, uint64(len(o.Config)))
	if err != nil {
		return err
	}
	if uint32(at[0]) == 0 && len(o.Config) > 0 {
		return t.noRoom(len(o.Config))
	}
	if err := t.Write(uint32(at[0]), o.Config); err != nil {
		return err
	}
	said, err := t.Call(ctx, trainInitFunction, uint64(len(o.Config)), uint64(o.RecordBytes))
	if err != nil {
		return err
	}
	if code := int32(said[0]); code != 0 {
		return trainTrap("%s refuses the configuration: %d", trainInitFunction, code)
	}
	return nil
}

// buffers asks where the guest's three buffers are. They must be in memory, apart from each other.
func (t *Trainee) buffers(ctx context.Context, o Training) error {
	said, err := t.Call(ctx, trainParamsFunction)
	if err != nil {
		return err
	}
	count := uint64(uint32(said[0]))
	if count < 1 || count > uint64(o.MaxParams) {
		return trainTrap("%d parameters, want 1 to %d", count, o.MaxParams)
	}
	t.params = buffer{uint64(uint32(said[0] >> 32)), 4 * count}
	if said, err = t.Call(ctx, trainGradientBufferFunction); err != nil {
		return err
	}
	t.gradient = buffer{uint64(uint32(said[0])), 4 * count}
	if said, err = t.Call(ctx, trainRecordBufferFunction); err != nil {
		return err
	}
	t.record = buffer{uint64(uint32(said[0])), uint64(o.RecordBytes)}
	all := []buffer{t.params, t.gradient, t.record}
	for n, b := range all {
		if b.end() > t.memory.size || b.at == 0 || n < 2 && b.at%4 != 0 {
			return trainTrap("a buffer of %d bytes at %d: it must be in memory, and numbers at a multiple of 4", b.size, b.at)
		}
		for _, c := range all[:n] {
			if b.at < c.end() && c.at < b.end() {
				return trainTrap("buffers overlap")
			}
		}
	}
	return nil
}

// bytes is the guest's memory there.
func (t *Trainee) bytes(b buffer) []byte { return t.memory.all[b.at:b.end():b.end()] }

// floats are the numbers there.
func (t *Trainee) floats(b buffer) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(&t.memory.all[b.at])), b.size/4)
}

// Initial lends the parameters as the guest has them, before [Trainee.SetParams] its initial ones.
func (t *Trainee) Initial() []float32 { return t.floats(t.params) }

// SetParams writes parameters into the snapshot, from the one numbered at: four bytes each, as the guest has them.
func (t *Trainee) SetParams(at int64, p []byte) error {
	if t.closed || t.broken {
		return fmt.Errorf("%w: closed", ErrState)
	}
	if at < 0 || uint64(at) > t.params.size/4 || len(p)%4 != 0 || uint64(len(p)) > t.params.size-4*uint64(at) {
		return fmt.Errorf("%w: %d bytes from parameter %d on, of %d", ErrState, len(p), at, t.params.size/4)
	}
	copy(t.trusted[t.params.at+4*uint64(at):], p)
	return t.memory.forget()
}

// Gradient gives a record to the guest and lends its gradient, until [Trainee.Restore]. A record costs fuel by its bytes beside what
// the guest uses. An error is as of [Instance.Call], or says that the guest has no gradient for it.
func (t *Trainee) Gradient(ctx context.Context, record []byte) ([]float32, error) {
	t.put.learn = true
	said, err := t.give(ctx, trainGradientFunction, record)
	if err != nil {
		return nil, err
	}
	if code := int32(said[0]); code != 0 {
		return nil, trainTrap("no gradient: %d", code)
	}
	return t.floats(t.gradient), nil
}

// Predict asks the guest for its number for a record, whatever that is.
func (t *Trainee) Predict(ctx context.Context, record []byte) (float32, error) {
	said, err := t.give(ctx, trainPredictFunction, record)
	if err != nil {
		return 0, err
	}
	return api.DecodeF32(said[0]), nil
}

// Prepare lends what the guest makes of a record: at most limit bytes, valid until the next call of the instance. A longer one is
// [ErrAnswer].
func (t *Trainee) Prepare(ctx context.Context, record []byte, limit int) ([]byte, error) {
	said, err := t.give(ctx, trainPrepareFunction, record)
	if err != nil {
		return nil, err
	}
	return t.answer(said[0], limit)
}

// give puts a record into its buffer and calls a function with its length.
func (t *Trainee) give(ctx context.Context, function string, record []byte) ([]uint64, error) {
	if uint64(len(record)) > t.record.size {
		return nil, fmt.Errorf("%w: record of %d bytes, at most %d", ErrState, len(record), t.record.size)
	}
	t.setFuel(t.left() - flatRun)
	if err := t.Write(uint32(t.record.at), record); err != nil {
		return nil, err
	}
	return t.Call(ctx, function, uint64(len(record)))
}

// Opening is the fuel that the guest used before its first record.
func (t *Trainee) Opening() int64 { return t.opening }

// errTrain is the cause of traps that this file makes.
var errTrain = errors.New("not as in train/1")

func trainTrap(f string, a ...any) error { return trap{fmt.Sprintf(f, a...), errTrain} }
