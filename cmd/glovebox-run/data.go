// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/glovebox-dev/glovebox/cmd/glovebox-run/localrun"
	"github.com/glovebox-dev/glovebox/enclave/sandbox"
	"github.com/glovebox-dev/glovebox/internal/dataset"
)

// errEpochs means that the code asked for a batch more often than it may.
var errEpochs = errors.New("epochs are spent")

// view is the datasets as an enclave shows them: one file each, delivered and counted batch by batch. It implements
// sandbox.Data.
type view struct {
	epochs int64
	files  []*file
}

type file struct {
	name    string
	stream  *dataset.Stream
	batch   dataset.Batch // the one last delivered
	times   map[int64]int64
	records int64
	passes  int64
}

// openView opens every dataset of a request. The view is for one run: what it counted stays counted.
func openView(ctx context.Context, q *localrun.Request) (v *view, list []sandbox.File, err error) {
	v = &view{epochs: int64(q.Epochs)}
	defer func() {
		if err != nil {
			v.close()
		}
	}()
	for _, d := range q.Data {
		f, format, err := openFile(ctx, d)
		if err != nil {
			return v, nil, err
		}
		v.files = append(v.files, f)
		list = append(list, sandbox.File{Name: f.name + "/" + fileName(format), Size: f.stream.Size()})
	}
	return v, list, nil
}

func openFile(ctx context.Context, d localrun.Data) (*file, dataset.Format, error) {
	m, err := dataset.Verify(d.Manifest)
	if err != nil {
		return nil, "", err
	}
	key, err := dataset.KeyFromBytes(d.Key)
	if err != nil {
		return nil, "", err
	}
	store, err := dataset.NewDirStore(d.Store)
	if err != nil {
		return nil, "", err
	}
	p := &m.Predicate
	s, err := dataset.OpenStream(ctx, p, store, key, p.AllLeaves())
	if err != nil {
		return nil, "", err
	}
	return &file{name: p.Name, stream: s, times: map[int64]int64{}}, p.Format, nil
}

// fileName is that of a dataset's file in an enclave.
func fileName(f dataset.Format) string {
	if f == dataset.FormatFiles || f == dataset.FormatSamples {
		return "records.tar"
	}
	return "records." + string(f)
}

func (v *view) close() {
	for _, f := range v.files {
		f.stream.Close()
	}
}

// Range implements sandbox.Data: the batch that holds off.
func (v *view) Range(ctx context.Context, index int, off int64, _ int) ([]byte, int, error) {
	f := v.files[index]
	if off < f.batch.Offset || off-f.batch.Offset >= int64(len(f.batch.Raw)) {
		b, err := f.stream.Batch(ctx, off)
		if err != nil {
			return nil, 0, err
		}
		if f.times[b.Index] == v.epochs {
			return nil, 0, fmt.Errorf("%w: batch %d of %s was delivered %d times", errEpochs, b.Index, f.name, v.epochs)
		}
		f.times[b.Index]++
		f.records, f.passes, f.batch = f.records+int64(b.Records), max(f.passes, f.times[b.Index]), b
	}
	return f.batch.Raw, int(off - f.batch.Offset), nil
}

// delivered is what the view counted.
func (v *view) delivered() []localrun.Delivered {
	out := []localrun.Delivered{}
	for _, f := range v.files {
		out = append(out, localrun.Delivered{Name: f.name, Records: f.records, Epochs: f.passes})
	}
	return out
}
