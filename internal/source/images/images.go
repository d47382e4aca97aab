// SPDX-License-Identifier: Apache-2.0

// Package images looks at a folder of images before it is packed as files.
//
// Trust domain: the creator's side. Its one job: every file is an image whose header can be read, or is refused or left out; and it
// counts what there is of each class, which is the folder that an image lies in. Pixels are not decoded.
package images

import (
	"bufio"
	"fmt"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/source"
)

// Bounds of what is packed.
const (
	MaxFiles  = 1 << 24
	MaxPixels = 1 << 28 // of one image: more is a bomb for whoever decodes it
)

// Class is how many images there are of one.
type Class struct {
	Name   string // a folder's path; empty for images that lie in none
	Images int64
}

// Report is what was found.
type Report struct {
	Images  int64
	Classes []Class  // by name
	Skipped []string // files that are no images, in order
	Formats map[string]int64
}

// Check looks at every file of a tree. With skip, what is no image is left out of the tree that it returns; else it is an error that
// names the file and wraps those of package source. A name that no packed file may have is [dataset.ErrFileName].
func Check(files fs.FS, skip bool) (fs.FS, *Report, error) {
	r := &Report{Formats: map[string]int64{}}
	classes, out := map[string]int64{}, map[string]bool{}
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if !dataset.FileName(name) {
			return fmt.Errorf("%w: %q", dataset.ErrFileName, name) // broken or not: what is left out is named too
		}
		format, err := look(files, name, d)
		if err != nil {
			if !skip {
				return err
			}
			r.Skipped, out[name] = append(r.Skipped, name), true
			return nil
		}
		if r.Images++; r.Images > MaxFiles {
			return fmt.Errorf("%w: more than %d images", source.ErrLimit, MaxFiles)
		}
		r.Formats[format]++
		classes[strings.TrimPrefix(path.Dir(name), ".")]++
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(classes)) {
		r.Classes = append(r.Classes, Class{name, classes[name]})
	}
	if len(out) > 0 {
		files = &without{files, out}
	}
	return files, r, nil
}

// look reads an image's header.
func look(files fs.FS, name string, d fs.DirEntry) (string, error) {
	if !d.Type().IsRegular() {
		return "", fmt.Errorf("%w: %q is not a regular file", source.ErrMixed, name)
	}
	f, err := files.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	in := bufio.NewReader(f)
	format, decode := known(in)
	if decode == nil {
		return "", fmt.Errorf("%w: %q is no PNG, JPEG or GIF", source.ErrType, name)
	}
	c, err := decode(in)
	switch {
	case err != nil, c.Width <= 0, c.Height <= 0:
		return "", fmt.Errorf("%w: %q is no whole image", source.ErrCorrupt, name)
	case int64(c.Width) > MaxPixels/int64(c.Height):
		return "", fmt.Errorf("%w: %q says it has %d x %d pixels, at most %d in all", source.ErrLimit, name, c.Width, c.Height, MaxPixels)
	}
	return format, nil
}

// known finds a format by its first bytes.
func known(in *bufio.Reader) (string, func(io.Reader) (image.Config, error)) {
	switch head, _ := in.Peek(6); {
	case strings.HasPrefix(string(head), "\x89PNG"):
		return "png", png.DecodeConfig
	case strings.HasPrefix(string(head), "\xff\xd8"):
		return "jpeg", jpeg.DecodeConfig
	case strings.HasPrefix(string(head), "GIF8"):
		return "gif", gif.DecodeConfig
	}
	return "", nil
}

// without is a tree without some of its files.
type without struct {
	fs.FS
	out map[string]bool
}

// Open implements [fs.FS].
func (w *without) Open(name string) (fs.File, error) {
	if w.out[name] {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return w.FS.Open(name)
}

// ReadDir implements [fs.ReadDirFS].
func (w *without) ReadDir(name string) ([]fs.DirEntry, error) {
	list, err := fs.ReadDir(w.FS, name)
	return slices.DeleteFunc(list, func(e fs.DirEntry) bool { return w.out[path.Join(name, e.Name())] }), err
}
