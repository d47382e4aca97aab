// SPDX-License-Identifier: Apache-2.0

package choose

import (
	"math/bits"
	"unicode"
	"unicode/utf8"
)

// permutations is how many minima a signature has: an estimate of similarity is within ±0.09 in 95 % of cases.
const permutations = 128

// FNV-1a, 64 bits.
const (
	basis = 14695981039346656037
	prime = 1099511628211
)

// signature is the minima of a record's shingles under each permutation, the upper sixteen bits of each: two different minima agree
// by chance in one of 65,536 cases.
type signature [permutations]uint16

// agree counts the permutations under which two records have the same minimum.
func (a *signature) agree(b *signature) int {
	n := 0
	for i := range a {
		if a[i] == b[i] {
			n++
		}
	}
	return n
}

// mix is the finaliser of SplitMix64: every bit of x moves every bit of what comes out.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// multipliers are the permutations: odd numbers, made by SplitMix64 from a constant.
func multipliers() (m [permutations]uint64) {
	for i := range m {
		m[i] = mix(uint64(i+1)*0x9e3779b97f4a7c15) | 1
	}
	return m
}

// words reads texts as words: normalised text for the exact comparison, minima of runs of words for the near one.
type words struct {
	shingle int // 0: no minima
	text    []byte
	min     signature
	least   [permutations]uint64
	factors [permutations]uint64
	ring    [maxShingle]uint64
	n       int // words
	word    int // where the last one begins in text
}

func (w *words) reset() {
	w.text, w.n, w.word = w.text[:0], 0, 0
	for i := range w.least {
		w.least[i] = 1<<64 - 1
	}
}

// add reads one field. A field's end ends a word.
func (w *words) add(text []byte) {
	for i := 0; i < len(text); {
		if c := text[i]; c < utf8.RuneSelf {
			i++
			switch {
			case c >= 'A' && c <= 'Z':
				w.text = append(w.text, c|0x20)
			case c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
				w.text = append(w.text, c)
			default:
				w.space()
			}
			continue
		}
		u, n := utf8.DecodeRune(text[i:])
		i += n
		switch {
		case alone(u):
			w.space()
			w.text = utf8.AppendRune(w.text, u)
			w.space()
		case unicode.IsLetter(u) || unicode.IsDigit(u):
			w.text = utf8.AppendRune(w.text, unicode.ToLower(u))
		case !unicode.IsMark(u): // marks, as accents written apart, are passed over
			w.space()
		}
	}
	w.space()
}

// alone reports whether a character is a word by itself: scripts without spaces.
func alone(u rune) bool {
	return u >= 0x0e00 && u <= 0x0eff || u >= 0x3040 && u <= 0x30ff || u >= 0x3400 && u <= 0x9fff || u >= 0xf900 && u <= 0xfaff || u >= 0x20000 && u <= 0x3ffff
}

// space ends a word.
func (w *words) space() {
	if len(w.text) == w.word {
		return
	}
	if w.shingle > 0 {
		h := uint64(basis)
		for _, c := range w.text[w.word:] {
			h = (h ^ uint64(c)) * prime
		}
		w.ring[w.n%w.shingle] = mix(h)
		if w.n++; w.n >= w.shingle {
			w.take(w.shingle)
		}
	}
	w.text = append(w.text, ' ')
	w.word = len(w.text)
}

// take adds the run of the last words to the minima.
func (w *words) take(run int) {
	h := uint64(basis)
	for i := w.n - run; i < w.n; i++ {
		h = mix(h ^ w.ring[i%w.shingle])
	}
	for i, m := range &w.factors {
		high, low := bits.Mul64(h^m, m)
		if v := high ^ low; v < w.least[i] {
			w.least[i] = v
		}
	}
}

// end makes the signature. A record with fewer words than a run has is one run.
func (w *words) end() {
	if w.shingle == 0 {
		return
	}
	if w.n < w.shingle {
		w.take(w.n)
	}
	for i, v := range w.least {
		w.min[i] = uint16(v >> 16)
	}
}
