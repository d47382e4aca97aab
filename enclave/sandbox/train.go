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
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/glovebox-dev/glovebox/enclave/train"
	"github.com/glovebox-dev/glovebox/enclave/train/clip"
)

// MaxTrainConfig bounds the configuration of code that trains, in bytes.
const MaxTrainConfig = 1 << 20

// TrainSpec is a guest that computes gradients, of one record at a time, and remembers none of them. Every limit is required.
type TrainSpec struct {
	Module        []byte            // WebAssembly that follows docs/spec/train-abi.md
	Config        []byte            // for its train_open
	MemoryBytes   int64             // linear memory; the worker may use twice as much, for what changes in a record and for what it was
	Fuel          int64             // for starting up, until the first record
	RecordFuel    int64             // for each record anew
	Wall          time.Duration     // of the whole session, from the start of the worker to its last answer
	RecordBytes   int64             // of a record, raw or prepared, at most; up to MaxRecord
	PreparedBytes int64             // of a prepared record, at most; up to MaxRecord
	MaxParams     int64             // up to clip.MaxParams
	Params        map[string]string // the module's environment
	Seed          [32]byte          // of the module's random source; every record draws the same numbers
	Clip          float64           // above 0: units are bounded by this norm and summed in the worker, which is another class of runtime
}

// spec is the run that a session of training is for its worker.
func (s *TrainSpec) spec() *Spec {
	return &Spec{
		Module: s.Module, Outputs: []Output{{"answer", 1}}, MemoryBytes: s.MemoryBytes, OutputBytes: 1,
		Fuel: s.Fuel, Wall: s.Wall, Params: s.Params, Seed: s.Seed,
	}
}

func (s *TrainSpec) validate() error {
	for what, n := range map[string]int64{"record": s.RecordBytes, "prepared record": s.PreparedBytes} {
		if n < 1 || n > MaxRecord {
			return fmt.Errorf("%w: %s of %d bytes, want 1 to %d", ErrSpec, what, n, MaxRecord)
		}
	}
	switch {
	case s.RecordFuel < 1 || s.RecordFuel > maxFuel:
		return fmt.Errorf("%w: fuel of a record %d, want 1 to %d", ErrSpec, s.RecordFuel, int64(maxFuel))
	case s.MaxParams < 1 || s.MaxParams > clip.MaxParams:
		return fmt.Errorf("%w: %d parameters, want 1 to %d", ErrSpec, s.MaxParams, clip.MaxParams)
	case len(s.Config) > MaxTrainConfig:
		return fmt.Errorf("%w: configuration of %d bytes, at most %d", ErrSpec, len(s.Config), MaxTrainConfig)
	case !(s.Clip >= 0) || math.IsInf(s.Clip, 0):
		return fmt.Errorf("%w: clipping norm %v", ErrSpec, s.Clip)
	}
	return s.spec().validate(nil)
}

// workerBytes is what the worker may use for the guest: its memory twice, gradients on their way, and where it sums, the sum and
// the parts of it.
func (s *TrainSpec) workerBytes() int64 {
	n := 2*s.MemoryBytes + ringBytes + max(8*s.MaxParams, s.PreparedBytes)
	if s.Clip > 0 {
		n += 24 * s.MaxParams
	}
	return n
}

// TrainSession is a guest that trains, in a worker of its own. It is safe for concurrent use; calls come one at a time.
type TrainSession struct {
	dealings
	limits  TrainSpec
	out     *bufio.Reader
	results []byte // the worker writes them whenever it likes: what counts is read once
	ring    ring
	initial []float32
	flags   byte
}

