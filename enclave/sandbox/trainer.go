// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime/debug"

	"golang.org/x/sys/unix"

	"github.com/glovebox-dev/glovebox/enclave/train/clip"
	"github.com/glovebox-dev/glovebox/enclave/wasm"
)

// trainer is a session of training in a worker: a guest that is put back after every record.
type trainer struct {
	*recorder
	trainee *wasm.Trainee
	results []byte
	ring    ring
	sum     *clip.Sum // nil: the enclave sums
}

// serveTraining reads the module and its configuration, which follow the header, and does what the enclave asks until it closes
// its end. An error means that the enclave is gone, or that the guest cannot be put back, which is the worker's end.
func serveTraining(h header, d *pipeData, w *bufio.Writer) error {
	if h.RecordBytes < 1 || h.RecordBytes > MaxRecord || h.PreparedBytes < 1 || h.PreparedBytes > MaxRecord || h.MaxParams < 1 || h.MaxParams > clip.MaxParams {
		return fmt.Errorf("limits out of bounds: record %d, prepared %d, parameters %d", h.RecordBytes, h.PreparedBytes, h.MaxParams)
	}
	if err := unix.Ftruncate(fdMemory, h.MemoryBytes); err != nil { // for good: the file is sealed against growth
		return fmt.Errorf("memory file: %w", err)
	}
	module, err := readFrame(d.down, MaxModule)
	if err != nil {
		return err
	}
	config, err := readFrame(d.down, MaxTrainConfig)
	if err != nil {
		return err
	}
	ctx, t := context.Background(), &trainer{recorder: &recorder{newGuest(h, d), w}, results: confined.results}
	if err := limitCompile(func() error { return t.prepare(ctx, module, (*wasm.Module).Trainer) }); err != nil {
		return t.say(result{Reason: reasonOf(err), Detail: clipped(err.Error())})
	}
	if err := errors.Join(t.admitted().write(w), w.Flush()); err != nil { // before its first instruction
		return err
	}
	t.trainee, err = t.instance.OpenTrain(ctx, wasm.Training{
		Config: config, RecordBytes: h.RecordBytes, MaxParams: h.MaxParams, RecordFuel: h.RecordFuel,
	})
	if errors.Is(err, wasm.ErrState) {
		return err
	}
	if err != nil {
		return t.say(result{Reason: reasonOf(err), Detail: clipped(err.Error()), Fuel: t.instance.Used()})
	}
	if err := t.ready(); err != nil {
		return err
	}
	debug.SetGCPercent(garbagePercent)
	return t.serve(ctx)
}

// garbagePercent is how much garbage there may be, by what is in use: every call of a guest leaves a stack of ten kilobytes, and at the
// runtime's 100 every few hundred records would wait for a collection. The runtime's own limit of memory holds all the same.
const garbagePercent = 400

// ready tells the enclave what the guest is, and hands over its initial parameters.
func (t *trainer) ready() error {
	initial := t.trainee.Initial()
	t.ring = newRing(len(initial))
	if len(t.Clip) > 0 {
		var err error
		if t.sum, err = clip.New(len(initial), math.Float64frombits(binary.BigEndian.Uint64(t.Clip))); err != nil {
			return err
		}
	}
	copy(numbers[float32](t.results, len(initial)), initial)
	b := binary.BigEndian.AppendUint32(nil, uint32(len(initial)))
	var flags byte
	if t.module.Prepares() {
		flags |= flagPrepare
	}
	if t.trainee.Predicts() {
		flags |= flagPredict
	}
	return t.say(result{Fuel: t.trainee.Opening()}, append(b, flags))
}

