// SPDX-License-Identifier: Apache-2.0

package wasm

import (
	"bytes"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// hostPage is a page of the kernel's.
const hostPage = 4096

// putBack is how a trainee's memory is put back. What most records touch is compared with the snapshot and copied back where it
// differs, which costs no page fault in the next record; the kernel forgets all the rest. Which is which matters to speed alone:
// every byte is in one of them, or in the gradient, which is zeros.
type putBack struct {
	kept    []buffer // compared
	dropped []buffer // forgotten: whole pages
	grew    bool     // memory was larger than it is: all beyond is forgotten
	learn   bool     // the last call was for a gradient: what it touched, the next will
	lessons int      // so many more to learn from
	pages   []uint64 // learnt
}

const (
	// maxCompared is the largest memory, without the gradient, that is compared as a whole: that costs less than calls of the kernel.
	maxCompared = 256 << 10
	// maxLearnt is the largest memory that is looked through for what gradients touch.
	maxLearnt = 64 << 20
	// maxLearntPages bounds what is learnt, lessons how often.
	maxLearntPages = 256
	lessons        = 4
	// minDropped is the shortest run of pages that is worth a call of the kernel.
	minDropped = 8 * hostPage
)

// lend maps the snapshot's file once more, so that it can be read and the parameters in it written, and decides how memory is put
// back.
func (t *Trainee) lend() error {
	b, err := unix.Mmap(int(t.memory.file.Fd()), 0, int(t.memory.before), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map the snapshot: %w", err)
	}
	t.trusted, t.put.lessons = b, lessons
	t.plan()
	return nil
}

// Close gives back the guest's memory.
func (t *Trainee) Close() error {
	if t.trusted != nil {
		_ = unix.Munmap(t.trusted)
		t.trusted = nil
	}
	return t.Instance.Close()
}

// plan divides the memory, as large as it was at the snapshot.
func (t *Trainee) plan() {
	end := t.memory.before
	t.put.kept, t.put.dropped = t.put.kept[:0], t.put.dropped[:0]
	if end-t.gradient.size <= maxCompared {
		t.keep(0, end)
		return
	}
	at := uint64(0) // where the dropped run begins
	for _, b := range t.wanted() {
		from, to := b.at/hostPage*hostPage, min((b.end()+hostPage-1)/hostPage*hostPage, end)
		if from < at+minDropped && from > at {
			from = at
		}
		if from > at {
			t.put.dropped = append(t.put.dropped, buffer{at, from - at})
		}
		t.keep(max(from, at), to)
		at = max(at, to)
	}
	if at < end {
		t.put.dropped = append(t.put.dropped, buffer{at, end - at})
	}
}

// wanted are the pieces of memory that most records touch, in order.
func (t *Trainee) wanted() []buffer {
	b := []buffer{t.params, t.gradient, t.record}
	for _, p := range t.put.pages {
		b = append(b, buffer{p, hostPage})
	}
	slices.SortFunc(b, func(x, y buffer) int { return int(int64(x.at) - int64(y.at)) })
	return b
}

// keep has a piece of memory compared, but for the gradient in it.
func (t *Trainee) keep(from, to uint64) {
	g := t.gradient
	for _, b := range [][2]uint64{{from, min(to, g.at)}, {max(from, g.end()), to}} {
		if b[0] < b[1] {
			t.put.kept = append(t.put.kept, buffer{b[0], b[1] - b[0]})
		}
	}
}

// Restore puts the guest back to its snapshot, as [Instance.Restore] does.
func (t *Trainee) Restore() error {
	t.put.grew = t.memory.size > t.memory.before
	return t.restore(t.forget)
}

// forget puts the memory back, which is as large as it was.
func (t *Trainee) forget() error {
	if t.put.learn && t.put.lessons > 0 {
		t.lesson()
	}
	t.put.learn = false
	if t.put.grew {
		if err := t.drop(buffer{t.memory.before, uint64(len(t.memory.all)) - t.memory.before}); err != nil {
			return err
		}
	}
	clear(t.bytes(t.gradient))
	for _, b := range t.put.kept {
		compareBack(t.memory.all[b.at:b.end()], t.trusted[b.at:b.end()])
	}
	for _, b := range t.put.dropped {
		if err := t.drop(b); err != nil {
			return err
		}
	}
	return nil
}

// drop has the kernel forget what was written to whole pages.
func (t *Trainee) drop(b buffer) error {
	if err := unix.Madvise(t.memory.all[b.at:b.end()], unix.MADV_DONTNEED); err != nil {
		return fmt.Errorf("forget pages: %w", err)
	}
	return nil
}

// compareBack makes p what it was. A page that is as it was is only read.
func compareBack(p, was []byte) {
	for len(p) > 0 {
		n := min(len(p), hostPage)
		if !bytes.Equal(p[:n], was[:n]) {
			copy(p[:n], was[:n])
		}
		p, was = p[n:], was[n:]
	}
}

// lesson finds the pages that the last record wrote to, of a memory that is not compared as a whole.
func (t *Trainee) lesson() {
	t.put.lessons--
	if len(t.put.dropped) == 0 || t.memory.before > maxLearnt {
		return
	}
	for _, d := range t.put.dropped {
		for at := d.at; at < min(d.end(), t.memory.before) && len(t.put.pages) < maxLearntPages; at += hostPage {
			to := min(at+hostPage, t.memory.before)
			if !bytes.Equal(t.memory.all[at:to], t.trusted[at:to]) {
				t.put.pages = append(t.put.pages, at)
			}
		}
	}
	t.plan()
}