// Train starts a worker and a guest in it. When it returns, the guest has accepted its configuration: what it is then is what every
// record finds, but for the parameters. A guest that does not come so far gives a [SessionEnd] with its reason. The context is for
// starting alone; the session must be closed.
func (s *Spawner) Train(ctx context.Context, spec TrainSpec) (*TrainSession, error) {
	if err := spec.validate(); err != nil {
		return nil, err
	}
	if len(spec.Module) == 0 || len(spec.Module) > MaxModule {
		return nil, &SessionEnd{Outcome: Outcome{Reason: ReasonModule, Detail: fmt.Sprintf("module of %d bytes", len(spec.Module))}}
	}
	began, sp := time.Now(), spec.spec()
	p, err := s.start(ctx, startRequest{MemoryBytes: spec.workerBytes(), OutputBytes: sp.OutputBytes, CPUSeconds: sp.cpuSeconds()})
	if err != nil {
		return nil, err
	}
	results, err := mapResults(p.results)
	if err != nil {
		p.kill()
		_, _ = p.wait(0)
		p.close()
		return nil, fmt.Errorf("%w: %w", ErrSpawner, err)
	}
	return newTrainSession(ctx, p, results, spec, began)
}

// newTrainSession makes a session of a worker.
func newTrainSession(ctx context.Context, p *process, results []byte, spec TrainSpec, began time.Time) (*TrainSession, error) {
	x := &TrainSession{limits: spec, out: bufio.NewReaderSize(p.out, 1<<16), results: results}
	x.begin(p, spec.spec(), began)
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.deal(ctx, x.open); err != nil {
		return nil, err
	}
	return x, nil
}

// deal is that of dealings, and forgets the results when the session ends.
func (x *TrainSession) deal(ctx context.Context, f func() error) error {
	err := x.dealings.deal(ctx, f)
	if err != nil {
		x.forget()
	}
	return err
}

// forget gives back what the worker left in the results, which outlive neither side.
func (x *TrainSession) forget() {
	if x.results != nil {
		_ = unix.Madvise(x.results, unix.MADV_REMOVE)
		_ = unix.Munmap(x.results)
		x.results = nil
	}
}

// Close ends the worker, also in the middle of a record, and returns what the session was. It may be called more than once.
func (x *TrainSession) Close() Outcome {
	o := x.dealings.Close()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.forget()
	return o
}

// open sends the module and its configuration, and waits until the guest is ready.
func (x *TrainSession) open() error {
	h := x.spec.header(modeTrain)
	h.RecordFuel, h.RecordBytes, h.PreparedBytes, h.MaxParams = x.limits.RecordFuel, x.limits.RecordBytes, x.limits.PreparedBytes, x.limits.MaxParams
	h.Clip = []byte{}
	if x.limits.Clip > 0 {
		h.Clip = binary.BigEndian.AppendUint64(nil, math.Float64bits(x.limits.Clip))
	}
	if err := errors.Join(x.send(h), writeFrame(x.down, x.limits.Module), writeFrame(x.down, x.limits.Config)); err != nil {
		return err
	}
	if err := x.opened(x.out); err != nil {
		return err
	}
	return x.ready()
}

// ready reads what the guest is, and its initial parameters.
func (x *TrainSession) ready() error {
	kind, size, err := readKind(x.out)
	if err != nil {
		return err
	}
	if kind != kindOutput || size != readyBytes {
		return fmt.Errorf("%w: no guest is ready", ErrProtocol)
	}
	b, err := readBytes(x.out, size, readyBytes)
	if err != nil {
		return err
	}
	count := int64(binary.BigEndian.Uint32(b))
	if x.flags = b[4]; count < 1 || count > x.limits.MaxParams || x.flags > flagPrepare|flagPredict {
		return fmt.Errorf("%w: %d parameters, flags %d", ErrProtocol, count, x.flags)
	}
	x.ring = newRing(int(count))
	x.initial = slices.Clone(numbers[float32](x.results, int(count)))
	for _, p := range x.initial {
		if f := float64(p); math.IsNaN(f) || math.IsInf(f, 0) {
			return fmt.Errorf("%w: an initial parameter is not finite", ErrProtocol)
		}
	}
	return nil
}

// Initial are the guest's own parameters, which it starts with.
func (x *TrainSession) Initial() []float32 { return slices.Clone(x.initial) }

// Prepares and Predicts tell whether the guest has these functions, which it may leave out; the second also, whether it is of use.
func (x *TrainSession) Prepares() bool { return x.flags&flagPrepare != 0 }

// Predicts is described at Prepares.
func (x *TrainSession) Predicts() bool { return x.flags&flagPredict != 0 }

