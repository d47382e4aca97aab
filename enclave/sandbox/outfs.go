// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero/experimental/sys"
	"github.com/tetratelabs/wazero/experimental/sysfs"
	wsys "github.com/tetratelabs/wazero/sys"

	"github.com/glovebox-dev/glovebox/enclave/wasm"
)

// outFS is /out: one flat directory in memory. Limits hold at every write: a declared file's own, and one for all files
// together. WASI's "no space" has no name in the engine's error type, so the module sees EIO; exceeded says why.
type outFS struct {
	sys.UnimplementedFS
	declared []Output
	limit    int64 // of all files together
	used     int64
	files    map[string]*outNode
	names    []string // of files, sorted
	inodes   uint64
	exceeded bool
}

// outNode is one file. It outlives its name while it is open, and counts until then.
type outNode struct {
	ino   uint64
	data  []byte
	max   int64
	links int
	open  int
}

func newOutFS(declared []Output, limit int64) *outFS {
	return &outFS{declared: declared, limit: limit, files: map[string]*outNode{}, inodes: 1}
}

// cap is what a file of this name may hold.
func (o *outFS) cap(name string) int64 {
	for _, d := range o.declared {
		if d.Name == name {
			return min(d.MaxBytes, o.limit)
		}
	}
	return o.limit
}

// collect returns the declared files in declared order and counts the others.
func (o *outFS) collect() (out []Artefact, undeclared int) {
	for _, d := range o.declared {
		if n, ok := o.files[d.Name]; ok {
			out = append(out, Artefact{Name: d.Name, Data: n.data})
		}
	}
	return out, len(o.files) - len(out)
}

// lookup resolves a path to a name in the directory; "" is the directory itself.
func (o *outFS) lookup(p string) (string, sys.Errno) {
	name := strings.TrimPrefix(path.Clean("/"+p), "/")
	switch {
	case name == "" && !strings.Contains(p, ".."):
		return "", 0
	case !fs.ValidPath(strings.TrimSuffix(p, "/")) || strings.Contains(name, "/"):
		return "", sys.ENOENT
	case !validOutName(name):
		return "", sys.EINVAL
	case strings.HasSuffix(p, "/"):
		return "", sys.ENOTDIR
	}
	return name, 0
}

// OpenFile implements sys.FS.
func (o *outFS) OpenFile(p string, flag sys.Oflag, _ fs.FileMode) (sys.File, sys.Errno) {
	name, errno := o.lookup(p)
	if errno != 0 {
		return nil, errno
	}
	writes := flag&(sys.O_WRONLY|sys.O_RDWR) != 0
	if name == "" {
		if writes || flag&sys.O_CREAT != 0 {
			return nil, sys.EISDIR
		}
		return o.openDir()
	}
	n, ok := o.files[name]
	switch {
	case flag&sys.O_DIRECTORY != 0 && ok:
		return nil, sys.ENOTDIR
	case flag&sys.O_DIRECTORY != 0:
		return nil, sys.ENOENT
	case ok && flag&(sys.O_CREAT|sys.O_EXCL) == sys.O_CREAT|sys.O_EXCL:
		return nil, sys.EEXIST
	case !ok && flag&sys.O_CREAT == 0:
		return nil, sys.ENOENT
	case !ok:
		if n, errno = o.create(name); errno != 0 {
			return nil, errno
		}
	}
	if flag&sys.O_TRUNC != 0 && writes {
		o.resize(n, 0)
	}
	return openOut(o, n, flag)
}

func (o *outFS) create(name string) (*outNode, sys.Errno) {
	if len(o.files) >= maxOutFiles {
		o.exceeded = true
		return nil, sys.EIO
	}
	o.inodes++
	n := &outNode{ino: o.inodes, max: o.cap(name), links: 1}
	o.link(name, n)
	return n, 0
}

// link gives a file a name that is free.
func (o *outFS) link(name string, n *outNode) {
	at, _ := slices.BinarySearch(o.names, name)
	o.names = slices.Insert(o.names, at, name)
	o.files[name] = n
}

// unlink takes a name that exists from its file.
func (o *outFS) unlink(name string) {
	at, _ := slices.BinarySearch(o.names, name)
	o.names = slices.Delete(o.names, at, at+1)
	delete(o.files, name)
}

// resize makes n exactly size bytes, if the limits allow it, and reports whether they did. No file keeps more than twice the
// memory that it needs: growing takes less than that, and one that shrinks below half moves.
func (o *outFS) resize(n *outNode, size int64) bool {
	old := int64(len(n.data))
	if size > n.max || size-old > o.limit-o.used {
		o.exceeded = true
		return false
	}
	switch {
	case size < int64(cap(n.data))/2:
		n.data = slices.Clip(append([]byte(nil), n.data[:size]...))
	case size <= old:
		clear(n.data[size:])
		n.data = n.data[:size]
	default:
		n.data = append(n.data, make([]byte, size-old)...)
	}
	o.used += size - old
	return true
}

