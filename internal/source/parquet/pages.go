// SPDX-License-Identifier: Apache-2.0

package parquet

import (
	"fmt"
	"io"

	"github.com/glovebox-dev/glovebox/internal/source"
)

// Kinds of pages. There are index pages too, which nobody writes.
const (
	pageData       = 0
	pageDictionary = 2
	pageDataV2     = 3
)

// page is what a page's header claims.
type page struct {
	kind, raw, packed  int64
	values, entries    int64
	encoding           int64
	defLevels          int64 // how definition levels are written, or of version 2 their length
	repLevels          int64
	nulls, rows, plain int64 // of version 2: plain is 1 if what follows the levels is not compressed
}

func pageOf(b []byte) (p page, used int, err error) {
	var v [9][9]int64
	v[8][7] = 1 // compressed, where nothing is said
	w := &walker{b: b}
	w.field = func(at place, n int64, _ int) error {
		if at[0] >= 0 && at[0] < 9 && at[1] < 9 && at[2] == 0 {
			v[at[0]][at[1]] = n
		}
		return nil
	}
	err = w.structure(pageForm, place{}, 0)
	p = page{kind: v[1][0], raw: v[2][0], packed: v[3][0]}
	switch p.kind {
	case pageData:
		p.values, p.encoding, p.defLevels, p.repLevels = v[5][1], v[5][2], v[5][3], v[5][4]
	case pageDictionary:
		p.entries, p.encoding = v[7][1], v[7][2]
	case pageDataV2:
		p.values, p.nulls, p.rows, p.encoding = v[8][1], v[8][2], v[8][3], v[8][4]
		p.defLevels, p.repLevels, p.plain = v[8][5], v[8][6], 1-v[8][7]
	}
	return p, w.at, err
}

// check compares a page with the room there is for it and with limits: what it claims is allocated before it is decoded.
func (p page) check(room int64) error {
	switch {
	case p.kind != pageData && p.kind != pageDictionary && p.kind != pageDataV2:
		return damaged("a page of no known kind")
	case p.packed < 0 || p.packed > room, p.raw < 0, p.values < 0, p.entries < 0:
		return damaged("a page is longer than its column")
	case p.raw > maxPage || p.packed > maxPage || p.values > maxValues:
		return fmt.Errorf("%w: a page of %d bytes and %d values, at most %d and %d", source.ErrLimit, p.raw, p.values, int64(maxPage), int64(maxValues))
	case p.entries > p.raw:
		return damaged("a dictionary has more entries than bytes")
	case p.kind == pageDataV2 && (p.defLevels < 0 || p.repLevels < 0 || p.defLevels+p.repLevels > min(p.raw, p.packed)):
		return damaged("a page has more levels than bytes")
	}
	return nil
}

// pageAt reads and checks the header of the page that lies there, with head to read into.
func pageAt(r io.ReaderAt, at, end int64, head []byte) (p page, used int64, err error) {
	for n := min(firstHeader, len(head)); ; n = len(head) {
		b := head[:min(int64(n), end-at)]
		if _, err := r.ReadAt(b, at); err != nil {
			return p, 0, damaged("a page lies outside the file")
		}
		p, n, err := pageOf(b)
		if err == errShort && len(b) < len(head) && int64(len(b)) < end-at {
			continue
		}
		if err == nil {
			err = p.check(end - at - int64(n))
		}
		return p, int64(n), err
	}
}

// checkPages goes over the headers of a column chunk's pages before any is decoded.
func checkPages(r io.ReaderAt, at, length, values int64) error {
	head := make([]byte, maxHeader)
	var seen int64
	for end := at + length; at < end; {
		p, used, err := pageAt(r, at, end, head)
		if err != nil {
			return err
		}
		at += used + p.packed
		seen += p.values
	}
	if seen != values {
		return damaged("a column has more or fewer values than it says")
	}
	return nil
}
