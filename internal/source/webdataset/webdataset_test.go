// SPDX-License-Identifier: Apache-2.0

package webdataset

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/source"
)

type file struct {
	name, text, link string
	kind             byte
	records          map[string]string
}

func archive(t testing.TB, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{Typeflag: f.kind, Name: f.name, Linkname: f.link, Mode: 0o600, PAXRecords: f.records}
		if f.kind == 0 {
			h.Typeflag, h.Size = tar.TypeReg, int64(len(f.text))
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			io.WriteString(w, f.text) //nolint:errcheck // a buffer
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func pack(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	z.Write(b) //nolint:errcheck // a buffer
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func put(t testing.TB, dir, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// read lists the files of a stream, and which of their sample's they are.
func read(t testing.TB, path string) (list string, samples int64, err error) {
	t.Helper()
	r, err := Open(path)
	if err != nil {
		return "", 0, err
	}
	b, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		return "", 0, err
	}
	at, in := -1, tar.NewReader(bytes.NewReader(b))
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return list, r.Samples(), nil
		}
		if err != nil {
			t.Fatal(err)
		}
		if at, err = dataset.SampleIndex(h, at); err != nil {
			t.Fatalf("not what is packed: %v", err)
		}
		text, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		list += fmt.Sprintf("%d %s %s\n", at, h.Name, text)
	}
}

func TestShards(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "b.tar.gz", pack(t, archive(t, file{name: "0.txt", text: "again"})))
	put(t, dir, "a.tar", archive(t, file{name: "./", kind: tar.TypeDir}, file{name: "./0.seg.png", text: "p"}, file{name: "./0.txt", text: "t"},
		file{name: "sub/0.txt", text: "s"}, file{name: "1.txt"}))
	put(t, dir, "v1.2.tar", archive(t, file{name: "a.png"}, file{name: "a.d/a.png/x.png"}, file{name: "a.d/y.png"})) // folders may have dots
	put(t, dir, ".hidden", nil)
	want := "0 a/0.seg.png p\n1 a/0.txt t\n0 a/sub/0.txt s\n0 a/1.txt \n0 b/0.txt again\n0 v1.2/a.png \n0 v1.2/a.d/a.png/x.png \n0 v1.2/a.d/y.png \n"
	for range 2 {
		if got, n, err := read(t, dir); got != want || n != 7 || err != nil {
			t.Errorf("%d samples\n%s, want\n%s: %v", n, got, want, err)
		}
	}
	if got, _, err := read(t, filepath.Join(dir, "b.tar.gz")); got != "0 b/0.txt again\n" || err != nil {
		t.Errorf("one shard: %q, %v", got, err)
	}
}

