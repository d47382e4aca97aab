// SPDX-License-Identifier: Apache-2.0

package parquet

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"
	"github.com/google/go-cmp/cmp"

	"github.com/glovebox-dev/glovebox/internal/source"
)

// formOf is what the library reads, by what its generator has put on the fields.
func formOf(t *testing.T, typ reflect.Type) form {
	var f form
	for i := range typ.NumField() {
		tag := strings.Split(typ.Field(i).Tag.Get("thrift"), ",")
		if len(tag) < 2 {
			continue
		}
		id, err := strconv.ParseInt(tag[1], 10, 16)
		if err != nil {
			t.Fatal(err)
		}
		if f == nil {
			f = form{}
		}
		f[id] = thriftType(t, typ.Field(i).Type)
	}
	return f
}

func thriftType(t *testing.T, typ reflect.Type) kindOf {
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	switch typ.Kind() {
	case reflect.Bool:
		return kindOf{kind: tTrue}
	case reflect.Int8:
		return kindOf{kind: tByte}
	case reflect.Int16:
		return kindOf{kind: tI16}
	case reflect.Int32:
		return kindOf{kind: tI32}
	case reflect.Int64:
		if typ != reflect.TypeFor[int64]() { // an enumeration
			return kindOf{kind: tI32}
		}
		return kindOf{kind: tI64}
	case reflect.Float64:
		return kindOf{kind: tDouble}
	case reflect.String:
		return kindOf{kind: tBinary}
	case reflect.Struct:
		return structure(formOf(t, typ))
	case reflect.Slice:
		if typ.Elem().Kind() == reflect.Uint8 {
			return kindOf{kind: tBinary}
		}
		of := thriftType(t, typ.Elem())
		return list(of.kind, of.form)
	}
	t.Fatalf("%s has no type of Thrift's", typ)
	return kindOf{}
}

// TestForms: the metadata is checked by the definition that the library reads it by, every field of it.
func TestForms(t *testing.T) {
	in, err := file.NewParquetReader(bytes.NewReader(groups(t, str("x"))))
	if err != nil {
		t.Fatal(err)
	}
	meta := reflect.TypeOf(in.MetaData().FileMetaData).Elem()
	if d := cmp.Diff(formOf(t, meta), fileForm, cmp.AllowUnexported(kindOf{})); d != "" {
		t.Errorf("the footer (-library +here):\n%s", d)
	}
	pages, err := in.RowGroup(0).GetColumnPageReader(0)
	if err != nil {
		t.Fatal(err)
	}
	header, ok := reflect.TypeOf(pages).Elem().FieldByName("curPageHdr")
	if !ok {
		t.Fatal("the library's reader has its header elsewhere")
	}
	if d := cmp.Diff(formOf(t, header.Type.Elem()), pageForm, cmp.AllowUnexported(kindOf{})); d != "" {
		t.Errorf("a page's header (-library +here):\n%s", d)
	}
}

// TestUnpack: every codec gives what a page says it has, or an error, whatever there is room for.
func TestUnpack(t *testing.T) {
	var u unpacker
	defer u.close()
	for _, c := range []compress.Compression{
		compress.Codecs.Uncompressed, compress.Codecs.Snappy, compress.Codecs.Zstd, compress.Codecs.Gzip, compress.Codecs.Brotli, compress.Codecs.Lz4Raw,
	} {
		codec, err := compress.GetCodec(c)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{0, 1, 100, 300_000} {
			want := bytes.Repeat([]byte("abcdefg"), n/7+1)[:n]
			src := bytes.Clone(codec.Encode(nil, want))
			for _, room := range []int{n, n + 1, n - 1, 0} {
				if room < 0 {
					continue
				}
				var dst []byte
				if room > 0 {
					dst = make([]byte, room)
				}
				err := u.unpack(c, dst, src)
				if room == n && (err != nil || !bytes.Equal(dst, want)) || room != n && !errors.Is(err, source.ErrCorrupt) {
					t.Errorf("%s: %d bytes in room for %d: %v", c, n, room, err)
				}
			}
		}
	}
	for _, c := range []compress.Compression{compress.Codecs.Lz4, compress.Codecs.Lzo, 99} {
		if err := u.unpack(c, make([]byte, 1), []byte{0}); !errors.Is(err, source.ErrType) || readable(c) {
			t.Errorf("%s: %v", c, err)
		}
	}
}

