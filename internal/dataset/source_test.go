// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// collect gathers what a scanner emits: the stream, and the offsets where records begin.
func collect(scan func(emit) error) (string, []int, error) {
	var b strings.Builder
	var starts []int
	err := scan(func(p []byte, s bool) error {
		if s {
			starts = append(starts, b.Len())
		}
		b.Write(p)
		return nil
	})
	return b.String(), starts, err
}

func csvRecords(src string) (string, []int, error) {
	return collect(func(out emit) error {
		_, err := scanCSV(strings.NewReader(src), false, nil, out)
		return err
	})
}

func TestCSV(t *testing.T) {
	for name, c := range map[string]struct {
		src    string
		starts []int
	}{
		"plain":           {"a,b\n1,2\n3,4\n", []int{4, 8}},
		"no last newline": {"a,b\n1,2\n3,4", []int{4, 8}},
		"crlf":            {"a,b\r\n1,2\r\n", []int{5}},
		"quoted newline":  {"a,b\n\"x\ny\",2\n3,4\n", []int{4, 12}},
		"quoted comma":    {"a,b\n\"x,y\",2\n", []int{4}},
		"doubled quote":   {"a,b\n\"x\"\"y\",2\n", []int{4}},
		"quoted crlf":     {"a,b\r\n1,\"2\"\r\n", []int{5}},
		"quoted at end":   {"a,b\n1,\"2\"", []int{4}},
		"empty fields":    {"a,b\n,\n\"\",\n", []int{4, 6}},
		"quoted header":   {"\"a\nb\",c\n1,2\n", []int{8}},
		"one column":      {"a\n1\n2\n", []int{2, 4}},
		"UTF-8 with BOM":  {"\ufeffa,b\né,ü\n", []int{7}},
	} {
		got, starts, err := csvRecords(c.src)
		if err != nil || got != c.src || !cmp.Equal(starts, c.starts) {
			t.Errorf("%s: %q, %v, %v; want starts %v", name, got, starts, err, c.starts)
		}
	}
}

func TestRaggedCSV(t *testing.T) {
	long := strings.Repeat("x", 3*readBuffer)
	for name, c := range map[string]struct {
		src  string
		want error
		line string
	}{
		"too few":              {"a,b\n1,2\n3\n", ErrRagged, "line 3"},
		"too many":             {"a,b\n1,2,3\n", ErrRagged, "line 2"},
		"too many at end":      {"a,b\n1,2\n3,4,5", ErrRagged, "line 3"},
		"after quoted newline": {"a,b\n\"x\ny\nz\",2\n3\n", ErrRagged, "line 5"},
		"ragged quoted":        {"a,b\n\"x\ny\"\n", ErrRagged, "line 2"},
		"blank line":           {"a,b\n1,2\n\n3,4\n", ErrRagged, "line 3"},
		"blank line crlf":      {"a\r\n1\r\n\r\n", ErrRagged, "line 3"},
		"long field":           {"a,b\n" + long + "\n", ErrRagged, "line 2"},
		"bare quote":           {"a,b\n1,x\"y\n", ErrCSV, "line 2"},
		"text after quote":     {"a,b\n1,\"x\"y\n", ErrCSV, "line 2"},
		"return after quote":   {"a,b\n1,\"x\"\ry\n", ErrCSV, "line 2"},
		"endless quote":        {"a,b\n1,\"x\n2,3\n", ErrCSV, "line 2"},
		"zero byte":            {"a,b\n1,\x00\n", ErrNotText, "line 2"},
		"header only":          {"a,b\n", ErrEmpty, "header"},
		"empty":                {"", ErrEmpty, ""},
	} {
		_, _, err := csvRecords(c.src)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.line) {
			t.Errorf("%s: %v, want %v naming %q", name, err, c.want, c.line)
		}
		if err != nil && strings.Contains(err.Error(), "xxx") {
			t.Errorf("%s: error quotes the data", name)
		}
	}
}

