// SPDX-License-Identifier: Apache-2.0

// Package faultfs is a file system for tests that forgets what was not synced: a [Disk] keeps what programs see apart
// from what is durable, loses power at any sync point, fails a sync, or is full. Programs use it through FUSE.
//
// Trust domain: none, only tests link it. Its one job: be as forgetful as POSIX allows, so that what survives here
// survives on any disk that keeps the promises of fsync.
package faultfs

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Root is the number of the root directory.
const Root = 1

const (
	sector = 512
	// SQLite's index of the write-ahead log is shared memory that happens to have a name: nobody syncs it, and the first
	// program that opens the database after a crash builds it again.
	memorySuffix = "-shm"
)

// Faults says what goes wrong. Sync points (fsync and fdatasync of a file, fsync of a directory) and writes are counted
// from 1; zero means never.
type Faults struct {
	PowerLoss int64         // the sync point at which everything stops, before it has an effect
	Grace     time.Duration // how long that one takes: all else goes on meanwhile
	SyncError int64         // the sync point that fails; what it was to make durable never will be, unless it is written again
	FullFrom  int64         // the first write that finds the disk full
	FullFor   int64         // how many writes do
}

// Counts says what has happened.
type Counts struct{ Syncs, Writes, SyncErrors, Full int64 }

// Disk is a disk in memory. It is safe for concurrent use.
type Disk struct {
	mu     sync.Mutex
	nodes  map[uint64]*node
	last   uint64
	faults Faults
	counts Counts
	torn   *rand.Rand // nil: what was not synced is lost; otherwise some of it is, by chance
	dead   bool
	lost   chan struct{}
}

type node struct {
	perm    uint32
	dir     bool
	memory  bool // not on the disk at all
	links   int
	data    []byte
	stable  []byte  // data as of the last sync
	pending []write // since then

	entries map[string]uint64
	synced  map[string]uint64 // entries as of the last sync
	changes []change          // since then
}

// write is bytes at a place; without bytes it sets the size.
type write struct {
	at   int64
	data []byte
}

// change is what one call did to a directory. A rename is one change: no crash leaves half of it.
type change struct {
	removed string // "" if nothing was
	added   string
	id      uint64
}

// NewDisk is an empty disk.
func NewDisk() *Disk {
	d := &Disk{nodes: map[uint64]*node{}, last: Root, lost: make(chan struct{})}
	d.nodes[Root] = newDir(0o700)
	return d
}

func newDir(perm uint32) *node {
	return &node{dir: true, perm: perm, links: 2, entries: map[string]uint64{}, synced: map[string]uint64{}}
}

// Inject sets what will go wrong from here on; counting starts anew.
func (d *Disk) Inject(f Faults) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults, d.counts = f, Counts{}
}

// Counts says what has happened since the faults were set.
func (d *Disk) Counts() Counts {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.counts
}

// Lost is closed when the power fails.
func (d *Disk) Lost() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lost
}

// PowerLoss stops everything now.
func (d *Disk) PowerLoss() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.die()
}

// Continue is for a program that died when the machine did not: what it had written is still there to be read, but is
// no more durable than it was.
func (d *Disk) Continue() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dead, d.lost = false, make(chan struct{})
	d.faults, d.counts = Faults{}, Counts{}
}

func (d *Disk) die() {
	if !d.dead {
		d.dead = true
		close(d.lost)
	}
}

// Tear lets chance, from here on, decide what survives of writes that no sync covered: nothing, all, or some sectors of
// some of them; the same seed decides the same. Without it nothing survives.
func (d *Disk) Tear(seed uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.torn = rand.New(rand.NewPCG(seed, seed^0x9e3779b97f4a7c15))
}

// file finds a file of a living disk.
func (d *Disk) file(id uint64) (*node, error) {
	n, err := d.node(id)
	if err == nil && n.dir {
		err = syscall.EISDIR
	}
	return n, err
}

func (d *Disk) folder(id uint64) (*node, error) {
	n, err := d.node(id)
	if err == nil && !n.dir {
		err = syscall.ENOTDIR
	}
	return n, err
}

func (d *Disk) node(id uint64) (*node, error) {
	if d.dead {
		return nil, syscall.EIO
	}
	n := d.nodes[id]
	if n == nil {
		return nil, syscall.ESTALE
	}
	return n, nil
}

// Info is what a program may know about a file.
type Info struct {
	ID    uint64
	Dir   bool
	Perm  uint32
	Links int
	Size  int64
}

func (n *node) info(id uint64) Info {
	return Info{id, n.dir, n.perm, n.links, int64(len(n.data))}
}

// Stat describes a file or directory.
func (d *Disk) Stat(id uint64) (Info, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.node(id)
	if err != nil {
		return Info{}, err
	}
	return n.info(id), nil
}

