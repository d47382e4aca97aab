// SPDX-License-Identifier: Apache-2.0

package dp

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/glovebox-dev/glovebox/enclave/wasm"
)

// Limits of an evaluation.
const (
	memoryBytes = 512 << 20
	openingFuel = 1 << 40
	recordFuel  = 1 << 36
	recordBytes = 1 << 20
	maxHeader   = 64 << 10
)

// Errors of this package.
var (
	ErrModel = errors.New("dp: not a model of this guest")
	ErrGuest = errors.New("dp: not a guest that predicts")
)

// Params reads the tensor "params" of a safetensors file: what a training in mode dp-training gives.
func Params(b []byte) ([]float32, error) {
	if len(b) < 8 {
		return nil, fmt.Errorf("%w: %d bytes", ErrModel, len(b))
	}
	size := binary.LittleEndian.Uint64(b)
	if size > maxHeader || size > uint64(len(b)-8) {
		return nil, fmt.Errorf("%w: a header of %d bytes", ErrModel, size)
	}
	var head struct {
		Params struct {
			Type    string   `json:"dtype"`
			Offsets [2]int64 `json:"data_offsets"`
		} `json:"params"`
	}
	if err := json.Unmarshal(b[8:8+size], &head); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModel, err)
	}
	body, from, to := b[8+size:], head.Params.Offsets[0], head.Params.Offsets[1]
	if head.Params.Type != "F32" || from < 0 || to <= from || to > int64(len(body)) || (to-from)%4 != 0 {
		return nil, fmt.Errorf("%w: %s at %d to %d", ErrModel, head.Params.Type, from, to)
	}
	out := make([]float32, (to-from)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(body[from+int64(4*i):]))
	}
	return out, nil
}

// Evaluate has a guest predict each line, and gives the mean and how many lines it could read. It runs the guest in the engine of
// enclaves, but in this process: it is the buyer's own code on her own data.
func Evaluate(ctx context.Context, module, config []byte, params []float32, lines [][]byte) (score float64, n int, err error) {
	x, done, err := open(ctx, module, config)
	if err != nil {
		return 0, 0, err
	}
	defer done()
	if len(params) != len(x.Initial()) {
		return 0, 0, fmt.Errorf("%w: %d parameters, want %d", ErrModel, len(params), len(x.Initial()))
	}
	b := make([]byte, 0, 4*len(params))
	for _, p := range params {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(p))
	}
	if err := x.SetParams(0, b); err != nil {
		return 0, 0, err
	}
	sum := 0.0
	for _, line := range lines {
		p, ok, err := predict(ctx, x, line)
		if err != nil {
			return 0, 0, err
		}
		if ok {
			sum, n = sum+float64(p), n+1
		}
	}
	if n == 0 {
		return 0, 0, fmt.Errorf("%w: it could read none of %d lines", ErrGuest, len(lines))
	}
	return sum / float64(n), n, nil
}

// open starts a guest. What it gives is to be called at the end.
func open(ctx context.Context, module, config []byte) (*trainee, func(), error) {
	m, err := wasm.Compile(ctx, module)
	if err != nil {
		return nil, nil, err
	}
	stop := func() { _ = m.Close() }
	if err := m.Trainer(); err != nil {
		stop()
		return nil, nil, errors.Join(ErrGuest, err)
	}
	file, err := wasm.NewSnapshotFile()
	if err != nil {
		stop()
		return nil, nil, err
	}
	i, err := m.Instantiate(ctx, wasm.Config{MemoryBytes: memoryBytes, Fuel: openingFuel, SnapshotFile: file})
	if err != nil {
		_ = file.Close()
		stop()
		return nil, nil, err
	}
	done := func() {
		_, _ = i.Close(), file.Close()
		stop()
	}
	t, err := i.OpenTrain(ctx, wasm.Training{Config: config, RecordBytes: recordBytes, MaxParams: 1 << 24, RecordFuel: recordFuel})
	if err != nil {
		done()
		return nil, nil, err
	}
	if !t.Predicts() {
		done()
		return nil, nil, ErrGuest
	}
	return &trainee{t, m.Prepares()}, done, nil
}

type trainee struct {
	*wasm.Trainee
	prepares bool
}

// predict is what the guest makes of one line. It is not ok if the guest cannot prepare it.
func predict(ctx context.Context, x *trainee, line []byte) (p float32, ok bool, err error) {
	record := line
	if x.prepares {
		b, failed := x.Prepare(ctx, line, recordBytes)
		record = bytes.Clone(b)
		if err := x.Restore(); err != nil || failed != nil {
			return 0, false, err
		}
	}
	p, err = x.Predict(ctx, record)
	return p, err == nil, errors.Join(err, x.Restore())
}