// TestEndlessRecord: one record without end is given up after MaxRecordBytes, whatever the format.
func TestEndlessRecord(t *testing.T) {
	for name, head := range map[string]string{"csv": "a,b\nx", "csv quoted": "a,b\n\"", "csv header": "a"} {
		src := &countingReader{r: io.MultiReader(strings.NewReader(head), endless('y'))}
		if _, err := scanCSV(src, false, nil, func([]byte, bool) error { return nil }); !errors.Is(err, ErrRecordSize) {
			t.Errorf("%s: %v, want ErrRecordSize", name, err)
		}
		if src.n > MaxRecordBytes+2*readBuffer {
			t.Errorf("%s: read %d bytes", name, src.n)
		}
	}
	src := &countingReader{r: io.MultiReader(strings.NewReader(`{"a":1}`+"\n\""), endless('y'))}
	if err := scanJSONL(src, func([]byte, bool) error { return nil }); !errors.Is(err, ErrRecordSize) || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("jsonl: %v, want ErrRecordSize naming line 2", err)
	}
	if src.n > MaxRecordBytes+2*readBuffer {
		t.Errorf("jsonl: read %d bytes", src.n)
	}
}

type endless byte

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(e)
	}
	return len(p), nil
}

type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func TestJSONL(t *testing.T) {
	long := `"` + strings.Repeat("x", 2*readBuffer) + `"`
	scan := func(src string) (string, []int, error) {
		return collect(func(out emit) error { return scanJSONL(strings.NewReader(src), out) })
	}
	for name, c := range map[string]struct {
		src    string
		starts []int
	}{
		"lines":           {"{\"a\":1}\n[2]\n3\n", []int{0, 8, 12}},
		"no last newline": {"1\n2", []int{0, 2}},
		"crlf":            {"1\r\n2\r\n", []int{0, 3}},
		"long line":       {"1\n" + long + "\n2\n", []int{0, 2, len(long) + 3}},
		"long last line":  {long, []int{0}},
	} {
		got, starts, err := scan(c.src)
		if err != nil || got != c.src || !cmp.Equal(starts, c.starts) {
			t.Errorf("%s: %v, %v; want starts %v", name, starts, err, c.starts)
		}
	}
	for name, c := range map[string]struct {
		src, line string
		want      error
	}{
		"cut":       {"1\n{\"a\":\n", "line 2", ErrJSONLine},
		"two":       {"1 2\n", "line 1", ErrJSONLine},
		"blank":     {"1\n\n2\n", "line 2", ErrJSONLine},
		"zero byte": {"1\n\x00\n", "line 2", ErrNotText},
	} {
		if _, _, err := scan(c.src); !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.line) {
			t.Errorf("%s: %v, want %v naming %s", name, err, c.want, c.line)
		}
	}
}

func TestPackFiles(t *testing.T) {
	files := fstest.MapFS{
		"b.txt":     {Data: []byte("two"), ModTime: time.Unix(5, 0), Mode: 0o777},
		"a/x.bin":   {Data: labelled("x", 300_000)},
		"empty.txt": {},
	}
	f := newFixture(t)
	cfg := f.config(FormatFiles, "")
	cfg.Source, cfg.Files = nil, files
	p := f.pack(cfg)
	if p.Manifest.Records != 3 {
		t.Errorf("%d records, want 3", p.Manifest.Records)
	}
	raw, records, err := readAll(t, p.Manifest, f.store, f.key)
	if err != nil || records != 3 {
		t.Fatalf("%d records, %v", records, err)
	}
	var names []string
	r := tar.NewReader(bytes.NewReader(raw))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, files[h.Name].Data) {
			t.Errorf("%s: differs, %v", h.Name, err)
		}
		if h.Mode != 0o644 || h.ModTime.Unix() != 0 || h.Uid != 0 || h.Uname != "" {
			t.Errorf("%s: header tells of the machine: %+v", h.Name, h)
		}
	}
	if want := []string{"a/x.bin", "b.txt", "empty.txt"}; !cmp.Equal(names, want) {
		t.Errorf("files %v, want %v", names, want)
	}
}

