// SPDX-License-Identifier: Apache-2.0

package parquet

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/glovebox-dev/glovebox/internal/source"
)

// Types of Thrift's compact protocol, in which Parquet's metadata is written.
const (
	tStop, tTrue, tFalse, tByte, tI16, tI32, tI64, tDouble, tBinary, tList, tSet, tMap, tStruct = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12
)

// walker goes over a compact structure and builds nothing: the library that does allocates what lengths claim, and recurses as deep as
// a schema says, before it has seen that much.
type walker struct {
	b       []byte
	at      int
	structs int
	field   func(at place, value int64, list int) error // gets each integer, and each list's length
	item    func(at place)                              // gets each element of a list, before what is in it; may be nil
}

// place is where a value is: the numbers of the fields that lead to it, as far as anybody asks.
type place [3]int64

func (p place) field(depth int, id int64) place {
	if depth < len(p) {
		p[depth] = id
	} else {
		p = place{-1, -1, -1}
	}
	return p
}

func damaged(what string) error { return fmt.Errorf("%w: %s", source.ErrCorrupt, what) }

var errShort = damaged("metadata ends early")

func (w *walker) uvarint() (uint64, error) {
	v, n := binary.Uvarint(w.b[w.at:])
	if n <= 0 {
		return 0, errShort
	}
	w.at += n
	return v, nil
}

func (w *walker) skip(n uint64) error {
	if n > uint64(len(w.b)-w.at) {
		return errShort
	}
	w.at += int(n)
	return nil
}

func (w *walker) one() (byte, error) {
	if w.at >= len(w.b) {
		return 0, errShort
	}
	w.at++
	return w.b[w.at-1], nil
}

// structure walks one, and its fields.
func (w *walker) structure(at place, depth int) error {
	w.structs++
	switch {
	case depth > 16:
		return damaged("metadata is nested too deep")
	case w.structs > 1<<16+len(w.b)/8:
		return fmt.Errorf("%w: metadata has more parts than its length allows", source.ErrLimit)
	}
	var id int64
	for {
		head, err := w.one()
		if err != nil || head == tStop {
			return err
		}
		if delta := int64(head >> 4); delta > 0 {
			id += delta
		} else {
			v, err := w.uvarint()
			if err != nil {
				return err
			}
			id = int64(v>>1) ^ -int64(v&1)
		}
		if err := w.value(at.field(depth, id), head&15, depth); err != nil {
			return err
		}
	}
}

// value walks a field's value.
func (w *walker) value(at place, kind byte, depth int) error {
	switch kind {
	case tTrue, tFalse:
		return nil
	case tByte:
		return w.skip(1)
	case tI16, tI32, tI64:
		v, err := w.uvarint()
		if err != nil {
			return err
		}
		return w.field(at, int64(v>>1)^-int64(v&1), 0)
	case tDouble:
		return w.skip(8)
	case tBinary:
		n, err := w.uvarint()
		if err != nil {
			return err
		}
		return w.skip(n)
	case tList, tSet:
		return w.list(at, depth)
	case tStruct:
		return w.structure(at, depth+1)
	}
	return damaged("metadata has a field of no known kind")
}