// drop forgets a file once neither a name nor a descriptor leads to it.
func (o *outFS) drop(n *outNode) {
	if n.links == 0 && n.open == 0 {
		o.used -= int64(len(n.data))
		n.data = nil
	}
}

// Stat implements sys.FS.
func (o *outFS) Stat(p string) (wsys.Stat_t, sys.Errno) {
	name, errno := o.lookup(p)
	if errno != 0 {
		return wsys.Stat_t{}, errno
	}
	if name == "" {
		return dirStat(), 0
	}
	n, ok := o.files[name]
	if !ok {
		return wsys.Stat_t{}, sys.ENOENT
	}
	return n.stat(), 0
}

// Lstat implements sys.FS; there are no links.
func (o *outFS) Lstat(p string) (wsys.Stat_t, sys.Errno) { return o.Stat(p) }

// Unlink implements sys.FS.
func (o *outFS) Unlink(p string) sys.Errno {
	name, errno := o.lookup(p)
	if errno != 0 {
		return errno
	}
	n, ok := o.files[name]
	switch {
	case name == "":
		return sys.EISDIR
	case !ok:
		return sys.ENOENT
	}
	o.unlink(name)
	n.links--
	o.drop(n)
	return 0
}

// Rename implements sys.FS. The file takes the limit of its new name.
func (o *outFS) Rename(from, to string) sys.Errno {
	a, errno := o.lookup(from)
	if errno != 0 {
		return errno
	}
	b, errno := o.lookup(to)
	if errno != 0 {
		return errno
	}
	n, ok := o.files[a]
	switch {
	case a == "" || b == "":
		return sys.EPERM
	case !ok:
		return sys.ENOENT
	case a == b:
		return 0
	case int64(len(n.data)) > o.cap(b):
		o.exceeded = true
		return sys.EIO
	}
	if over, ok := o.files[b]; ok {
		o.unlink(b)
		over.links--
		o.drop(over)
	}
	o.unlink(a)
	o.link(b, n)
	n.max = o.cap(b)
	return 0
}

// Mkdir implements sys.FS: /out is flat, as the names of outputs are.
func (o *outFS) Mkdir(p string, _ fs.FileMode) sys.Errno {
	name, errno := o.lookup(p)
	if errno != 0 {
		return errno
	}
	if _, ok := o.files[name]; ok || name == "" {
		return sys.EEXIST
	}
	return sys.EPERM
}

// Rmdir implements sys.FS.
func (o *outFS) Rmdir(p string) sys.Errno {
	name, errno := o.lookup(p)
	if errno != 0 {
		return errno
	}
	if _, ok := o.files[name]; ok {
		return sys.ENOTDIR
	}
	if name == "" {
		return sys.EPERM
	}
	return sys.ENOENT
}

// Utimens implements sys.FS; every time is the fixed epoch, so there is nothing to set.
func (o *outFS) Utimens(p string, _, _ int64) sys.Errno {
	_, errno := o.Stat(p)
	return errno
}

const outNanos = int64(wasm.ClockEpoch) * 1e9

func dirStat() wsys.Stat_t {
	return wsys.Stat_t{Mode: fs.ModeDir | 0o755, Nlink: 1, Atim: outNanos, Mtim: outNanos, Ctim: outNanos}
}

// openDir opens the directory. It lists what is there when it is first read, in the order of names; a rewind lists it anew.
func (o *outFS) openDir() (sys.File, sys.Errno) {
	return (&sysfs.ReadFS{FS: &sysfs.AdaptFS{FS: outList{o}}}).OpenFile(".", sys.O_RDONLY, 0)
}

type outList struct{ *outFS }

// Open implements fs.FS for the directory alone.
func (o outList) Open(string) (fs.File, error) {
	return &dataDir{node: &fileInfo{name: ".", file: -1}, list: o.list}, nil
}

func (o outList) list() []fs.DirEntry {
	all := make([]fs.DirEntry, 0, len(o.names))
	for _, name := range o.names {
		all = append(all, &fileInfo{name: name, size: int64(len(o.files[name].data))})
	}
	return all
}

func (n *outNode) stat() wsys.Stat_t {
	return wsys.Stat_t{
		Dev: 2, Ino: n.ino, Mode: 0o644, Nlink: uint64(n.links), Size: int64(len(n.data)),
		Atim: outNanos, Mtim: outNanos, Ctim: outNanos,
	}
}
