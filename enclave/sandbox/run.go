// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"sync/atomic"
	"time"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// workerCores is how many cores' worth of CPU time a worker may use for each second of wall time: one for the module
// and one for the engine's compiler and garbage collector.
const workerCores = 2

// Run starts a worker, runs one module in it and returns what came of it; the worker is dead by then. A run that ends
// badly for a reason of its own has an Outcome with that reason and no error. An error means that the run could not be
// had or was broken off: [ErrSpec], [ErrIsolation], [ErrSpawner], an [ErrData] that wraps the provider's own, or the
// context's. The Outcome is nil only if no worker was started; beside an error it carries figures and no outputs.
func (s *Spawner) Run(ctx context.Context, spec Spec, data Data) (*Outcome, error) {
	if err := spec.validate(data); err != nil {
		return nil, err
	}
	if len(spec.Module) == 0 || len(spec.Module) > MaxModule {
		return &Outcome{Reason: ReasonModule, Detail: fmt.Sprintf("module of %d bytes", len(spec.Module))}, nil
	}
	began := time.Now()
	p, ahead, err := s.processFor(ctx, &spec)
	if err != nil {
		return nil, err
	}
	defer p.close()
	r := &run{process: p, spec: &spec, data: data, compiled: ahead}
	a, err := r.do(ctx, began.Add(spec.Wall))
	o := &Outcome{Isolation: p.isolation}
	if r.admitted != nil {
		o.Original, o.Rewritten, o.Costs = r.admitted.Original, r.admitted.Rewritten, r.admitted.Costs
	}
	exit, waitErr := p.wait(0)
	o.CPU, o.Peak = time.Duration(exit.CPUNanos), exit.PeakKiB<<10
	o.Wall = time.Since(began)
	switch {
	case err != nil:
		return o, err
	case waitErr != nil:
		return o, waitErr
	case a == nil:
		o.Reason, o.Detail = r.reason(exit)
	default:
		o.Reason, o.Detail, o.Fuel, o.Undeclared, o.Logs, o.Outputs = a.Reason, a.Detail, a.Fuel, a.Undeclared, a.logs, a.outputs
	}
	return o, nil
}

// cpuSeconds is the CPU time that a worker may use, a second more than it could within the wall limit.
func (s *Spec) cpuSeconds() int64 { return workerCores*int64(math.Ceil(s.Wall.Seconds())) + 1 }

// run is one job's dealings with its worker, from the enclave's side.
type run struct {
	*process
	spec *Spec
	data Data
	lendings
	compiled bool // the worker has the module

	walled   atomic.Bool // the watchdog killed the worker
	hostile  error       // what the worker sent was out of bounds
	admitted *admission  // what ran, as far as it did; nil until the worker says so
}

// do serves the worker until its artefact is complete or something kills it. A nil artefact without an error means that
// the worker is to blame; reason finds out for what.
func (r *run) do(ctx context.Context, deadline time.Time) (*artefact, error) {
	serving, stop := context.WithCancel(ctx)
	defer stop()
	watchdog := time.AfterFunc(time.Until(deadline), func() {
		r.walled.Store(true)
		stop()
	})
	defer watchdog.Stop()
	defer context.AfterFunc(serving, r.kill)()

	served := make(chan error, 1)
	go func() {
		err := r.serve(serving)
		if errors.Is(err, ErrData) && serving.Err() != nil {
			err = nil // what was stopped may fail in any way
		}
		if err != nil {
			stop() // and so kill the worker, which ends the read below
		}
		served <- err
	}()
	a, err := r.read(bufio.NewReaderSize(r.out, 1<<16))
	if errors.Is(err, ErrProtocol) {
		r.hostile = err
	}
	stop()
	r.kill()
	r.closePipes()
	serveErr := <-served
	switch {
	case errors.Is(serveErr, ErrProtocol):
		r.hostile = serveErr
	case serveErr != nil:
		return nil, serveErr
	case err == nil:
		return a, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	}
	return nil, nil
}

// read takes what the worker says: that the module was admitted, and later what came of it. What it then learnt of the
// admission stands, however the run ends.
func (r *run) read(out io.Reader) (*artefact, error) {
	admitted, rest, err := readAdmission(out, envelope.Sum(r.spec.Module))
	if err != nil {
		return nil, err
	}
	r.admitted = admitted
	if r.spec.Words != nil {
		if rest, err = readWords(rest, r.spec.Words); err != nil {
			return nil, err
		}
	}
	return readArtefact(rest, r.spec, admitted != nil)
}

