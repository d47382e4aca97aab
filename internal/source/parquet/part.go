// SPDX-License-Identifier: Apache-2.0

package parquet

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"

	"github.com/glovebox-dev/glovebox/internal/source"
)

// errBudget stops the library where it would take more memory than there is for it. It is a panic: allocators have no errors.
var errBudget = errors.New("parquet: memory budget")

// budget is an allocator with an end.
type budget struct {
	memory.Allocator
	left atomic.Int64 // buffers may be freed by the garbage collector's goroutine
}

func newBudget(n int64) *budget {
	b := &budget{Allocator: memory.NewGoAllocator()}
	b.left.Store(n)
	return b
}

func (b *budget) take(n int) {
	if b.left.Add(-int64(n)) < 0 {
		panic(errBudget)
	}
}

// Allocate implements [memory.Allocator].
func (b *budget) Allocate(size int) []byte {
	b.take(size)
	return b.Allocator.Allocate(size)
}

// Reallocate implements [memory.Allocator].
func (b *budget) Reallocate(size int, old []byte) []byte {
	b.take(size - len(old))
	return b.Allocator.Reallocate(size, old)
}

// Free implements [memory.Allocator].
func (b *budget) Free(old []byte) {
	b.left.Add(int64(len(old)))
	b.Allocator.Free(old)
}

// part is one file.
type part struct {
	name  string
	f     *os.File
	size  int64
	in    *file.Reader
	root  *node
	rows  rows
	group int   // the next row group
	left  int64 // rows of the one at hand
	mem   *budget
	tools tools
}

// guard turns the library's panics into errors. What it says of values is not passed on.
func guard(name string, err *error) {
	switch p := recover(); p {
	case nil:
		if *err != nil {
			*err = fmt.Errorf("%s: %w", name, *err)
		}
	case errBudget:
		*err = fmt.Errorf("%s: %w: its pages take more than %d bytes of memory at a time; write it with smaller row groups or pages", name, source.ErrLimit, int64(MaxMemory))
	default:
		*err = fmt.Errorf("%s: %w: its metadata or pages contradict themselves, or are newer than this release", name, source.ErrCorrupt)
	}
}

// openPart opens a file and reads what it says of itself.
func openPart(path, name string) (p *part, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.Close() //nolint:errcheck // nothing was written
		}
	}()
	defer guard(name, &err)
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: not a regular file", source.ErrMixed)
	}
	p = &part{name: name, f: f, size: st.Size(), mem: newBudget(MaxMemory)}
	if err := readFooter(f, p.size); err != nil {
		return nil, err
	}
	props := parquet.NewReaderProperties(p.mem)
	if p.in, err = file.NewParquetReader(f, file.WithReadProps(props)); err != nil {
		return nil, fmt.Errorf("%w: %w", source.ErrCorrupt, err)
	}
	m := p.in.MetaData()
	switch {
	case m.IsSetEncryptionAlgorithm():
		return nil, fmt.Errorf("%w: columns are; write it without Parquet's encryption, the package has its own", source.ErrEncrypted)
	case p.in.WriterVersion().LessThan(metadata.Parquet816FixedVersion):
		return nil, fmt.Errorf("%w: parquet-mr before 1.2.9 wrote it, and lengths of such files are wrong; write it again", source.ErrType)
	}
	p.root, err = new(tree).root(m.Schema)
	return p, err
}

// next appends the file's next record to dst; none is left when it appends nothing.
func (p *part) next(dst []byte, csv bool) (_ []byte, err error) {
	defer guard(p.name, &err)
	for p.left == 0 {
		if p.rows.columns != nil {
			err := p.rows.end()
			p.close()
			if err != nil {
				return dst, err
			}
		}
		if p.group == p.in.NumRowGroups() {
			return dst, nil
		}
		if err := p.openGroup(p.group); err != nil {
			return dst, fmt.Errorf("row group %d: %w", p.group, err)
		}
		p.group++
	}
	p.left--
	if err := p.rows.begin(); err != nil {
		return dst, err
	}
	p.rows.buf = p.rows.text[:0]
	if csv {
		err = p.rows.line(p.root)
	} else {
		err = p.rows.object(p.root)
	}
	p.rows.text = p.rows.buf
	if err != nil {
		return dst, fmt.Errorf("row group %d: %w", p.group-1, err)
	}
	return append(append(dst, p.rows.buf...), '\n'), nil
}

