// SPDX-License-Identifier: Apache-2.0

package parquet

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/glovebox-dev/glovebox/internal/source"
)

// element is what is checked of one of a schema.
type element struct {
	children int64
	name     int // its length
}

// checkFooter refuses metadata that would cost more to read than it is long, and a schema that is no tree.
func checkFooter(b []byte) error {
	schema := place{2}
	elements := []element(nil) // in order
	w := &walker{b: b}
	w.field = func(at place, v int64, n int) error {
		switch at {
		case schema:
			if n > MaxSchema {
				return fmt.Errorf("%w: a schema of %d elements, at most %d", source.ErrLimit, n, MaxSchema)
			}
		case place{2, 4}:
			if n > MaxName {
				return fmt.Errorf("%w: the name of a column is %d bytes long, at most %d", source.ErrLimit, n, MaxName)
			}
			elements[len(elements)-1].name = n
		case place{2, 5}:
			elements[len(elements)-1].children = v
		}
		return nil
	}
	w.item = func(at place) {
		if at == schema {
			elements = append(elements, element{})
		}
	}
	if err := w.structure(fileForm, place{}, 0); err != nil {
		return err
	}
	return checkTree(elements)
}

// checkTree checks the number of children of each element, in order, and how long the paths become: each has the names of all that
// it lies in, here and in the library.
func checkTree(elements []element) error {
	if len(elements) == 0 {
		return damaged("no schema")
	}
	type group struct {
		left int64 // children that are still to come
		path int
	}
	var open []group // by depth
	total := 0
	for i, e := range elements {
		switch {
		case e.children < 0 || e.children >= int64(len(elements)), i > 0 && len(open) == 0:
			return damaged("the schema is no tree")
		case len(open) > MaxDepth:
			return fmt.Errorf("%w: columns nested more than %d deep", source.ErrLimit, MaxDepth)
		}
		path := 0
		if len(open) > 0 {
			above := &open[len(open)-1]
			above.left--
			path = above.path + 1 + e.name
		}
		if total += path; total > maxPaths {
			return fmt.Errorf("%w: the names of all columns with those that they lie in are more than %d bytes", source.ErrLimit, maxPaths)
		}
		if e.children > 0 {
			open = append(open, group{e.children, path})
		}
		for len(open) > 0 && open[len(open)-1].left == 0 {
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
