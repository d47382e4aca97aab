// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"io"
	"io/fs"

	"github.com/tetratelabs/wazero/experimental/sys"
	"github.com/tetratelabs/wazero/experimental/sysfs"
	wsys "github.com/tetratelabs/wazero/sys"
)

// cursor is a position in a file of /out.
type cursor struct {
	node *outNode
	at   int64
}

// Seek implements io.Seeker. A position past the end is allowed; a write there fills the gap with zeros.
func (c *cursor) Seek(off int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		off += c.at
	case io.SeekEnd:
		off += int64(len(c.node.data))
	default:
		return 0, fs.ErrInvalid
	}
	if off < 0 {
		return 0, fs.ErrInvalid
	}
	c.at = off
	return off, nil
}

// seekable is a cursor as a fs.File and as the fs.FS that opens it, which is how the engine's adapter takes it.
type seekable struct{ *cursor }

func (s seekable) Open(string) (fs.File, error) { return s, nil }
func (s seekable) Stat() (fs.FileInfo, error)   { return &fileInfo{size: int64(len(s.node.data))}, nil }
func (s seekable) Read([]byte) (int, error)     { return 0, fs.ErrInvalid }
func (s seekable) Close() error                 { return nil }

// openOut opens a file that exists.
func openOut(o *outFS, n *outNode, flag sys.Oflag) (sys.File, sys.Errno) {
	c := &cursor{node: n}
	adapted, errno := (&sysfs.AdaptFS{FS: seekable{c}}).OpenFile("file", sys.O_RDONLY, 0)
	if errno != 0 {
		return nil, errno
	}
	n.open++
	return &outFile{
		File: adapted, cur: c, fs: o, append: flag&sys.O_APPEND != 0,
		reads: flag&sys.O_WRONLY == 0, writes: flag&(sys.O_WRONLY|sys.O_RDWR) != 0,
	}, 0
}

// outFile is an open file.
type outFile struct {
	sys.File      // the engine's adapter of the cursor; only its Seek is used
	cur           *cursor
	fs            *outFS
	append        bool
	reads, writes bool
	closed        bool
}

func (f *outFile) Dev() (uint64, sys.Errno)       { return 2, 0 }
func (f *outFile) Ino() (wsys.Inode, sys.Errno)   { return f.cur.node.ino, 0 }
func (f *outFile) IsDir() (bool, sys.Errno)       { return false, 0 }
func (f *outFile) IsAppend() bool                 { return f.append }
func (f *outFile) Stat() (wsys.Stat_t, sys.Errno) { return f.cur.node.stat(), f.check(true) }
func (f *outFile) Sync() sys.Errno                { return f.check(true) }
func (f *outFile) Datasync() sys.Errno            { return f.check(true) }
func (f *outFile) Utimens(int64, int64) sys.Errno { return f.check(true) }

func (f *outFile) SetAppend(on bool) sys.Errno {
	f.append = on
	return f.check(true)
}

// check is EBADF for a closed file or one not opened for what is asked.
func (f *outFile) check(allowed bool) sys.Errno {
	if f.closed || !allowed {
		return sys.EBADF
	}
	return 0
}

func (f *outFile) Read(p []byte) (int, sys.Errno) {
	n, errno := f.Pread(p, f.cur.at)
	f.cur.at += int64(n)
	return n, errno
}

func (f *outFile) Pread(p []byte, off int64) (int, sys.Errno) {
	if errno := f.check(f.reads); errno != 0 {
		return 0, errno
	}
	if off < 0 {
		return 0, sys.EINVAL
	}
	if off >= int64(len(f.cur.node.data)) {
		return 0, 0
	}
	return copy(p, f.cur.node.data[off:]), 0
}

func (f *outFile) Write(p []byte) (int, sys.Errno) {
	if f.append {
		f.cur.at = int64(len(f.cur.node.data))
	}
	n, errno := f.Pwrite(p, f.cur.at)
	f.cur.at += int64(n)
	return n, errno
}

// Pwrite writes all of p or nothing.
func (f *outFile) Pwrite(p []byte, off int64) (int, sys.Errno) {
	if errno := f.check(f.writes); errno != 0 {
		return 0, errno
	}
	end := off + int64(len(p))
	if off < 0 || end < off {
		return 0, sys.EINVAL
	}
	if len(p) > 0 && end > int64(len(f.cur.node.data)) && !f.fs.resize(f.cur.node, end) {
		return 0, sys.EIO
	}
	return copy(f.cur.node.data[min(off, int64(len(f.cur.node.data))):], p), 0
}

func (f *outFile) Truncate(size int64) sys.Errno {
	if errno := f.check(f.writes); errno != 0 {
		return errno
	}
	if size < 0 {
		return sys.EINVAL
	}
	if !f.fs.resize(f.cur.node, size) {
		return sys.EIO
	}
	return 0
}

func (f *outFile) Close() sys.Errno {
	if !f.closed {
		f.closed = true
		f.cur.node.open--
		f.fs.drop(f.cur.node)
	}
	return 0
}
