// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// OpenSource sets Source or Files, whichever Manifest.Format wants, from a path, and returns what closes it. Very large
// files get larger segments, unless SegmentBytes is set. Errors name the cause: [ErrMissing], [ErrEmpty], [ErrSparse], [ErrFile].
func (c *PackConfig) OpenSource(path string) (io.Closer, error) {
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: %s", ErrMissing, path)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	if c.Manifest.Format == FormatFiles {
		return c.openTree(path, st.IsDir())
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is not a regular file", ErrFile, path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	err = refuseSparse(f, st)
	if err == nil && st.Size() == 0 {
		err = fmt.Errorf("%w: %s has no bytes", ErrEmpty, path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	c.Source = f
	if c.SegmentBytes == 0 {
		c.SegmentBytes = SegmentsFor(st.Size())
	}
	return f, nil
}

// SegmentsFor is the default segment length, doubled until a source of that size makes few enough segments.
func SegmentsFor(size int64) int64 {
	n := int64(DefaultSegmentBytes)
	for n < MaxSegmentBytes && size/n > MaxSegments/2 {
		n *= 2
	}
	return n
}

// openTree sets Files to a directory, which symbolic links cannot leave, or to a single file.
func (c *PackConfig) openTree(path string, isDir bool) (io.Closer, error) {
	dir := path
	if !isDir {
		dir = filepath.Dir(path)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	c.Files = root.FS()
	if !isDir {
		c.Files = oneFile{root.FS(), filepath.Base(path)}
	}
	return root, nil
}

// oneFile shows one file of a directory and nothing else of it.
type oneFile struct {
	fs.FS
	name string
}

// ReadDir implements fs.ReadDirFS.
func (o oneFile) ReadDir(name string) ([]fs.DirEntry, error) {
	if name != "." {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrNotExist}
	}
	st, err := fs.Stat(o.FS, o.name)
	if err != nil {
		return nil, err
	}
	return []fs.DirEntry{fs.FileInfoToDirEntry(st)}, nil
}
