// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"unicode"
	"unicode/utf8"

	"github.com/glovebox-dev/glovebox/transforms/redact/span"
)

// lexicon finds words and phrases of the creator's: an automaton of Aho and Corasick over folded bytes, so that any number of words
// costs one pass. Case does not matter, white space of any length is one space, and a match begins and ends where words do.
type lexicon struct {
	edges []edge // open addressing, by node and byte
	mask  uint32
	nodes []trieNode
	root  [256]int32
}

type edge struct {
	from int32 // node, +1; 0: empty
	to   int32
	c    byte
}

type trieNode struct {
	fail, out int32 // out: the next shorter phrase that ends here too, 0 if none
	list      int32 // +1 of the word list that the phrase is of, 0 if none ends here
	runes     int32 // of the phrase
}

// phrase is one entry of a word list.
type phrase struct {
	text string
	list int
}

// newLexicon compiles phrases; of equal ones the first counts.
func newLexicon(all []phrase) *lexicon {
	size, n := 64, 1
	for _, p := range all {
		n += 2 * len(p.text)
	}
	for size < 2*n {
		size *= 2
	}
	l := &lexicon{edges: make([]edge, size), mask: uint32(size - 1), nodes: make([]trieNode, 1)}
	for _, p := range all {
		l.add(p)
	}
	l.link()
	return l
}

func (l *lexicon) add(p phrase) {
	var f folder
	at, runes := int32(0), int32(0)
	for i := 0; i < len(p.text); {
		b, n := f.next([]byte(p.text[i:]))
		i += n
		if len(b) == 0 {
			continue
		}
		runes++
		for _, c := range b {
			to := l.child(at, c)
			if to == 0 {
				to = int32(len(l.nodes))
				l.nodes = append(l.nodes, trieNode{})
				l.put(at, c, to)
			}
			at = to
		}
	}
	if at != 0 && l.nodes[at].list == 0 {
		l.nodes[at].list, l.nodes[at].runes = int32(p.list)+1, runes
	}
}

func (l *lexicon) slot(from int32, c byte) uint32 {
	h := (uint32(from)*0x9e3779b1 ^ uint32(c)*0x85ebca6b) & l.mask
	for l.edges[h].from != 0 && (l.edges[h].from != from+1 || l.edges[h].c != c) {
		h = (h + 1) & l.mask
	}
	return h
}

func (l *lexicon) child(from int32, c byte) int32 { return l.edges[l.slot(from, c)].to }

func (l *lexicon) put(from int32, c byte, to int32) {
	l.edges[l.slot(from, c)] = edge{from + 1, to, c}
	if from == 0 {
		l.root[c] = to
	}
}

// link sets the failure links, level by level.
func (l *lexicon) link() {
	children := make([][]edge, len(l.nodes))
	for _, e := range l.edges {
		if e.from > 0 {
			children[e.from-1] = append(children[e.from-1], e)
		}
	}
	queue := []int32{0}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for _, e := range children[at] {
			queue = append(queue, e.to)
			n := &l.nodes[e.to]
			if at != 0 {
				n.fail = l.step(l.nodes[at].fail, e.c)
			}
			if n.out = n.fail; l.nodes[n.fail].list == 0 {
				n.out = l.nodes[n.fail].out
			}
		}
	}
}

// step follows a byte from a node.
func (l *lexicon) step(at int32, c byte) int32 {
	for at != 0 {
		if to := l.child(at, c); to != 0 {
			return to
		}
		at = l.nodes[at].fail
	}
	return l.root[c]
}

// find calls give for the longest phrase that ends at each place.
func (l *lexicon) find(text []byte, give func(list, start, end int)) {
	var f folder
	at := int32(0)
	for i := 0; i < len(text); {
		b, n := f.next(text[i:])
		i += n
		for _, c := range b {
			at = l.step(at, c)
		}
		if at == 0 || len(b) == 0 || wordGoesOn(text, i) {
			continue
		}
		for k := at; k != 0; k = l.nodes[k].out {
			p := &l.nodes[k]
			if p.list == 0 {
				continue
			}
			if start := back(text, i, int(p.runes)); !wordGoesBack(text, start) {
				give(int(p.list)-1, start, i)
				break
			}
		}
	}
}

// back is where the last runes characters before a byte begin; white space counts once.
func back(text []byte, end, runes int) int {
	for ; runes > 0 && end > 0; runes-- {
		r, n := utf8.DecodeLastRune(text[:end])
		end -= n
		if !unicode.IsSpace(r) {
			continue
		}
		for end > 0 {
			if r, n = utf8.DecodeLastRune(text[:end]); !unicode.IsSpace(r) {
				break
			}
			end -= n
		}
	}
	return end
}

// wordGoesOn reports whether text[:end] ends inside of a word.
func wordGoesOn(text []byte, end int) bool {
	if end >= len(text) {
		return false
	}
	last, _ := utf8.DecodeLastRune(text[:end])
	next, _ := utf8.DecodeRune(text[end:])
	return inWord(last) && inWord(next)
}

func wordGoesBack(text []byte, start int) bool { return start > 0 && wordGoesOn(text, start) }

func inWord(r rune) bool {
	if r < utf8.RuneSelf {
		return r|0x20 >= 'a' && r|0x20 <= 'z' || r >= '0' && r <= '9' || r == '_'
	}
	return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r)
}

// folder gives a text's characters without case.
type folder struct {
	space bool // the last was white space
	buf   [utf8.UTFMax]byte
}

// next folds the first character of b: none for white space after white space.
func (f *folder) next(b []byte) (folded []byte, n int) {
	r, n := rune(b[0]), 1
	if r >= utf8.RuneSelf {
		r, n = utf8.DecodeRune(b)
	}
	if unicode.IsSpace(r) {
		if f.space {
			return nil, n
		}
		f.space = true
		f.buf[0] = ' '
		return f.buf[:1], n
	}
	f.space = false
	switch {
	case r == utf8.RuneError && n == 1:
		f.buf[0] = b[0]
		return f.buf[:1], 1
	case r < utf8.RuneSelf:
		if r >= 'A' && r <= 'Z' {
			r += 'a' - 'A'
		}
		f.buf[0] = byte(r)
		return f.buf[:1], 1
	}
	return f.buf[:utf8.EncodeRune(f.buf[:], foldCase(r))], n
}

// foldCase is the least character that is another without case.
func foldCase(r rune) rune {
	for {
		next := unicode.SimpleFold(r)
		if next <= r {
			if next < utf8.RuneSelf && next >= 'A' && next <= 'Z' {
				next += 'a' - 'A'
			}
			return next
		}
		r = next
	}
}

// list is a word list of the creator's, ready.
type list struct {
	kind  span.Type
	score span.Score
}
