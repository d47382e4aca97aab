// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/enclave/sandbox"
	"github.com/glovebox-dev/glovebox/enclave/train"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/door"
	"github.com/glovebox-dev/glovebox/internal/scratch"
	"github.com/glovebox-dev/glovebox/transforms/dp"
)

// mainModule is the file of a code package that is run.
const mainModule = "main.wasm"

// outcome is how a run ended, before anything is signed. artefacts hold plaintext.
type outcome struct {
	reason            string // a usage.Reason; "" if completed
	worker            sandbox.Outcome
	released          int64          // milliseconds since the code's challenge was asked for
	started, finished int64          // finished is 0 until it is known
	ran               []dp.Mechanism // what touched the data, in a differentially private mode
}

func (o *outcome) wipe() {
	for _, a := range o.worker.Outputs {
		clear(a.Data)
	}
	clear(o.worker.Logs)
}

// execute runs the code, unless a release or the grants say it must not run, and always returns an outcome to attest.
func (r *attempt) execute(ctx context.Context, releaseErr error) *outcome {
	out := &outcome{released: r.sinceChallenge()}
	out.worker.Isolation = usage.NotStarted
	out.started = out.released
	err := releaseErr
	if err == nil {
		err = r.permitted()
	}
	if err == nil {
		r.enter(ctx, door.StateRunning)
		err = r.runMode(ctx, out)
	}
	out.reason = r.discreet(reasonOf(err, out.worker.Reason))
	if out.finished == 0 {
		out.finished = r.sinceChallenge()
	}
	return out
}

func (r *attempt) sinceChallenge() int64 { return time.Since(r.packages[0].clock.asked).Milliseconds() }

// runMode does what the job's mode is.
func (r *attempt) runMode(ctx context.Context, out *outcome) error {
	switch r.job.Predicate.Mode {
	case dataset.ModeTraining:
		return r.runTraining(ctx, out)
	case dataset.ModeRelease:
		return r.runQueries(ctx, out)
	case dataset.ModeAggregate:
		return r.runShards(ctx, out)
	}
	return r.runCode(ctx, out)
}

// runCode returns the enclave's own reasons to end a run; the worker's are in out.worker.
func (r *attempt) runCode(ctx context.Context, out *outcome) error {
	module, err := r.loadCode(ctx)
	if err != nil {
		return err
	}
	v, files, err := r.openView(ctx)
	if err != nil {
		return err
	}
	defer v.close()
	out.started = r.sinceChallenge()
	s := r.spec(module, files)
	s.Tenant = r.tenant()
	w, err := r.e.c.Runner.Run(ctx, s, v)
	if w != nil {
		out.worker = *w
	}
	if out.worker.Isolation == "" { // refused before a worker was started
		out.worker.Isolation = usage.NotStarted
	}
	switch {
	case context.Cause(ctx) != nil: // what was stopped may fail in any way
		return context.Cause(ctx)
	case v.fault != nil:
		return v.fault
	case err != nil:
		return fmt.Errorf("%w: %w", errWorker, err)
	}
	if w != nil && w.Reason == usage.ReasonNone {
		r.keep(&s)
	}
	return nil
}

// errWorker means the worker process could not be run.
var errWorker = errors.New("enclave: worker")

func (r *attempt) spec(module []byte, files []sandbox.File) sandbox.Spec {
	j := &r.job.Predicate
	s := sandbox.Spec{
		Module: module, Files: files, MemoryBytes: j.Limits.MemoryBytes, Fuel: j.Limits.Fuel, OutputBytes: r.outputCap(),
		Wall: time.Duration(j.Limits.WallSeconds) * time.Second, Params: j.Params, Seed: j.Seed, Logs: r.logs(),
	}
	for _, o := range j.Outputs {
		s.Outputs = append(s.Outputs, sandbox.Output{Name: o.Name, MaxBytes: o.MaxBytes})
	}
	return s
}

// loadCode reads the code package whole and takes its main module.
func (r *attempt) loadCode(ctx context.Context) ([]byte, error) {
	files, err := r.loadFiles(ctx, mainModule, map[string]int64{mainModule: sandbox.MaxModule})
	return files[mainModule], err
}

// loadFiles reads the code package whole and takes the files of those names that there are, each of at most so many bytes; one of
// them must be there.
func (r *attempt) loadFiles(ctx context.Context, needed string, most map[string]int64) (map[string][]byte, error) {
	p := r.packages[0]
	s, err := r.openStream(ctx, p)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if s.Size() > maxCode {
		return nil, fmt.Errorf("%w: code of %d bytes, at most %d", errModule, s.Size(), maxCode)
	}
	var raw bytes.Buffer
	for int64(raw.Len()) < s.Size() {
		b, err := s.Batch(ctx, int64(raw.Len()))
		if err != nil {
			return nil, err
		}
		if err := p.meter.batch(b.Index, b.Records, 1); err != nil {
			return nil, err
		}
		raw.Write(b.Raw)
	}
	return findFiles(&raw, needed, most)
}

// findFiles takes files out of a code package's tar stream, the first of each name. The stream is the buyer's: an entry that
// would expand to more than it holds (a sparse file) is refused before it is read.
func findFiles(r io.Reader, needed string, most map[string]int64) (map[string][]byte, error) {
	t, found := tar.NewReader(r), map[string][]byte{}
	for len(found) < len(most) {
		h, err := t.Next()
		if err != nil { // a stream that is no tar any more has no more files
			break
		}
		name := strings.TrimPrefix(h.Name, "./")
		limit, wanted := most[name]
		if !wanted || found[name] != nil {
			continue
		}
		sparse := slices.ContainsFunc(slices.Collect(maps.Keys(h.PAXRecords)), func(k string) bool { return strings.HasPrefix(k, "GNU.sparse.") })
		if h.Typeflag != tar.TypeReg || sparse || h.Size < 1 || h.Size > limit {
			return nil, fmt.Errorf("%w: %s is not a plain file of at most %d bytes", errModule, name, limit)
		}
		b := make([]byte, h.Size)
		if _, err := io.ReadFull(t, b); err != nil {
			return nil, fmt.Errorf("%w: %s is cut short", errModule, name)
		}
		found[name] = b
	}
	if found[needed] == nil {
		return nil, fmt.Errorf("%w: the code package has no %s", errModule, needed)
	}
	return found, nil
}

// errModule means the code package holds nothing to run.
var errModule = errors.New("enclave: module")

// reasonOf maps an error of the enclave, or else the worker's reason, to the closed list that may be told.
func reasonOf(err error, worker string) string {
	var no *refusal
	refused := errors.As(err, &no)
	switch {
	case err == nil:
		return worker
	case errors.Is(err, errStopped):
		return usage.ReasonStopped
	case errors.Is(err, ErrLeased), errors.Is(err, ErrBroker), errors.Is(err, door.ErrBroken), errors.Is(err, door.ErrRefused), errors.Is(err, context.Canceled),
		refused && no.again():
		return usage.ReasonUnavailable
	case refused, errors.Is(err, ErrGrant), errors.Is(err, errNotPermitted):
		return usage.ReasonNotPermitted
	case errors.Is(err, scratch.ErrFull), errors.Is(err, errLate), errors.Is(err, train.ErrTime): // of the machine, as far as anybody is told
		return usage.ReasonUnavailable
	case errors.Is(err, errModule):
		return usage.ReasonModule
	case errors.Is(err, errTransform):
		return usage.ReasonTransform
	case errors.Is(err, errWorker):
		return usage.ReasonWorker
	}
	return usage.ReasonDataset
}
