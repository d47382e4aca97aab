// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero/experimental/sys"
)

const writing = sys.O_RDWR | sys.O_CREAT

func newTestOut() *outFS {
	return newOutFS([]Output{{"a", 10}, {"b", 100}}, 20)
}

func mustOpen(t *testing.T, o *outFS, name string, flag sys.Oflag) sys.File {
	t.Helper()
	f, errno := o.OpenFile(name, flag, 0o600)
	if errno != 0 {
		t.Fatalf("open %s: %v", name, errno)
	}
	return f
}

func wantErrno(t *testing.T, what string, got, want sys.Errno) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestOutPaths(t *testing.T) {
	o := newTestOut()
	for p, want := range map[string]sys.Errno{
		"a": 0, "": sys.EISDIR, ".": sys.EISDIR, "/": sys.EISDIR, "..": sys.ENOENT, "../a": sys.ENOENT, "x/a": sys.ENOENT,
		"a/": sys.ENOTDIR, "a/..": sys.ENOENT, "a\x00b": sys.EINVAL, "a\nb": sys.EINVAL, strings.Repeat("n", 256): sys.EINVAL,
	} {
		_, errno := o.OpenFile(p, writing, 0o600)
		wantErrno(t, "open "+p, errno, want)
	}
}

func TestOutFlags(t *testing.T) {
	o := newTestOut()
	_, errno := o.OpenFile("a", sys.O_RDWR, 0)
	wantErrno(t, "open what is not there", errno, sys.ENOENT)
	f := mustOpen(t, o, "a", writing)
	_, errno = o.OpenFile("a", writing|sys.O_EXCL, 0)
	wantErrno(t, "create twice", errno, sys.EEXIST)
	_, errno = o.OpenFile("a", sys.O_DIRECTORY, 0)
	wantErrno(t, "open as a directory", errno, sys.ENOTDIR)
	if n, errno := f.Write([]byte("0123456789")); n != 10 || errno != 0 {
		t.Fatal(n, errno)
	}
	r := mustOpen(t, o, "a", sys.O_RDONLY)
	_, errno = r.Write([]byte("x"))
	wantErrno(t, "write to a reader", errno, sys.EBADF)
	w := mustOpen(t, o, "a", sys.O_WRONLY)
	_, errno = w.Read(make([]byte, 1))
	wantErrno(t, "read from a writer", errno, sys.EBADF)
	wantErrno(t, "truncate a reader", r.Truncate(0), sys.EBADF)
	wantErrno(t, "close", r.Close(), 0)
	_, errno = r.Read(make([]byte, 1))
	wantErrno(t, "read after close", errno, sys.EBADF)
	mustOpen(t, o, "a", sys.O_WRONLY|sys.O_TRUNC)
	if st, _ := o.Stat("a"); st.Size != 0 || o.used != 0 {
		t.Errorf("after truncation: size %d, used %d", st.Size, o.used)
	}
	_, errno = o.OpenFile(".", sys.O_RDWR, 0)
	wantErrno(t, "write the directory", errno, sys.EISDIR)
}

func TestOutLimits(t *testing.T) {
	o := newTestOut()
	f := mustOpen(t, o, "a", writing)
	n, errno := f.Write(make([]byte, 11))
	if n != 0 || errno != sys.EIO || !o.exceeded {
		t.Errorf("11 bytes into 10: %d, %v, exceeded %v", n, errno, o.exceeded)
	}
	for what, try := range map[string]func(o *outFS, f sys.File) sys.Errno{
		"write far away":  func(_ *outFS, f sys.File) sys.Errno { _, e := f.Pwrite([]byte("x"), 1<<62); return e },
		"truncate far up": func(_ *outFS, f sys.File) sys.Errno { return f.Truncate(1 << 62) },
		"seek and write": func(_ *outFS, f sys.File) sys.Errno {
			_, _ = f.Seek(10, io.SeekStart)
			_, e := f.Write([]byte("x"))
			return e
		},
		"common limit": func(o *outFS, _ sys.File) sys.Errno {
			g := mustOpen(t, o, "b", writing)
			_, e := g.Write(make([]byte, 21))
			return e
		},
		"rename into a smaller": func(o *outFS, _ sys.File) sys.Errno {
			g := mustOpen(t, o, "c", writing)
			_, _ = g.Write(make([]byte, 11))
			return o.Rename("c", "a")
		},
	} {
		o := newTestOut()
		f := mustOpen(t, o, "a", writing)
		wantErrno(t, what, try(o, f), sys.EIO)
		if !o.exceeded {
			t.Errorf("%s: not counted as exceeding", what)
		}
	}
	o = newTestOut()
	f = mustOpen(t, o, "a", writing)
	_, errno = f.Pwrite([]byte("x"), -1)
	wantErrno(t, "write before the start", errno, sys.EINVAL)
	wantErrno(t, "truncate to less than nothing", f.Truncate(-1), sys.EINVAL)
}

