// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/transforms/tx"
)

// TransformSpec is a creator's module that records pass through, batch by batch. Every limit is required.
type TransformSpec struct {
	Module      []byte        // WebAssembly that follows docs/spec/transform-abi.md
	ABI         string        // dataset.ABITransform, or dataset.ABIWASI: then nothing is kept from one batch to the next
	Config      []byte        // of tx.NewConfig
	MemoryBytes int64         // linear memory
	Fuel        int64         // for starting up, until the first batch; for a command of WASI in each batch anew
	BatchFuel   int64         // for each batch anew, and
	ByteFuel    int64         // for each of its bytes
	Wall        time.Duration // of the whole session, from the start of the worker to its last answer
	Lent        tx.Lent       // what the module may ask for
}

// MaxTransformBatch is the longest batch: a file, and little beside.
const MaxTransformBatch = tx.MaxRecord + 4*tx.MaxBatch

// configParam is the name under which a command of WASI finds its configuration.
const configParam = "GLOVEBOX_TX"

// spec is the run that a session of batches is for its worker.
func (s *TransformSpec) spec() *Spec {
	most := tx.AnswerLimit(MaxTransformBatch)
	return &Spec{
		Module: s.Module, Outputs: []Output{{"answer", most}}, MemoryBytes: s.MemoryBytes, OutputBytes: most, Fuel: s.Fuel, Wall: s.Wall,
		Words: s.Lent.Words,
	}
}

func (s *TransformSpec) validate() error {
	bad := func(f string, a ...any) error { return fmt.Errorf("%w: %s", ErrSpec, fmt.Sprintf(f, a...)) }
	switch {
	case s.ABI != dataset.ABITransform && s.ABI != dataset.ABIWASI:
		return bad("ABI %q", s.ABI)
	case len(s.Config) == 0 || len(s.Config) > tx.MaxConfig:
		return bad("configuration of %d bytes", len(s.Config))
	case s.BatchFuel < 1 || s.BatchFuel > maxFuel || s.ByteFuel < 0 || s.ByteFuel > maxFuel/MaxTransformBatch:
		return bad("fuel of a batch %d, of a byte %d", s.BatchFuel, s.ByteFuel)
	case s.Lent.Epsilon < 0 || (s.Lent.Token || s.Lent.Epsilon > 0) && s.Lent.Services == nil:
		return bad("tokens or noise, and nobody to make them")
	}
	return s.spec().validate(nil)
}

// batchFuel is what a batch of n bytes may use.
func (s *TransformSpec) batchFuel(n int) int64 {
	h := header{ABI: s.ABI, Fuel: s.Fuel, RecordFuel: s.BatchFuel, ByteFuel: s.ByteFuel}
	return h.batchFuel(n)
}

// batchFuel is what a batch of n bytes may use. A command of WASI starts in each.
func (h *header) batchFuel(n int) int64 {
	start := int64(0)
	if h.ABI == dataset.ABIWASI {
		start = h.Fuel
	}
	return min(start+h.RecordFuel+int64(n)*h.ByteFuel, maxFuel)
}

// TransformSession is a creator's module in a worker of its own. It is safe for concurrent use; batches come one at a time. It
// implements tx.Conversation.
type TransformSession struct {
	dealings
	limits  TransformSpec
	out     *bufio.Reader
	caller  *tx.Caller
	started int64 // fuel
}

// Transform starts a worker and a module in it. When it returns, the module has accepted its configuration. A module that does
// not come so far gives a [SessionEnd] with its reason. The context is for starting alone; the session must be closed.
func (s *Spawner) Transform(ctx context.Context, spec TransformSpec) (*TransformSession, error) {
	if err := spec.validate(); err != nil {
		return nil, err
	}
	if len(spec.Module) == 0 || len(spec.Module) > MaxModule {
		return nil, &SessionEnd{Outcome: Outcome{Reason: ReasonModule, Detail: fmt.Sprintf("module of %d bytes", len(spec.Module))}}
	}
	began, sp := time.Now(), spec.spec()
	p, err := s.start(ctx, startRequest{MemoryBytes: sp.MemoryBytes, OutputBytes: sp.OutputBytes, CPUSeconds: sp.cpuSeconds()})
	if err != nil {
		return nil, err
	}
	return newTransformSession(ctx, p, spec, began)
}

// transformPipe is room in a pipe for a whole batch and its answer, so that neither side waits for the other in the middle.
const transformPipe = 256 << 10

