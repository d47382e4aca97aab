// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"context"
	"errors"
	"fmt"

	"github.com/glovebox-dev/glovebox/enclave/sandbox"
	"github.com/glovebox-dev/glovebox/internal/dataset"
)

// errNotPermitted means the code asked for more than grants or job allow.
var errNotPermitted = errors.New("enclave: not permitted")

// view is a job's datasets as the code sees them: one read-only file each, fetched, proven, decrypted and metered as it
// is read, with one batch of each in memory. It implements sandbox.Data.
type view struct {
	r     *attempt
	files []*file
	fault error // the first; it decides the run's outcome even if the code goes on
}

type file struct {
	p      *pack
	stream batches
	batch  dataset.Batch // the one last delivered
}

// batches is a dataset's stream, or what steps left of it.
type batches interface {
	Size() int64
	Batch(ctx context.Context, off int64) (dataset.Batch, error)
	Close()
}

// openView opens a stream for every dataset.
func (r *attempt) openView(ctx context.Context) (*view, []sandbox.File, error) {
	v := &view{r: r}
	var list []sandbox.File
	for i, name := range r.dataNames() {
		p := r.packages[1+i]
		s, err := r.openBatches(ctx, p)
		if err != nil {
			v.close()
			return nil, nil, err
		}
		v.files = append(v.files, &file{p: p, stream: s})
		list = append(list, sandbox.File{Name: name, Size: s.Size()})
	}
	return v, list, nil
}

// dataNames are the files below /data that datasets are, in the job's order. Two datasets of one name get distinct folders.
func (r *attempt) dataNames() (out []string) {
	taken := map[string]bool{}
	for _, p := range r.packages[1:] {
		folder := p.m.Name
		for n := 2; taken[folder]; n++ {
			folder = fmt.Sprintf("%s-%d", p.m.Name, n)
		}
		taken[folder] = true
		out = append(out, folder+"/"+fileName(p.m.Format))
	}
	return out
}

func fileName(f dataset.Format) string {
	if f == dataset.FormatFiles || f == dataset.FormatSamples {
		return "records.tar"
	}
	return "records." + string(f)
}

// openBatches is what the code sees of p. Where steps stand before it, they are done with all records when this returns.
func (r *attempt) openBatches(ctx context.Context, p *pack) (batches, error) {
	if len(p.grant.Predicate.Obligations.Transforms) > 0 {
		t, err := r.transform(ctx, p)
		if err != nil {
			return nil, err
		}
		return t, nil
	}
	s, err := r.openStream(ctx, p)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// openStream reads what is granted of p leaf by leaf, as if the package had nothing else: the allowance is checked before each is fetched, the meter counts each once proven.
func (r *attempt) openStream(ctx context.Context, p *pack) (*dataset.Stream, error) {
	return dataset.OpenStream(ctx, p.m, r.e.c.Host, p.keys.Package, dataset.StreamOptions{
		Leaves: p.grant.Predicate.Obligations.Leaves.Spans(), Units: p.keys.ByID(),
		BeforeLeaf: func(int64) error { return r.gate(ctx, p) },
		Ahead:      func() int64 { return p.beat.left(&p.meter) },
		AfterLeaf:  p.meter.leaf,
	})
}

// close wipes what the streams hold in the clear.
func (v *view) close() {
	for _, f := range v.files {
		f.stream.Close()
	}
}

// Range implements sandbox.Data. It lends the batch that holds off: a batch is counted and delivered whole, so
// the code has paid for all of it with its first byte, and never gets a byte of another one that it did not ask for.
func (v *view) Range(ctx context.Context, index int, off int64, _ int) ([]byte, int, error) {
	if index < 0 || index >= len(v.files) || off < 0 {
		return nil, 0, fmt.Errorf("%w: no such file", errNotPermitted)
	}
	if v.fault != nil {
		return nil, 0, v.fault
	}
	f := v.files[index]
	if err := v.seek(ctx, f, off); err != nil {
		if ctx.Err() == nil { // what was stopped may fail in any way
			v.fault = err
		}
		return nil, 0, err
	}
	return f.batch.Raw, int(off - f.batch.Offset), nil
}

// seek makes f.batch the one that holds raw offset at, and counts the delivery before anybody sees it.
func (v *view) seek(ctx context.Context, f *file, at int64) error {
	if at >= f.batch.Offset && at-f.batch.Offset < int64(len(f.batch.Raw)) {
		return nil
	}
	b, err := f.stream.Batch(ctx, at)
	if err != nil {
		return err
	}
	if at < b.Offset || at-b.Offset >= int64(len(b.Raw)) {
		return fmt.Errorf("%w: batch does not hold offset %d", dataset.ErrIntegrity, at)
	}
	most := min(v.r.job.Predicate.Epochs, f.p.grant.Predicate.Obligations.Epochs)
	if err := f.p.meter.batch(b.Index, b.Records, most); err != nil {
		return err
	}
	f.batch = b
	return nil
}
