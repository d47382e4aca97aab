// SPDX-License-Identifier: Apache-2.0

package parquet

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/glovebox-dev/glovebox/internal/source"
)

// Types of Thrift's compact protocol, in which Parquet's metadata is written. A boolean field is tTrue or tFalse; in a form, tTrue.
const (
	tStop, tTrue, tFalse, tByte, tI16, tI32, tI64, tDouble, tBinary, tList, tSet, tMap, tStruct = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12
)

// form is what a structure's fields are, by number. Both the library and the walker skip a field that is in none.
type form map[int64]kindOf

// kindOf is a field's type; of a list, its elements' too.
type kindOf struct {
	kind, elem byte
	form       form // of the structure, or of those in the list
}

func list(elem byte, f form) kindOf { return kindOf{tList, elem, f} }
func structure(f form) kindOf       { return kindOf{tStruct, 0, f} }

// walker goes over a compact structure and builds nothing: the library that does allocates what lengths claim, and recurses as deep as
// a schema says, before it has seen that much.
//
// It refuses whatever the library could understand in another way than the walker does, since then one would be checked and another
// one used. Thrift's readers skip a field of an unexpected type, keep the last of those that are repeated, cut numbers to size, and
// do not look at what type a list says its elements have.
type walker struct {
	b       []byte
	at      int
	structs int
	field   func(at place, value int64, n int) error // gets each number and boolean, and the length of each list and text
	item    func(at place)                           // gets each element of a list, before what is in it; may be nil
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

// integer reads a number that has to fit in so many bits.
func (w *walker) integer(bits int) (int64, error) {
	u, err := w.uvarint()
	v := unzigzag(u)
	if s := 64 - bits; err == nil && v<<s>>s != v {
		return 0, damaged("metadata has a number that is too large for its field")
	}
	return v, err
}

func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }

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
func (w *walker) structure(f form, at place, depth int) error {
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
		last := id
		if delta := int64(head >> 4); delta > 0 {
			id += delta
		} else if id, err = w.integer(16); err != nil {
			return err
		}
		if id <= last || id > math.MaxInt16 { // writers go in the order of the definition
			return damaged("metadata has a field twice, or out of order")
		}
		want, got := f[id], head&15
		if want.kind != 0 && got != want.kind && (want.kind != tTrue || got != tFalse) {
			return damaged("metadata has a field of another type than Parquet's")
		}
		if err := w.value(want, at.field(depth, id), got, depth); err != nil {
			return err
		}
	}
}

// value walks a field's value.
func (w *walker) value(want kindOf, at place, kind byte, depth int) error {
	switch kind {
	case tTrue:
		return w.field(at, 1, 0)
	case tFalse:
		return w.field(at, 0, 0)
	case tByte:
		return w.skip(1)
	case tI16, tI32, tI64:
		v, err := w.integer(16 << (kind - tI16))
		if err != nil {
			return err
		}
		return w.field(at, v, 0)
	case tDouble:
		return w.skip(8)
	case tBinary:
		n, err := w.uvarint()
		if err == nil {
			err = w.skip(n)
		}
		if err != nil {
			return err
		}
		return w.field(at, 0, int(n))
	case tList, tSet:
		return w.list(want, at, depth)
	case tStruct:
		return w.structure(want.form, at, depth+1)
	}
	return damaged("metadata has a field of no known kind")
}

func (w *walker) list(want kindOf, at place, depth int) error {
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
	kind := head & 15
	switch {
	case n > uint64(len(w.b)-w.at): // each takes a byte at least
		return errShort
	case n > 0 && want.kind == tList && kind != want.elem:
		return damaged("metadata has a list of another type than Parquet's")
	}
	if err := w.field(at, 0, int(n)); err != nil {
		return err
	}
	for range n {
		if w.item != nil {
			w.item(at)
		}
		if kind == tTrue || kind == tFalse {
			err = w.skip(1)
		} else {
			err = w.value(kindOf{form: want.form}, at, kind, depth)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
