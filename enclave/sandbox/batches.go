// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/glovebox-dev/glovebox/enclave/wasm"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/transforms/tx"
)

// batcher is a session of batches in a worker: a module of the creator's, which keeps its state from one to the next.
type batcher struct {
	*recorder
	callee *tx.Callee
	config []byte
	stdin  bytes.Reader
	stdout headBuffer
}

// serveBatches reads the module and its configuration, which follow the header, and gives the guest one batch after the other
// until the enclave closes its end or the guest ends. An error means that the enclave is gone, or asks for what it never does.
func serveBatches(h header, d *pipeData, w *bufio.Writer) error {
	if h.RecordFuel < 1 || h.ByteFuel < 0 || h.ByteFuel > maxFuel/MaxTransformBatch {
		return fmt.Errorf("limits out of bounds: fuel of a batch %d, of a byte %d", h.RecordFuel, h.ByteFuel)
	}
	module, err := readFrame(d.down, MaxModule)
	if err != nil {
		return err
	}
	b := &batcher{recorder: &recorder{newGuest(h, d), w}, callee: tx.NewCallee(d.down, w)}
	if b.config, err = readFrame(d.down, tx.MaxConfig); err != nil {
		return err
	}
	ctx := context.Background()
	if err := limitCompile(func() error { return b.prepare(ctx, module) }); err != nil {
		return b.say(result{Reason: reasonOf(err), Detail: clipped(err.Error())})
	}
	if err := errors.Join(b.admitted().write(w), w.Flush()); err != nil { // before its first instruction
		return err
	}
	q := result{Fuel: 1}
	if b.ABI == dataset.ABITransform {
		err = b.instance.OpenTransform(ctx, b.config)
		q.Fuel = b.instance.Used()
	}
	if err != nil {
		q.Reason, q.Detail = reasonOf(err), clipped(err.Error())
	}
	if err := b.say(q); err != nil || q.Reason != ReasonNone {
		return err
	}
	return b.serve(ctx)
}

// prepare admits and compiles the module and, where it keeps its state, gives it a world without files.
func (b *batcher) prepare(ctx context.Context, module []byte) (err error) {
	if b.ABI == dataset.ABIWASI {
		if b.module, err = wasm.CompileTransform(ctx, module, wasm.TransformImports{}); err != nil {
			return err
		}
		return b.module.Command()
	}
	may := wasm.TransformImports{Findings: true, Token: b.Token, Noise: b.Noise}
	if b.module, err = wasm.CompileTransform(ctx, module, may); err != nil {
		return err
	}
	if err := b.module.Transformer(); err != nil {
		return err
	}
	b.instance, err = b.module.Instantiate(ctx, b.world(b.Fuel))
	return err
}

// world is all that a guest has. Its random numbers are those of the module, known to everybody: they are no secret, and
// no chance.
func (b *batcher) world(fuel int64) wasm.Config {
	c := wasm.Config{MemoryBytes: b.MemoryBytes, Fuel: fuel, Seed: b.module.Admitted().Original, Transform: b.callee}
	if b.Words {
		c.Log = b.callee
	}
	return c
}

// serve answers batches until the guest ends.
func (b *batcher) serve(ctx context.Context) error {
	for {
		batch, flush, err := b.callee.Next()
		if errors.Is(err, io.EOF) {
			return nil // the enclave is done
		}
		if err != nil {
			return err
		}
		limit := tx.AnswerLimit(int64(len(batch)))
		if flush {
			limit = tx.FlushBytes
		}
		units := b.batchFuel(len(batch))
		var r tx.Result
		answer, err := b.answer(ctx, batch, flush, units, int(limit))
		if errors.Is(err, wasm.ErrState) {
			return err
		}
		if b.instance != nil {
			r.Fuel, r.Findings = b.instance.Used(), tx.Counts(b.instance.Findings())
		}
		if err != nil {
			r.Reason, r.Detail = reasonOf(err), clipped(err.Error())
		}
		if r.Reason == ReasonModule { // of a command that could not start: it was admitted all the same
			r.Reason = ReasonTrap
		}
		if err := b.callee.Done(r, answer); err != nil || r.Reason != ReasonNone {
			return err
		}
	}
}

// answer has the guest transform a batch.
func (b *batcher) answer(ctx context.Context, batch []byte, flush bool, units int64, limit int) ([]byte, error) {
	switch {
	case b.ABI == dataset.ABIWASI:
		return b.command(ctx, batch, units, limit)
	case flush:
		return b.instance.Flush(ctx, units, limit)
	}
	return b.instance.Transform(ctx, batch, units, limit)
}

// command runs a command of WASI on a batch: stdin and stdout are its records.
func (b *batcher) command(ctx context.Context, batch []byte, units int64, limit int) ([]byte, error) {
	if b.instance != nil {
		_ = b.instance.Close()
	}
	b.stdin.Reset(batch)
	b.stdout = headBuffer{buf: b.stdout.buf[:0], limit: limit + 1}
	c := b.world(units)
	c.Params, c.Stdin, c.Stdout = map[string]string{configParam: string(b.config)}, &b.stdin, &b.stdout
	var err error
	if b.instance, err = b.module.Instantiate(ctx, c); err != nil {
		return nil, err
	}
	if err := b.instance.Run(ctx); err != nil {
		return nil, err
	}
	if len(b.stdout.buf) > limit {
		return nil, fmt.Errorf("%w: more than %d bytes", wasm.ErrAnswer, limit)
	}
	return b.stdout.buf, nil
}
