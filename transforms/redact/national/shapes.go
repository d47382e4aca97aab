// SPDX-License-Identifier: Apache-2.0

package national

import (
	"math/bits"
	"slices"
	"strings"

	"github.com/glovebox-dev/glovebox/transforms/redact/context"
)

// shape is one form of an identifier, compiled.
//
// Its notation: 9 is a digit, A a letter, X either; small letters stand for themselves, in either case, at the beginning only. A space, stop, slash
// or tilde (a dash) is that separator; a dash is any one of them, the same at each dash of the shape. "9{2,4}" is 2 to 4 digits: it counts as
// so many shapes. Shapes are parted by '|'.
type shape struct {
	digits  uint64 // where there must be one
	letters uint64
	seps    uint64 // before which characters there is a separator
	rec     uint8
	size    uint8
	literal string          // what it begins with
	parting [maxGroups]byte // its separators, as in the notation
	groups  uint8           // how many they are
	loose   bool            // it has separators of any kind
}

// begins says whether the identifier begins as the shape demands.
func (s *shape) begins(id []byte) bool {
	for i := range len(s.literal) {
		if id[i]|0x20 != s.literal[i] {
			return false
		}
	}
	return true
}

// parted says whether the separators are those that the shape demands.
func (s *shape) parted(seps []byte) bool {
	any := byte(0)
	for i, got := range seps {
		switch want := s.parting[i]; {
		case want == '~' && got == '-' || want == got && want != '-':
		case want == '-' && (any == 0 || any == got) && (got != '.' || len(seps) != 3): // four groups with stops are an IP address
			any = got
		default:
			return false
		}
	}
	return true
}

// New compiles the recognisers that the options choose.
func New(o Options) *Matcher {
	m := &Matcher{shapes: make([]shape, 0, 1300), rules: make([]string, len(table)), topics: make([]context.Bits, len(table))}
	entries := make([]context.Entry, 0, len(table)+len(shared)+len(places)+1)
	entries = append(entries, context.Entry{Topic: elsewhere, Phrases: elsewhereWords})
	for i := range table {
		r := &table[i]
		if !o.has(r) {
			continue
		}
		m.add(r.Shapes, uint8(i))
		m.rules[i] = strings.ReplaceAll(strings.ToLower(string(r.Type)), "_", "-")
		own, topics := topicsOf(r.Words, context.Topic(i))
		entries = append(entries, context.Entry{Topic: context.Topic(i), Phrases: own})
		m.topics[i] = topics
	}
	for i, words := range shared {
		entries = append(entries, context.Entry{Topic: firstShared + context.Topic(i), Phrases: words})
	}
	for i := range places {
		entries = append(entries, context.Entry{Topic: firstPlace + context.Topic(i), Phrases: places[i].words})
	}
	m.sort()
	m.words = context.New(entries...)
	return m
}

// topicsOf parts a recogniser's words in its own, and the topics of all that it has.
func topicsOf(words string, t context.Topic) (own string, topics context.Bits) {
	topics.Add(t)
	for len(words) > 1 && words[0] == '#' {
		topics.Add(firstShared + context.Topic(words[1]-'0'))
		if words = words[2:]; words != "" {
			words = words[1:]
		}
	}
	return words, topics
}

func (o *Options) has(r *Recogniser) bool {
	return (len(o.Types) == 0 || slices.Contains(o.Types, r.Type)) &&
		(len(o.Countries) == 0 || r.Country == "" || slices.Contains(o.Countries, r.Country))
}

// Kinds of shapes, of which each candidate has one.
const (
	numeric = iota // one group, digits only
	mixed          // one group, with letters
	parted         // more groups
	kinds
)

// bucket is the number of that of shapes of a length and a kind.
func bucket(n, kind int) int { return n*kinds + kind }

// sort puts the shapes into their buckets; within each they stay in the table's order. A shape of one group that may have letters or not is in two.
func (m *Matcher) sort() {
	var count [len(m.from)]uint16
	total := uint16(0)
	for i := range m.shapes {
		s := &m.shapes[i]
		for _, b := range s.buckets() {
			if b >= 0 {
				count[b]++
				total++
				m.most[b] = max(m.most[b], table[s.rec].most())
			}
		}
		if s.seps == 0 {
			for class := range 2 {
				if s.may(class, 0, int(s.size)) {
					m.alone[class] |= 1 << s.size
				}
			}
			continue
		}
		m.layouts.add(int(s.size), s.seps)
		m.pair(s)
	}
	for b := range len(m.from) - 1 {
		m.from[b+1] = m.from[b] + count[b]
	}
	next := m.from
	sorted := make([]shape, total)
	for i := range m.shapes {
		for _, b := range m.shapes[i].buckets() {
			if b >= 0 {
				sorted[next[b]] = m.shapes[i]
				next[b]++
			}
		}
	}
	m.shapes = sorted
}