func (w *walker) list(at place, depth int) error {
	head, err := w.one()
	if err != nil {
		return err
	}
	n := uint64(head >> 4)
	if n == 15 {
		if n, err = w.uvarint(); err != nil {
			return err
		}
	}
	if n > uint64(len(w.b)-w.at) { // each takes a byte at least
		return errShort
	}
	if err := w.field(at, 0, int(n)); err != nil {
		return err
	}
	kind := head & 15
	for range n {
		if w.item != nil {
			w.item(at)
		}
		if kind == tTrue || kind == tFalse {
			err = w.skip(1)
		} else {
			err = w.value(at, kind, depth)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkFooter refuses metadata that would cost more to read than it is long, and a schema that is no tree.
func checkFooter(b []byte) error {
	schema := place{2}
	lists, children := 0, []int64(nil) // of each element, in order
	w := &walker{b: b}
	w.field = func(at place, v int64, n int) error {
		switch at {
		case schema:
			if lists++; lists > 1 {
				return damaged("two schemas")
			}
			if n > MaxSchema {
				return fmt.Errorf("%w: a schema of %d elements, at most %d", source.ErrLimit, n, MaxSchema)
			}
		case place{2, 5}:
			if len(children) == 0 {
				return damaged("a schema without elements")
			}
			children[len(children)-1] = v
		}
		return nil
	}
	w.item = func(at place) {
		if at == schema {
			children = append(children, 0)
		}
	}
	if err := w.structure(place{}, 0); err != nil {
		return err
	}
	return checkTree(children)
}

// checkTree checks the number of children of each element, in order.
func checkTree(children []int64) error {
	if len(children) == 0 {
		return damaged("no schema")
	}
	var open []int64 // children that are still to come, by depth
	for i, n := range children {
		switch {
		case n < 0 || n >= int64(len(children)), i > 0 && len(open) == 0:
			return damaged("the schema is no tree")
		case len(open) > MaxDepth:
			return fmt.Errorf("%w: columns nested more than %d deep", source.ErrLimit, MaxDepth)
		}
		if len(open) > 0 {
			open[len(open)-1]--
		}
		if n > 0 {
			open = append(open, n)
		}
		for len(open) > 0 && open[len(open)-1] == 0 {
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 {
		return damaged("the schema is no tree")
	}
	return nil
}

// readFooter reads and checks a file's metadata before the library may.
func readFooter(r io.ReaderAt, size int64) error {
	const tail = 8
	if size < 3*4+tail/2 {
		return damaged("too short for Parquet")
	}
	var b [tail]byte
	if _, err := r.ReadAt(b[:], size-tail); err != nil {
		return damaged("the end cannot be read")
	}
	switch string(b[4:]) {
	case "PAR1":
	case "PARE":
		return fmt.Errorf("%w: its footer is; write it without Parquet's encryption, the package has its own", source.ErrEncrypted)
	default:
		return damaged("it does not end as Parquet does: it is something else, or was cut off")
	}
	n := int64(binary.LittleEndian.Uint32(b[:]))
	switch {
	case n > size-tail-4:
		return damaged("the footer is longer than the file")
	case n > MaxFooter:
		return fmt.Errorf("%w: a footer of %d bytes, at most %d: write fewer row groups", source.ErrLimit, n, int64(MaxFooter))
	}
	footer := make([]byte, n)
	if _, err := r.ReadAt(footer, size-tail-n); err != nil {
		return damaged("the footer cannot be read")
	}
	return checkFooter(footer)
}

// checkPages goes over the headers of a column chunk's pages: what one claims is allocated before it is decoded.
func checkPages(r io.ReaderAt, at, length, values int64) error {
	head := make([]byte, maxHeader)
	var seen int64
	for end := at + length; at < end; {
		n := min(int64(len(head)), end-at)
		if _, err := r.ReadAt(head[:n], at); err != nil {
			return damaged("a page lies outside the file")
		}
		p, used, err := pageOf(head[:n])
		if err != nil {
			return err
		}
		switch {
		case p.packed < 0 || p.packed > end-at-int64(used), p.raw < 0, p.values < 0, p.entries < 0:
			return damaged("a page is longer than its column")
		case p.raw > maxPage || p.packed > maxPage || p.values > maxValues:
			return fmt.Errorf("%w: a page of %d bytes and %d values, at most %d and %d", source.ErrLimit, p.raw, p.values, int64(maxPage), int64(maxValues))
		case p.entries > p.raw:
			return damaged("a dictionary has more entries than bytes")
		}
		at += int64(used) + p.packed
		seen += p.values
	}
	if seen != values {
		return damaged("a column has more or fewer values than it says")
	}
	return nil
}

// page is what a page's header claims.
type page struct{ raw, packed, values, entries int64 }

func pageOf(b []byte) (p page, used int, err error) {
	w := &walker{b: b}
	w.field = func(at place, v int64, _ int) error {
		switch at {
		case place{2}:
			p.raw = v
		case place{3}:
			p.packed = v
		case place{5, 1}, place{8, 1}:
			p.values = v
		case place{7, 1}:
			p.entries = v
		}
		return nil
	}
	err = w.structure(place{}, 0)
	return p, w.at, err
}
