// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/tetratelabs/wazero/experimental/sys"
	"github.com/tetratelabs/wazero/experimental/sysfs"
)

// dataFS is /data: a tree of read-only files whose bytes are fetched when they are read, exactly as many as are read.
type dataFS struct {
	data  *pipeData
	nodes map[string]*dataNode
}

// dataNode is a file or a directory, and its own fs.FileInfo and fs.DirEntry.
type dataNode struct {
	name    string
	file    int // index; -1 for a directory
	size    int64
	entries []fs.DirEntry
}

func (n *dataNode) Name() string               { return n.name }
func (n *dataNode) Size() int64                { return n.size }
func (n *dataNode) IsDir() bool                { return n.file < 0 }
func (n *dataNode) Type() fs.FileMode          { return n.Mode().Type() }
func (n *dataNode) Info() (fs.FileInfo, error) { return n, nil }
func (n *dataNode) ModTime() time.Time         { return time.Unix(clockEpoch, 0).UTC() }
func (n *dataNode) Sys() any                   { return nil }
func (n *dataNode) Mode() fs.FileMode {
	if n.IsDir() {
		return fs.ModeDir | 0o555
	}
	return 0o444
}

// newDataFS builds the tree; names are valid paths and agree with each other.
func newDataFS(d *pipeData) *dataFS {
	t := &dataFS{data: d, nodes: map[string]*dataNode{".": {name: ".", file: -1}}}
	for i, f := range d.files {
		t.add(path.Clean(f.Name), &dataNode{name: path.Base(f.Name), file: i, size: f.Size})
	}
	for _, n := range t.nodes {
		slices.SortFunc(n.entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	}
	return t
}

func (t *dataFS) add(name string, n *dataNode) {
	t.nodes[name] = n
	dir := path.Dir(name)
	parent, ok := t.nodes[dir]
	if !ok {
		parent = &dataNode{name: path.Base(dir), file: -1}
		t.add(dir, parent)
	}
	parent.entries = append(parent.entries, n)
}

// mount is the tree as the engine takes it, with every way to write refused.
func (t *dataFS) mount() sys.FS { return &sysfs.ReadFS{FS: &sysfs.AdaptFS{FS: t}} }

// Open implements fs.FS.
func (t *dataFS) Open(name string) (fs.File, error) {
	n, ok := t.nodes[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	if n.IsDir() {
		return &dataDir{node: n}, nil
	}
	return &dataFile{node: n, data: t.data}, nil
}

// dataFile is an open file: io.ReaderAt and io.Seeker over range requests.
type dataFile struct {
	node *dataNode
	data *pipeData
	at   int64
}

var _ interface {
	fs.File
	io.ReaderAt
	io.Seeker
} = (*dataFile)(nil)

func (f *dataFile) Stat() (fs.FileInfo, error) { return f.node, nil }
func (f *dataFile) Close() error               { return nil }

func (f *dataFile) Read(p []byte) (int, error) {
	n, err := f.ReadAt(p, f.at)
	f.at += int64(n)
	if err == io.EOF && n > 0 {
		err = nil
	}
	return n, err
}

func (f *dataFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.data.readAt(f.node.file, p, off)
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}

func (f *dataFile) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += f.at
	case io.SeekEnd:
		offset += f.node.size
	default:
		return 0, fs.ErrInvalid
	}
	if offset < 0 {
		return 0, fs.ErrInvalid
	}
	f.at = offset
	return offset, nil
}

// dataDir is an open directory.
type dataDir struct {
	node *dataNode
	at   int
}

func (d *dataDir) Stat() (fs.FileInfo, error) { return d.node, nil }
func (d *dataDir) Close() error               { return nil }
func (d *dataDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.node.name, Err: sys.EISDIR}
}

// ReadDir implements fs.ReadDirFile.
func (d *dataDir) ReadDir(n int) ([]fs.DirEntry, error) {
	left := d.node.entries[d.at:]
	if n > 0 {
		if len(left) == 0 {
			return nil, io.EOF
		}
		left = left[:min(n, len(left))]
	}
	d.at += len(left)
	return slices.Clone(left), nil
}