// TestHostileArchives: an archive that means more than files in a folder is refused, and the error names the shard.
func TestHostileArchives(t *testing.T) {
	ok := file{name: "0.txt", text: "x"}
	whole := archive(t, ok)
	for name, c := range map[string]struct {
		b    []byte
		want error
	}{
		"traversal":               {archive(t, ok, file{name: "../1.txt"}), source.ErrName},
		"traversal inside":        {archive(t, ok, file{name: "a/../../1.txt"}), source.ErrName},
		"absolute":                {archive(t, ok, file{name: "/1.txt"}), source.ErrName},
		"backslash":               {archive(t, ok, file{name: `a\1.txt`}), source.ErrName},
		"symbolic link":           {archive(t, ok, file{name: "1.txt", kind: tar.TypeSymlink, link: "/etc/passwd"}), source.ErrName},
		"hard link":               {archive(t, ok, file{name: "1.txt", kind: tar.TypeLink, link: "0.txt"}), source.ErrName},
		"device":                  {archive(t, ok, file{name: "1.txt", kind: tar.TypeBlock}), source.ErrName},
		"pipe":                    {archive(t, ok, file{name: "1.txt", kind: tar.TypeFifo}), source.ErrName},
		"file twice":              {archive(t, ok, ok), source.ErrName},
		"file twice but for case": {archive(t, ok, file{name: "0.TXT"}), source.ErrName},
		"sample twice":            {archive(t, ok, file{name: "1.txt"}, file{name: "0.cls"}), source.ErrName},
		"text turned around":      {archive(t, ok, file{name: "a\u202egpj.png"}), source.ErrName},
		"invisible letter":        {archive(t, ok, file{name: "a\u200b/1.txt"}), source.ErrName},
		"folder that is a file":   {archive(t, file{name: "a.jpg/b.png"}, file{name: "a.jpg"}), source.ErrName},
		"file that is a folder":   {archive(t, file{name: "a.jpg"}, file{name: "a.jpg/b.png"}), source.ErrName},
		"file that is far above":  {archive(t, file{name: "x/a.jpg"}, ok, file{name: "x/a.jpg/b/c/d.png"}), source.ErrName},
		"folder far below":        {archive(t, file{name: "x/a.jpg/b/c/d.png"}, ok, file{name: "x/a.jpg"}), source.ErrName},
		"no extension":            {archive(t, file{name: "README"}), source.ErrName},
		"hidden":                  {archive(t, file{name: "._0.txt"}), source.ErrName},
		"cut":                     {whole[:700], source.ErrCorrupt},
		"no files":                {archive(t), source.ErrCorrupt},
		"no tar":                  {bytes.Repeat([]byte("x"), 2048), source.ErrCorrupt},
		"two archives in one":     {append(bytes.Clone(whole), whole...), source.ErrCorrupt},
	} {
		dir := t.TempDir()
		_, _, err := read(t, put(t, dir, "hostile.tar", c.b))
		if !errors.Is(err, c.want) || err != nil && !strings.Contains(err.Error(), "hostile.tar") {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if _, _, err := read(t, put(t, dir, "hostile.tgz", pack(t, c.b))); !errors.Is(err, c.want) {
			t.Errorf("%s, compressed: %v, want %v", name, err, c.want)
		}
	}
}

// TestSparseFileIsNoBomb: a few bytes that stand for gigabytes of zeros are refused.
func TestSparseFileIsNoBomb(t *testing.T) {
	map1 := "1\n1099511627776\n0\n"
	body := map1 + strings.Repeat("\x00", 512-len(map1))
	b := archive(t, file{name: "0.txt", text: body})
	// The writer refuses to make one: the header is put before the entry by hand.
	pax := paxHeader(t, map[string]string{"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "0.txt", "GNU.sparse.realsize": "1099511627776"})
	_, _, err := read(t, put(t, t.TempDir(), "sparse.tar", append(pax, b...)))
	if !errors.Is(err, source.ErrName) && !errors.Is(err, source.ErrCorrupt) {
		t.Errorf("a sparse file: %v", err)
	}
}

func paxHeader(t testing.TB, records map[string]string) []byte {
	t.Helper()
	text := ""
	for k, v := range records {
		n := len(k) + len(v) + 3
		n += len(fmt.Sprint(n + 2))
		text += fmt.Sprintf("%d %s=%s\n", n, k, v)
	}
	b := archive(t, file{name: "PaxHeaders.0/0", text: text})
	b = b[:len(b)-1024] // without the end
	b[156] = tar.TypeXHeader
	sum := 0
	copy(b[148:156], "        ")
	for _, c := range b[:512] {
		sum += int(c)
	}
	copy(b[148:156], fmt.Sprintf("%06o\x00 ", sum))
	return b
}

// TestCompressedBomb: a shard that expands more than any data does is refused before it fills a disk.
func TestCompressedBomb(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	zeros := make([]byte, 1<<20)
	for i := range 80 {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("%d.bin", i), Size: int64(len(zeros)), Mode: 0o600}); err != nil {
			t.Fatal(err)
		}
		w.Write(zeros) //nolint:errcheck // a buffer
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	r, err := Open(put(t, t.TempDir(), "bomb.tar.gz", b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	n, err := io.Copy(io.Discard, r)
	if !errors.Is(err, source.ErrLimit) || n > bombFloor+1<<20 {
		t.Errorf("%d bytes of a bomb of %d: %v", n, b.Len(), err)
	}
}

func TestFoldersThatAreNotShards(t *testing.T) {
	for name, files := range map[string][]string{"other files": {"a.tar", "b.txt"}, "one shard twice": {"a.tar", "a.tar.gz"}, "nothing": {}} {
		dir := t.TempDir()
		for _, f := range files {
			put(t, dir, f, nil)
		}
		if _, err := Open(dir); !errors.Is(err, source.ErrMixed) {
			t.Errorf("%s: %v, want %v", name, err, source.ErrMixed)
		}
	}
}

// TestShardWithAHostileName: its name is the folder of all its files.
func TestShardWithAHostileName(t *testing.T) {
	if _, err := Open(put(t, t.TempDir(), "a\u202erat.tar", archive(t, file{name: "0.txt"}))); !errors.Is(err, source.ErrName) || strings.Contains(err.Error(), "\u202e") {
		t.Errorf("got %v, want %v, quoted", err, source.ErrName)
	}
}

func FuzzShard(f *testing.F) {
	f.Add(archive(f, file{name: "0.txt", text: "x"}, file{name: "0.cls"}, file{name: "1.txt"}))
	f.Add(archive(f, file{name: "../0.txt"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, n, err := read(t, put(t, t.TempDir(), "x.tar", b)); err == nil && n == 0 {
			t.Fatal("no samples, and no error")
		}
	})
}
