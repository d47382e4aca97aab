// SPDX-License-Identifier: Apache-2.0

package parquet

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/schema"
	"github.com/google/go-cmp/cmp"

	"github.com/glovebox-dev/glovebox/internal/source"
)

func group(t testing.TB, name string, rep parquet.Repetition, logical schema.LogicalType, fields ...schema.Node) schema.Node {
	t.Helper()
	g, err := schema.NewGroupNode(name, rep, fields, -1)
	if logical != nil {
		g, err = schema.NewGroupNodeLogical(name, rep, fields, logical, -1)
	}
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func text8(t testing.TB, name string, rep parquet.Repetition) schema.Node {
	t.Helper()
	n, err := schema.NewPrimitiveNodeLogical(name, rep, schema.StringLogicalType{}, parquet.Types.ByteArray, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func ints(s string, values ...int32) (l leaf) {
	l.values = values
	for _, f := range strings.Fields(s) { // repetition and definition level
		l.reps, l.defs = append(l.reps, int16(f[0]-'0')), append(l.defs, int16(f[1]-'0'))
	}
	return l
}

func strs(s string, values ...string) leaf {
	l, v := ints(s), []parquet.ByteArray{}
	for _, x := range values {
		v = append(v, parquet.ByteArray(x))
	}
	l.values = v
	return l
}

var optional, repeated, required = parquet.Repetitions.Optional, parquet.Repetitions.Repeated, parquet.Repetitions.Required

// nested is a file of three rows with all that nests.
func nested(t testing.TB) (schema.FieldList, []leaf) {
	t.Helper()
	num := func(name string) schema.Node { return prim(t, name, parquet.Types.Int32, nil, 0) }
	list := schema.ListLogicalType{}
	return schema.FieldList{
		group(t, "list", optional, list, group(t, "list", repeated, nil, num("element"))),
		group(t, "lists", optional, list, group(t, "list", repeated, nil, group(t, "element", optional, list, group(t, "list", repeated, nil, num("element"))))),
		group(t, "struct", optional, nil, num("x"), group(t, "y", optional, nil, num("z"))),
		group(t, "structs", optional, list, group(t, "list", repeated, nil, group(t, "element", optional, nil, num("a"), num("b")))),
		group(t, "map", optional, schema.MapLogicalType{}, group(t, "key_value", repeated, nil, text8(t, "key", required), num("value"))),
		schema.NewInt32Node("bare", repeated, -1),
		group(t, "old", optional, list, schema.NewInt32Node("array", repeated, -1)),
		group(t, "older", required, list, group(t, "array", repeated, nil, num("only"))),
	}, []leaf{
		ints("03 12 13 01 00", 1, 2), // [1,null,2], [], null
		ints("05 25 14 12 13 15 01 00", 1, 2, 3),
		ints("02 02 00", 7, 8),
		ints("03 02 00", 9),
		ints("04 13 04 02", 1, 2),
		ints("04 14 03 02", 3, 4),
		strs("02 12 01 00", "k\"1", "k2"),
		ints("03 12 01 00", 5),
		ints("01 11 00 01", 1, 2, 3),
		ints("02 12 01 00", 4, 5),
		ints("02 11 00 02", 6, 7),
	}
}

const nestedWant = `{"list":[1,null,2],"lists":[[1,2],[null],null,[],[3]],"struct":{"x":7,"y":{"z":9}},"structs":[{"a":1,"b":3},{"a":null,"b":4}],"map":{"k\"1":5,"k2":null},"bare":[1,2],"old":[4,5],"older":[{"only":6},{"only":null}]}
{"list":[],"lists":[],"struct":{"x":8,"y":{"z":null}},"structs":[{"a":2,"b":null}],"map":{},"bare":[],"old":[],"older":[]}
{"list":null,"lists":null,"struct":null,"structs":[null],"map":null,"bare":[3],"old":null,"older":[{"only":7}]}
`

// TestNested: lists, structs and maps, as deep as they go, null at each level and empty, in new files and old.
func TestNested(t *testing.T) {
	fields, leaves := nested(t)
	for name, opts := range encodings {
		path := write(t, filepath.Join(t.TempDir(), "x.parquet"), fields, 2, leaves, opts...)
		got, err := text(t, path, Options{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if d := cmp.Diff(nestedWant+nestedWant, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

// checkLines reads a file that may be damaged: no panic, and what comes is JSON.
func checkLines(t *testing.T, path string) {
	t.Helper()
	got, err := text(t, path, Options{})
	if err != nil {
		return
	}
	for line := range strings.Lines(got) {
		if !json.Valid([]byte(line)) || !strings.HasSuffix(line, "}\n") {
			t.Fatalf("a line that is no JSON: %q", line)
		}
	}
}

// TestColumnsDisagree: one column has fewer rows, or repeats more often, than its neighbour.
func TestColumnsDisagree(t *testing.T) {
	num := func(name string) schema.Node { return prim(t, name, parquet.Types.Int32, nil, 0) }
	rep := group(t, "g", repeated, nil, num("a"), num("b"))
	opt := group(t, "g", optional, nil, num("a"), num("b"))
	key := group(t, "m", optional, schema.MapLogicalType{}, group(t, "key_value", repeated, nil, text8(t, "key", required), num("value")))
	for name, c := range map[string]struct {
		field  schema.Node
		leaves []leaf
		want   error
	}{
		"more often":      {rep, []leaf{ints("02 12", 1, 2), ints("02", 1)}, source.ErrCorrupt},
		"there and not":   {opt, []leaf{ints("02", 1), ints("00")}, source.ErrCorrupt},
		"one key twice":   {key, []leaf{strs("02 12", "k", "k"), ints("02 12")}, source.ErrValue},
		"begins repeated": {rep, []leaf{ints("12", 1), ints("12", 1)}, source.ErrCorrupt},
	} {
		f := schema.FieldList{c.field}
		path, ok := tryWrite(t, f, c.leaves)
		if !ok {
			continue // the library does not write it either
		}
		if _, err := text(t, path, Options{}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func tryWrite(t *testing.T, f schema.FieldList, leaves []leaf) (path string, ok bool) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "x.parquet")
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	write(t, path, f, 1, leaves)
	return path, true
}

func TestCSV(t *testing.T) {
	fields := schema.FieldList{text8(t, `a "b",c`, optional), prim(t, "n", parquet.Types.Int64, nil, 0), prim(t, "d", parquet.Types.Int32, schema.NewDecimalLogicalType(5, 2), 0)}
	leaves := []leaf{
		{[]parquet.ByteArray{[]byte("x,\"y\"\nz\t\\"), []byte(""), []byte("null")}, []int16{1, 1, 0, 1}, nil},
		{[]int64{1 << 60, 2}, []int16{1, 0, 0, 1}, nil},
		{[]int32{-150, 1}, []int16{1, 0, 0, 1}, nil},
	}
	path := write(t, filepath.Join(t.TempDir(), "x.parquet"), fields, 1, leaves)
	want := "\"a \"\"b\"\",c\",n,d\n\"x,\"\"y\"\"\nz\t\\\",1152921504606846976,-1.50\n\"\",,\n,,\nnull,2,0.01\n"
	if got, err := text(t, path, Options{CSV: true}); got != want || err != nil {
		t.Errorf("%q, want %q: %v", got, want, err)
	}
	single := write(t, filepath.Join(t.TempDir(), "x.parquet"), fields[:1], 1, leaves[:1])
	if got, err := text(t, single, Options{CSV: true}); !strings.Contains(got, "\n\"\"\n\"\"\nnull\n") || err != nil {
		t.Errorf("a single column: %q, %v", got, err)
	}
	n, l := nested(t)
	if _, err := text(t, write(t, filepath.Join(t.TempDir(), "x.parquet"), n, 1, l), Options{CSV: true}); !errors.Is(err, source.ErrType) {
		t.Errorf("nested columns as CSV: %v, want %v", err, source.ErrType)
	}
}

func TestParts(t *testing.T) {
	a := schema.FieldList{text8(t, "a", optional)}
	dir := t.TempDir()
	one := func(name, v string) { write(t, filepath.Join(dir, name), a, 1, []leaf{strs("01", v)}) }
	one("part-1.parquet", "second")
	one("part-0.parquet", "first")
	for _, name := range []string{"_SUCCESS", ".part-0.parquet.crc"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := text(t, dir, Options{CSV: true}); got != "a\nfirst\nsecond\n" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	write(t, filepath.Join(dir, "part-2.parquet"), schema.FieldList{text8(t, "a", required)}, 1, []leaf{{str("x"), nil, nil}})
	if _, err := Open(dir, Options{}); !errors.Is(err, source.ErrMixed) {
		t.Errorf("another schema: %v", err)
	}
	if err := errors.Join(os.Remove(filepath.Join(dir, "part-2.parquet")), os.Mkdir(filepath.Join(dir, "year=2024"), 0o700)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); !errors.Is(err, source.ErrMixed) {
		t.Errorf("a folder inside: %v", err)
	}
	if _, err := Open(t.TempDir(), Options{}); !errors.Is(err, source.ErrMixed) {
		t.Errorf("an empty folder: %v", err)
	}
}

func TestTwoColumnsOfOneName(t *testing.T) {
	f := schema.FieldList{text8(t, "a", optional), text8(t, "a", optional)}
	path, ok := tryWrite(t, f, []leaf{strs("01", "x"), strs("01", "y")})
	if !ok {
		t.Skip("the library does not write it")
	}
	if _, err := Open(path, Options{}); !errors.Is(err, source.ErrName) || !strings.Contains(err.Error(), `column 2: "a" is there twice`) {
		t.Errorf("%v, want %v and the column", err, source.ErrName)
	}
}
