// SPDX-License-Identifier: Apache-2.0

package images

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/source"
)

func pictures(t testing.TB) (p, j, g []byte) {
	t.Helper()
	img := image.NewPaletted(image.Rect(0, 0, 3, 2), color.Palette{color.Black, color.White})
	var a, b, c bytes.Buffer
	if err := errors.Join(png.Encode(&a, img), jpeg.Encode(&b, img, nil), gif.Encode(&c, img, nil)); err != nil {
		t.Fatal(err)
	}
	return a.Bytes(), b.Bytes(), c.Bytes()
}

func TestClasses(t *testing.T) {
	p, j, g := pictures(t)
	tree := fstest.MapFS{"cat/1.png": {Data: p}, "cat/2.jpg": {Data: j}, "dog/1": {Data: g}, "0.png": {Data: p}}
	files, r, err := Check(tree, false)
	if err != nil {
		t.Fatal(err)
	}
	want := &Report{Images: 4, Classes: []Class{{"", 1}, {"cat", 2}, {"dog", 1}}, Formats: map[string]int64{"png": 2, "jpeg": 1, "gif": 1}}
	if d := cmp.Diff(want, r); d != "" {
		t.Error(d)
	}
	if _, err := fs.ReadFile(files, "dog/1"); err != nil {
		t.Error(err)
	}
}

// TestBrokenImages: each is refused by name, or left out of what is packed.
func TestBrokenImages(t *testing.T) {
	p, j, _ := pictures(t)
	huge := bytes.Clone(p)
	copy(huge[16:24], "\x7f\xff\xff\xff\x7f\xff\xff\xff") // its checksum is wrong then, or it is too large
	for name, c := range map[string]struct {
		b    []byte
		want error
	}{
		"cut":   {p[:20], source.ErrCorrupt},
		"empty": {nil, source.ErrType},
		"text":  {[]byte("hello"), source.ErrType},
		"jpeg":  {j[:4], source.ErrCorrupt},
		"huge":  {huge, source.ErrCorrupt},
		"large": {[]byte("GIF89a\xff\xff\xff\xff\x00\x00\x00;"), source.ErrLimit},
	} {
		tree := fstest.MapFS{"a/good.png": {Data: p}, "b/bad.png": {Data: c.b}}
		if _, _, err := Check(tree, false); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		files, r, err := Check(tree, true)
		if err != nil || r.Images != 1 || !cmp.Equal(r.Skipped, []string{"b/bad.png"}) {
			t.Fatalf("%s, skipped: %+v, %v", name, r, err)
		}
		if _, err := files.Open("b/bad.png"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: what was left out is there: %v", name, err)
		}
		n := 0
		err = fs.WalkDir(files, ".", func(_ string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				n++
			}
			return err
		})
		if err != nil || n != 1 {
			t.Errorf("%s: the tree has %d files: %v", name, n, err)
		}
	}
	link := fstest.MapFS{"a.png": {Data: p, Mode: fs.ModeSymlink}}
	if _, _, err := Check(link, false); !errors.Is(err, source.ErrMixed) {
		t.Errorf("a link: %v, want %v", err, source.ErrMixed)
	}
}

// TestHostileNames: names that a terminal obeys, or that look like others, are refused whether or not what is broken is left out.
func TestHostileNames(t *testing.T) {
	p, _, _ := pictures(t)
	for _, name := range []string{"a\x1b]0;x\a/1.png", "a\u202egnp.gpj", `a\..\1.png`, "a\u00ad/1.png"} {
		for _, skip := range []bool{false, true} {
			if _, _, err := Check(fstest.MapFS{name: {Data: p}}, skip); !errors.Is(err, dataset.ErrFileName) || strings.ContainsAny(err.Error(), "\x1b\u202e") {
				t.Errorf("%q: %v", name, err)
			}
		}
	}
}

func FuzzImage(f *testing.F) {
	p, j, g := pictures(f)
	for _, b := range [][]byte{p, j, g, nil} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, r, err := Check(fstest.MapFS{"x": {Data: b}}, true)
		if err != nil || r.Images+int64(len(r.Skipped)) != 1 {
			t.Fatalf("%+v, %v", r, err)
		}
	})
}
