// SPDX-License-Identifier: Apache-2.0

package parquet

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/glovebox-dev/glovebox/internal/source"
)

// groups makes a file with one column "a" and a row group of each of the values.
func groups(t *testing.T, values ...[]parquet.ByteArray) []byte {
	t.Helper()
	root, err := schema.NewGroupNode("schema", parquet.Repetitions.Required, schema.FieldList{text8(t, "a", required)}, -1)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := file.NewParquetWriter(&b, root, file.WithWriterProps(parquet.NewWriterProperties(parquet.WithDictionaryDefault(false))))
	for _, v := range values {
		g, err := w.AppendRowGroupChecked()
		if err != nil {
			t.Fatal(err)
		}
		c, err := g.NextColumn()
		if err == nil && len(v) > 0 {
			err = writeLeaf(c, leaf{values: v})
		}
		if err := errors.Join(err, c.Close(), g.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// unpaged makes the page of a file's one column begin at 0, where none can be, as writers say of a column without values.
func unpaged(t *testing.T, b []byte) []byte {
	t.Helper()
	for at := range len(b) - 1 {
		if !bytes.Equal(b[at:at+2], []byte{0x26, 0x08}) { // in Thrift: a field two behind the one before, an i64, 4
			continue
		}
		c := bytes.Clone(b)
		c[at+1] = 0
		in, err := file.NewParquetReader(bytes.NewReader(c))
		if err != nil {
			continue
		}
		chunk, err := in.RowGroup(0).MetaData().ColumnChunk(0)
		if err == nil && chunk.DataPageOffset() == 0 && chunk.NumValues() == 1 {
			return c
		}
	}
	t.Fatal("no offset of a page found")
	return nil
}

// TestEmptyGroups: a row group without rows is none of a file's rows, wherever it is.
func TestEmptyGroups(t *testing.T) {
	one, none := str("x"), []parquet.ByteArray(nil)
	for name, c := range map[string]struct {
		groups [][]parquet.ByteArray
		want   string
	}{
		"between": {[][]parquet.ByteArray{one, none, one}, `{"a":"x"}` + "\n" + `{"a":"x"}` + "\n"},
		"first":   {[][]parquet.ByteArray{none, one}, `{"a":"x"}` + "\n"},
		"alone":   {[][]parquet.ByteArray{none}, ""},
	} {
		if got, err := textOf(t, groups(t, c.groups...)); got != c.want || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func textOf(t *testing.T, b []byte) (string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.parquet")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return text(t, path, Options{})
}

// TestRowsWithoutPages: only a group without rows may have no page.
func TestRowsWithoutPages(t *testing.T) {
	if _, err := textOf(t, unpaged(t, groups(t, str("x")))); !errors.Is(err, source.ErrCorrupt) || !strings.Contains(err.Error(), "outside the file") {
		t.Errorf("%v, want %v", err, source.ErrCorrupt)
	}
}
