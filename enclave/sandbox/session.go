// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// SessionSpec is a guest that gets records one at a time, and remembers none of them. Every limit is required.
type SessionSpec struct {
	Module      []byte            // WebAssembly that follows docs/spec/record-abi.md
	MemoryBytes int64             // linear memory; the worker may use twice as much, for what changes in a record and for what it was
	Fuel        int64             // for starting up, until the first record
	RecordFuel  int64             // for each record anew
	Wall        time.Duration     // of the whole session, from the start of the worker to its last answer
	RecordBytes int64             // of a record, at most; up to MaxRecord
	OutputBytes int64             // of an answer, at most; up to MaxRecord
	Params      map[string]string // the module's environment
	Seed        [32]byte          // of the module's random source; every record draws the same numbers
}

// spec is the run that a session is for its worker, with an answer as its only output.
func (s *SessionSpec) spec() *Spec {
	return &Spec{
		Module: s.Module, Outputs: []Output{{"answer", s.OutputBytes}}, MemoryBytes: s.MemoryBytes, OutputBytes: s.OutputBytes,
		Fuel: s.Fuel, Wall: s.Wall, Params: s.Params, Seed: s.Seed,
	}
}

func (s *SessionSpec) validate() error {
	for what, n := range map[string]int64{"record": s.RecordBytes, "answer": s.OutputBytes} {
		if n < 1 || n > MaxRecord {
			return fmt.Errorf("%w: %s of %d bytes, want 1 to %d", ErrSpec, what, n, MaxRecord)
		}
	}
	if s.RecordFuel < 1 || s.RecordFuel > maxFuel {
		return fmt.Errorf("%w: fuel of a record %d, want 1 to %d", ErrSpec, s.RecordFuel, int64(maxFuel))
	}
	return s.spec().validate(nil)
}

// Session is a guest in a worker of its own. It is safe for concurrent use; records come one at a time.
type Session struct {
	dealings
	limits SessionSpec
	answer *bufio.Reader
}

// dealings are what is between an enclave and a worker that answers more than once.
type dealings struct {
	run
	began    time.Time
	watchdog *time.Timer

	mu   sync.Mutex
	fuel int64       // of starting up and of all that was asked
	end  *SessionEnd // once it is over
}

// begin starts the watchdog of a worker.
func (x *dealings) begin(p *process, sp *Spec, began time.Time) {
	x.run, x.began = run{process: p, spec: sp}, began
	x.watchdog = time.AfterFunc(time.Until(began.Add(sp.Wall)), func() {
		x.walled.Store(true)
		x.kill()
	})
}

// Answer is what a guest made of one record. A record that ends badly has a reason and no Out; the next one finds the guest as
// this one did. Detail may hold plaintext.
type Answer struct {
	Reason string // ReasonNone, ReasonTrap, ReasonFuel, ReasonMemory or ReasonOutput
	Detail string
	Out    []byte
	Fuel   int64 // units used for this record: the same for the same record, wherever it comes
}

// SessionEnd is the error of a session that is over. Its Outcome has the reason, and the figures of all of it; the reason is
// empty if it was broken off by what Unwrap gives: the context's error or [ErrSpawner]. A worker that broke the protocol has
// [ReasonWorker] and [ErrProtocol]. Closing a session is an end without any of them.
type SessionEnd struct {
	Outcome
	cause error
}

// Error implements error.
func (e *SessionEnd) Error() string {
	switch {
	case e.cause != nil:
		return "session ended: " + e.cause.Error()
	case e.Reason == ReasonNone:
		return "session closed"
	}
	return fmt.Sprintf("session ended: %s: %s", e.Reason, e.Detail)
}

// Unwrap gives what broke the session off, if anything did.
func (e *SessionEnd) Unwrap() error { return e.cause }

// Session starts a worker and a guest in it. When it returns, the guest is started and initialised: what it is then is what
// every record finds. A guest that does not come so far gives a [SessionEnd] with its reason, as of [Spawner.Run]. The context
// is for starting alone; the session must be closed.
func (s *Spawner) Session(ctx context.Context, spec SessionSpec) (*Session, error) {
	if err := spec.validate(); err != nil {
		return nil, err
	}
	if len(spec.Module) == 0 || len(spec.Module) > MaxModule {
		return nil, &SessionEnd{Outcome: Outcome{Reason: ReasonModule, Detail: fmt.Sprintf("module of %d bytes", len(spec.Module))}}
	}
	began, sp := time.Now(), spec.spec()
	p, err := s.start(ctx, startRequest{
		MemoryBytes: 2 * spec.MemoryBytes, OutputBytes: spec.OutputBytes, CPUSeconds: sp.cpuSeconds(),
	})
	if err != nil {
		return nil, err
	}
	return newSession(ctx, p, spec, began)
}

// newSession makes a session of a worker.
func newSession(ctx context.Context, p *process, spec SessionSpec, began time.Time) (*Session, error) {
	x := &Session{limits: spec, answer: bufio.NewReaderSize(p.out, 1<<16)}
	x.begin(p, spec.spec(), began)
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.deal(ctx, x.open); err != nil {
		return nil, err
	}
	return x, nil
}

