// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"context"
	"fmt"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// mostLeaves is how many leaves are fetched at a time.
const mostLeaves = 4

// take consumes n bytes of the open segment's plaintext. They are valid until the next call; a run that crosses leaves
// is gathered in a buffer.
func (s *Stream) take(ctx context.Context, n int) ([]byte, error) {
	if s.plainAt == len(s.plain) {
		if err := s.fetch(ctx); err != nil {
			return nil, err
		}
	}
	if n <= len(s.plain)-s.plainAt {
		s.plainAt += n
		return s.plain[s.plainAt-n : s.plainAt], nil
	}
	if cap(s.frame) < n {
		clear(s.frame[:cap(s.frame)])
		s.frame = make([]byte, 0, n)
	}
	s.frame = append(s.frame[:0], s.plain[s.plainAt:]...)
	for s.plainAt = len(s.plain); len(s.frame) < n; {
		if err := s.gather(ctx, n); err != nil {
			return nil, err
		}
	}
	return s.frame, nil
}

// fetch reads the open segment's next leaf, proves it, and only then decrypts it.
func (s *Stream) fetch(ctx context.Context) error {
	leaves, err := s.read(ctx, 1)
	if err != nil {
		return err
	}
	got, _ := leafHashes(&s.sums, leaves, nil)
	s.plain, err = s.admit(ctx, leaves, got, s.plain[:0])
	s.plainAt = 0
	return err
}

// gather fetches leaves that a run of n bytes needs, all that it needs if they are few, and adds their plaintext to frame,
// where those that the run needs whole are decrypted to.
func (s *Stream) gather(ctx context.Context, n int) error {
	leaves, err := s.read(ctx, (n-len(s.frame)+leafPlain-1)/leafPlain)
	if err != nil {
		return err
	}
	var hashes [2]envelope.Digest
	for i := 0; len(leaves) > 0; i++ {
		length := s.lengthOf(leaves)
		if i%2 == 0 {
			second := leaves[length:]
			hashes[0], hashes[1] = leafHashes(&s.sums, leaves[:length], second[:min(len(second), leafSize)])
		}
		if leaf := leaves[:length]; n-len(s.frame) >= leafPlain {
			s.frame, err = s.admit(ctx, leaf, hashes[i%2], s.frame)
			s.plain, s.plainAt = s.plain[:0], 0
		} else {
			s.plain, err = s.admit(ctx, leaf, hashes[i%2], s.plain[:0])
			s.plainAt = min(len(s.plain), n-len(s.frame))
			s.frame = append(s.frame, s.plain[:s.plainAt]...)
		}
		if err != nil {
			return err
		}
		leaves = leaves[length:]
	}
	return nil
}

// lengthOf is how long the first of some leaves is, which is the open segment's next.
func (s *Stream) lengthOf(leaves []byte) int {
	if s.next == 0 {
		return min(maxLeaf, len(leaves))
	}
	return min(leafSize, len(leaves))
}

// read fetches at most n of the open segment's next leaves, as many as are permitted. They are unproven.
func (s *Stream) read(ctx context.Context, n int) ([]byte, error) {
	g, first := s.starts[s.seg].g, s.starts[s.seg].leaf+s.next
	if s.next >= g.Leaves {
		return nil, fmt.Errorf("%w: segment ends inside a batch", ErrDiscrepant)
	}
	count := min(int64(n), mostLeaves, g.Leaves-s.next)
	if s.opts.BeforeLeaf != nil {
		var err error
		if count, err = s.permitted(first, count); err != nil {
			return nil, err
		}
	}
	from, _ := leafSpan(g.Bytes, s.next)
	to, length := leafSpan(g.Bytes, s.next+count-1)
	leaves := s.leaf[:int(to-from)+length]
	if err := readFull(ctx, s.blobs, g.Blob, leaves, from); err != nil {
		return nil, fmt.Errorf("leaf %d: %w", first, err)
	}
	return leaves, nil
}

// permitted asks for leaf first and, where more than one may be fetched at a time, for those after it.
func (s *Stream) permitted(first, want int64) (int64, error) {
	if err := s.opts.BeforeLeaf(first); err != nil {
		return 0, err
	}
	if s.opts.Ahead == nil {
		return 1, nil
	}
	count := max(1, min(want, s.opts.Ahead()))
	for i := first + 1; i < first+count; i++ {
		if err := s.opts.BeforeLeaf(i); err != nil {
			return 0, err
		}
	}
	return count, nil
}

// admit appends the plaintext of the open segment's next leaf to dst, after its hash got has been proven. If it fails, it returns
// dst as it was.
func (s *Stream) admit(ctx context.Context, leaf []byte, got envelope.Digest, dst []byte) ([]byte, error) {
	g, index := s.starts[s.seg].g, s.starts[s.seg].leaf+s.next
	want, err := s.proof.leaf(ctx, index)
	if err != nil {
		return dst, err
	}
	if got != want {
		return dst, fmt.Errorf("leaf %d: %w", index, ErrLeaf)
	}
	if s.opts.AfterLeaf != nil {
		s.opts.AfterLeaf(index, got, len(leaf))
	}
	if s.next == 0 {
		s.context = appendSegmentContext(s.context[:0], s.m.Dataset, g.Version, g.Index)
		if err := s.keys.open(&s.derived, s.starts[s.seg].key, leaf[:headerSize], s.context); err != nil {
			return dst, err
		}
		s.msg, leaf = &s.derived, leaf[headerSize:]
	}
	out, err := s.msg.openLeaf(dst, s.next, leaf, s.next == g.Leaves-1)
	if err != nil {
		return dst, err
	}
	s.next++
	return out, nil
}