// Lookup finds a name in a directory.
func (d *Disk) Lookup(dir uint64, name string) (Info, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, err := d.folder(dir)
	if err != nil {
		return Info{}, err
	}
	id, ok := p.entries[name]
	if !ok {
		return Info{}, syscall.ENOENT
	}
	return d.nodes[id].info(id), nil
}

// List names what is in a directory, in order.
func (d *Disk) List(dir uint64) (names []string, infos []Info, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, err := d.folder(dir)
	if err != nil {
		return nil, nil, err
	}
	names = slices.Sorted(maps.Keys(p.entries))
	for _, name := range names {
		id := p.entries[name]
		infos = append(infos, d.nodes[id].info(id))
	}
	return names, infos, nil
}

// Create makes a file or directory. Its name is durable when its directory was synced.
func (d *Disk) Create(dir uint64, name string, perm uint32, isDir bool) (Info, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, err := d.folder(dir)
	if err != nil {
		return Info{}, err
	}
	if _, ok := p.entries[name]; ok {
		return Info{}, syscall.EEXIST
	}
	n := &node{perm: perm, links: 1, memory: strings.HasSuffix(name, memorySuffix)}
	if isDir {
		n = newDir(perm)
	}
	d.last++
	d.nodes[d.last] = n
	p.change(change{added: name, id: d.last})
	return n.info(d.last), nil
}

func (n *node) change(c change) {
	n.changes = append(n.changes, c)
	apply(n.entries, c)
}

func apply(entries map[string]uint64, c change) {
	if c.removed != "" {
		delete(entries, c.removed)
	}
	if c.added != "" {
		entries[c.added] = c.id
	}
}

// Remove takes a name away; an open file goes on without one.
func (d *Disk) Remove(dir uint64, name string, isDir bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, err := d.folder(dir)
	if err != nil {
		return err
	}
	id, ok := p.entries[name]
	switch n := d.nodes[id]; {
	case !ok:
		return syscall.ENOENT
	case n.dir && !isDir:
		return syscall.EISDIR
	case !n.dir && isDir:
		return syscall.ENOTDIR
	case n.dir && len(n.entries) > 0:
		return syscall.ENOTEMPTY
	default:
		n.links = 0
	}
	p.change(change{removed: name})
	return nil
}

// Rename gives a file another name in the same directory, in place of what had it.
func (d *Disk) Rename(dir uint64, from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, err := d.folder(dir)
	if err != nil {
		return err
	}
	id, ok := p.entries[from]
	if !ok {
		return syscall.ENOENT
	}
	if from == to {
		return nil
	}
	if old, ok := p.entries[to]; ok {
		if d.nodes[old].dir {
			return syscall.EISDIR
		}
		d.nodes[old].links = 0
	}
	p.change(change{removed: from, added: to, id: id})
	return nil
}

// Chmod sets permissions, at once and durably: no file of ours depends on when.
func (d *Disk) Chmod(id uint64, perm uint32) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.node(id)
	if err == nil {
		n.perm = perm
	}
	return err
}

// Read copies bytes from a place in a file.
func (d *Disk) Read(id uint64, at int64, dst []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.file(id)
	if err != nil {
		return 0, err
	}
	if at < 0 || at >= int64(len(n.data)) {
		return 0, nil
	}
	return copy(dst, n.data[at:]), nil
}

// Write puts bytes at a place in a file.
func (d *Disk) Write(id uint64, at int64, data []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.file(id)
	if err != nil {
		return 0, err
	}
	if err := d.full(n); err != nil || len(data) == 0 {
		return 0, err
	}
	n.write(write{at, slices.Clone(data)})
	return len(data), nil
}

// full counts a write and says whether it finds no room.
func (d *Disk) full(n *node) error {
	if n.memory {
		return nil
	}
	d.counts.Writes++
	if f := d.faults; f.FullFrom > 0 && d.counts.Writes >= f.FullFrom && d.counts.Writes < f.FullFrom+f.FullFor {
		d.counts.Full++
		return syscall.ENOSPC
	}
	return nil
}

// Truncate sets a file's size.
func (d *Disk) Truncate(id uint64, size int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.file(id)
	if err != nil {
		return err
	}
	n.write(write{at: size})
	return nil
}

func (n *node) write(w write) {
	n.data = put(n.data, w)
	if !n.memory {
		n.pending = append(n.pending, w)
	}
}

// put applies a write to contents, which it may change.
func put(b []byte, w write) []byte {
	if len(w.data) == 0 {
		return resize(b, w.at)
	}
	if end := w.at + int64(len(w.data)); end > int64(len(b)) {
		b = resize(b, end)
	}
	copy(b[w.at:], w.data)
	return b
}

// resize shortens contents, or lengthens them with zeros.
func resize(b []byte, size int64) []byte {
	if size <= int64(len(b)) {
		return b[:size]
	}
	was := len(b)
	b = slices.Grow(b, int(size)-was)[:size]
	clear(b[was:])
	return b
}
