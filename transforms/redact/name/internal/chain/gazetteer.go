// SPDX-License-Identifier: Apache-2.0

package chain

import "encoding/binary"

// Lists says which word lists a word is in.
type Lists uint16

// Word lists.
const (
	Given    Lists = 1 << iota // a given name
	Family                     // a family name
	City                       // a place of 50,000 people or more, or a word of its name
	Village                    // a smaller place
	Country                    // a country
	Region                     // a state, province or the like
	OrgEnd                     // Ltd, GmbH
	OrgWord                    // Bank, University
	Street                     // Road, Straße, rue
	Unit                       // apartment, floor, PO box
	Honour                     // Mr, Dr
	Particle                   // van, de, bin
	Common                     // a word that is written small
	Frequent                   // one of the most frequent words
	Calendar                   // months, days, nationalities, languages
	Begins                     // begins a phrase of several words
)

// Names is what makes a word a name.
const Names = Given | Family | City | Village | Country | Region

// Phrase says where in a listed phrase a token stands.
type Phrase uint8

// Places in phrases.
const (
	NoPhrase Phrase = iota
	PlaceFirst
	PlaceMore
	CountryFirst
	CountryMore
	OrgFirst
	OrgMore
)

// Gazetteer is a hashed table of words and phrases. A word that is in no list is taken for a listed one about once in 30,000.
type Gazetteer struct {
	slots []uint32 // 16 bits of hash, 16 of lists; 0 is empty
	shift uint
}

// NewGazetteer makes an empty table with 1<<bits slots.
func NewGazetteer(bits uint) *Gazetteer {
	return &Gazetteer{slots: make([]uint32, 1<<bits), shift: 32 - bits}
}

func spread(h uint32) uint32 {
	h ^= h >> 16
	h *= 0x7FEB352D
	h ^= h >> 15
	h *= 0x846CA68B
	return h ^ h>>16
}

// Add puts the word with this hash on lists. It reports false where the table is too full for Find to see it.
func (g *Gazetteer) Add(hash uint32, lists Lists) bool {
	h := spread(hash)
	print := h << 16
	mask := uint32(len(g.slots) - 1)
	i := h >> g.shift
	for range probes {
		switch s := &g.slots[i&mask]; {
		case *s == 0:
			*s = print | uint32(lists)
			return true
		case *s&0xFFFF0000 == print:
			*s |= uint32(lists)
			return true
		}
		i++
	}
	return false
}

// probes bounds a look-up, whatever the model's file says.
const probes = 64

// Find says which lists the word with this hash is in.
func (g *Gazetteer) Find(hash uint32) Lists {
	h := spread(hash)
	print := h << 16
	mask := uint32(len(g.slots) - 1)
	i := h >> g.shift
	for range probes {
		s := g.slots[i&mask]
		if s == 0 {
			return 0
		}
		if s&0xFFFF0000 == print {
			return Lists(s)
		}
		i++
	}
	return 0
}

// Fill is how many slots are used, in thousandths.
func (g *Gazetteer) Fill() int {
	n := 0
	for _, s := range g.slots {
		if s != 0 {
			n++
		}
	}
	return n * 1000 / len(g.slots)
}

// maxBits bounds a table that is read.
const maxBits = 20

// append writes the table: how many bits number its slots, a bit for each slot that says whether it is used, the used slots.
// Hashes do not compress.
func (g *Gazetteer) append(b []byte) []byte {
	b = append(b, byte(32-g.shift))
	used := make([]byte, len(g.slots)/8)
	for i, s := range g.slots {
		if s != 0 {
			used[i/8] |= 1 << (i % 8)
		}
	}
	b = append(b, used...)
	for _, s := range g.slots {
		if s != 0 {
			b = binary.LittleEndian.AppendUint32(b, s)
		}
	}
	return b
}

// readGazetteer reads what append wrote, and returns the rest; nil if that is not there.
func readGazetteer(b []byte) (*Gazetteer, []byte) {
	if len(b) == 0 || b[0] < 3 || b[0] > maxBits {
		return nil, nil
	}
	g := NewGazetteer(uint(b[0]))
	b = b[1:]
	if len(b) < len(g.slots)/8 {
		return nil, nil
	}
	used, rest := b[:len(g.slots)/8], b[len(g.slots)/8:]
	for i := range g.slots {
		if used[i/8]>>(i%8)&1 == 0 {
			continue
		}
		if len(rest) < 4 {
			return nil, nil
		}
		g.slots[i] = binary.LittleEndian.Uint32(rest)
		rest = rest[4:]
	}
	return g, rest
}

const phraseSeed = 0x5BD1E995

// PhraseHash is the hash of a phrase of words, none of which is a sign.
func PhraseHash(words ...uint32) uint32 {
	h := uint32(phraseSeed)
	for _, w := range words {
		h = (h ^ w) * 0x01000193
		h ^= h >> 13
	}
	return h
}

// longest is how many words a listed phrase has at most.
const longest = 6

// Annotate looks every token up, and the phrases that they make.
func (g *Gazetteer) Annotate(tokens []Token) {
	for i := range tokens {
		if t := &tokens[i]; t.Kind <= Code && t.Kind != Digits {
			t.Gaz = g.Find(t.Low)
		}
	}
	for i := range tokens {
		if tokens[i].Gaz&Begins != 0 && (tokens[i].Phrase == NoPhrase) {
			g.phrase(tokens, i)
		}
		tokens[i].Gaz &^= Begins
	}
}

func (g *Gazetteer) phrase(tokens []Token, i int) {
	h := (phraseSeed ^ tokens[i].Low) * 0x01000193
	h ^= h >> 13
	words, best, lists := 1, i, Lists(0)
	for j := i + 1; j < len(tokens) && j <= i+2*longest && words < longest; j++ {
		t := &tokens[j]
		if t.Kind == Dash || t.Kind == Stop || t.Kind == Line || t.Kind == Quote || (t.Kind == Other && t.Left && t.Right) {
			continue
		}
		if t.Kind > Code {
			break
		}
		words++
		h = (h ^ t.Low) * 0x01000193
		h ^= h >> 13
		if found := g.Find(h); found != 0 {
			best, lists = j, found
		}
	}
	if best == i {
		return
	}
	first := PlaceFirst
	switch {
	case lists&Country != 0:
		first = CountryFirst
	case lists&(OrgWord|OrgEnd) != 0:
		first = OrgFirst
	}
	tokens[i].Phrase = first
	for j := i + 1; j <= best; j++ {
		tokens[j].Phrase = first + 1
	}
}
