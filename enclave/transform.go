// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/enclave/sandbox"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/scratch"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/builtin"
	"github.com/glovebox-dev/glovebox/transforms/tx"
)

// errTransform means that a step failed, or left nothing. Its text is for this process alone.
var errTransform = errors.New("enclave: transform")

// transformable refuses a job whose steps this enclave cannot do, before anybody is asked for anything.
func (r *attempt) transformable() error {
	mode := r.job.Predicate.Mode
	for _, p := range r.packages[1:] {
		steps := p.m.Terms.StepsFor(mode)
		if err := builtin.Private(steps); dataset.Noisy(mode) && err != nil {
			return fmt.Errorf("%w: the terms of %s promise mode %s: %w", ErrJob, p.id, mode, err)
		}
		for _, s := range steps {
			if have := builtin.Digest(s.Name); s.Name != dataset.StepModule && have != s.Digest {
				return fmt.Errorf("%w: the terms of %s pin step %q as %s, this enclave has %s", ErrJob, p.id, s.Name, s.Digest, have)
			}
		}
	}
	return nil
}

// transform takes every granted record of a package through the steps that its grant obliges to, in order and once, into a
// scratch that the code reads in their place.
func (r *attempt) transform(ctx context.Context, p *pack) (_ *transformed, err error) {
	o := &p.grant.Predicate.Obligations
	if p.m.Format == dataset.FormatCSV && !o.Leaves.Contains(0) {
		// The first record would be taken for the header, and no step looks at that.
		return nil, fmt.Errorf("%w: steps need the header of %s, which is not granted", ErrGrant, p.id)
	}
	s, err := r.openStream(ctx, p)
	if err != nil {
		return nil, err
	}
	in := &streamReader{ctx: ctx, s: s}
	defer in.close()
	out := &transformed{s: scratch.New("", scratchMemory), most: p.granted.Records}
	defer func() {
		if err != nil {
			out.Close()
		}
	}()
	err = r.pipe(ctx, p, in, out)
	switch {
	case context.Cause(ctx) != nil: // what was stopped may fail in any way
		return nil, context.Cause(ctx)
	case in.err != nil:
		return nil, in.err
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errTransform, err)
	case out.records == 0:
		p.steps = nil
		return nil, fmt.Errorf("%w: the steps left no record of %s", errTransform, p.id)
	}
	return out, nil
}

// pipe runs the pipeline and keeps what it reports.
func (r *attempt) pipe(ctx context.Context, p *pack, in *streamReader, out *transformed) (err error) {
	src, err := transforms.NewSource(in, p.m.Format)
	if err != nil {
		return err
	}
	env, err := r.lend(p)
	if err != nil {
		return err
	}
	o := &p.grant.Predicate.Obligations
	line, err := transforms.New(ctx, p.m.Terms.StepsFor(o.Mode), src.Schema(), builtin.New, env)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, line.Close()) }()
	if err := out.fill(ctx, line, src); err != nil {
		return err
	}
	for _, done := range line.Stated() {
		t := usage.Transform{Manifest: p.id, Fuel: done.Fuel, StepReport: done.StepReport}
		if dataset.Silent(o.Mode) {
			t.Seal()
		}
		p.steps = append(p.steps, t)
	}
	return nil
}

// lend is what the steps of a package may use.
func (r *attempt) lend(p *pack) (*transforms.Env, error) {
	keys, err := transforms.NewPackageKeys(p.keys.Package.Bytes(), p.grant.ID)
	if err != nil {
		return nil, err
	}
	env := &transforms.Env{Keys: keys, Noise: rand.Reader, Alone: dataset.Private(p.grant.Predicate.Obligations.Mode)}
	env.Spool = func() (transforms.Spool, error) { return transforms.NewSpool(scratch.New("", scratchMemory)), nil }
	env.Module = func(ctx context.Context, s *dataset.Step, in transforms.Schema) (transforms.Module, error) {
		module, err := r.fetchModule(ctx, s.Digest)
		if err != nil {
			return nil, err
		}
		lent, err := tx.Lend(s, env.Keys, env.Noise)
		if err != nil {
			return nil, err
		}
		return r.e.c.Runner.Module(ctx, s, module, in, lent)
	}
	return env, nil
}

