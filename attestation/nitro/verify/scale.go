// SPDX-License-Identifier: Apache-2.0

package verify

import "fmt"

// dstackReport is how many bytes of report data dstack repeats behind a document.
const dstackReport = 64

// fromSCALE reads dstack's VersionedAttestation: version 0, variant 2, the document, and then fields that nobody signed:
// runtime events, report data, a configuration. They are left behind, for what the document is bound to is in the document;
// but they must be there as that format has them, to the last byte, or the file is not what it looks like.
func fromSCALE(b []byte) ([]byte, error) {
	r := &scale{rest: b[2:]}
	doc := r.bytes()
	for range r.length(2) { // an event is two fields of at least one byte
		r.bytes() // its name
		r.bytes() // its payload
	}
	r.take(dstackReport)
	r.bytes() // the configuration
	switch {
	case r.short:
		return nil, fmt.Errorf("%w: dstack's framing announces more than follows: the file is cut short", ErrImport)
	case len(doc) == 0:
		return nil, fmt.Errorf("%w: dstack's framing with nothing in it", ErrImport)
	case len(r.rest) > 0:
		return nil, fmt.Errorf("%w: %d bytes follow dstack's framing, want none", ErrImport, len(r.rest))
	}
	return doc, nil
}

// scale takes fields off the front of rest. After one that is not all there, none is.
type scale struct {
	rest  []byte
	short bool
}

func (s *scale) take(n int) []byte {
	if n < 0 || n > len(s.rest) {
		s.rest, s.short = nil, true
		return nil
	}
	b := s.rest[:n]
	s.rest = s.rest[n:]
	return b
}

func (s *scale) bytes() []byte { return s.take(s.length(1)) }

// length reads a compact length of things of at least size bytes each, so that it is no more than what follows.
func (s *scale) length(size int) int {
	if len(s.rest) == 0 {
		s.short = true
		return 0
	}
	width := [4]int{1, 2, 4, 0}[s.rest[0]&3] // 0: more than 2³⁰
	n := 0
	for i, x := range s.take(width) {
		n |= int(x) << (8 * i)
	}
	if n >>= 2; width == 0 || n > len(s.rest)/size {
		s.rest, s.short = nil, true
		return 0
	}
	return n
}
