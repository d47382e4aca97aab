// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// extend makes the pack a later version of prev: it keeps prev's segments, whose leaf hashes it reads back and proves.
func (p *packer) extend(prev *envelope.Verified[Manifest]) error {
	old := &prev.Predicate
	if err := p.compatible(prev); err != nil {
		return err
	}
	proof := treeProver{tree: old.Tree, blobs: p.cfg.Store}
	for i := range old.Tree.Size {
		d, err := proof.leaf(p.ctx, i)
		if err == nil {
			err = p.tree.add(d)
		}
		if err != nil {
			return fmt.Errorf("previous version: %w", err)
		}
	}
	p.m.Dataset, p.m.Version, p.m.Previous = old.Dataset, old.Version+1, &prev.ID
	p.m.Segments, p.kept = append(p.m.Segments, old.Segments...), int64(len(old.Segments))
	p.m.Records, p.m.Indexes = old.Records, slices.Clone(old.Indexes)
	p.keepUnits(old.Units)
	if err := p.erase(old.Tombstones); err != nil {
		return err
	}
	for i := range old.Indexes {
		err := readIndex(p.ctx, old, &old.Indexes[i], p.cfg.Store, p.cfg.Key, func(segment int, headers []byte) {
			if p.m.Erased(segment) == nil {
				p.raw += rawLength(headers)
			}
		})
		if err != nil {
			return fmt.Errorf("previous version: %w", err)
		}
	}
	if err := p.join(old); err != nil {
		return fmt.Errorf("previous version: %w", err)
	}
	return nil
}

// compatible refuses a previous version that this pack cannot continue.
func (p *packer) compatible(prev *envelope.Verified[Manifest]) error {
	old := &prev.Predicate
	if err := old.Validate(); err != nil {
		return fmt.Errorf("previous version: %w", err)
	}
	switch {
	case prev.ID.IsZero():
		return fmt.Errorf("%w: previous version without its digest", ErrConfig)
	case !old.Owner.Equal(p.m.Owner):
		return fmt.Errorf("%w: the previous version", ErrOwner)
	case old.Kind != p.m.Kind || old.Name != p.m.Name || old.Format != p.m.Format:
		return fmt.Errorf("%w: a new version keeps kind, name and format", ErrConfig)
	case old.Units != nil && p.cfg.Contributors == nil && !p.cfg.Erase:
		return fmt.Errorf("%w: the previous version is packed by contributor, and so must this one be", ErrConfig)
	case !p.m.Dataset.IsZero() && p.m.Dataset != old.Dataset:
		return fmt.Errorf("%w: the previous version is of another dataset", ErrConfig)
	}
	return nil
}

// keepUnits takes over the units of an earlier version, with what their contributors agree to now.
func (p *packer) keepUnits(old []ErasureUnit) {
	p.m.Units = slices.Clone(old)
	if c := p.cfg.Contributors; c != nil && c.Consents != nil {
		for i := range p.m.Units {
			p.m.Units[i].Consent = c.Consents[p.m.Units[i].ID]
		}
	}
}

// join reads from the earlier stream what the new one must agree with: the CSV header, and whether the last line ended.
// It fails when the key is not the earlier version's, whatever the format.
func (p *packer) join(old *Manifest) error {
	o := old.AllLeaves()
	if old.Units != nil { // whose keys are not needed: the header lies before them, and every record of theirs ends its line
		if old.Format != FormatCSV {
			return nil
		}
		o.Leaves = []Span{{0, old.Segments[0].Leaves}}
	}
	s, err := OpenStream(p.ctx, old, p.cfg.Store, p.cfg.Key, o)
	if err != nil {
		return err
	}
	defer s.Close()
	if old.Format == FormatCSV {
		if p.prior, err = firstRecord(s.Reader(p.ctx)); err != nil {
			return err
		}
	}
	if old.Units != nil {
		return nil
	}
	end, err := s.Batch(p.ctx, s.Size()-1)
	if err != nil {
		return err
	}
	if old.Format.lines() && end.Raw[len(end.Raw)-1] != '\n' {
		return p.take([]byte{'\n'}, false)
	}
	return nil
}

var errEnough = errors.New("dataset: enough")

// firstRecord reads a CSV text's header.
func firstRecord(r io.Reader) ([]byte, error) {
	var header []byte
	_, err := scanCSV(r, false, nil, func(piece []byte, starts bool) error {
		if starts {
			return errEnough
		}
		header = append(header, piece...)
		return nil
	})
	alone := errors.Is(err, ErrEmpty) && len(header) > 0 // where records follow in units
	if err != nil && !errors.Is(err, errEnough) && !alone {
		return nil, err
	}
	return header, nil
}

// Reader reads the whole stream in order, from its first byte.
func (s *Stream) Reader(ctx context.Context) io.Reader { return &streamReader{ctx: ctx, s: s} }

type streamReader struct {
	ctx context.Context // of the calls it makes for a caller who has none
	s   *Stream
	off int64
}

func (r *streamReader) Read(p []byte) (int, error) {
	if r.off >= r.s.Size() {
		return 0, io.EOF
	}
	b, err := r.s.Batch(r.ctx, r.off)
	if err != nil {
		return 0, err
	}
	n := copy(p, b.Raw[r.off-b.Offset:])
	r.off += int64(n)
	return n, nil
}