// SetParams gives the guest parameters, for all records that follow. Their number must be that of [TrainSession.Initial].
func (x *TrainSession) SetParams(ctx context.Context, params []float32) error {
	if len(params) != len(x.initial) {
		return fmt.Errorf("%w: %d parameters, want %d", ErrSpec, len(params), len(x.initial))
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.deal(ctx, func() error {
		for at := 0; at < len(params); {
			n := copy(numbers[float32](x.window, windowBytes/4), params[at:])
			if err := x.ask(ask{askParams, uint32(n), uint32(at)}, nil); err != nil {
				return err
			}
			if err := x.done(); err != nil {
				return err
			}
			at += n
		}
		return nil
	})
}

// ask sends a call, and what follows it. Nothing may be on the way from the worker.
func (x *TrainSession) ask(q ask, more []byte) error {
	if x.out.Buffered() != 0 {
		return fmt.Errorf("%w: an answer before its question", ErrProtocol)
	}
	_, err := x.down.Write(append(q.append(nil), more...))
	return err
}

// done reads the answer to a call that has no other.
func (x *TrainSession) done() error {
	b, err := x.out.ReadByte()
	if err == nil && b != trainOK {
		return fmt.Errorf("%w: no answer to a call", ErrProtocol)
	}
	return err
}

// piece is a record of a call.
type piece struct {
	record []byte
	at     int  // among those of the call
	end    bool // of its unit
}

// batches asks the worker for something of every record, and has answer read what it says, as many records at once as fit.
func (x *TrainSession) batches(what byte, all []piece, most int, answer func([]piece) error) error {
	for len(all) > 0 {
		n, size := 0, 0
		lengths := make([]byte, 0, 4*min(len(all), most))
		for n < min(len(all), most) && size+len(all[n].record) <= windowBytes {
			r := all[n].record
			l := uint32(len(r))
			if what == askSum && all[n].end {
				l |= endOfUnit
			}
			lengths = binary.BigEndian.AppendUint32(lengths, l)
			copy(x.window[size:], r)
			size += len(r)
			n++
		}
		if err := x.ask(ask{what: what, count: uint32(n)}, lengths); err != nil {
			return err
		}
		if err := answer(all[:n]); err != nil {
			return err
		}
		all = all[n:]
	}
	return nil
}

// check refuses records that are too long.
func (x *TrainSession) check(record []byte) error {
	if int64(len(record)) > x.limits.RecordBytes {
		return fmt.Errorf("%w: record of %d bytes, at most %d", ErrSpec, len(record), x.limits.RecordBytes)
	}
	return nil
}

// Prepare has the guest prepare one record. It is not ok if the guest fails on it, in whatever way.
func (x *TrainSession) Prepare(ctx context.Context, record []byte) (prepared []byte, ok bool, err error) {
	all, err := x.PrepareAll(ctx, [][]byte{record})
	if err != nil {
		return nil, false, err
	}
	return all[0], all[0] != nil, nil
}

// PrepareAll is [TrainSession.Prepare] of many records. Those that the guest fails on, and those that are nil, are nil.
func (x *TrainSession) PrepareAll(ctx context.Context, records [][]byte) ([][]byte, error) {
	if !x.Prepares() {
		return nil, fmt.Errorf("%w: the guest does not prepare", ErrSpec)
	}
	all, err := x.pieces(records)
	if err != nil {
		return nil, err
	}
	prepared := make([][]byte, len(records))
	x.mu.Lock()
	defer x.mu.Unlock()
	room := x.limits.PreparedBytes
	err = x.deal(ctx, func() error {
		return x.batches(askPrepare, all, min(maxAsked, int(max(ringBytes/room, 1))), func(batch []piece) error {
			for n, r := range batch {
				size, err := x.number()
				if err != nil {
					return err
				}
				if size == notPrepared {
					continue
				}
				if int64(size) > room {
					return fmt.Errorf("%w: prepared record of %d bytes, at most %d", ErrProtocol, size, room)
				}
				prepared[r.at] = append([]byte{}, x.results[int64(n)*room:][:size]...)
			}
			return nil
		})
	})
	return prepared, err
}

// pieces are the records that are there, none of them too long.
func (x *TrainSession) pieces(records [][]byte) ([]piece, error) {
	all := make([]piece, 0, len(records))
	for n, r := range records {
		if err := x.check(r); err != nil {
			return nil, err
		}
		if r != nil {
			all = append(all, piece{record: r, at: n})
		}
	}
	return all, nil
}

// number reads an answer of four bytes.
func (x *TrainSession) number() (uint32, error) {
	var b [4]byte
	_, err := io.ReadFull(x.out, b[:])
	return binary.BigEndian.Uint32(b[:]), err
}

// Score asks the guest's train_predict for a number from 0 to 1 for each record. What is none, and what comes of a record that the
// guest fails on or that is nil, is 0, and what is more than 1 is 1.
func (x *TrainSession) Score(ctx context.Context, records [][]byte, scores []float32) error {
	if len(scores) != len(records) || !x.Predicts() {
		return fmt.Errorf("%w: %d scores of %d records; the guest predicts: %t", ErrSpec, len(scores), len(records), x.Predicts())
	}
	all, err := x.pieces(records)
	if err != nil {
		return err
	}
	clear(scores)
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.deal(ctx, func() error {
		return x.batches(askScore, all, maxAsked, func(batch []piece) error {
			for _, r := range batch {
				bits, err := x.number()
				if err != nil {
					return err
				}
				if p := math.Float32frombits(bits); p > 0 {
					scores[r.at] = min(p, 1)
				}
			}
			return nil
		})
	})
}

// Sum has the guest compute the gradients of all records of the units, and adds each unit's, bounded, to into. A record that the
// guest fails on in whatever way, and one that is nil, counts as a gradient of zeros. After an error the session is over, unless it is
// [ErrSpec], and into holds part of the units.
func (x *TrainSession) Sum(ctx context.Context, units []train.Unit, into *clip.Sum) error {
	if len(into.Total()) != len(x.initial) {
		return fmt.Errorf("%w: a sum of %d, %d parameters", ErrSpec, len(into.Total()), len(x.initial))
	}
	var all []piece
	count := 0
	for _, u := range units {
		from := len(all)
		for _, r := range u {
			if err := x.check(r); err != nil {
				return err
			}
			if r != nil {
				all = append(all, piece{record: r})
			}
		}
		if len(all) > from {
			all[len(all)-1].end = true
			count++
		}
	}
	if len(all) == 0 {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.deal(ctx, func() error {
		if x.limits.Clip > 0 {
			return x.sumThere(all, count, into)
		}
		return x.batches(askGradient, all, maxAsked, func(batch []piece) error { return x.sumHere(batch, into) })
	})
}

// sumHere takes gradients from the results, a chunk at a time, while the worker computes the next.
func (x *TrainSession) sumHere(batch []piece, into *clip.Sum) error {
	for n := 0; n < len(batch); {
		var said [maxChunk]byte
		chunk := said[:min(x.ring.chunk, len(batch)-n)]
		if _, err := io.ReadFull(x.out, chunk); err != nil {
			return err
		}
		for _, b := range chunk {
			switch b {
			case trainOK:
				into.Add(x.ring.gradient(x.results, n))
			case trainFailed:
			default:
				return fmt.Errorf("%w: no answer to a record", ErrProtocol)
			}
			if batch[n].end {
				into.End()
			}
			n++
		}
		if n+x.ring.chunk < len(batch) { // the slots are free for the chunk after the next
			if _, err := x.down.Write([]byte{trainOK}); err != nil {
				return err
			}
		}
	}
	return nil
}

// sumThere has the worker bound and sum, and takes its total, if it is one that so many bounded units can have.
func (x *TrainSession) sumThere(all []piece, units int, into *clip.Sum) error {
	if err := x.batches(askSum, all, maxAsked, func([]piece) error { return x.done() }); err != nil {
		return err
	}
	if err := x.ask(ask{what: askTotal}, nil); err != nil {
		return err
	}
	if err := x.done(); err != nil {
		return err
	}
	if err := into.AddTotal(numbers[int64](x.results, len(x.initial)), units); err != nil {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	return nil
}
