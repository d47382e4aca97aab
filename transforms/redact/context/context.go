// SPDX-License-Identifier: Apache-2.0

// Package context says which words stand near a finding: "passport" before nine digits makes them a passport number, "invoice" does not.
//
// Trust domain: pure; it runs natively and inside WebAssembly. Its one job: a [Set] holds phrases and what each speaks of, and
// [Set.Near] looks a bounded way back and forward from a finding, so that any number of calls stays linear in the text. It allocates nothing.
//
// Words are compared without case and without accents ("Sécurité" is "securite"). Camel case and underscores part words, so that
// a JSON member "passportNumber" reads as a label does. Scripts that are written without spaces are read one character at a time.
package context

// Topic is what a phrase speaks of. Each package that compiles a set numbers its own.
type Topic uint8

// Bits is a set of topics.
type Bits [4]uint64

// Has says whether the topic is in the set.
func (b *Bits) Has(t Topic) bool { return b[t>>6]>>(t&63)&1 != 0 }

// Empty says whether no topic is in the set.
func (b *Bits) Empty() bool { return b[0]|b[1]|b[2]|b[3] == 0 }

// Add puts a topic in.
func (b *Bits) Add(t Topic) { b[t>>6] |= 1 << (t & 63) }

// Union puts in all that the other has.
func (b *Bits) Union(o *Bits) {
	for i := range b {
		b[i] |= o[i]
	}
}

// Meets says whether the two sets share a topic.
func (b *Bits) Meets(o *Bits) bool {
	return b[0]&o[0]|b[1]&o[1]|b[2]&o[2]|b[3]&o[3] != 0
}

// Words is what stands near a finding.
type Words struct {
	Nearest Bits // of the last phrase before it, and those that touch or overlap that phrase
	Before  Bits // of all phrases before it with no other number between; holds Nearest where that is so
	Far     Bits // of phrases before it on the other side of another number
	After   Bits // of phrases right after it, in the same clause
}

// Has says whether the topic is near at all.
func (w *Words) Has(t Topic) bool {
	return w.Before.Has(t) || w.After.Has(t) || w.Far.Has(t)
}

// Entry gives phrases their topic.
type Entry struct {
	Topic   Topic
	Phrases string // parted by '|', e.g. "social security|ssn"
}

// Set is phrases, compiled. It is never changed once made, so any number of goroutines may ask it.
type Set struct {
	keys  []uint64 // open addressing; 0 is an empty place
	vals  []uint16 // index in sets, and continues
	sets  []Bits   // what phrases mean; sets[0] is nothing
	mask  uint64
	first [256]uint64 // a filter over the hashes that phrases begin with
}

// continues marks a hash that longer phrases begin with.
const continues = 1 << 15

// New compiles a set of up to some thirty thousand phrases; more are left out. The order of entries does not matter.
func New(entries ...Entry) *Set {
	n := 0
	for _, e := range entries {
		n += len(e.Phrases)/4 + 2 // more than there are words
	}
	size := 64
	for size < n {
		size *= 2
	}
	s := &Set{keys: make([]uint64, size), vals: make([]uint16, size), sets: make([]Bits, 1, n/4+2), mask: uint64(size - 1)}
	for _, e := range entries {
		for rest := e.Phrases; rest != ""; {
			var phrase string
			phrase, rest = cut(rest)
			s.add(phrase, e.Topic)
		}
	}
	return s
}

func cut(list string) (phrase, rest string) {
	for i := range len(list) {
		if list[i] == '|' {
			return list[:i], list[i+1:]
		}
	}
	return list, ""
}

// add puts a phrase in: the hash of each of its beginnings, and the topic at the whole of it.
func (s *Set) add(phrase string, t Topic) {
	var r reader
	r.read([]byte(phrase), 0, len(phrase))
	if r.n == 0 {
		return
	}
	h := r.at(0)
	s.first[h>>6&255] |= 1 << (h & 63)
	for i := 1; i < r.n; i++ {
		s.vals[s.place(h)] |= continues
		h = join(h, r.at(i))
	}
	p := s.place(h)
	at := s.vals[p] &^ continues
	if at == 0 {
		if len(s.sets) == continues {
			return
		}
		at = uint16(len(s.sets))
		s.sets = append(s.sets, Bits{})
		s.vals[p] |= at
	}
	s.sets[at].Add(t)
}

// place is where the hash stands, or where it is put now.
func (s *Set) place(h uint64) uint64 {
	p := h & s.mask
	for s.keys[p] != 0 && s.keys[p] != h {
		p = (p + 1) & s.mask
	}
	s.keys[p] = h
	return p
}

func (s *Set) find(h uint64) (val uint16, ok bool) {
	for p := h & s.mask; s.keys[p] != 0; p = (p + 1) & s.mask {
		if s.keys[p] == h {
			return s.vals[p], true
		}
	}
	return 0, false
}

// Near says what stands near text[start:end].
func (s *Set) Near(text []byte, start, end int) Words {
	if end < start {
		return Words{}
	}
	w := s.Before(text, start)
	w.After = s.After(text, end)
	return w
}

// Before says what stands before text[start:]: all of Words but After.
func (s *Set) Before(text []byte, start int) (w Words) {
	if s == nil || start < 0 || start > len(text) {
		return w
	}
	var r reader
	r.read(text, wordStart(text, max(0, start-Back)), start)
	reach := -1 // where the nearest cluster of phrases ends
	for i := r.oldest(); i < r.n; i++ {
		h := r.at(i)
		if s.first[h>>6&255]>>(h&63)&1 == 0 {
			continue
		}
		for j := i + 1; ; j++ {
			val, ok := s.find(h)
			if !ok {
				break
			}
			if b := &s.sets[val&^continues]; val&^continues != 0 {
				if i > reach {
					w.Nearest = Bits{}
				}
				reach = max(reach, j)
				w.Nearest.Union(b)
				if r.near(j - 1) {
					w.Before.Union(b)
				} else {
					w.Far.Union(b)
				}
			}
			if val&continues == 0 || j == r.n {
				break
			}
			h = join(h, r.at(j))
		}
	}
	return w
}

// After says what stands after text[:end].
func (s *Set) After(text []byte, end int) (b Bits) {
	if s == nil || end < 0 || end > len(text) {
		return b
	}
	var r reader
	r.read(text, end, clauseEnd(text, end))
	for i := range min(r.n, ahead) {
		h := r.at(i)
		if s.first[h>>6&255]>>(h&63)&1 == 0 {
			continue
		}
		for j := i + 1; ; j++ {
			val, ok := s.find(h)
			if !ok {
				break
			}
			b.Union(&s.sets[val&^continues])
			if val&continues == 0 || j == r.n {
				break
			}
			h = join(h, r.at(j))
		}
	}
	return b
}
