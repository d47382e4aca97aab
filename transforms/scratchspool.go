// SPDX-License-Identifier: Apache-2.0

package transforms

import (
	"encoding/binary"
	"io"
)

// Scratch is a stream that can be written at its end and read at any place: package scratch's.
type Scratch interface {
	io.Writer
	io.ReaderAt
	Size() int64
	Close() error
}

// NewSpool keeps records in a scratch, which is the spool's from now on.
func NewSpool(s Scratch) Spool { return &scratchSpool{s: s} }

// scratchSpool writes each record as its place, the lengths of name and text, and both.
type scratchSpool struct {
	s    Scratch
	head []byte
}

const spoolHead = 8 + 4 + 4

func (s *scratchSpool) Add(it Item) error {
	s.head = binary.BigEndian.AppendUint64(s.head[:0], uint64(it.At))
	s.head = binary.BigEndian.AppendUint32(s.head, uint32(len(it.Name)))
	s.head = binary.BigEndian.AppendUint32(s.head, uint32(len(it.Raw)))
	for _, p := range [][]byte{s.head, []byte(it.Name), it.Raw} {
		if _, err := s.s.Write(p); err != nil {
			return err
		}
	}
	return nil
}

func (s *scratchSpool) Each(f func(it Item) error) error {
	var buf []byte
	defer func() { clear(buf[:cap(buf)]) }()
	for at := int64(0); at < s.s.Size(); {
		var head [spoolHead]byte
		if _, err := s.s.ReadAt(head[:], at); err != nil {
			return err
		}
		name, raw := int(binary.BigEndian.Uint32(head[8:])), int(binary.BigEndian.Uint32(head[12:]))
		if cap(buf) < name+raw {
			clear(buf)
			buf = make([]byte, name+raw)
		}
		buf = buf[:name+raw]
		if _, err := s.s.ReadAt(buf, at+spoolHead); err != nil {
			return err
		}
		at += spoolHead + int64(len(buf))
		if err := f(Item{At: int64(binary.BigEndian.Uint64(head[:])), Name: string(buf[:name]), Raw: buf[name:]}); err != nil {
			return err
		}
	}
	return nil
}

func (s *scratchSpool) Close() error { return s.s.Close() }
