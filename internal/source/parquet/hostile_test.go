// SPDX-License-Identifier: Apache-2.0

package parquet

import (
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/source"
)

// raw is a file of a footer only.
func raw(footer []byte, magic string) []byte {
	b := append([]byte("PAR1"), footer...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(footer)))
	return append(b, magic...)
}

// deepSchema is a footer whose schema is one group in another.
func deepSchema(n int) []byte {
	b := []byte{0x15, 2, 0x19, 0xfc}
	b = binary.AppendUvarint(b, uint64(n))
	for i := range n {
		b = append(b, 0x48, 1, 'a') // name
		if i < n-1 {
			b = append(b, 0x15, 2) // one child
		}
		b = append(b, 0)
	}
	return append(b, 0)
}

// TestHostileFooters: nothing that a footer claims is believed before it was checked.
func TestHostileFooters(t *testing.T) {
	good, err := os.ReadFile(write(t, filepath.Join(t.TempDir(), "x.parquet"), schema.FieldList{prim(t, "a", parquet.Types.Int32, nil, 0)}, 1,
		[]leaf{{[]int32{1}, []int16{1}, nil}}))
	if err != nil {
		t.Fatal(err)
	}
	long := append([]byte(nil), good...)
	binary.LittleEndian.PutUint32(long[len(long)-8:], math.MaxUint32)
	children := []byte{0x15, 2, 0x19, 0x1c, 0x48, 1, 'a', 0x15, 0xfe, 0xff, 0xff, 0xff, 0x0f, 0, 0}
	for name, c := range map[string]struct {
		b    []byte
		want error
	}{
		"empty":                 {nil, source.ErrCorrupt},
		"text":                  {[]byte("a,b\n1,2\n3,4\n5,6\n"), source.ErrCorrupt},
		"cut at the end":        {good[:len(good)-1], source.ErrCorrupt},
		"cut in the middle":     {good[:len(good)/2], source.ErrCorrupt},
		"cut at the front":      {good[4:], source.ErrCorrupt},
		"footer of 4 GB":        {long, source.ErrCorrupt},
		"encrypted footer":      {raw(make([]byte, 20), "PARE"), source.ErrEncrypted},
		"no schema":             {raw([]byte{0}, "PAR1"), source.ErrCorrupt},
		"schema of 2 G":         {raw([]byte{0x15, 2, 0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x07, 0}, "PAR1"), source.ErrCorrupt},
		"2 G children":          {raw(children, "PAR1"), source.ErrCorrupt},
		"nested 10,000 deep":    {raw(deepSchema(10_000), "PAR1"), source.ErrLimit},
		"schema of 20,000":      {raw(deepSchema(20_000), "PAR1"), source.ErrLimit},
		"text of 2 G":           {raw([]byte{0x15, 2, 0x58, 0xff, 0xff, 0xff, 0xff, 0x07, 0}, "PAR1"), source.ErrCorrupt},
		"unknown kind of field": {raw([]byte{0x1f, 0}, "PAR1"), source.ErrCorrupt},
		"metadata in itself":    {raw(append(repeat(0x9c, 64), 0), "PAR1"), source.ErrCorrupt},
	} {
		path := filepath.Join(t.TempDir(), "bad.parquet")
		if err := os.WriteFile(path, c.b, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := text(t, path, Options{})
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), "bad.parquet") {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func repeat(b byte, n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = b
	}
	return out
}

// TestManyEmptyStructs: a footer of empty structures would take a hundred times its length.
func TestManyEmptyStructs(t *testing.T) {
	n := 1 << 21
	b := append([]byte{0x49, 0xfc}, binary.AppendUvarint(nil, uint64(n))...)
	if err := checkFooter(append(append(b, make([]byte, n)...), 0)); !errors.Is(err, source.ErrLimit) {
		t.Errorf("%v, want %v", err, source.ErrLimit)
	}
}

// pageHeader is one of a data page: raw and packed length, number of values.
func pageHeader(rawLen, packed, values int64) []byte {
	z := func(b []byte, v int64) []byte { return binary.AppendUvarint(b, uint64(v<<1^v>>63)) }
	b := append(z(append(z([]byte{0x15, 0, 0x15}, rawLen), 0x15), packed), 0x2c, 0x15)
	return append(z(b, values), 0x15, 0, 0x15, 6, 0x15, 6, 0, 0)
}

// TestPageBombs: what a page claims is compared with the file and with limits before it is allocated.
func TestPageBombs(t *testing.T) {
	for name, c := range map[string]struct {
		head   []byte
		values int64
		want   error
	}{
		"honest":                 {pageHeader(10, 10, 5), 5, nil},
		"expands to 2 GB":        {pageHeader(1<<31-1, 10, 5), 5, source.ErrLimit},
		"2 G values":             {pageHeader(10, 10, 1<<31-1), 1<<31 - 1, source.ErrLimit},
		"longer than the column": {pageHeader(10, 1000, 5), 5, source.ErrCorrupt},
		"negative":               {pageHeader(-1, 10, 5), 5, source.ErrCorrupt},
		"fewer values":           {pageHeader(10, 10, 5), 6, source.ErrCorrupt},
		"more values":            {pageHeader(10, 10, 5), 4, source.ErrCorrupt},
		"dictionary of nothing":  {append([]byte{0x15, 4, 0x15, 2, 0x15, 2, 0x4c, 0x15}, 0xfe, 0xff, 0xff, 0xff, 0x0f, 0x15, 0, 0, 0), 0, source.ErrCorrupt},
	} {
		b := append(append([]byte(nil), c.head...), make([]byte, 10)...)
		err := checkPages(strings.NewReader(string(b)), 0, int64(len(b)), c.values)
		if c.want == nil && err != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// TestBombOfNulls: rows that take no bytes are refused once their text is out of proportion.
func TestBombOfNulls(t *testing.T) {
	defs := make([]int16, 1_000_000)
	path := write(t, filepath.Join(t.TempDir(), "x.parquet"), schema.FieldList{prim(t, strings.Repeat("n", 100), parquet.Types.Int32, nil, 0)}, 1, []leaf{{[]int32{}, defs, nil}})
	r, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	r.floor = 1 << 20
	b := make([]byte, 1<<16)
	var n int64
	for err == nil {
		var k int
		k, err = r.Read(b)
		n += int64(k)
	}
	if !errors.Is(err, source.ErrLimit) || n > bombFactor*r.size+1<<21 {
		t.Errorf("%d bytes of text from %d: %v", n, r.size, err)
	}
}

func TestBudget(t *testing.T) {
	b := newBudget(1000)
	b.Free(b.Reallocate(900, b.Allocate(800)))
	b.Free(b.Allocate(1000))
	defer func() {
		if recover() != errBudget {
			t.Error("more was given than there is")
		}
	}()
	b.Allocate(1001)
}

// TestValuesWithoutText: refused with their column, and without themselves.
func TestValuesWithoutText(t *testing.T) {
	for name, c := range map[string]struct {
		typ     parquet.Type
		logical schema.LogicalType
		length  int
		value   any
	}{
		"not a number":      {parquet.Types.Double, nil, 0, []float64{math.NaN()}},
		"infinity":          {parquet.Types.Float, nil, 0, []float32{float32(math.Inf(-1))}},
		"infinity of 16":    {parquet.Types.FixedLenByteArray, schema.Float16LogicalType{}, 2, fixed(0x00, 0x7c)},
		"not UTF-8":         {parquet.Types.ByteArray, schema.StringLogicalType{}, 0, str("secret\xff")},
		"not JSON":          {parquet.Types.ByteArray, schema.JSONLogicalType{}, 0, str("{secret")},
		"year 10000":        {parquet.Types.Int32, schema.DateLogicalType{}, 0, []int32{2932897}},
		"year -1":           {parquet.Types.Int64, schema.NewTimestampLogicalType(true, schema.TimeUnitMillis), 0, []int64{-62198755200000}},
		"25 o'clock":        {parquet.Types.Int32, schema.NewTimeLogicalType(true, schema.TimeUnitMillis), 0, []int32{86400000}},
		"INT96 of 25 hours": {parquet.Types.Int96, nil, 0, int96(25*3600*1e9, julianEpoch)},
	} {
		path := write(t, filepath.Join(t.TempDir(), "x.parquet"), schema.FieldList{prim(t, "col", c.typ, c.logical, c.length)}, 1, []leaf{{c.value, []int16{1}, nil}})
		_, err := text(t, path, Options{})
		if !errors.Is(err, source.ErrValue) || !strings.Contains(err.Error(), `"col"`) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want %v", name, err, source.ErrValue)
		}
	}
	wrong := []leaf{{[]int32{256}, []int16{1}, nil}}
	path := write(t, filepath.Join(t.TempDir(), "x.parquet"), schema.FieldList{prim(t, "col", parquet.Types.Int32, schema.NewIntLogicalType(8, false), 0)}, 1, wrong)
	if _, err := text(t, path, Options{}); !errors.Is(err, source.ErrCorrupt) {
		t.Errorf("256 in 8 bits: %v", err)
	}
	path = write(t, filepath.Join(t.TempDir(), "x.parquet"), schema.FieldList{prim(t, "col", parquet.Types.Int32, schema.NewDecimalLogicalType(2, 0), 0)}, 1, wrong)
	if _, err := text(t, path, Options{}); !errors.Is(err, source.ErrCorrupt) {
		t.Errorf("256 in two digits: %v", err)
	}
}

// TestTypesWithoutText: a type that is not known is refused, not passed on as the bytes that it is made of.
func TestTypesWithoutText(t *testing.T) {
	interval, err := schema.NewPrimitiveNodeConverted("col", parquet.Repetitions.Optional, parquet.Types.FixedLenByteArray, schema.ConvertedTypes.Interval, 12, 0, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	path := write(t, filepath.Join(t.TempDir(), "x.parquet"), schema.FieldList{interval}, 1, []leaf{{fixed(make([]byte, 12)...), []int16{1}, nil}})
	if _, err := text(t, path, Options{}); !errors.Is(err, source.ErrType) || !strings.Contains(err.Error(), `"col"`) {
		t.Errorf("an interval: %v, want %v", err, source.ErrType)
	}
	// A logical type of a later release: the union's field is one that nobody has given yet.
	path = write(t, filepath.Join(t.TempDir(), "x.parquet"), schema.FieldList{prim(t, "col", parquet.Types.ByteArray, schema.BSONLogicalType{}, 0)}, 1, []leaf{{str("x"), []int16{1}, nil}})
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	known, unknown := "\xdc\x00\x00", "\xfc\x00\x00" // BSON is field 13; 15 is free
	if strings.Count(string(b), known) != 1 {
		t.Fatal("the annotation is not where it was")
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(b), known, unknown, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := text(t, path, Options{}); err == nil {
		t.Error("a type that nobody knows was taken for bytes")
	}
}

func TestRecordTooLarge(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "x.parquet"), schema.FieldList{prim(t, "col", parquet.Types.ByteArray, nil, 0)}, 1,
		[]leaf{{[]parquet.ByteArray{make([]byte, dataset.MaxRecordBytes)}, []int16{1}, nil}})
	if _, err := text(t, path, Options{}); !errors.Is(err, dataset.ErrRecordSize) {
		t.Errorf("%v, want %v", err, dataset.ErrRecordSize)
	}
}

// FuzzParquet: whatever the bytes, an error or lines of JSON; never a panic, never much memory.
func FuzzParquet(f *testing.F) {
	dir := f.TempDir()
	fields, leaves, _ := everyScalar(f)
	seeds := 0
	for _, opts := range encodings {
		b, err := os.ReadFile(write(f, filepath.Join(dir, "x.parquet"), fields[:5], 1, leaves[:5], opts...))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		seeds++
	}
	n, l := nested(f)
	b, err := os.ReadFile(write(f, filepath.Join(dir, "x.parquet"), n, 2, l))
	if err != nil || seeds == 0 {
		f.Fatal(err)
	}
	f.Add(b)
	for _, b := range attacks(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "x.parquet")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		checkLines(t, path)
	})
}

// TestFlippedBytes: damage anywhere gives an error or text of the right form.
func TestFlippedBytes(t *testing.T) {
	dir := t.TempDir()
	n, l := nested(t)
	b, err := os.ReadFile(write(t, filepath.Join(dir, "x.parquet"), n, 2, l))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "flipped.parquet")
	for i := 0; i < len(b); i += 13 { // the fuzz test finds the others
		b[i] ^= 1 << (i % 8)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		checkLines(t, path)
		b[i] ^= 1 << (i % 8)
	}
}
