// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/glovebox-dev/glovebox/enclave/wasm"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// recorder is a session in a worker: a guest that is put back after every record.
type recorder struct {
	*guest
	out *bufio.Writer
}

// serveRecords reads the module, which follows the header, and gives the guest one record after the other until the enclave
// closes its end. An error means that the enclave is gone, or that the guest cannot be put back, which is the worker's end.
func serveRecords(h header, d *pipeData, w *bufio.Writer) error {
	if h.RecordBytes < 1 || h.RecordBytes > MaxRecord || h.OutputBytes > MaxRecord {
		return fmt.Errorf("limits out of bounds: record %d, answer %d", h.RecordBytes, h.OutputBytes)
	}
	if err := unix.Ftruncate(fdMemory, h.MemoryBytes); err != nil { // for good: the file is sealed against growth
		return fmt.Errorf("memory file: %w", err)
	}
	module, err := readFrame(d.down, MaxModule)
	if err != nil {
		return err
	}
	ctx, r := context.Background(), &recorder{newGuest(h, d), w}
	if err := limitCompile(func() error { return r.prepare(ctx, module, (*wasm.Module).Recorder) }); err != nil {
		return r.say(result{Reason: reasonOf(err), Detail: clipped(err.Error())})
	}
	if err := errors.Join(r.admitted().write(w), w.Flush()); err != nil { // before its first instruction
		return err
	}
	if err := r.instance.Initialize(ctx); err != nil {
		return r.say(result{Reason: reasonOf(err), Detail: clipped(err.Error()), Fuel: r.instance.Used()})
	}
	used := r.instance.Used()
	if err := errors.Join(r.instance.Refuel(h.RecordFuel), r.instance.Snapshot()); err != nil {
		return err
	}
	if err := r.say(result{Fuel: used}); err != nil {
		return err
	}
	return r.serve(ctx)
}

// prepare admits and compiles a module that follows an interface, and gives it a world without files. No instruction of it has run
// when it returns.
func (r *recorder) prepare(ctx context.Context, module []byte, follows func(*wasm.Module) error) (err error) {
	if r.module, err = wasm.Compile(ctx, module); err != nil {
		return err
	}
	if err := follows(r.module); err != nil {
		return err
	}
	r.instance, err = r.module.Instantiate(ctx, wasm.Config{
		MemoryBytes: r.MemoryBytes, Fuel: r.Fuel, Seed: [32]byte(r.Seed), Params: r.Params,
		SnapshotFile: os.NewFile(fdMemory, "memory"),
	})
	return err
}

// serve answers records. The guest is put back while the enclave is busy with the answer.
func (r *recorder) serve(ctx context.Context) error {
	var b [countBytes]byte
	for {
		if _, err := io.ReadFull(r.data.down, b[:]); err != nil {
			return nil // the enclave is done
		}
		n := int64(binary.BigEndian.Uint32(b[:]))
		if n > r.RecordBytes {
			return fmt.Errorf("%w: record of %d bytes, at most %d", ErrProtocol, n, r.RecordBytes)
		}
		if err := r.record(ctx, r.data.window[:n]); err != nil {
			return err
		}
		if err := r.instance.Restore(); err != nil {
			return err
		}
	}
}

// record answers one record, whatever the guest does with it.
func (r *recorder) record(ctx context.Context, in []byte) error {
	out, err := r.instance.Record(ctx, in, int(r.OutputBytes))
	if errors.Is(err, wasm.ErrState) {
		return err
	}
	q := result{Fuel: r.instance.Used()}
	if err != nil {
		q.Reason, q.Detail, out = reasonOf(err), clipped(err.Error()), nil
	}
	return r.say(q, out)
}

// say sends a result and, for a record, its answer.
func (r *recorder) say(q result, answer ...[]byte) error {
	b, err := envelope.Canonical(q)
	if err != nil {
		return err
	}
	if err := writeKind(r.out, kindResult, b); err != nil {
		return err
	}
	if len(answer) > 0 {
		if err := writeKind(r.out, kindOutput, answer...); err != nil {
			return err
		}
	}
	return r.out.Flush()
}