// widen makes room in a pipe. Where that is refused, batches go in pieces. A file's own descriptor would block its reads.
func widen(f *os.File) {
	if c, err := f.SyscallConn(); err == nil {
		_ = c.Control(func(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, transformPipe) })
	}
}

// newTransformSession makes a session of a worker.
func newTransformSession(ctx context.Context, p *process, spec TransformSpec, began time.Time) (*TransformSession, error) {
	x := &TransformSession{limits: spec, out: bufio.NewReaderSize(p.out, 1<<16)}
	x.begin(p, spec.spec(), began)
	widen(p.down)
	widen(p.out)
	x.caller = tx.NewCaller(p.down, x.out, spec.Lent)
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.deal(ctx, x.open); err != nil {
		return nil, err
	}
	x.started = x.fuel
	return x, nil
}

// open sends the module and its configuration, and waits until it is ready.
func (x *TransformSession) open() error {
	h := x.spec.header(modeBatches)
	h.ABI, h.RecordFuel, h.ByteFuel = x.limits.ABI, x.limits.BatchFuel, x.limits.ByteFuel
	h.Token, h.Noise = x.limits.Lent.Token, x.limits.Lent.Epsilon > 0
	if err := errors.Join(x.send(h), writeFrame(x.down, x.limits.Module), writeFrame(x.down, x.limits.Config)); err != nil {
		return err
	}
	return x.opened(x.out)
}

// Batch implements tx.Conversation. The answer is valid until the next call. A batch that has no answer is the last: the result
// has the reason or, where the module is not to blame, there is an error, a [SessionEnd].
func (x *TransformSession) Batch(ctx context.Context, batch []byte, n int) (tx.Result, []byte, error) {
	if len(batch) > MaxTransformBatch {
		return tx.Result{}, nil, fmt.Errorf("%w: batch of %d bytes, at most %d", ErrSpec, len(batch), MaxTransformBatch)
	}
	return x.ask(ctx, len(batch), func() (tx.Result, []byte, error) { return x.caller.Batch(batch, n) })
}

// Flush implements tx.Conversation.
func (x *TransformSession) Flush(ctx context.Context) (tx.Result, []byte, error) {
	return x.ask(ctx, 0, x.caller.Flush)
}

func (x *TransformSession) ask(ctx context.Context, size int, f func() (tx.Result, []byte, error)) (r tx.Result, out []byte, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	err = x.deal(ctx, func() error {
		r, out, err = f()
		if err == nil {
			err = x.check(r, size)
		}
		switch {
		case errors.Is(err, tx.ErrProtocol):
			return fmt.Errorf("%w: %w", ErrProtocol, err)
		case errors.Is(err, tx.ErrAsked):
			return guestFailed{Reason: ReasonTrap, Detail: err.Error()}
		}
		return err
	})
	if end, ok := errors.AsType[*SessionEnd](err); ok && end.Reason != ReasonNone && end.cause == nil {
		return tx.Result{Reason: end.Reason, Detail: end.Detail}, nil, nil
	}
	if err != nil {
		return tx.Result{}, nil, err
	}
	return r, out, nil
}

// check refuses a result that no module can have, and makes one that ended the module an error.
func (x *TransformSession) check(r tx.Result, size int) error {
	q := result{Reason: r.Reason, Detail: r.Detail, Fuel: r.Fuel}
	if r.Reason == ReasonModule || !q.possible(x.limits.batchFuel(size), true) {
		return fmt.Errorf("%w: no batch ends with reason %q and %d units of fuel", ErrProtocol, r.Reason, r.Fuel)
	}
	x.fuel += r.Fuel
	if r.Reason != ReasonNone {
		return guestFailed(q)
	}
	return nil
}

// Opening is what is known since the module has accepted its configuration: what runs, in what, and what starting up used.
func (x *TransformSession) Opening() Outcome {
	x.mu.Lock()
	defer x.mu.Unlock()
	return Outcome{
		Original: x.admitted.Original, Rewritten: x.admitted.Rewritten, Costs: x.admitted.Costs, Fuel: x.started, Isolation: x.isolation,
	}
}

// Close ends the worker, also in the middle of a batch. It implements tx.Conversation; [TransformSession.Outcome] is what the
// session was.
func (x *TransformSession) Close() error {
	x.dealings.Close()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.caller.Wipe()
	return nil
}

// Outcome closes the session and says what it was.
func (x *TransformSession) Outcome() Outcome { return x.dealings.Close() }
