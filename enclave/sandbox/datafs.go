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

	"github.com/glovebox-dev/glovebox/enclave/wasm"
)

// dataFS is /data: a tree of read-only files whose bytes are fetched when they are read, exactly as many as are read.
type dataFS struct {
	data  *pipeData
	nodes map[string]*fileInfo
}

// fileInfo is a file or a directory, and its own fs.FileInfo and fs.DirEntry. Every time is the fixed epoch.
type fileInfo struct {
	name    string
	file    int // index; -1 for a directory
	size    int64
	entries []fs.DirEntry
}

func (n *fileInfo) Name() string               { return n.name }
func (n *fileInfo) Size() int64                { return n.size }
func (n *fileInfo) IsDir() bool                { return n.file < 0 }
func (n *fileInfo) Type() fs.FileMode          { return n.Mode().Type() }
func (n *fileInfo) Info() (fs.FileInfo, error) { return n, nil }
func (n *fileInfo) ModTime() time.Time         { return time.Unix(wasm.ClockEpoch, 0).UTC() }
func (n *fileInfo) Sys() any                   { return nil }
func (n *fileInfo) Mode() fs.FileMode {
	if n.IsDir() {
		return fs.ModeDir | 0o555
	}
	return 0o444
}

// newDataFS builds the tree; names are valid paths and agree with each other.
func newDataFS(d *pipeData) *dataFS {
	t := &dataFS{data: d, nodes: map[string]*fileInfo{".": {name: ".", file: -1}}}
	for i, f := range d.files {
		t.add(path.Clean(f.Name), &fileInfo{name: path.Base(f.Name), file: i, size: f.Size})
	}
	for _, n := range t.nodes {
		slices.SortFunc(n.entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	}
	return t
}

func (t *dataFS) add(name string, n *fileInfo) {
	t.nodes[name] = n
	dir := path.Dir(name)
	parent, ok := t.nodes[dir]
	if !ok {
		parent = &fileInfo{name: path.Base(dir), file: -1}
		t.add(dir, parent)
	}
	parent.entries = append(parent.entries, n)
}

// mount is the tree as the engine takes it, with every way to write refused.
func (t *dataFS) mount() sys.FS { return readOnly{&sysfs.ReadFS{FS: &sysfs.AdaptFS{FS: t}}} }

// readOnly gives an open for writing the answer of a read-only file system; the engine's says "not supported".
type readOnly struct{ sys.FS }

// OpenFile implements sys.FS.
func (r readOnly) OpenFile(name string, flag sys.Oflag, perm fs.FileMode) (sys.File, sys.Errno) {
	if flag&(sys.O_WRONLY|sys.O_RDWR|sys.O_CREAT|sys.O_TRUNC) != 0 {
		return nil, sys.EROFS
	}
	return r.FS.OpenFile(name, flag, perm)
}

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
	node *fileInfo
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
	n, err := f.data.ReadAt(f.node.file, p, off)
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
	node *fileInfo
	list func() []fs.DirEntry // what the node has no entries for until they are read; nil for one that has them
	at   int
}

func (d *dataDir) Stat() (fs.FileInfo, error) { return d.node, nil }
func (d *dataDir) Close() error               { return nil }
func (d *dataDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.node.name, Err: sys.EISDIR}
}

// ReadDir implements fs.ReadDirFile.
func (d *dataDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if d.list != nil {
		d.node.entries, d.list = d.list(), nil
	}
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