func TestOutManyFiles(t *testing.T) {
	o := newTestOut()
	var errno sys.Errno
	for i := range maxOutFiles + 1 {
		_, errno = o.OpenFile(strings.Repeat("x", i%250+1)+string(rune('a'+i/250)), writing, 0)
	}
	if errno != sys.EIO || !o.exceeded {
		t.Errorf("file %d: %v, exceeded %v", maxOutFiles+1, errno, o.exceeded)
	}
}

// TestOutUnlinkedSpace: what is unlinked and closed no longer counts; what is unlinked and open still does.
func TestOutUnlinkedSpace(t *testing.T) {
	o := newTestOut()
	f := mustOpen(t, o, "b", writing)
	_, _ = f.Write(make([]byte, 15))
	wantErrno(t, "unlink", o.Unlink("b"), 0)
	g := mustOpen(t, o, "b", writing)
	if _, errno := g.Write(make([]byte, 6)); errno != sys.EIO {
		t.Errorf("space of an open file was given away: %v", errno)
	}
	wantErrno(t, "close", f.Close(), 0)
	if _, errno := g.Write(make([]byte, 20)); errno != 0 {
		t.Errorf("space of a closed file is lost: %v", errno)
	}
	wantErrno(t, "second close", f.Close(), 0)
	if o.used != 20 {
		t.Errorf("used %d, want 20", o.used)
	}
}

func TestOutSparse(t *testing.T) {
	o := newTestOut()
	f := mustOpen(t, o, "b", writing)
	_, _ = f.Write([]byte("secret"))
	wantErrno(t, "shrink", f.Truncate(2), 0)
	wantErrno(t, "grow", f.Truncate(6), 0)
	p := make([]byte, 10)
	if n, errno := f.Pread(p, 0); errno != 0 || string(p[:n]) != "se\x00\x00\x00\x00" {
		t.Errorf("read %q, %v", p[:n], errno)
	}
	if _, errno := f.Seek(8, io.SeekStart); errno != 0 {
		t.Fatal(errno)
	}
	_, _ = f.Write([]byte("x"))
	if n, _ := f.Pread(p, 0); string(p[:n]) != "se\x00\x00\x00\x00\x00\x00x" {
		t.Errorf("read %q", p[:n])
	}
	for _, c := range []struct {
		off    int64
		whence int
	}{{-1, io.SeekStart}, {-100, io.SeekEnd}, {0, 3}} {
		if _, errno := f.Seek(c.off, c.whence); errno != sys.EINVAL {
			t.Errorf("seek %+v: %v", c, errno)
		}
	}
}

func TestOutDirectory(t *testing.T) {
	o := newTestOut()
	for _, n := range []string{"z", "a", "m"} {
		mustOpen(t, o, n, writing)
	}
	d := mustOpen(t, o, ".", sys.O_RDONLY|sys.O_DIRECTORY)
	list := func(n int) (out string) {
		entries, errno := d.Readdir(n)
		if errno != 0 {
			t.Fatal(errno)
		}
		for _, e := range entries {
			out += e.Name
		}
		return out
	}
	if a, b, c := list(2), list(2), list(2); a != "am" || b != "z" || c != "" {
		t.Errorf("listed %q, %q, %q", a, b, c)
	}
	wantErrno(t, "unlink", o.Unlink("m"), 0)
	if _, errno := d.Seek(0, io.SeekStart); errno != 0 {
		t.Fatal(errno)
	}
	if got := list(-1); got != "az" {
		t.Errorf("after a rewind: %q", got)
	}
	wantErrno(t, "unlink the directory", o.Unlink("."), sys.EISDIR)
	wantErrno(t, "unlink nothing", o.Unlink("m"), sys.ENOENT)
	wantErrno(t, "remove the directory", o.Rmdir("."), sys.EPERM)
	wantErrno(t, "remove a file as a directory", o.Rmdir("a"), sys.ENOTDIR)
	wantErrno(t, "make a directory", o.Mkdir("d", 0), sys.EPERM)
	wantErrno(t, "make what exists", o.Mkdir("a", 0), sys.EEXIST)
	wantErrno(t, "rename over", o.Rename("z", "a"), 0)
	wantErrno(t, "rename nothing", o.Rename("z", "a"), sys.ENOENT)
	wantErrno(t, "rename the directory", o.Rename(".", "a"), sys.EPERM)
	wantErrno(t, "hard link", o.Link("a", "l"), sys.ENOSYS)
	wantErrno(t, "soft link", o.Symlink("a", "l"), sys.ENOSYS)
	if out, undeclared := o.collect(); len(out) != 1 || out[0].Name != "a" || undeclared != 0 {
		t.Errorf("collected %v, %d undeclared", out, undeclared)
	}
}