// serve does what it is asked.
func (t *trainer) serve(ctx context.Context) error {
	for {
		q, err := readAsk(t.data.down)
		if err != nil {
			return nil // the enclave is done
		}
		switch q.what {
		case askParams:
			err = t.params(q)
		case askTotal:
			err = t.total()
		case askTrial:
			err = t.trial(ctx, q)
		case askPrepare, askGradient, askSum, askScore:
			err = t.records(ctx, q)
		default:
			err = fmt.Errorf("%w: call of kind %d", ErrProtocol, q.what)
		}
		if err == nil {
			err = t.out.Flush()
		}
		if err != nil {
			return err
		}
	}
}

// params takes parameters from the window.
func (t *trainer) params(q ask) error {
	if q.count > windowBytes/4 {
		return fmt.Errorf("%w: %d parameters at once", ErrProtocol, q.count)
	}
	if err := t.trainee.SetParams(int64(q.at), t.data.window[:4*q.count]); err != nil {
		return err
	}
	return t.out.WriteByte(trainOK)
}

// total hands over the sum of all units since it was last asked.
func (t *trainer) total() error {
	if t.sum == nil {
		return fmt.Errorf("%w: no sum", ErrProtocol)
	}
	total := t.sum.Total()
	copy(numbers[int64](t.results, len(total)), total)
	t.sum.Reset()
	return t.out.WriteByte(trainOK)
}

// records gives the guest one record of the window after the other.
func (t *trainer) records(ctx context.Context, q ask) error {
	lengths, err := readLengths(t.data.down, q.count, t.RecordBytes)
	if err != nil {
		return err
	}
	at := uint32(0)
	for n, l := range lengths {
		size := l &^ endOfUnit
		if err := t.record(ctx, q.what, n, t.data.window[at:at+size], l != size); err != nil {
			return err
		}
		at += size
		if err := t.trainee.Restore(); err != nil {
			return err
		}
		if last := n == len(lengths)-1; q.what == askGradient && (last || (n+1)%t.ring.chunk == 0) {
			if err := t.handOver(n, last); err != nil {
				return err
			}
		}
	}
	if q.what == askSum {
		return t.out.WriteByte(trainOK)
	}
	return nil
}

// handOver ends a chunk. Where the next one's slots are not yet free, it waits until the enclave says so.
func (t *trainer) handOver(n int, last bool) error {
	if err := t.out.Flush(); err != nil || last || n < t.ring.chunk {
		return err
	}
	var b [1]byte
	_, err := io.ReadFull(t.data.down, b[:])
	return err
}

// record does what was asked with one record. Whatever the guest makes of it is an answer; an error means that the guest cannot
// go on.
func (t *trainer) record(ctx context.Context, what byte, n int, in []byte, end bool) error {
	switch what {
	case askGradient:
		g, err := t.trainee.Gradient(ctx, in)
		if err != nil {
			return errors.Join(fatal(err), t.out.WriteByte(trainFailed))
		}
		copy(t.ring.gradient(t.results, n), g)
		return t.out.WriteByte(trainOK)
	case askSum:
		g, err := t.trainee.Gradient(ctx, in)
		switch {
		case err == nil && end: // the guest has stopped: nobody writes to its memory
			t.sum.AddUnit(g)
		case err == nil:
			t.sum.Add(g)
		case end:
			t.sum.End()
		}
		return fatal(err)
	case askPrepare:
		out, err := t.trainee.Prepare(ctx, in, int(t.PreparedBytes))
		size := uint32(notPrepared)
		if err == nil {
			size = uint32(copy(t.results[int64(n)*t.PreparedBytes:][:t.PreparedBytes], out))
		}
		return errors.Join(fatal(err), t.number(size))
	default:
		p, err := t.trainee.Predict(ctx, in)
		if err != nil {
			p = float32(math.NaN())
		}
		return errors.Join(fatal(err), t.number(math.Float32bits(p)))
	}
}

func (t *trainer) number(n uint32) error {
	_, err := t.out.Write(binary.BigEndian.AppendUint32(nil, n))
	return err
}

// fatal is an error that is not the guest's.
func fatal(err error) error {
	if errors.Is(err, wasm.ErrState) {
		return err
	}
	return nil
}