func TestFilesRefused(t *testing.T) {
	dir := t.TempDir()
	f := newFixture(t)
	pack := func(files fs.FS) error {
		cfg := f.config(FormatFiles, "")
		cfg.Source, cfg.Files = nil, files
		_, err := Pack(context.Background(), cfg)
		return err
	}
	if err := pack(os.DirFS(dir)); !errors.Is(err, ErrEmpty) {
		t.Errorf("empty directory: %v, want ErrEmpty", err)
	}
	if err := pack(os.DirFS(filepath.Join(dir, "none"))); !errors.Is(err, ErrMissing) {
		t.Errorf("missing directory: %v, want ErrMissing", err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := pack(os.DirFS(dir)); !errors.Is(err, ErrNotRegular) || !errors.Is(err, ErrFile) || !strings.Contains(err.Error(), "link") {
		t.Errorf("symbolic link: %v, want ErrFile naming it", err)
	}
	for _, name := range []string{"a\x1b]0;x\a/1.txt", "a\u202etxt.exe", `a\..\1.txt`, "a\u200b.txt", "a\xff.txt", strings.Repeat("a/", 2500) + "b"} {
		if err := pack(fstest.MapFS{name: {}}); !errors.Is(err, ErrFileName) || strings.ContainsAny(err.Error(), "\x1b\u202e") || len(err.Error()) > 1000 {
			t.Errorf("%.50q: %v, want ErrFileName, quoted", name, err)
		}
	}
	for name, size := range map[string]int64{"shrinks": 10, "grows": 2} {
		if err := pack(lyingFS{fstest.MapFS{"f": {Data: []byte("12345")}}, size}); !errors.Is(err, ErrFile) {
			t.Errorf("file that %s: %v, want ErrFile", name, err)
		}
	}
}

// lyingFS states a size that its files do not have.
type lyingFS struct {
	fstest.MapFS
	size int64
}

func (l lyingFS) Open(name string) (fs.File, error) {
	f, err := l.MapFS.Open(name)
	if err != nil || name == "." {
		return f, err
	}
	return lyingFile{f, l.size}, nil
}

type lyingFile struct {
	fs.File
	size int64
}

func (l lyingFile) Stat() (fs.FileInfo, error) {
	st, err := l.File.Stat()
	return lyingInfo{st, l.size}, err
}

type lyingInfo struct {
	fs.FileInfo
	size int64
}

func (l lyingInfo) Size() int64 { return l.size }

// sparse makes a file of n zero bytes that takes no room.
func sparse(t *testing.T, n int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sparse.csv")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, n); err != nil {
		t.Skipf("no sparse files here: %v", err)
	}
	return path
}

func TestSparseFile(t *testing.T) {
	path := sparse(t, 100<<30)
	f := newFixture(t)
	start := time.Now()
	for _, format := range []Format{FormatCSV, FormatJSONL, FormatFiles} {
		cfg := f.config(format, "")
		cfg.Source = nil
		c, err := cfg.OpenSource(path)
		if err == nil { // a tree is read only when it is packed
			_, err = Pack(t.Context(), cfg)
			c.Close()
		}
		if !errors.Is(err, ErrSparse) {
			t.Errorf("%s: %v, want ErrSparse", format, err)
		}
	}
	// A reader hides that its file is sparse; zeros are refused as soon as they are seen.
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, format := range []Format{FormatCSV, FormatJSONL} {
		cfg := f.config(format, "")
		cfg.Source = onlyReader{file}
		if _, err := Pack(t.Context(), cfg); !errors.Is(err, ErrNotText) {
			t.Errorf("%s: %v, want ErrNotText", format, err)
		}
	}
	if d := time.Since(start); d > 20*time.Second {
		t.Errorf("refusing took %v", d)
	}
	f.wantEmpty()
}

func TestOpenSource(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	csv := write("d.csv", "a\n1\n")
	for name, c := range map[string]struct {
		format Format
		path   string
		want   error
	}{
		"missing text":       {FormatCSV, filepath.Join(dir, "none"), ErrMissing},
		"missing tree":       {FormatFiles, filepath.Join(dir, "none"), ErrMissing},
		"empty":              {FormatCSV, write("e.csv", ""), ErrEmpty},
		"directory as text":  {FormatCSV, dir, ErrFile},
		"text":               {FormatCSV, csv, nil},
		"tree":               {FormatFiles, dir, nil},
		"one file as a tree": {FormatFiles, csv, nil},
	} {
		cfg := PackConfig{Manifest: Manifest{Format: c.format}}
		closer, err := cfg.OpenSource(c.path)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if err == nil {
			closer.Close()
		}
	}
	cfg := PackConfig{Manifest: Manifest{Format: FormatFiles}}
	closer, err := cfg.OpenSource(csv)
	if err != nil {
		t.Fatal(err)
	}
	defer closer.Close()
	_, starts, err := collect(func(out emit) error { return scanFiles(cfg.Files, ".", out) })
	if err != nil || len(starts) != 1 {
		t.Errorf("one file: %d records, %v", len(starts), err)
	}
}

func TestSegmentsFor(t *testing.T) {
	for _, size := range []int64{0, 1 << 30, 100 << 30, 1 << 40, 16 << 40} {
		n := SegmentsFor(size)
		if n < DefaultSegmentBytes || n > MaxSegmentBytes || n < MaxSegmentBytes && size/n > MaxSegments/2 {
			t.Errorf("%d bytes in segments of %d", size, n)
		}
	}
}