// reason is why a worker left no artefact.
func (r *run) reason(exit exitReport) (reason, detail string) {
	limit := workerCores * r.spec.Wall
	switch {
	case r.walled.Load():
		return ReasonWall, "wall limit"
	case r.hostile != nil:
		return ReasonWorker, r.hostile.Error()
	case exit.OOM:
		return ReasonMemory, "the worker's control group ran out of memory"
	case time.Duration(exit.CPUNanos) >= limit:
		return ReasonWall, "CPU limit"
	case exit.Code == codeFatal:
		return ReasonMemory, "the worker's runtime gave up, most likely out of memory"
	}
	return ReasonWorker, "worker ended: " + exit.Status
}

// serve sends the header and the module, then answers range requests until the worker closes its end.
func (r *run) serve(ctx context.Context) error {
	if err := r.sendHeader(modeRun); err != nil {
		return nil // the worker is dead; what became of it is not serve's to say
	}
	if !r.compiled {
		if err := writeFrame(r.down, r.spec.Module); err != nil {
			return nil
		}
	}
	return r.answer(ctx)
}

func (r *run) sendHeader(mode string) error { return r.send(r.spec.header(mode)) }

func (r *run) send(h header) error {
	h.Grouped = !strings.HasSuffix(r.isolation, ";"+(&cgroup{}).stamp())
	b, err := json.Marshal(h)
	if err != nil {
		return err
	}
	return writeFrame(r.down, b)
}

// header is what a worker is told of the run.
func (s *Spec) header(mode string) header {
	return header{
		Mode: mode, Files: s.Files, Outputs: s.Outputs, MemoryBytes: s.MemoryBytes, OutputBytes: s.OutputBytes,
		CPUSeconds: s.cpuSeconds(), Fuel: s.Fuel, Params: s.Params, Seed: s.Seed[:], Logs: s.Logs, Words: s.Words != nil,
	}
}

// answer serves one range request after the other.
func (r *run) answer(ctx context.Context) error {
	var b [requestBytes]byte
	r.lendings = lendings{}
	for {
		if _, err := io.ReadFull(r.up, b[:]); err != nil {
			return nil // the worker is gone, also in the middle of a request
		}
		q, err := parseRequest(b, r.spec.Files)
		if err != nil {
			return err
		}
		if gone, err := r.deliver(ctx, q); gone || err != nil {
			return err
		}
	}
}

// deliver puts what q asks for into the window, as the provider lends it, and tells the worker how many bytes came each
// time, so that it can use the first while the next are decrypted. Nothing else touches the window, and this only writes:
// the provider never sees memory that a worker sees. gone means that nobody reads the answer.
//
// The first piece brings what was lent from before the offset as well, as far as there is space: a guest that steps back
// finds it in the window, where the enclave pays for it once.
func (r *run) deliver(ctx context.Context, q request) (gone bool, err error) {
	room := r.window[q.at:][:q.space]
	var piece [pieceBytes]byte
	filled, lead := 0, 0
	for filled-lead < int(q.want) {
		done := filled - lead
		lent, before, err := r.data.Range(ctx, int(q.file), int64(q.offset)+int64(done), int(q.want)-done)
		if err == nil && (before < 0 || before >= len(lent)) {
			err = io.ErrNoProgress
		}
		if err != nil {
			return false, fmt.Errorf("%w: %w", ErrData, err)
		}
		if filled == 0 {
			lead, lent = r.lendings.trim(q, lent, before)
		} else {
			lent = lent[before:]
		}
		n := copy(room[filled:], lent)
		binary.BigEndian.PutUint32(piece[:], uint32(lead))
		binary.BigEndian.PutUint32(piece[4:], uint32(n))
		filled += n
		if _, err := r.down.Write(piece[:]); err != nil {
			return true, nil
		}
	}
	return false, nil
}

// lendings count, for each file, how often the same batch was put into the window as a whole. A worker that comes back for it,
// because it has more files than parts of the window, soon gets what it wants and little more: nobody meters what it costs
// the enclave to copy.
type lendings map[uint32]lending

type lending struct {
	start uint64 // of the batch, in the file
	times int
}

const (
	maxLendings = 4
	lendAhead   = 4 << 10 // bytes beyond what is wanted, once a batch was lent so often
)

// trim cuts what the provider lent to what goes into the window for q; lead bytes of it are from before the offset.
func (l lendings) trim(q request, lent []byte, before int) (lead int, _ []byte) {
	g, start := l[q.file], q.offset-uint64(before)
	if g.start != start {
		g = lending{start: start}
	}
	g.times++
	l[q.file] = g
	if g.times > maxLendings {
		return 0, lent[before:][:min(len(lent)-before, int(q.want)+lendAhead)]
	}
	lead = min(before, int(q.space-q.want))
	return lead, lent[before-lead:]
}