func TestOutAppend(t *testing.T) {
	o := newTestOut()
	f := mustOpen(t, o, "b", writing|sys.O_APPEND)
	_, _ = f.Write([]byte("one"))
	_, _ = f.Seek(0, io.SeekStart)
	_, _ = f.Write([]byte("two"))
	if string(o.files["b"].data) != "onetwo" || !f.IsAppend() {
		t.Errorf("%q", o.files["b"].data)
	}
	wantErrno(t, "append off", f.SetAppend(false), 0)
	_, _ = f.Seek(0, io.SeekStart)
	_, _ = f.Write([]byte("ONE"))
	if string(o.files["b"].data) != "ONEtwo" {
		t.Errorf("%q", o.files["b"].data)
	}
}

// TestOutFilesGiveMemoryBack: what files hold together is bounded by what they may contain, also if they shrink.
func TestOutFilesGiveMemoryBack(t *testing.T) {
	const limit = 1 << 20
	o := newOutFS(nil, limit)
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 20_000 {
		f := mustOpen(t, o, fmt.Sprint(r.IntN(100)), writing)
		size := int64(0)
		if r.IntN(3) > 0 {
			size = r.Int64N(min(1<<r.IntN(21), limit-o.used) + 1)
		}
		if n < 100 { // one after the other, each as large as it may be
			wantErrno(t, "lengthen", f.Truncate(limit-o.used), 0)
		}
		wantErrno(t, "truncate", f.Truncate(size), 0)
		wantErrno(t, "close", f.Close(), 0)
		held := int64(0)
		for _, n := range o.files {
			held += int64(cap(n.data))
		}
		if slack := int64(64 * len(o.files)); held > 2*o.used+slack {
			t.Fatalf("files of %d bytes hold %d", o.used, held)
		}
	}
}

// TestOutDirectoryIsListedWhenRead: opening it costs the same whatever is in it, and it lists what is there then, in order.
func TestOutDirectoryIsListedWhenRead(t *testing.T) {
	o := newOutFS(nil, 1<<20)
	for n := range maxOutFiles - 4 {
		wantErrno(t, "close", mustOpen(t, o, fmt.Sprintf("%x", n*7919), writing).Close(), 0)
	}
	if allocs := testing.AllocsPerRun(10, func() {
		wantErrno(t, "close", mustOpen(t, o, ".", sys.O_RDONLY).Close(), 0)
	}); allocs > 20 {
		t.Errorf("%g allocations to open a directory", allocs)
	}
	dir := mustOpen(t, o, ".", sys.O_RDONLY)
	for n := 0; n < maxOutFiles-4; n += 3 {
		wantErrno(t, "unlink", o.Unlink(fmt.Sprintf("%x", n*7919)), 0)
	}
	wantErrno(t, "rename", o.Rename(fmt.Sprintf("%x", 7919), "zz"), 0)
	wantErrno(t, "rename over another", o.Rename("zz", fmt.Sprintf("%x", 2*7919)), 0)
	list, errno := dir.Readdir(-1)
	wantErrno(t, "list", errno, 0)
	var names []string
	for _, e := range list {
		names = append(names, e.Name)
	}
	if want := slices.Sorted(maps.Keys(o.files)); !slices.Equal(names, want) {
		t.Errorf("listed %d names %.20q, want %d %.20q", len(names), names, len(want), want)
	}
}
