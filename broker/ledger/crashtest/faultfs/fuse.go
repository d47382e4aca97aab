// SPDX-License-Identifier: Apache-2.0

package faultfs

import (
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// forever is how long the kernel may believe what it was told: nobody changes the disk behind its back.
const forever = time.Hour

// served answers the kernel for a disk. Data goes through the page cache, because SQLite maps its shared memory; every
// write still arrives here at once, but for those to mapped memory.
type served struct {
	fuse.RawFileSystem
	d *Disk
}

func (s *served) String() string { return "faultfs" }

func fill(a *fuse.Attr, i Info) {
	a.Ino, a.Size, a.Nlink, a.Blksize = i.ID, uint64(i.Size), uint32(i.Links), 4096
	a.Blocks = (a.Size + sector - 1) / sector
	a.Mode = syscall.S_IFREG | i.Perm
	if i.Dir {
		a.Mode = syscall.S_IFDIR | i.Perm
	}
}

func entry(out *fuse.EntryOut, i Info, err error) fuse.Status {
	if err != nil {
		return fuse.ToStatus(err)
	}
	out.NodeId = i.ID
	out.SetEntryTimeout(forever)
	out.SetAttrTimeout(forever)
	fill(&out.Attr, i)
	return fuse.OK
}

func (s *served) attr(out *fuse.AttrOut, id uint64) fuse.Status {
	i, err := s.d.Stat(id)
	if err != nil {
		return fuse.ToStatus(err)
	}
	out.SetTimeout(forever)
	fill(&out.Attr, i)
	return fuse.OK
}

func (s *served) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	out.Bsize, out.Frsize, out.NameLen = 4096, 4096, 255
	out.Blocks, out.Bfree, out.Bavail = 1<<20, 1<<19, 1<<19
	return fuse.OK
}

func (s *served) Lookup(_ <-chan struct{}, h *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	i, err := s.d.Lookup(h.NodeId, name)
	return entry(out, i, err)
}

func (s *served) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	return s.attr(out, in.NodeId)
}

func (s *served) SetAttr(_ <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	if size, ok := in.GetSize(); ok {
		if err := s.d.Truncate(in.NodeId, int64(size)); err != nil {
			return fuse.ToStatus(err)
		}
	}
	if mode, ok := in.GetMode(); ok {
		if err := s.d.Chmod(in.NodeId, mode&0o7777); err != nil {
			return fuse.ToStatus(err)
		}
	}
	return s.attr(out, in.NodeId)
}

func (s *served) Mkdir(_ <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	i, err := s.d.Create(in.NodeId, name, in.Mode&0o7777&^in.Umask, true)
	return entry(out, i, err)
}

func (s *served) Create(_ <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	i, err := s.d.Create(in.NodeId, name, in.Mode&0o7777&^in.Umask, false)
	out.OpenFlags = fuse.FOPEN_KEEP_CACHE
	return entry(&out.EntryOut, i, err)
}

func (s *served) Unlink(_ <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	return fuse.ToStatus(s.d.Remove(h.NodeId, name, false))
}

func (s *served) Rmdir(_ <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	return fuse.ToStatus(s.d.Remove(h.NodeId, name, true))
}

// Rename knows one directory: what would be two sync points in two is not what the ledger does.
func (s *served) Rename(_ <-chan struct{}, in *fuse.RenameIn, from, to string) fuse.Status {
	if in.Newdir != in.NodeId || in.Flags != 0 {
		return fuse.EXDEV
	}
	return fuse.ToStatus(s.d.Rename(in.NodeId, from, to))
}

func (s *served) Open(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if in.Flags&syscall.O_TRUNC != 0 {
		if err := s.d.Truncate(in.NodeId, 0); err != nil {
			return fuse.ToStatus(err)
		}
	}
	_, err := s.d.Stat(in.NodeId)
	out.OpenFlags = fuse.FOPEN_KEEP_CACHE
	return fuse.ToStatus(err)
}

func (s *served) Read(_ <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	n, err := s.d.Read(in.NodeId, int64(in.Offset), buf)
	if err != nil {
		return nil, fuse.ToStatus(err)
	}
	return fuse.ReadResultData(buf[:n]), fuse.OK
}

func (s *served) Write(_ <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	n, err := s.d.Write(in.NodeId, int64(in.Offset), data)
	return uint32(n), fuse.ToStatus(err)
}

func (s *served) Fsync(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	return fuse.ToStatus(s.d.Sync(in.NodeId))
}

func (s *served) FsyncDir(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	return fuse.ToStatus(s.d.Sync(in.NodeId))
}

func (s *served) OpenDir(_ <-chan struct{}, in *fuse.OpenIn, _ *fuse.OpenOut) fuse.Status {
	_, err := s.d.Stat(in.NodeId)
	return fuse.ToStatus(err)
}

func (s *served) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, l *fuse.DirEntryList) fuse.Status {
	names, infos, err := s.d.List(in.NodeId)
	if err != nil {
		return fuse.ToStatus(err)
	}
	for i := int(in.Offset); i < len(names); i++ {
		mode := uint32(syscall.S_IFREG)
		if infos[i].Dir {
			mode = syscall.S_IFDIR
		}
		if !l.AddDirEntry(fuse.DirEntry{Name: names[i], Mode: mode, Ino: infos[i].ID, Off: uint64(i + 1)}) {
			break
		}
	}
	return fuse.OK
}
