// SPDX-License-Identifier: Apache-2.0

package parquet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"
	"github.com/google/go-cmp/cmp"
)

// leaf is what one column of one row group holds.
type leaf struct {
	values     any
	defs, reps []int16
}

// write makes a file; every row group has the same leaves.
func write(t testing.TB, path string, fields schema.FieldList, groups int, leaves []leaf, opts ...parquet.WriterProperty) string {
	t.Helper()
	root, err := schema.NewGroupNode("schema", parquet.Repetitions.Required, fields, -1)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := file.NewParquetWriter(&b, root, file.WithWriterProps(parquet.NewWriterProperties(opts...)))
	for range groups {
		g, err := w.AppendRowGroupChecked()
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range leaves {
			c, err := g.NextColumn()
			if err == nil {
				err = errors.Join(writeLeaf(c, l), c.Close())
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := g.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func writeLeaf(c file.ColumnChunkWriter, l leaf) (err error) {
	switch c := c.(type) {
	case *file.BooleanColumnChunkWriter:
		_, err = c.WriteBatch(l.values.([]bool), l.defs, l.reps)
	case *file.Int32ColumnChunkWriter:
		_, err = c.WriteBatch(l.values.([]int32), l.defs, l.reps)
	case *file.Int64ColumnChunkWriter:
		_, err = c.WriteBatch(l.values.([]int64), l.defs, l.reps)
	case *file.Int96ColumnChunkWriter:
		_, err = c.WriteBatch(l.values.([]parquet.Int96), l.defs, l.reps)
	case *file.Float32ColumnChunkWriter:
		_, err = c.WriteBatch(l.values.([]float32), l.defs, l.reps)
	case *file.Float64ColumnChunkWriter:
		_, err = c.WriteBatch(l.values.([]float64), l.defs, l.reps)
	case *file.ByteArrayColumnChunkWriter:
		_, err = c.WriteBatch(l.values.([]parquet.ByteArray), l.defs, l.reps)
	case *file.FixedLenByteArrayColumnChunkWriter:
		_, err = c.WriteBatch(l.values.([]parquet.FixedLenByteArray), l.defs, l.reps)
	}
	return err
}

func text(t testing.TB, path string, opts Options) (string, error) {
	t.Helper()
	r, err := Open(path, opts)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(r)
	return string(b), errors.Join(err, r.Close())
}

// prim is an optional column.
func prim(t testing.TB, name string, typ parquet.Type, logical schema.LogicalType, length int) schema.Node {
	t.Helper()
	if logical == nil {
		logical = schema.NoLogicalType{}
	}
	n, err := schema.NewPrimitiveNodeLogical(name, parquet.Repetitions.Optional, logical, typ, length, -1)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func fixed(b ...byte) []parquet.FixedLenByteArray { return []parquet.FixedLenByteArray{b} }
func str(s string) []parquet.ByteArray            { return []parquet.ByteArray{parquet.ByteArray(s)} }

func int96(nanos uint64, day uint32) []parquet.Int96 {
	var v parquet.Int96
	binary.LittleEndian.PutUint64(v[:], nanos)
	binary.LittleEndian.PutUint32(v[8:], day)
	return []parquet.Int96{v}
}

// scalars are single values of each type that has a text.
var scalars = []struct {
	typ     parquet.Type
	logical schema.LogicalType
	length  int
	value   any
	want    string
	name    string
}{
	{parquet.Types.Boolean, nil, 0, []bool{true}, `true`, "boolean"},
	{parquet.Types.Int32, nil, 0, []int32{math.MinInt32}, `-2147483648`, "integer"},
	{parquet.Types.Int64, nil, 0, []int64{1<<53 + 1}, `9007199254740993`, "integer"},
	{parquet.Types.Int64, nil, 0, []int64{math.MinInt64}, `-9223372036854775808`, "integer"},
	{parquet.Types.Int32, schema.NewIntLogicalType(8, true), 0, []int32{-128}, `-128`, "int8"},
	{parquet.Types.Int32, schema.NewIntLogicalType(16, false), 0, []int32{65535}, `65535`, "uint16"},
	{parquet.Types.Int32, schema.NewIntLogicalType(32, false), 0, []int32{-1}, `4294967295`, "uint32"},
	{parquet.Types.Int64, schema.NewIntLogicalType(64, false), 0, []int64{-1}, `18446744073709551615`, "uint64"},
	{parquet.Types.Float, nil, 0, []float32{0.1}, `0.1`, "float"},
	{parquet.Types.Double, nil, 0, []float64{1e300}, `1e+300`, "double"},
	{parquet.Types.Double, nil, 0, []float64{-0.000125}, `-0.000125`, "double"},
	{parquet.Types.FixedLenByteArray, schema.Float16LogicalType{}, 2, fixed(0x00, 0xbe), `-1.5`, "float16"},
	{parquet.Types.FixedLenByteArray, schema.Float16LogicalType{}, 2, fixed(0x01, 0x00), `5.9604645e-08`, "float16"},
	{parquet.Types.ByteArray, schema.StringLogicalType{}, 0, str("a \"b\" \\ \r\n\t\x00 é"), `"a \"b\" \\ \r\n\t\u0000 é"`, "string"},
	{parquet.Types.ByteArray, schema.EnumLogicalType{}, 0, str(""), `""`, "string"},
	{parquet.Types.ByteArray, schema.JSONLogicalType{}, 0, str("{ \"n\":\n 1.10 }"), `{"n":1.10}`, "json"},
	{parquet.Types.ByteArray, schema.BSONLogicalType{}, 0, str("\x01\x02"), `"AQI="`, "bson"},
	{parquet.Types.ByteArray, nil, 0, str("\xff"), `"/w=="`, "binary"},
	{parquet.Types.FixedLenByteArray, nil, 3, fixed(0, 1, 2), `"AAEC"`, "binary"},
	{parquet.Types.FixedLenByteArray, schema.UUIDLogicalType{}, 16, fixed(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), `"00010203-0405-0607-0809-0a0b0c0d0e0f"`, "uuid"},
	{parquet.Types.Int32, schema.NewDecimalLogicalType(9, 4), 0, []int32{-10}, `"-0.0010"`, "decimal(9,4)"},
	{parquet.Types.Int64, schema.NewDecimalLogicalType(18, 0), 0, []int64{999999999999999999}, `"999999999999999999"`, "decimal(18,0)"},
	{parquet.Types.FixedLenByteArray, schema.NewDecimalLogicalType(38, 2), 16, fixed(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x9c), `"-1.00"`, "decimal(38,2)"},
	{parquet.Types.ByteArray, schema.NewDecimalLogicalType(20, 20), 0, str("\x01"), `"0.00000000000000000001"`, "decimal(20,20)"},
	{parquet.Types.ByteArray, schema.NewDecimalLogicalType(4, 2), 0, str("\x00"), `"0.00"`, "decimal(4,2)"},
	{parquet.Types.Int32, schema.DateLogicalType{}, 0, []int32{-1}, `"1969-12-31"`, "date"},
	{parquet.Types.Int32, schema.NewTimeLogicalType(true, schema.TimeUnitMillis), 0, []int32{86399999}, `"23:59:59.999Z"`, "time-msZ"},
	{parquet.Types.Int64, schema.NewTimeLogicalType(false, schema.TimeUnitNanos), 0, []int64{1}, `"00:00:00.000000001"`, "time-ns"},
	{parquet.Types.Int64, schema.NewTimestampLogicalType(true, schema.TimeUnitMillis), 0, []int64{-1}, `"1969-12-31T23:59:59.999Z"`, "timestamp-msZ"},
	{parquet.Types.Int64, schema.NewTimestampLogicalType(false, schema.TimeUnitMicros), 0, []int64{951782400000001}, `"2000-02-29T00:00:00.000001"`, "timestamp-us"},
	{parquet.Types.Int64, schema.NewTimestampLogicalType(true, schema.TimeUnitNanos), 0, []int64{math.MinInt64}, `"1677-09-21T00:12:43.145224192Z"`, "timestamp-nsZ"},
	{parquet.Types.Int96, nil, 0, int96(1, julianEpoch), `"1970-01-01T00:00:00.000000001Z"`, "timestamp-int96"},
}

// everyScalar is a file of rows with a value in each column, but for one row of nulls.
func everyScalar(t testing.TB) (fields schema.FieldList, leaves []leaf, want string) {
	row, empty := "", ""
	for i, s := range scalars {
		name := fmt.Sprintf("c%02d", i)
		fields = append(fields, prim(t, name, s.typ, s.logical, s.length))
		leaves = append(leaves, leaf{thrice(s.value), []int16{1, 0, 1, 1}, nil})
		row += fmt.Sprintf(",%q:%s", name, s.want)
		empty += fmt.Sprintf(",%q:null", name)
	}
	row, empty = "{"+row[1:]+"}\n", "{"+empty[1:]+"}\n"
	return fields, leaves, row + empty + row + row
}

func thrice(v any) any {
	switch v := v.(type) {
	case []bool:
		return append(append(v[:1:1], v...), v...)
	case []int32:
		return append(append(v[:1:1], v...), v...)
	case []int64:
		return append(append(v[:1:1], v...), v...)
	case []parquet.Int96:
		return append(append(v[:1:1], v...), v...)
	case []float32:
		return append(append(v[:1:1], v...), v...)
	case []float64:
		return append(append(v[:1:1], v...), v...)
	case []parquet.ByteArray:
		return append(append(v[:1:1], v...), v...)
	case []parquet.FixedLenByteArray:
		return append(append(v[:1:1], v...), v...)
	}
	return nil
}

var encodings = map[string][]parquet.WriterProperty{
	"dictionary, snappy":  {parquet.WithCompression(compress.Codecs.Snappy)},
	"plain, gzip":         {parquet.WithDictionaryDefault(false), parquet.WithCompression(compress.Codecs.Gzip)},
	"pages of version 2":  {parquet.WithDataPageVersion(parquet.DataPageV2), parquet.WithCompression(compress.Codecs.Zstd)},
	"a page for each row": {parquet.WithDataPageSize(1), parquet.WithBatchSize(1), parquet.WithDictionaryDefault(false)},
	"lz4":                 {parquet.WithCompression(compress.Codecs.Lz4Raw)},
	"brotli":              {parquet.WithCompression(compress.Codecs.Brotli)},
}

// TestEveryType: exact values, whatever the encoding, the compression and the cut into row groups and pages.
func TestEveryType(t *testing.T) {
	fields, leaves, want := everyScalar(t)
	for name, opts := range encodings {
		for _, groups := range []int{1, 3} {
			path := write(t, filepath.Join(t.TempDir(), "x.parquet"), fields, groups, leaves, opts...)
			got, err := text(t, path, Options{})
			if err != nil {
				t.Fatalf("%s, %d groups: %v", name, groups, err)
			}
			if d := cmp.Diff(strings.Repeat(want, groups), got); d != "" {
				t.Errorf("%s, %d groups (-want +got):\n%s", name, groups, d)
			}
			if again, err := text(t, path, Options{}); err != nil || again != got {
				t.Errorf("%s: the same file gave another text: %v", name, err)
			}
		}
	}
}

func TestColumnTypes(t *testing.T) {
	fields, leaves, _ := everyScalar(t)
	r, err := Open(write(t, filepath.Join(t.TempDir(), "x.parquet"), fields, 1, leaves), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range r.root.children {
		if c.typ != scalars[i].name {
			t.Errorf("column %d has the type %s, want %s", i, c.typ, scalars[i].name)
		}
	}
	want := []string{"sc:Boolean", "sc:Integer", "sc:Integer"}
	for i, w := range want {
		if got := r.Columns()[i]; got.Type != w || got.Name != fmt.Sprintf("c%02d", i) {
			t.Errorf("column %d is published as %v, want %s", i, got, w)
		}
	}
}
