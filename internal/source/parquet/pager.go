// SPDX-License-Identifier: Apache-2.0

package parquet

import (
	"encoding/binary"
	"errors"
	"io"
	"math/bits"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

// pager reads a column chunk's pages for the library's decoders, in place of the library's own reader. That one reads headers by
// other rules than those they were checked by, its codecs make room for whatever a page expands to, and its decoders take memory that its
// allocator never sees. Here each page is read once, by the header that was checked, into as much memory as that says, and is looked at
// before a decoder gets it: what the decoder would take of its own comes out of the same budget. Only three encodings make a decoder
// allocate by what a page claims, and all three begin with the same few numbers, so there is little to look at. A child process under a
// limit of the system would be sure without looking, but only where systems have one that counts memory in use and not addresses, which
// Go's runtime reserves freely; and it would say of no file what is wrong with it.
type pager struct {
	f     io.ReaderAt
	at    int64 // of the next page
	end   int64
	codec compress.Compression
	col   *schema.Column
	batch int64 // values decoded at a time
	mem   *budget
	tools *tools

	page  file.Page
	slots map[slot]*buffer
	owed  map[int64]int64 // what the decoder of an encoding allocates at most; the library keeps one for each
	err   error
}

// slot tells buffers apart by who may hold on to them: decoders of values and of levels point into the last page that they got. Each
// combination has a buffer of its own, so that when it is given up for a larger one, nobody points to it.
type slot struct{ encoding, defLevels, repLevels int64 }

// noEncoding stands for the dictionary where encodings are told apart.
const noEncoding = -1

// tools are shared by the columns of a file: they are read one at a time.
type tools struct {
	head   [maxHeader]byte
	packed buffer
	unpacker
}

// buffer is memory of a budget.
type buffer struct{ b []byte }

func (f *buffer) size(mem *budget, n int64) []byte {
	if n > int64(len(f.b)) {
		mem.take(int(n) - len(f.b))
		f.b = make([]byte, n)
	}
	return f.b[:n:n]
}

func (f *buffer) free(mem *budget) {
	mem.left.Add(int64(len(f.b)))
	f.b = nil
}

// Next implements [file.PageReader].
func (p *pager) Next() bool {
	p.release()
	if p.err == nil && p.at < p.end {
		p.page, p.err = p.read()
	}
	return p.page != nil
}

// read reads the next page.
func (p *pager) read() (file.Page, error) {
	h, used, err := pageAt(p.f, p.at, p.end, p.tools.head[:])
	if err != nil {
		return nil, err
	}
	b, err := p.body(h, p.at+used)
	if err != nil {
		return nil, err
	}
	p.at += used + h.packed
	buf, encoding := memory.NewBufferBytes(b), parquet.Encoding(h.encoding)
	if h.kind == pageDictionary {
		if p.col.PhysicalType() == parquet.Types.ByteArray && h.entries > h.raw/4 {
			return nil, damaged("a dictionary has more entries than bytes")
		}
		p.owe(noEncoding, 24*h.entries) // the largest of the types that it makes them
		return file.NewDictionaryPage(buf, int32(h.entries), encoding), nil
	}
	levels, err := p.levels(h, b)
	if err != nil {
		return nil, err
	}
	n, err := p.cost(encoding, b[levels:], h.values)
	if err != nil {
		return nil, err
	}
	p.owe(h.encoding, n)
	if h.kind == pageDataV2 {
		return file.NewDataPageV2(buf, int32(h.values), int32(h.nulls), int32(h.rows), encoding, int32(h.defLevels), int32(h.repLevels), int32(h.raw), h.plain == 0), nil
	}
	return file.NewDataPageV1(buf, int32(h.values), encoding, parquet.Encoding(h.defLevels), parquet.Encoding(h.repLevels), int32(h.raw)), nil
}

// body reads what follows a page's header, and decompresses it.
func (p *pager) body(h page, at int64) ([]byte, error) {
	key, levels, codec := slot{encoding: noEncoding}, int64(0), p.codec // the dictionary's
	switch h.kind {
	case pageData:
		key = slot{h.encoding, h.defLevels, h.repLevels}
	case pageDataV2:
		key = slot{h.encoding, int64(parquet.Encodings.RLE), int64(parquet.Encodings.RLE)}
		levels = h.defLevels + h.repLevels // they are not compressed
		if h.plain == 1 {
			codec = compress.Codecs.Uncompressed
		}
	}
	if p.slots[key] == nil {
		p.slots[key] = &buffer{}
	}
	dst := p.slots[key].size(p.mem, h.raw)
	src := p.tools.packed.size(p.mem, h.packed)
	if _, err := p.f.ReadAt(src, at); err != nil {
		return nil, damaged("a page lies outside the file")
	}
	copy(dst, src[:levels])
	return dst, p.tools.unpack(codec, dst[levels:], src[levels:])
}

// levels is how long the levels at the front of a data page are.
func (p *pager) levels(h page, b []byte) (int64, error) {
	if h.kind == pageDataV2 {
		return h.defLevels + h.repLevels, nil
	}
	var at int64
	for _, l := range []struct {
		highest  int16
		encoding int64
	}{{p.col.MaxRepetitionLevel(), h.repLevels}, {p.col.MaxDefinitionLevel(), h.defLevels}} {
		left := int64(len(b)) - at
		var n int64
		switch {
		case l.highest == 0:
		case l.encoding == int64(parquet.Encodings.BitPacked):
			n = (h.values*int64(bits.Len16(uint16(l.highest))) + 7) / 8
		case left < 4:
			n = 4
		default:
			n = 4 + int64(binary.LittleEndian.Uint32(b[at:]))
		}
		if n > left {
			return 0, damaged("a page has more levels than bytes")
		}
		at += n
	}
	return at, nil
}

// cost is how much memory of its own the decoder of a page's values takes: it asks no allocator for it.
func (p *pager) cost(encoding parquet.Encoding, b []byte, values int64) (int64, error) {
	switch encoding {
	case parquet.Encodings.ByteStreamSplit:
		if p.col.PhysicalType() == parquet.Types.FixedLenByteArray {
			return 2 * min(int64(len(b)), p.batch*int64(max(0, p.col.TypeLength()))), nil
		}
	case parquet.Encodings.DeltaBinaryPacked, parquet.Encodings.DeltaLengthByteArray:
		d, err := readDeltas(b, values)
		switch {
		case err != nil:
			return 0, err
		case encoding == parquet.Encodings.DeltaBinaryPacked:
			return d.room(), nil
		}
		return d.room() + 4*d.total, nil
	case parquet.Encodings.DeltaByteArray: // each is some of the one before, and what is new
		before, err := readDeltas(b, values)
		if err != nil {
			return 0, err
		}
		prefix, err := before.largest()
		if err != nil {
			return 0, err
		}
		after, err := readDeltas(b[before.at:], values)
		if err != nil {
			return 0, err
		}
		suffix, err := after.largest()
		return before.room() + after.room() + 4*(before.total+after.total) + 2*p.batch*(prefix+suffix), err
	}
	return 0, nil
}

// owe takes what the decoder of an encoding allocates out of the budget, until the column is closed.
func (p *pager) owe(encoding, n int64) {
	if more := n - p.owed[encoding]; more > 0 {
		p.mem.take(int(more))
		p.owed[encoding] = n
	}
}

func (p *pager) release() {
	if p.page != nil {
		p.page.Release()
		p.page = nil
	}
}

// Close implements [file.PageReader].
func (p *pager) Close() error {
	p.release()
	for _, b := range p.slots {
		b.free(p.mem)
	}
	for _, n := range p.owed {
		p.mem.left.Add(n)
	}
	p.slots, p.owed, p.at = nil, nil, p.end
	return nil
}

// Page implements [file.PageReader].
func (p *pager) Page() file.Page { return p.page }

// Err implements [file.PageReader].
func (p *pager) Err() error { return p.err }

// errForward says that pages are read from first to last, and no other way.
var errForward = errors.New("parquet: pages are read in order")

// GetDictionaryPage implements [file.PageReader]: the dictionary is one of the pages that Next gives.
func (p *pager) GetDictionaryPage() (*file.DictionaryPage, error) { return nil, nil }

// SeekToPageWithRow implements [file.PageReader].
func (p *pager) SeekToPageWithRow(int64) error { return errForward }

// SetMaxPageHeaderSize implements [file.PageReader].
func (p *pager) SetMaxPageHeaderSize(int) {}

// Reset implements [file.PageReader].
func (p *pager) Reset(parquet.BufferedReader, int64, compress.Compression, *file.CryptoContext) {
	p.err = errForward
}
