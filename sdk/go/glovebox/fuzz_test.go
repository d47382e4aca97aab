// SPDX-License-Identifier: Apache-2.0

package glovebox

import (
	"archive/tar"
	"bytes"
	"encoding/csv"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"
)

// FuzzCSV: what encoding/csv reads is read the same. It is let off what the two treat differently: carriage returns,
// blank lines, byte order marks, and a header of one empty field.
func FuzzCSV(f *testing.F) {
	f.Add("a,b\n1,2\n")
	f.Add("a,b\n\"x,\"\"y\"\"\n\",\n,\"\"")
	f.Add("a\n\"")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := NewRecords(strings.NewReader(text), CSV)
		var got [][]string
		for err == nil && r.Next() {
			var row []string
			for _, f := range r.Fields() {
				row = append(row, string(f))
			}
			got = append(got, row)
		}
		if err == nil {
			err = r.Err()
		}
		c := csv.NewReader(strings.NewReader(text))
		want, werr := c.ReadAll()
		if werr != nil || len(want) == 0 || strings.Contains(text, "\r") || strings.HasPrefix(text, "\n") || strings.Contains(text, "\n\n") ||
			strings.HasPrefix(text, "\xef\xbb\xbf") || strings.HasPrefix(text, "\"\"\n") || strings.Contains(text, "\x00") {
			return
		}
		if err != nil {
			t.Fatalf("refused: %v", err)
		}
		if len(got) != len(want)-1 {
			t.Fatalf("%d records, want %d", len(got), len(want)-1)
		}
		for i := range got {
			if strings.Join(got[i], "\x00") != strings.Join(want[i+1], "\x00") {
				t.Errorf("record %d is %q, want %q", i, got[i], want[i+1])
			}
		}
	})
}

// FuzzTar: no input makes a file that is longer than the stream, or another length than its header says.
func FuzzTar(f *testing.F) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range []string{"a", strings.Repeat("long/", 40) + "ü", "b/c"} {
		if w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(name))}) != nil {
			f.Fatal("seed")
		}
		_, _ = w.Write([]byte(name))
	}
	_ = w.Flush()
	f.Add(b.Bytes())
	f.Add(b.Bytes()[:700])
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := NewRecords(bytes.NewReader(b), Files)
		if err != nil {
			t.Fatal(err)
		}
		for r.Next() {
			body, err := io.ReadAll(r)
			if err == nil && int64(len(body)) != r.Size() {
				t.Fatalf("%q has %d bytes, said %d", r.Name(), len(body), r.Size())
			}
			if r.Size() > int64(len(b)) && err == nil {
				t.Fatalf("%q of %d bytes in a stream of %d", r.Name(), r.Size(), len(b))
			}
		}
	})
}

// FuzzParseFloat: the same bits as strconv, or a refusal where it refuses.
func FuzzParseFloat(f *testing.F) {
	f.Add("0.1")
	f.Add("-123456789012345.")
	f.Add("1e308")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseFloat([]byte(s))
		want, werr := strconv.ParseFloat(s, 64)
		if (err == nil) != (werr == nil) || err == nil && math.Float64bits(got) != math.Float64bits(want) {
			t.Errorf("%q: %v, %v; want %v, %v", s, got, err, want, werr)
		}
	})
}
