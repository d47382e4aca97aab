// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"strconv"
	"strings"
)

// Duplicates says how many of the records that a version added equal an earlier one of them. Records of text are compared
// without their line end, files by their contents.
type Duplicates struct {
	Count int64 `json:"count"`
	Exact bool  `json:"exact"` // false: more records differ than are remembered, so there may be more duplicates
}

func (d *Duplicates) validate(records int64) error {
	if d.Count < 0 || d.Count > max(records-1, 0) {
		return invalid("metadata: %d duplicates among %d records", d.Count, records)
	}
	return nil
}

// MaxDistinct is how many different records are remembered, 8 bytes each; those that come later are compared with these.
const MaxDistinct = 3 << 20

// duplicateCounter counts equal records by a 64-bit hash under a random key that is nowhere else: of n records, two that
// differ are taken for equal with a probability below n²/2⁶⁵.
type duplicateCounter struct {
	h       maphash.Hash
	began   bool // a record
	files   bool
	tail    []byte // line end that may turn out to be inside a quoted field
	member  tarMember
	seen    hashSet
	count   int64
	inexact bool
}

// take gets the pieces of the stream.
func (d *duplicateCounter) take(piece []byte, starts bool) {
	if starts {
		d.end()
		d.began = true
	}
	switch {
	case !d.began: // a header
	case d.files:
		d.member.take(piece, &d.h)
	default:
		d.h.Write(d.tail) //nolint:errcheck // never fails
		text := bytes.TrimRight(piece, "\r\n")
		d.h.Write(text) //nolint:errcheck // never fails
		d.tail = append(d.tail[:0], piece[len(text):]...)
	}
}

// end counts the record at hand.
func (d *duplicateCounter) end() {
	if !d.began {
		return
	}
	switch known, full := d.seen.add(d.h.Sum64()); {
	case known:
		d.count++
	case full:
		d.inexact = true
	}
	d.h.Reset()
	d.began, d.tail, d.member = false, d.tail[:0], tarMember{}
}

// result is what the metadata says.
func (d *duplicateCounter) result() Duplicates {
	d.end()
	return Duplicates{d.count, !d.inexact}
}

// hashSet is a set of hashes in open addressing, at most three quarters full. It has no zero: that hash counts as 1.
type hashSet struct {
	slots []uint64
	n     int
	limit int // MaxDistinct if zero
}

// add reports whether a hash was there already, and whether it could not be added.
func (s *hashSet) add(h uint64) (known, full bool) {
	h = max(h, 1)
	if s.limit == 0 {
		s.limit = MaxDistinct
	}
	if 4*s.n >= 3*len(s.slots) && s.n < s.limit {
		old := s.slots
		s.slots = make([]uint64, max(1<<10, 2*len(old)))
		for _, o := range old {
			if o != 0 {
				s.slots[s.find(o)] = o
			}
		}
	}
	i := s.find(h)
	switch {
	case s.slots[i] == h:
		return true, false
	case s.n >= s.limit:
		return false, true
	}
	s.slots[i] = h
	s.n++
	return false, false
}

// find is where a hash is or belongs.
func (s *hashSet) find(h uint64) uint64 {
	mask := uint64(len(s.slots) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		if s.slots[i] == 0 || s.slots[i] == h {
			return i
		}
	}
}

// Blocks of tar, and how long an extended header may be whose records are looked at.
const (
	tarBlock    = 512
	maxExtended = 16 << 10
)

// tarMember passes on the contents of the files in a run of tar, each with its length before it, and leaves out headers
// and padding. What it does not understand it passes on as it is.
type tarMember struct {
	head     []byte // of a header block
	body     int64  // still to come
	pad      int64
	extended bool // the body is of an extended header
	text     []byte
	raw      bool
}

func (t *tarMember) take(p []byte, out *maphash.Hash) {
	for len(p) > 0 {
		switch {
		case t.raw:
			out.Write(p) //nolint:errcheck // never fails
			return
		case t.body > 0:
			n := min(t.body, int64(len(p)))
			if t.extended {
				t.text = append(t.text, p[:n]...)
			} else {
				out.Write(p[:n]) //nolint:errcheck // never fails
			}
			p, t.body = p[n:], t.body-n
		case t.pad > 0:
			n := min(t.pad, int64(len(p)))
			p, t.pad = p[n:], t.pad-n
		default:
			n := min(tarBlock-len(t.head), len(p))
			t.head, p = append(t.head, p[:n]...), p[n:]
			if len(t.head) == tarBlock {
				t.header(out)
			}
		}
	}
}

// header reads a block.
func (t *tarMember) header(out *maphash.Hash) {
	size, err := strconv.ParseInt(strings.Trim(string(t.head[124:136]), " \x00"), 8, 64)
	kind := t.head[156]
	long := t.extended && bytes.Contains(t.text, []byte(" size="))
	if err != nil || long || kind != '0' && (kind != 'x' || t.extended || size > maxExtended) {
		t.raw = true
		out.Write(t.head) //nolint:errcheck // never fails
		return
	}
	t.extended = kind == 'x'
	t.head, t.text, t.body, t.pad = t.head[:0], t.text[:0], size, -size&(tarBlock-1)
	if !t.extended {
		out.Write(binary.BigEndian.AppendUint64(nil, uint64(size))) //nolint:errcheck // never fails
	}
}
