// SPDX-License-Identifier: Apache-2.0

package transforms

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/glovebox-dev/glovebox/internal/dataset"
)

// NewFilesSource gives the files of a tree, in the order in which they are packed.
func NewFilesSource(files fs.FS) (Source, error) {
	s := &filesSource{files: files}
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return nil
		case !d.Type().IsRegular():
			return fmt.Errorf("%w: %q is a link or a device", dataset.ErrNotRegular, name)
		}
		s.names = append(s.names, name)
		return nil
	})
	return s, err
}

type filesSource struct {
	files fs.FS
	names []string
	n     int64
	buf   []byte
}

func (s *filesSource) Schema() Schema { return Schema{Format: dataset.FormatFiles} }

func (s *filesSource) Next() (Item, error) {
	if len(s.names) == 0 {
		return Item{}, io.EOF
	}
	it := Item{Name: s.names[0], At: s.n}
	s.names, s.n = s.names[1:], s.n+1
	f, err := s.files.Open(it.Name)
	if err != nil {
		return it, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return it, err
	}
	if it.TooLong = st.Size() > MaxFile; it.TooLong {
		it.Long, it.Size = &lateFile{files: s.files, name: it.Name}, st.Size()
		return it, nil
	}
	if int64(cap(s.buf)) < st.Size() {
		clear(s.buf)
		s.buf = make([]byte, st.Size())
	}
	it.Raw = s.buf[:st.Size()]
	if _, err := io.ReadFull(f, it.Raw); err != nil {
		return it, fmt.Errorf("%w: %q changed its size while it was read", dataset.ErrFile, it.Name)
	}
	return it, nil
}

// lateFile is a file that is opened when it is first read.
type lateFile struct {
	files fs.FS
	name  string
	file  fs.File
}

func (f *lateFile) Read(p []byte) (n int, err error) {
	if f.file == nil {
		if f.file, err = f.files.Open(f.name); err != nil {
			return 0, err
		}
	}
	if n, err = f.file.Read(p); err != nil {
		f.file.Close() //nolint:errcheck // nothing was written
	}
	return n, err
}

// Tree is what a pipeline made of files, as a file system over a scratch. It belongs to one goroutine.
type Tree struct {
	s     Scratch
	files map[string]place
	dirs  map[string]map[string]bool // names in a directory; true: a directory
}

type place struct{ at, size int64 }

// NewTree makes an empty tree. The scratch is the tree's from now on.
func NewTree(s Scratch) *Tree {
	return &Tree{s, map[string]place{}, map[string]map[string]bool{".": {}}}
}

// Add takes a file. Two of one name, and names that are no paths below a root, are refused with ErrRecord.
func (t *Tree) Add(it Item) error {
	if _, ok := t.files[it.Name]; ok || !fs.ValidPath(it.Name) || it.Name == "." {
		return fmt.Errorf("%w: after the steps two files have one name, or one has none: let steps keep names, or make them distinct", ErrRecord)
	}
	t.files[it.Name] = place{t.s.Size(), it.size()}
	for name, dir := it.Name, false; name != "."; name, dir = path.Dir(name), true {
		above := path.Dir(name)
		if t.dirs[above] == nil {
			t.dirs[above] = map[string]bool{}
		}
		if was, ok := t.dirs[above][path.Base(name)]; ok && was != dir {
			return fmt.Errorf("%w: after the steps a file has the name of a folder", ErrRecord)
		}
		t.dirs[above][path.Base(name)] = dir
	}
	return it.copyTo(t.s)
}

// Close wipes the scratch.
func (t *Tree) Close() error { return t.s.Close() }

// Open implements [fs.FS].
func (t *Tree) Open(name string) (fs.File, error) {
	if names, ok := t.dirs[name]; ok {
		d := &treeFile{tree: t, name: name, dir: true}
		for n := range names {
			d.list = append(d.list, n)
		}
		slices.Sort(d.list)
		return d, nil
	}
	p, ok := t.files[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &treeFile{tree: t, name: name, size: p.size, SectionReader: io.NewSectionReader(t.s, p.at, p.size)}, nil
}

// treeFile is an open file or directory.
type treeFile struct {
	*io.SectionReader
	tree *Tree
	name string
	size int64
	dir  bool
	list []string // of a directory, not yet read
}

func (f *treeFile) Read(p []byte) (int, error) {
	if f.dir {
		return 0, &fs.PathError{Op: "read", Path: f.name, Err: errors.New("is a directory")}
	}
	return f.SectionReader.Read(p)
}

// Close implements [fs.File].
func (f *treeFile) Close() error { return nil }

// Stat implements [fs.File].
func (f *treeFile) Stat() (fs.FileInfo, error) { return f, nil }

// ReadDir implements [fs.ReadDirFile].
func (f *treeFile) ReadDir(n int) (out []fs.DirEntry, err error) {
	if n <= 0 {
		n = len(f.list)
	} else if len(f.list) == 0 {
		return nil, io.EOF
	}
	for _, base := range f.list[:min(n, len(f.list))] {
		name := strings.TrimPrefix(path.Join(f.name, base), "./")
		out = append(out, &treeFile{tree: f.tree, name: name, dir: f.tree.dirs[f.name][base], size: f.tree.files[name].size})
	}
	f.list = f.list[len(out):]
	return out, nil
}

// Name implements [fs.FileInfo] and [fs.DirEntry].
func (f *treeFile) Name() string { return path.Base(f.name) }

// Size implements [fs.FileInfo].
func (f *treeFile) Size() int64 { return f.size }

// ModTime implements [fs.FileInfo]; packages have no times.
func (f *treeFile) ModTime() time.Time { return time.Unix(0, 0) }

// IsDir implements [fs.FileInfo] and [fs.DirEntry].
func (f *treeFile) IsDir() bool { return f.dir }

// Sys implements [fs.FileInfo].
func (f *treeFile) Sys() any { return nil }

// Type implements [fs.DirEntry].
func (f *treeFile) Type() fs.FileMode { return f.Mode().Type() }

// Info implements [fs.DirEntry].
func (f *treeFile) Info() (fs.FileInfo, error) { return f, nil }

// Mode implements [fs.FileInfo].
func (f *treeFile) Mode() fs.FileMode {
	if f.dir {
		return fs.ModeDir | 0o755
	}
	return 0o644
}
