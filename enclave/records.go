// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/enclave/train"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/scratch"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/builtin"
)

// record is one record that counts.
type record struct {
	set  int    // which of the job's datasets it is of
	name string // of a file
	text []byte // as the dataset's format has it, without line end; nil if it was spilt
	at   int64  // in the scratch
	n    int
}

// records are all records of a job's datasets that count, by unit of privacy. How many units there are is what manifests say,
// whatever steps leave of the records: a unit of which nothing is left has none. It implements train.Data, for one goroutine.
type records struct {
	schemas []transforms.Schema // of the datasets, after their steps
	units   [][]record
	most    int // records of one unit

	chunks [][]byte
	spill  *scratch.Scratch // nil: all are in memory
}

// heldChunk is how much room is made at once.
const heldChunk = 4 << 20

// newRecords makes room for records of so many bytes at most. What may be larger than memory is kept where others see which part of
// it is read, if not what it says: which of the two it is must depend on what is public alone.
func newRecords(most int, bytes, room int64) *records {
	s := &records{most: most}
	if bytes > room {
		s.spill = scratch.New("", scratchMemory)
	}
	return s
}

// Len implements train.Data.
func (s *records) Len() int { return len(s.units) }

// Hidden implements train.Data.
func (s *records) Hidden() bool { return s.spill == nil }

// Unit implements train.Data.
func (s *records) Unit(i int) (train.Unit, error) {
	if len(s.units[i]) == 0 {
		return nil, nil
	}
	u := make(train.Unit, 0, len(s.units[i]))
	for k := range s.units[i] {
		text, err := s.text(&s.units[i][k])
		if err != nil {
			return nil, err
		}
		u = append(u, text)
	}
	return u, nil
}

// text is what a record says.
func (s *records) text(r *record) ([]byte, error) {
	if s.spill == nil {
		return r.text, nil
	}
	b := make([]byte, r.n)
	if _, err := s.spill.ReadAt(b, r.at); err != nil {
		return nil, err
	}
	return b, nil
}

// add keeps a record of a unit, unless there are enough of it already.
func (s *records) add(unit, set int, name string, text []byte) error {
	if unit < 0 || unit >= len(s.units) || len(s.units[unit]) >= s.most {
		return nil
	}
	r := record{set: set, name: name, n: len(text)}
	if s.spill != nil {
		r.at = s.spill.Size()
		if _, err := s.spill.Write(text); err != nil {
			return err
		}
	} else {
		r.text = s.keep(text)
	}
	s.units[unit] = append(s.units[unit], r)
	return nil
}

// keep copies a text to where it stays.
func (s *records) keep(text []byte) []byte {
	last := len(s.chunks) - 1
	if last < 0 || cap(s.chunks[last])-len(s.chunks[last]) < len(text) {
		s.chunks = append(s.chunks, make([]byte, 0, max(heldChunk, len(text))))
		last++
	}
	c := s.chunks[last]
	at := len(c)
	s.chunks[last] = append(c, text...)
	return s.chunks[last][at:len(s.chunks[last]):len(s.chunks[last])]
}

// Close wipes what is held.
func (s *records) Close() {
	for _, c := range s.chunks {
		clear(c[:cap(c)])
	}
	if s.spill != nil {
		_ = s.spill.Close() // nothing of it is used again, and the file has no name
	}
	s.chunks, s.units = nil, nil
}