// openGroup stands before the first row of a row group.
func (p *part) openGroup(i int) error {
	g := p.in.RowGroup(i)
	n := p.in.MetaData().Schema.NumColumns()
	if g.NumColumns() != n || g.NumRows() < 0 {
		return damaged("it has other columns than the schema")
	}
	p.rows = rows{columns: make([]*column, n), text: p.rows.text, scratch: p.rows.scratch}
	for k := range n {
		p.rows.columns[k] = &column{}
	}
	for k := range n {
		if err := p.openColumn(g, k); err != nil {
			return err
		}
	}
	p.left = g.NumRows()
	return nil
}

func (p *part) openColumn(g *file.RowGroupReader, k int) error {
	col := p.in.MetaData().Schema.Column(k)
	path := col.Path()
	chunk, err := g.MetaData().ColumnChunk(k)
	if err != nil {
		return fmt.Errorf("%w: column %q: %w", source.ErrCorrupt, path, err)
	}
	if g.NumRows() == 0 && chunk.NumValues() == 0 && chunk.DataPageOffset() <= 0 {
		return nil // a part without rows: some writers give it a dictionary, and no page to point to
	}
	at, length := chunk.DataPageOffset(), chunk.TotalCompressedSize()
	if chunk.HasDictionaryPage() && chunk.DictionaryPageOffset() > 0 {
		at = min(at, chunk.DictionaryPageOffset())
	}
	switch {
	case chunk.CryptoMetadata() != nil:
		return fmt.Errorf("%w: column %q is", source.ErrEncrypted, path)
	case chunk.FilePath() != "":
		return fmt.Errorf("%w: column %q lies in another file", source.ErrType, path)
	case chunk.Compression() == compress.Codecs.Lz4 || chunk.Compression() == compress.Codecs.Lzo:
		return fmt.Errorf("%w: column %q: compressed by %s, which is deprecated and has no one meaning; write it with zstd or snappy", source.ErrType, path, chunk.Compression())
	case !readable(chunk.Compression()):
		return fmt.Errorf("%w: column %q: compressed by %s", source.ErrType, path, chunk.Compression())
	case at < 4 || length < 0 || at > p.size || length > p.size-at || chunk.NumValues() < 0:
		return fmt.Errorf("%w: column %q lies outside the file", source.ErrCorrupt, path)
	}
	if err := checkPages(p.f, at, length, chunk.NumValues()); err != nil {
		return fmt.Errorf("column %q: %w", path, err)
	}
	pages := &pager{
		f: p.f, at: at, end: at + length, codec: chunk.Compression(), col: col, batch: int64(batchOf(col)), mem: p.mem, tools: &p.tools,
		slots: map[slot]*buffer{}, owed: map[int64]int64{},
	}
	//lint:ignore SA1019 nothing else takes a reader of pages that is not the library's own; it needs no pool, which is for another kind of reader
	p.rows.columns[k].open(file.NewColumnReader(col, pages, p.mem, nil))
	return nil
}

// close lets go of the row group at hand.
func (p *part) close() {
	for _, c := range p.rows.columns {
		if c.in != nil {
			c.in.Close() //nolint:errcheck // it was only read
		}
	}
	p.rows.columns = nil
	p.tools.packed.free(p.mem)
}

// Close lets go of the file.
func (p *part) Close() (err error) {
	defer func() { err = errors.Join(err, p.f.Close()) }()
	defer guard(p.name, &err)
	p.close()
	p.tools.close()
	return nil
}
