// SPDX-License-Identifier: Apache-2.0

package transforms

import (
	"encoding/binary"
	"fmt"
)

// Spool holds the records of a dataset while a step has not seen all of them. It keeps plaintext from everybody.
type Spool interface {
	Add(it Item) error
	// Each gives the records in the order they came, each valid during the call.
	Each(f func(it Item) error) error
	Close() error
}

// memorySpool is a Spool without a scratch file, for datasets up to MaxMemory.
type memorySpool struct{ b []byte }

func (s *memorySpool) Add(it Item) error {
	if len(s.b)+len(it.Raw)+len(it.Name) > MaxMemory {
		return fmt.Errorf("%w: a step must see all records before the first, and nothing was lent that could hold more than %d bytes", ErrEnv, MaxMemory)
	}
	s.b = binary.AppendUvarint(s.b, uint64(it.At))
	s.b = binary.AppendUvarint(s.b, uint64(len(it.Name)))
	s.b = append(s.b, it.Name...)
	s.b = binary.AppendUvarint(s.b, uint64(len(it.Raw)))
	s.b = append(s.b, it.Raw...)
	return nil
}

func (s *memorySpool) Each(f func(it Item) error) error {
	b := s.b
	number := func() int {
		n, k := binary.Uvarint(b)
		b = b[k:]
		return int(n)
	}
	take := func(n int) []byte {
		p := b[:n]
		b = b[n:]
		return p
	}
	for len(b) > 0 {
		it := Item{At: int64(number())}
		it.Name = string(take(number()))
		it.Raw = take(number())
		if err := f(it); err != nil {
			return err
		}
	}
	return nil
}

func (s *memorySpool) Close() error {
	clear(s.b)
	s.b = nil
	return nil
}