// loadRecords reads all that is granted of every dataset, whole, once and in order, through its steps: nobody outside learns
// which records count for what. Of each unit the first records are kept, as many as the job's contributions. Close what it gives.
func (r *attempt) loadRecords(ctx context.Context) (_ *records, err error) {
	if r.heldBytes() > r.e.room && r.stepped() {
		return nil, fmt.Errorf("%w: records that do not fit into memory, and steps before the code: others would see how long each is after them", errNotPermitted)
	}
	out := newRecords(int(r.job.Predicate.Privacy.Contributions), r.heldBytes(), r.e.room)
	defer func() {
		if err != nil {
			out.Close()
		}
	}()
	batches := make([][]dataset.Batch, len(r.packages)-1)
	for i, p := range r.packages[1:] {
		if batches[i], err = r.loadPackage(ctx, p, i, out); err != nil {
			return nil, err
		}
	}
	// What is not used is not delivered: before this nothing was.
	for i, p := range r.packages[1:] {
		for _, b := range batches[i] {
			if err := p.meter.batch(b.Index, b.Records, 1); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// grown is how long steps may make a record of n bytes: room for a code of each word, or for a mark in each of many short fields. One
// that they make longer counts as one without anything in it, so that all records together have a bound that nobody's decides on.
func grown(n int64) int64 { return 2*n + 1<<10 }

// stepped reports whether steps stand before the code.
func (r *attempt) stepped() bool {
	return slices.ContainsFunc(r.packages[1:], func(p *pack) bool { return len(p.m.Terms.StepsFor(r.job.Predicate.Mode)) > 0 })
}

// heldBytes is how much all records may be after their steps, as manifests have it.
func (r *attempt) heldBytes() (total int64) {
	for _, p := range r.packages[1:] {
		n := p.granted.RawBytes
		if len(p.m.Terms.StepsFor(r.job.Predicate.Mode)) > 0 {
			n = grown(n) + grown(0)*p.granted.Records
		}
		total += n
	}
	return total
}

// loadPackage appends the units of one dataset, and lists its batches.
func (r *attempt) loadPackage(ctx context.Context, p *pack, set int, out *records) (batches []dataset.Batch, err error) {
	if p.m.Format == dataset.FormatCSV && !p.grant.Predicate.Obligations.Leaves.Contains(0) {
		// The first record would be taken for the header.
		return nil, fmt.Errorf("%w: the header of %s is not granted", ErrGrant, p.id)
	}
	n, err := countUnits(p, r.job.Predicate.Privacy.Unit)
	if err != nil {
		return nil, err
	}
	first := len(out.units)
	out.units = append(out.units, make([][]record, n)...)
	s, err := r.openStream(ctx, p)
	if err != nil {
		return nil, err
	}
	place := placeUnits(p, r.job.Predicate.Privacy.Unit, s.Ends())
	in := &streamReader{ctx: ctx, s: s, deliver: func(b *dataset.Batch) { batches = append(batches, dataset.Batch{Index: b.Index, Records: b.Records}) }}
	defer in.close()
	err = r.sift(ctx, p, in, out, func(it transforms.Item, ordinal int64) error {
		if it.TooLong {
			return nil
		}
		return out.add(first+place(it.At, ordinal), set, it.Name, it.Raw)
	})
	if err == nil { // whatever the format makes of its end: the whole range is read
		_, err = io.Copy(io.Discard, in)
	}
	switch {
	case context.Cause(ctx) != nil: // what was stopped may fail in any way
		return nil, context.Cause(ctx)
	case in.err != nil:
		return nil, in.err
	case err != nil && !errors.Is(err, scratch.ErrFull):
		return nil, fmt.Errorf("%w: %w", errTransform, err)
	}
	return batches, err
}

// sift takes a dataset's records through its steps, and gives what is left with the place that it had among all. No step ends it for
// what records have or lack.
func (r *attempt) sift(ctx context.Context, p *pack, in io.Reader, out *records, keep func(it transforms.Item, ordinal int64) error) (err error) {
	src, err := transforms.NewSource(in, p.m.Format)
	if err != nil {
		return err
	}
	env, err := r.lend(p)
	if err != nil {
		return err
	}
	mode := p.grant.Predicate.Obligations.Mode
	line, err := transforms.New(ctx, p.m.Terms.StepsFor(mode), src.Schema(), builtin.New, env)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, line.Close()) }()
	out.schemas = append(out.schemas, line.Out())
	counted := &countedSource{Source: src}
	// Steps before private modes look at one record at a time: what they leave of it comes while it is the last one read.
	err = line.Run(ctx, counted, func(it transforms.Item) error {
		if int64(len(it.Raw)) > grown(counted.bytes) {
			return nil
		}
		return keep(it, counted.n-1)
	})
	if err != nil {
		return err
	}
	for _, done := range line.Stated() {
		t := usage.Transform{Manifest: p.id, Fuel: done.Fuel, StepReport: done.StepReport}
		t.Seal()
		p.steps = append(p.steps, t)
	}
	return nil
}

// countedSource counts the records of a source.
type countedSource struct {
	transforms.Source
	n     int64
	bytes int64 // of the last one
}

// Next implements transforms.Source.
func (c *countedSource) Next() (transforms.Item, error) {
	it, err := c.Source.Next()
	c.n, c.bytes = c.n+1, int64(len(it.Raw))
	return it, err
}

// segmentUnits has for each granted segment whose it is, from 0 in the order of contributors' first units, or -1; and how many
// contributors there are. A contributor has a unit of segments in each version.
func segmentUnits(p *pack) (of []int, n int) {
	ids := map[envelope.Digest]int{}
	units := p.granted.Units
	for _, i := range p.granted.Segments {
		for len(units) > 0 && int64(i) >= p.m.Units[units[0]].First+p.m.Units[units[0]].Count {
			units = units[1:]
		}
		at := -1
		if len(units) > 0 && int64(i) >= p.m.Units[units[0]].First {
			id := p.m.Units[units[0]].ID
			if _, ok := ids[id]; !ok {
				ids[id] = len(ids)
			}
			at = ids[id]
		}
		of = append(of, at)
	}
	return of, len(ids)
}

// countUnits is how many units of privacy are granted of a dataset, as the manifest has it.
func countUnits(p *pack, unit string) (int, error) {
	if unit == dataset.UnitRecord {
		return int(p.granted.Records), nil
	}
	of, n := segmentUnits(p)
	for k, i := range p.granted.Segments {
		if of[k] < 0 && p.m.Segments[i].Records > 0 {
			return 0, fmt.Errorf("%w: segment %d of %s has records of nobody, and the unit is a contributor", ErrGrant, i, p.id)
		}
	}
	return n, nil
}

// placeUnits says which unit of a dataset a record is of, by where it begins in the stream and how many come before it. ends are
// where the granted segments end in the stream.
func placeUnits(p *pack, unit string, ends []int64) func(at, ordinal int64) int {
	if unit == dataset.UnitRecord {
		return func(_, ordinal int64) int { return int(ordinal) }
	}
	of, _ := segmentUnits(p)
	return func(at, _ int64) int {
		k := sort.Search(len(ends), func(k int) bool { return ends[k] > at })
		if k == len(ends) {
			return -1
		}
		return of[k]
	}
}