// may says whether the group from one character to another can be of the class.
func (s *shape) may(class, from, to int) bool {
	group := uint64(1)<<to - 1<<from
	if class == numeric {
		return s.letters&group == 0
	}
	return s.digits&group != group
}

// pair notes the classes and lengths of neighbouring groups.
func (m *Matcher) pair(s *shape) {
	first, second := -1, 0
	for rest := s.seps | 1<<s.size; rest != 0; rest &= rest - 1 {
		third := bits.TrailingZeros64(rest)
		for classes := 0; first >= 0 && classes < 4; classes++ {
			if a, b := classes&1, classes>>1; s.may(a, first, second) && s.may(b, second, third) {
				m.pairs[a][b][second-first] |= 1 << (third - second)
			}
		}
		first, second = second, third
	}
	m.two(s)
}

// two notes the classes and lengths of the first two groups by the separators that may part them, see parted.
func (m *Matcher) two(s *shape) {
	to := &m.more
	if s.groups == 1 {
		to = &m.twos
	}
	first := bits.TrailingZeros64(s.seps)
	second := bits.TrailingZeros64((s.seps | 1<<s.size) &^ (1 << first))
	for _, sep := range []byte(" -./") {
		if want := s.parting[0]; want != '-' && want != sep && (want != '~' || sep != '-') {
			continue
		}
		for classes := range 4 {
			if a, b := classes&1, classes>>1; s.may(a, 0, first) && s.may(b, first, second) {
				to[parting(sep)][a][b][first] |= 1 << (second - first)
			}
		}
	}
}

// layouts is a filter over lengths and places of separators, of shapes of more than one group: most numbers with separators are of no such shape.
type layouts [64]uint64

func layout(n int, seps uint64) (word, bit uint64) {
	h := (seps + uint64(n)) * 0x9E3779B97F4A7C15
	return h >> 58, h >> 52 & 63
}

func (l *layouts) add(n int, seps uint64) {
	word, bit := layout(n, seps)
	l[word] |= 1 << bit
}

func (l *layouts) has(n int, seps uint64) bool {
	word, bit := layout(n, seps)
	return l[word]>>bit&1 != 0
}

// buckets are the one or two that the shape is in; -1 is none.
func (s *shape) buckets() [2]int {
	all := uint64(1)<<s.size - 1
	switch {
	case s.seps != 0:
		return [2]int{bucket(int(s.size), parted), -1}
	case s.letters != 0:
		return [2]int{bucket(int(s.size), mixed), -1}
	case s.digits == all:
		return [2]int{bucket(int(s.size), numeric), -1}
	}
	return [2]int{bucket(int(s.size), numeric), bucket(int(s.size), mixed)}
}

// add compiles shapes in their notation.
func (m *Matcher) add(notation string, rec uint8) {
	for from := 0; from < len(notation); {
		to := from
		for to < len(notation) && notation[to] != '|' {
			to++
		}
		var b builder
		b.rec = rec
		m.expand(notation[from:to], b)
		from = to + 1
	}
}

// builder is a shape of which the beginning is compiled.
type builder struct {
	shape
	n int
}

// expand compiles the rest of a shape; at a count it goes on once for each number that the count allows.
func (m *Matcher) expand(rest string, b builder) {
	for i := 0; i < len(rest); i++ {
		c := rest[i]
		switch c {
		case ' ', '.', '/', '~', '-':
			b.separate(c)
			continue
		}
		if i+1 == len(rest) || rest[i+1] != '{' {
			b.put(c)
			continue
		}
		low, high, after := counts(rest, i+2)
		for n := range high + 1 {
			if n >= low {
				m.expand(rest[after:], b)
			}
			b.put(c)
		}
		return
	}
	b.size = uint8(b.n)
	m.shapes = append(m.shapes, b.shape)
}

// counts reads "3}" or "2,4}".
func counts(s string, i int) (low, high, after int) {
	for ; s[i] != '}' && s[i] != ','; i++ {
		low = low*10 + int(s[i]-'0')
	}
	high = low
	if s[i] == ',' {
		high = 0
		for i++; s[i] != '}'; i++ {
			high = high*10 + int(s[i]-'0')
		}
	}
	return low, high, i + 1
}

func (b *builder) separate(c byte) {
	b.loose = b.loose || c == '-'
	b.parting[b.groups] = c
	b.groups++
	b.seps |= 1 << b.n
}

func (b *builder) put(c byte) {
	switch {
	case c == '9':
		b.digits |= 1 << b.n
	case c != 'X':
		b.letters |= 1 << b.n
		if c != 'A' {
			b.literal += string(rune(c))
		}
	}
	b.n++
}
