// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/glovebox-dev/glovebox/internal/dataset"
)

// fixture makes a file in somebody else's format: a Parquet file of three visits, a shard of two samples, a PNG.
func fixture(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: fixture visits|shard|hostile|image FILE")
	}
	path := ts.MkAbs(args[1])
	ts.Check(os.MkdirAll(filepath.Dir(path), 0o700))
	var b []byte
	var err error
	switch args[0] {
	case "visits":
		b, err = visits()
	case "shard":
		b, err = tarOf("0.cls", "0.txt", "1.cls", "1.txt")
	case "hostile":
		b, err = tarOf("0.txt", "../../.profile")
	case "image":
		var out bytes.Buffer
		err = png.Encode(&out, image.NewGray(image.Rect(0, 0, 2, 2)))
		b = out.Bytes()
	default:
		ts.Fatalf("no fixture %q", args[0])
	}
	ts.Check(errors.Join(err, os.WriteFile(path, b, 0o600)))
}

// visits has a number that no float holds, a price, and somebody's address.
func visits() ([]byte, error) {
	id := schema.NewInt64Node("id", parquet.Repetitions.Required, -1)
	price, err := schema.NewPrimitiveNodeLogical("price", parquet.Repetitions.Required, schema.NewDecimalLogicalType(9, 2), parquet.Types.Int32, 0, -1)
	if err != nil {
		return nil, err
	}
	note, err := schema.NewPrimitiveNodeLogical("note", parquet.Repetitions.Optional, schema.StringLogicalType{}, parquet.Types.ByteArray, 0, -1)
	if err != nil {
		return nil, err
	}
	root, err := schema.NewGroupNode("schema", parquet.Repetitions.Required, schema.FieldList{id, price, note}, -1)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w := file.NewParquetWriter(&b, root)
	g, err := w.AppendRowGroupChecked()
	if err != nil {
		return nil, err
	}
	c, err := g.NextColumn()
	if err != nil {
		return nil, err
	}
	_, err = c.(*file.Int64ColumnChunkWriter).WriteBatch([]int64{1<<53 + 1, 2, 3}, nil, nil)
	if err := errors.Join(err, c.Close()); err != nil {
		return nil, err
	}
	if c, err = g.NextColumn(); err != nil {
		return nil, err
	}
	_, err = c.(*file.Int32ColumnChunkWriter).WriteBatch([]int32{1250, 5, -100}, nil, nil)
	if err := errors.Join(err, c.Close()); err != nil {
		return nil, err
	}
	if c, err = g.NextColumn(); err != nil {
		return nil, err
	}
	_, err = c.(*file.ByteArrayColumnChunkWriter).WriteBatch([]parquet.ByteArray{[]byte("write to ann@example.com"), []byte("paid")}, []int16{1, 0, 1}, nil)
	err = errors.Join(err, c.Close(), g.Close(), w.Close())
	return b.Bytes(), err
}

func tarOf(names ...string) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range names {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: 2, Mode: 0o600}); err != nil {
			return nil, err
		}
		if _, err := w.Write([]byte("x\n")); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return b.Bytes(), err
}

func TestAutoFormats(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"p/a.parquet", "p/_SUCCESS", "s/a.tar", "s/b.tgz", "mixed/a.tar", "mixed/b.txt", "mixed2/a.parquet", "mixed2/sub/b.parquet", "hive/_SUCCESS", "hive/year=2024/month=1/a.parquet", "docs/sub/b.parquet", "docs/sub/b.txt", "empty/.x"} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]dataset.Format{
		"p": dataset.FormatJSONL, "p/a.parquet": dataset.FormatJSONL, "s": dataset.FormatSamples, "s/b.tgz": dataset.FormatSamples,
		"mixed": dataset.FormatFiles, "docs": dataset.FormatFiles, "empty": dataset.FormatFiles,
	} {
		if got, err := formatOf(filepath.Join(dir, name), "auto"); got != want || err != nil {
			t.Errorf("%s is %q, want %q: %v", name, got, want, err)
		}
	}
	if err := os.Symlink("hive", filepath.Join(dir, "linked")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"hive", "mixed2", "linked"} { // what their folders are called would be lost
		if got, err := formatOf(filepath.Join(dir, name), "auto"); ExitCode(err) != int(KindUsage) || !strings.Contains(classify(err).Hint, "--format files") {
			t.Errorf("%s is %q: %v", name, got, err)
		}
		if got, err := formatOf(filepath.Join(dir, name), "files"); got != dataset.FormatFiles || err != nil {
			t.Errorf("%s as files is %q: %v", name, got, err)
		}
	}
	for name, format := range map[string]string{"mixed": formatWebDataset, "mixed2": formatParquet, "s/a.tar": formatImages, "missing": formatParquet} {
		if _, err := formatOf(filepath.Join(dir, name), format); ExitCode(err) != int(KindUsage) {
			t.Errorf("%s as %s: %v", name, format, err)
		}
	}
}
