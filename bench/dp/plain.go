// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"unsafe"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/glovebox-dev/glovebox/enclave/blas"
	"github.com/glovebox-dev/glovebox/enclave/train/clip"
)

// errGuest is a guest that did not do what train/1 says.
var errGuest = errors.New("the guest failed")

// bare is a guest in plain wazero: the module as it was built, in this process, its memory never restored.
type bare struct {
	guest  api.Module
	memory []byte
}

func newBare(ctx context.Context, r wazero.Runtime, module, config []byte) (*bare, error) {
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, r); err != nil {
		return nil, err
	}
	if _, err := r.NewHostModuleBuilder("glovebox").NewFunctionBuilder().WithFunc(sgemm).Export("sgemm").Instantiate(ctx); err != nil {
		return nil, err
	}
	guest, err := r.InstantiateWithConfig(ctx, module, wazero.NewModuleConfig().WithStartFunctions("_initialize"))
	if err != nil {
		return nil, err
	}
	b := &bare{guest: guest}
	at, err := b.call(ctx, "train_open", uint64(len(config)))
	if err != nil || !guest.Memory().Write(uint32(at), config) {
		return nil, errors.Join(errGuest, err)
	}
	if said, err := b.call(ctx, "train_init", uint64(len(config)), recordBytes); err != nil || said != 0 {
		return nil, errors.Join(errGuest, err)
	}
	b.memory, _ = guest.Memory().Read(0, guest.Memory().Size())
	return b, nil
}

// sgemm is the function of docs/spec/blas.md for guests that run bare.
func sgemm(_ context.Context, m api.Module, transA, transB, rows, columns, depth int32, alpha float32, a, lda, b, ldb int32, beta float32, c, ldc int32) {
	memory, _ := m.Memory().Read(0, m.Memory().Size())
	from := func(at int32) []float32 {
		b := memory[uint32(at):]
		return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/4)
	}
	err := blas.Sgemm(transA != 0, transB != 0, int(rows), int(columns), int(depth), alpha, from(a), int(lda), from(b), int(ldb), beta, from(c), int(ldc))
	if err != nil {
		panic(err) // a trap
	}
}

func (b *bare) call(ctx context.Context, name string, args ...uint64) (uint64, error) {
	said, err := b.guest.ExportedFunction(name).Call(ctx, args...)
	if err != nil || len(said) != 1 {
		return 0, fmt.Errorf("%w: %s: %w", errGuest, name, err)
	}
	return said[0], nil
}

// plain is what one gradient takes in a bare guest: computed, bounded and summed by the enclave's own clip.Sum.
func plain(ctx context.Context, module, config []byte, lines [][]byte) (cost, error) {
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler())
	defer r.Close(ctx)
	b, err := newBare(ctx, r, module, config)
	if err != nil {
		return cost{}, err
	}
	params, err1 := b.call(ctx, "train_params")
	gradientAt, err2 := b.call(ctx, "train_gradient_buffer")
	recordAt, err3 := b.call(ctx, "train_record_buffer")
	if err := errors.Join(err1, err2, err3); err != nil {
		return cost{}, err
	}
	gradient := unsafe.Slice((*float32)(unsafe.Pointer(&b.memory[uint32(gradientAt)])), int(uint32(params)))
	record := b.memory[uint32(recordAt):][:recordBytes]
	var prepared [][]byte
	for _, line := range lines {
		copy(record, line)
		at, err := b.call(ctx, "train_prepare", uint64(len(line)))
		if err != nil {
			return cost{}, err
		}
		prepared = append(prepared, append([]byte(nil), b.memory[uint32(at>>32):][:uint32(at)]...))
	}
	sum, err := clip.New(len(gradient), 1)
	if err != nil {
		return cost{}, err
	}
	call := b.guest.ExportedFunction("train_gradient")
	began := used()
	for range passes {
		for _, p := range prepared {
			copy(record, p)
			clear(gradient)
			if said, err := call.Call(ctx, uint64(len(p))); err != nil || said[0] != 0 {
				return cost{}, errors.Join(errGuest, err)
			}
			sum.AddUnit(gradient)
		}
	}
	return used().less(began).each(passes * len(prepared)), nil
}
