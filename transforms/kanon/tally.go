// SPDX-License-Identifier: Apache-2.0

package kanon

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"

	"github.com/glovebox-dev/glovebox/transforms"
)

// id names a combination of values: half of a keyed hash. That two combinations have one has a chance of one in 2⁶⁴ for 2³² of them;
// nobody can look for such two without the key.
type id [16]byte

// class is the records with one combination of quasi-identifiers.
type class struct {
	rows, people int64
	distinct     []int64 // values of each sensitive field
}

// maxEntries bounds what a tally remembers: about a gigabyte.
const maxEntries = 1 << 23

// tally counts classes.
type tally struct {
	classes   map[id]*class
	seen      map[id]struct{} // contributors and values of classes
	sensitive int
	most      int // of both together
}

// full refuses to remember more.
func (t *tally) full() error {
	if len(t.classes)+len(t.seen) <= t.most {
		return nil
	}
	return fmt.Errorf("%w: memory for more than %d combinations of values: make the quasi-identifiers coarser", transforms.ErrEnv, t.most)
}

func newTally(sensitive int) *tally {
	return &tally{classes: map[id]*class{}, seen: map[id]struct{}{}, sensitive: sensitive, most: maxEntries}
}

func (t *tally) class(i id) *class {
	c := t.classes[i]
	if c == nil {
		c = &class{distinct: make([]int64, t.sensitive)}
		t.classes[i] = c
	}
	return c
}

// first reports whether something was not seen before.
func (t *tally) first(i id) bool {
	if _, ok := t.seen[i]; ok {
		return false
	}
	t.seen[i] = struct{}{}
	return true
}

// forget gives back the memory of what is not needed once all was counted.
func (t *tally) forget() { t.seen = nil }

// hasher hashes values under a key.
type hasher struct {
	key [32]byte
	h   hash.Hash
	out [sha256.Size]byte
	num [9]byte
}

// sum hashes what kind of thing it is, a class, and values, each with its length; nil is none.
func (h *hasher) sum(kind byte, of id, values ...[]byte) (i id) {
	if h.h == nil {
		h.h = sha256.New()
	}
	h.h.Reset()
	h.h.Write(h.key[:])
	h.num[0] = kind
	h.h.Write(h.num[:1])
	h.h.Write(of[:])
	for _, v := range values {
		h.num[0] = 0
		if v != nil {
			h.num[0] = 1
		}
		binary.BigEndian.PutUint64(h.num[1:], uint64(len(v)))
		h.h.Write(h.num[:])
		h.h.Write(v)
	}
	copy(i[:], h.h.Sum(h.out[:0]))
	return i
}

// appendExact appends a value of a quasi-identifier: two that are spelt differently, or are a number and a text, are two. More
// combinations than there are in truth make classes smaller than they are, never larger.
func appendExact(dst []byte, f *transforms.Field) []byte {
	dst = append(dst, byte(f.Kind))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(f.Text)))
	return append(dst, f.Text...)
}

// appendLoose appends a sensitive value, or a contributor, that was folded.
func appendLoose(dst, text []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(text)))
	return append(dst, text...)
}