// modulePiece is how much of a module is asked for at once.
const modulePiece = 1 << 20

// fetchModule reads a module from the host, to whom it is a blob like others, and takes it if its digest is the pinned one.
func (r *attempt) fetchModule(ctx context.Context, id envelope.Digest) ([]byte, error) {
	var module []byte
	for buf := make([]byte, modulePiece); len(module) <= sandbox.MaxModule; {
		ask, done := context.WithTimeout(ctx, r.e.t.answer)
		n, err := r.e.c.Host.ReadAt(ask, id, buf, int64(len(module)))
		done()
		if n < 0 || n > len(buf) {
			return nil, fmt.Errorf("%w: module %s", dataset.ErrBlob, id)
		}
		module = append(module, buf[:n]...)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if n < len(buf) {
			break
		}
	}
	if sha256.Sum256(module) != id {
		return nil, fmt.Errorf("%w: module %s", dataset.ErrBlob, id)
	}
	return module, nil
}

// streamReader reads a dataset's stream from its beginning to its end.
type streamReader struct {
	ctx  context.Context // of the one pass
	s    *dataset.Stream
	at   int64
	left []byte // of the batch at hand
	err  error  // of the stream, as it came
	// deliver is told each batch before anything of it is read. May be nil.
	deliver func(b *dataset.Batch)
}

// Read implements io.Reader.
func (r *streamReader) Read(p []byte) (int, error) {
	if len(r.left) == 0 && r.err == nil {
		if r.at >= r.s.Size() {
			return 0, io.EOF
		}
		var b dataset.Batch
		if b, r.err = r.s.Batch(r.ctx, r.at); r.err == nil && r.deliver != nil {
			r.deliver(&b)
		}
		if r.err == nil {
			r.left = b.Raw[r.at-b.Offset:]
			r.at += int64(len(r.left))
		}
	}
	if r.err != nil {
		return 0, r.err
	}
	n := copy(p, r.left)
	r.left = r.left[n:]
	return n, nil
}

func (r *streamReader) close() { r.s.Close() }

// batchBytes is how much of transformed records is delivered, and so metered, together.
const batchBytes = dataset.DefaultBatchBytes

// transformed is what steps left of a dataset. It is a source of batches, as a stream is.
type transformed struct {
	s       *scratch.Scratch
	starts  []int32 // records that begin in each batch, and count
	records int64   // in all
	counted int64   // ... that count
	most    int64   // that went in: no more count, whatever a module makes of them
	buf     []byte
}

// fill runs the pipeline.
func (t *transformed) fill(ctx context.Context, line *transforms.Pipeline, src transforms.Source) error {
	w := transforms.NewWriter(t.s, line.Out())
	if err := w.Begin(); err != nil {
		return err
	}
	err := line.Run(ctx, src, func(it transforms.Item) error {
		at := int(t.s.Size() / batchBytes)
		if at >= len(t.starts) {
			t.starts = append(t.starts, make([]int32, at+1-len(t.starts))...)
		}
		if t.records++; t.counted < t.most {
			t.starts[at]++
			t.counted++
		}
		return w.Write(it)
	})
	t.buf = make([]byte, 0, batchBytes)
	return err
}

// Size is the length of the stream of records.
func (t *transformed) Size() int64 { return t.s.Size() }

// Batch gives the batch that holds the byte at off.
func (t *transformed) Batch(_ context.Context, off int64) (dataset.Batch, error) {
	if off < 0 || off >= t.Size() {
		return dataset.Batch{}, fmt.Errorf("%w: %d of %d", dataset.ErrOffset, off, t.Size())
	}
	index := off / batchBytes
	b := dataset.Batch{Offset: index * batchBytes, Index: index}
	if index < int64(len(t.starts)) {
		b.Records = int(t.starts[index])
	}
	t.buf = t.buf[:min(batchBytes, t.Size()-b.Offset)]
	if _, err := t.s.ReadAt(t.buf, b.Offset); err != nil {
		return dataset.Batch{}, err
	}
	b.Raw = t.buf
	return b, nil
}

// Close wipes what is held.
func (t *transformed) Close() {
	_ = t.s.Close() // nothing of it is used again, and the file has no name
	clear(t.buf[:cap(t.buf)])
}