// open sends the module and waits until the guest is ready.
func (x *Session) open() error {
	h := x.spec.header(modeRecords)
	h.RecordFuel, h.RecordBytes = x.limits.RecordFuel, x.limits.RecordBytes
	if err := errors.Join(x.send(h), writeFrame(x.down, x.limits.Module)); err != nil {
		return err
	}
	return x.opened(x.answer)
}

// opened reads what the worker says of the module, and that it is ready.
func (x *dealings) opened(out io.Reader) error {
	admitted, rest, err := readAdmission(out, envelope.Sum(x.spec.Module))
	if err != nil {
		return err
	}
	x.admitted = admitted
	if x.spec.Words != nil {
		if rest, err = readWords(rest, x.spec.Words); err != nil {
			return err
		}
	}
	r, err := readResult(rest, x.spec.Fuel, admitted != nil)
	if err != nil {
		return err
	}
	x.fuel = r.Fuel
	if r.Reason != ReasonNone {
		return guestFailed(r)
	}
	return nil
}

// guestFailed is a guest that did not come to its first record.
type guestFailed result

func (g guestFailed) Error() string { return g.Reason }

// Record gives one record to the guest and returns its answer. A record that is too large is [ErrSpec] and changes nothing.
// Any other error is a [SessionEnd], also when the context ends before the answer is there: nobody can interrupt a guest.
func (x *Session) Record(ctx context.Context, in []byte) (Answer, error) {
	if int64(len(in)) > x.limits.RecordBytes {
		return Answer{}, fmt.Errorf("%w: record of %d bytes, at most %d", ErrSpec, len(in), x.limits.RecordBytes)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	var a Answer
	err := x.deal(ctx, func() (err error) {
		a, err = x.ask(in)
		return err
	})
	if err != nil {
		return Answer{}, err
	}
	x.fuel += a.Fuel
	return a, nil
}

// ask puts a record into the window, sends its length, and reads the answer.
func (x *Session) ask(in []byte) (Answer, error) {
	if x.answer.Buffered() != 0 {
		return Answer{}, fmt.Errorf("%w: an answer before its record", ErrProtocol)
	}
	copy(x.window, in)
	if _, err := x.down.Write(binary.BigEndian.AppendUint32(nil, uint32(len(in)))); err != nil {
		return Answer{}, err
	}
	return readAnswer(x.answer, &x.limits)
}

// readAnswer reads what a hostile worker sends as the answer to a record.
func readAnswer(r io.Reader, s *SessionSpec) (Answer, error) {
	q, err := readResult(r, s.RecordFuel, true)
	if err != nil {
		return Answer{}, err
	}
	kind, size, err := readKind(r)
	if err != nil {
		return Answer{}, err
	}
	if kind != kindOutput || q.Undeclared != 0 || q.Reason != ReasonNone && size != 0 {
		return Answer{}, fmt.Errorf("%w: no answer to a record", ErrProtocol)
	}
	a := Answer{Reason: q.Reason, Detail: q.Detail, Fuel: q.Fuel}
	a.Out, err = readBytes(r, size, s.OutputBytes)
	return a, err
}

// deal runs f, a dealing with the worker. If it fails, or the context ends meanwhile, the session is over.
func (x *dealings) deal(ctx context.Context, f func() error) error {
	if x.end != nil {
		return x.end
	}
	going := context.AfterFunc(ctx, x.kill)
	err := f()
	if going() && err == nil {
		return nil
	}
	if ctx.Err() != nil && !errors.Is(err, ErrProtocol) {
		err = context.Cause(ctx)
	}
	x.finish(ctx, err)
	return x.end
}

// finish ends the session, because of err or, if that is nil, because it is closed.
func (x *dealings) finish(ctx context.Context, err error) {
	x.watchdog.Stop()
	exit, waitErr := x.wait(0)
	x.close()
	o := Outcome{
		Fuel: x.fuel, CPU: time.Duration(exit.CPUNanos), Peak: exit.PeakKiB << 10, Wall: time.Since(x.began), Isolation: x.isolation,
	}
	if x.admitted != nil {
		o.Original, o.Rewritten, o.Costs = x.admitted.Original, x.admitted.Rewritten, x.admitted.Costs
	}
	x.end = &SessionEnd{Outcome: o}
	failed, isGuest := errors.AsType[guestFailed](err)
	switch {
	case err == nil:
	case isGuest:
		x.end.Reason, x.end.Detail = failed.Reason, failed.Detail
	case waitErr != nil:
		x.end.cause = waitErr
	case errors.Is(err, ErrProtocol):
		x.hostile, x.end.cause = err, err
		x.end.Reason, x.end.Detail = x.reason(exit)
	case ctx.Err() != nil:
		x.end.cause = err
	default:
		x.end.Reason, x.end.Detail = x.reason(exit)
	}
}

// Close ends the worker, also in the middle of a record, and returns what the session was. It may be called more than once.
func (x *dealings) Close() Outcome {
	x.kill()
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.end == nil {
		x.finish(context.Background(), nil)
	}
	return x.end.Outcome
}
