// SPDX-License-Identifier: Apache-2.0

package faultfs

import (
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Sync is a sync point: it makes a file's contents, or a directory's names, durable. A file that is synced in a
// directory that is not has contents but no name.
func (d *Disk) Sync(id uint64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.node(id)
	if err != nil || n.memory {
		return err
	}
	d.counts.Syncs++
	switch d.counts.Syncs {
	case d.faults.PowerLoss:
		grace := d.faults.Grace
		d.mu.Unlock()
		time.Sleep(grace)
		d.mu.Lock()
		d.die()
		return syscall.EIO
	case d.faults.SyncError:
		d.counts.SyncErrors++
		// The kernel believes that it has written: the next sync has nothing left to do (fsyncgate). Names stay for the
		// next sync: a file system whose journal fails stops altogether.
		n.stable, n.pending = d.survivors(n), nil
		return syscall.EIO
	}
	n.sync()
	return nil
}

func (n *node) sync() {
	for _, w := range n.pending {
		n.stable = put(n.stable, w)
	}
	for _, c := range n.changes {
		apply(n.synced, c)
	}
	n.pending, n.changes = nil, nil
}

// Restart is the disk after a power loss: with what was durable, and by chance more of what was written, if [Disk.Tear]
// said so. It can be called more than once; without chance it gives the same each time.
func (d *Disk) Restart() *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.die()
	out := &Disk{nodes: map[uint64]*node{}, last: d.last, lost: make(chan struct{})}
	d.revive(out, Root)
	return out
}

// revive copies a node and what is durably below it.
func (d *Disk) revive(to *Disk, id uint64) {
	if to.nodes[id] != nil {
		return
	}
	n := d.nodes[id]
	if !n.dir {
		data := d.survivors(n)
		to.nodes[id] = &node{perm: n.perm, memory: n.memory, links: 1, data: data, stable: slices.Clone(data)}
		return
	}
	kept := maps.Clone(n.synced)
	for _, c := range d.keptChanges(n) {
		apply(kept, c)
	}
	out := newDir(n.perm)
	to.nodes[id] = out
	for _, name := range slices.Sorted(maps.Keys(kept)) {
		if d.nodes[kept[name]].memory {
			continue
		}
		out.entries[name], out.synced[name] = kept[name], kept[name]
		d.revive(to, kept[name])
	}
}

// survivors is what a file holds after a power loss.
func (d *Disk) survivors(n *node) []byte {
	out := slices.Clone(n.stable)
	if d.torn == nil {
		return out
	}
	luck := luck(d.torn)
	for _, w := range n.pending {
		if len(w.data) == 0 {
			if d.torn.Float64() < luck {
				out = put(out, w)
			}
			continue
		}
		for _, s := range sectors(w) {
			if d.torn.Float64() < luck {
				out = put(out, s)
			}
		}
	}
	return out
}

// luck draws how likely each sector of a file, or each change of a directory, survives: often none or all.
func luck(r *rand.Rand) float64 {
	return []float64{0, 0.5, 0.9, 1}[r.IntN(4)]
}

// sectors splits a write where disks do: at multiples of 512 bytes of the file.
func sectors(w write) (out []write) {
	for len(w.data) > 0 {
		n := min(int64(len(w.data)), sector-w.at%sector)
		out = append(out, write{w.at, w.data[:n]})
		w = write{w.at + n, w.data[n:]}
	}
	return out
}

// keptChanges are the changes of a directory that survive. One that survives takes along those before it on the same
// names.
func (d *Disk) keptChanges(n *node) (out []change) {
	if d.torn == nil {
		return nil
	}
	luck, touched := luck(d.torn), map[string]bool{}
	kept := make([]bool, len(n.changes))
	for i := len(n.changes) - 1; i >= 0; i-- {
		c := n.changes[i]
		kept[i] = touched[c.removed] || touched[c.added] || d.torn.Float64() < luck
		if !kept[i] {
			continue
		}
		for _, name := range []string{c.removed, c.added} {
			if name != "" {
				touched[name] = true
			}
		}
	}
	for i, c := range n.changes {
		if kept[i] {
			out = append(out, c)
		}
	}
	return out
}

// Export writes what programs see into a real directory.
func (d *Disk) Export(dir string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.export(Root, dir)
}

func (d *Disk) export(id uint64, path string) error {
	n := d.nodes[id]
	if !n.dir {
		return os.WriteFile(path, n.data, os.FileMode(n.perm))
	}
	if err := os.MkdirAll(path, os.FileMode(n.perm)); err != nil {
		return err
	}
	for name, child := range n.entries {
		if err := d.export(child, filepath.Join(path, name)); err != nil {
			return err
		}
	}
	return nil
}

// Put copies a real file to a path on the disk whose directory is there, durably.
func (d *Disk) Put(path, from string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	dir, name := filepath.Split(path)
	id := uint64(Root)
	for _, part := range strings.Split(filepath.Clean(dir), string(filepath.Separator)) {
		if part != "." {
			id = d.nodes[id].entries[part]
		}
		if d.nodes[id] == nil {
			return &os.PathError{Op: "put", Path: path, Err: syscall.ENOENT}
		}
	}
	d.last++
	d.nodes[d.last] = &node{perm: 0o600, links: 1, data: b, stable: slices.Clone(b)}
	d.nodes[id].entries[name], d.nodes[id].synced[name] = d.last, d.last
	return nil
}

// Import copies a real directory to the disk, durably.
func (d *Disk) Import(dir string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.load(Root, dir)
}

func (d *Disk) load(id uint64, dir string) error {
	list, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range list {
		path := filepath.Join(dir, e.Name())
		info, err := e.Info()
		if err != nil {
			return err
		}
		n := newDir(uint32(info.Mode().Perm()))
		if !e.IsDir() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			n = &node{perm: uint32(info.Mode().Perm()), links: 1, data: b, stable: slices.Clone(b)}
		}
		d.last++
		child := d.last
		d.nodes[child] = n
		d.nodes[id].entries[e.Name()], d.nodes[id].synced[e.Name()] = child, child
		if e.IsDir() {
			if err := d.load(child, path); err != nil {
				return err
			}
		}
	}
	return nil
}