// TestEncodings: whatever the encoding of values and the version of pages, with levels of all kinds in front, the text is the same.
func TestEncodings(t *testing.T) {
	const rows = 3000
	fields := schema.FieldList{
		prim(t, "i32", parquet.Types.Int32, nil, 0), prim(t, "i64", parquet.Types.Int64, nil, 0), text8(t, "s", optional), text8(t, "r", required),
		group(t, "l", optional, schema.ListLogicalType{}, group(t, "list", repeated, nil, text8(t, "element", optional))),
		prim(t, "f", parquet.Types.FixedLenByteArray, nil, 3),
	}
	leaves := make([]leaf, len(fields))
	var i32 []int32
	var i64 []int64
	var s, r, l []parquet.ByteArray
	var f []parquet.FixedLenByteArray
	for i := range rows {
		for k := range leaves[:3] {
			leaves[k].defs = append(leaves[k].defs, int16(min(i%7, 1)))
		}
		leaves[5].defs = append(leaves[5].defs, int16(min(i%7, 1)))
		if i%7 > 0 {
			i32, i64 = append(i32, int32(i*i-i<<20)), append(i64, int64(i)<<50*int64(1-i%3))
			s = append(s, fmt.Appendf(nil, "common-%d", i*i*i%100003))
			f = append(f, []byte{byte(i), byte(i >> 8), 7})
		}
		r = append(r, fmt.Appendf(nil, "%05d", i/3))
		leaves[4].defs, leaves[4].reps = append(leaves[4].defs, int16(i%4)), append(leaves[4].reps, 0)
		if i%4 == 3 {
			l = append(l, fmt.Appendf(nil, "%d", i), []byte("same"))
			leaves[4].defs, leaves[4].reps = append(leaves[4].defs, 3), append(leaves[4].reps, 1)
		}
	}
	for k, v := range []any{i32, i64, s, r, l, f} {
		leaves[k].values = v
	}
	plain, err := text(t, write(t, filepath.Join(t.TempDir(), "x.parquet"), fields, 1, leaves), Options{})
	if err != nil || strings.Count(plain, "\n") != rows {
		t.Fatal(err)
	}
	e := parquet.Encodings
	for _, version := range []parquet.DataPageVersion{parquet.DataPageV1, parquet.DataPageV2} {
		for _, c := range [][2]parquet.Encoding{{e.DeltaBinaryPacked, e.DeltaByteArray}, {e.ByteStreamSplit, e.DeltaLengthByteArray}, {e.Plain, e.Plain}} {
			opts := []parquet.WriterProperty{
				parquet.WithDictionaryDefault(false), parquet.WithDataPageVersion(version), parquet.WithDataPageSize(4000), parquet.WithBatchSize(100),
				parquet.WithEncodingFor("i32", c[0]), parquet.WithEncodingFor("i64", c[0]), parquet.WithCompression(compress.Codecs.Zstd),
				parquet.WithEncodingFor("s", c[1]), parquet.WithEncodingFor("r", c[1]), parquet.WithEncodingFor("l.list.element", c[1]),
			}
			if c[0] == e.ByteStreamSplit {
				opts = append(opts, parquet.WithEncodingFor("f", c[0]))
			}
			got, err := text(t, write(t, filepath.Join(t.TempDir(), "x.parquet"), fields, 2, leaves, opts...), Options{})
			if err != nil || got != plain+plain {
				t.Errorf("pages %v, %s and %s: %d bytes of text, want %d: %v", version, c[0], c[1], len(got), 2*len(plain), err)
			}
		}
	}
}

// TestEveryPageIsGivenBack: what columns took of the budget is there again for the next row group.
func TestEveryPageIsGivenBack(t *testing.T) {
	fields, leaves, _ := everyScalar(t)
	path := write(t, filepath.Join(t.TempDir(), "x.parquet"), fields, 3, leaves, encodings["dictionary, snappy"]...)
	p, err := openPart(path, "x.parquet")
	if err != nil {
		t.Fatal(err)
	}
	before := p.mem.left.Load()
	for i := range 3 {
		if err := p.openGroup(i); err != nil {
			t.Fatal(err)
		}
		for _, c := range p.rows.columns {
			if _, err := c.more(); err != nil {
				t.Fatal(err)
			}
		}
		if during := p.mem.left.Load(); during >= before {
			t.Errorf("pages took %d bytes", before-during)
		}
		p.close()
		if after := p.mem.left.Load(); after != before {
			t.Errorf("%d bytes were not given back", before-after)
		}
	}
	if err := errors.Join(p.Close(), os.Remove(path)); err != nil {
		t.Fatal(err)
	}
}
