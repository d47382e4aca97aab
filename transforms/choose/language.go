// SPDX-License-Identifier: Apache-2.0

package choose

import (
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// LanguageBytes is how much of a text is looked at.
const LanguageBytes = 16 << 10

// Scores of the detector.
const (
	wordScore   = 60 // of a function word that one language alone has; it is shared among those that have it
	letterScore = 20 // of a letter beyond a to z that a language has, likewise
	strange     = 10 // taken from languages that do not have such a letter
	endScore    = 12 // of an ending, likewise
	runScore    = 8  // of a run of letters, likewise
	enough      = 80 // for a verdict
	maxWord     = 24 // bytes of a word that is looked up
)

// tables are made once from the lists of words.go.
type tables struct {
	codes   []string
	words   map[string][]vote
	letters map[rune][]vote
	ends    map[string][]vote
	runs    map[string][]vote
}

// vote is what a word, letter or ending says.
type vote struct {
	language int
	score    int
}

// known are the tables, made when they are first needed.
var known = sync.OnceValue(makeTables)

// Languages are the codes (ISO 639-1) that Detect gives, sorted.
func Languages() []string {
	out := []string{"ar", "el", "he", "hi", "ja", "ko", "th", "zh"}
	for _, p := range profiles {
		out = append(out, p.code)
	}
	slices.Sort(out)
	return out
}

func makeTables() *tables {
	t := &tables{words: map[string][]vote{}, letters: map[rune][]vote{}, ends: map[string][]vote{}, runs: map[string][]vote{}}
	add := func(to map[string][]vote, list string, language, score int) {
		for _, w := range strings.Fields(list) {
			to[w] = append(to[w], vote{language, score})
		}
	}
	for i, p := range profiles {
		t.codes = append(t.codes, p.code)
		add(t.words, p.words, i, wordScore)
		add(t.ends, p.ends, i, endScore)
		add(t.runs, p.inside, i, runScore)
		for _, u := range p.letters {
			t.letters[u] = append(t.letters[u], vote{i, letterScore})
		}
	}
	for _, m := range []map[string][]vote{t.words, t.ends, t.runs} {
		for _, votes := range m {
			share(votes)
		}
	}
	for _, votes := range t.letters {
		share(votes)
		for i := range votes {
			votes[i].score += strange
		}
	}
	return t
}

func share(votes []vote) {
	for i := range votes {
		votes[i].score /= len(votes)
	}
}

// Detect says which language a text is in, by its script, its function words, its rare letters and endings of its words; "" where
// they do not say it clearly. Only the first LanguageBytes count.
func Detect(text []byte) string {
	text = text[:min(len(text), LanguageBytes)]
	if code, decided := byScript(text); decided {
		return code
	}
	t := known()
	scores := make([]int, len(t.codes))
	word := make([]byte, 0, maxWord+4)
	for i := 0; i <= len(text); {
		u, n := rune(0), 1
		if i < len(text) {
			u, n = utf8.DecodeRune(text[i:])
		}
		i += n
		if lower, ok := letter(u); ok {
			if lower >= utf8.RuneSelf && lower < 0x400 {
				t.unusual(lower, scores)
			}
			if len(word) <= maxWord {
				word = utf8.AppendRune(word, lower)
			}
			continue
		}
		t.count(word, scores)
		word = word[:0]
	}
	best, second := 0, 0
	at := -1
	for i, s := range scores {
		switch {
		case s > best:
			best, second, at = s, best, i
		case s > second:
			second = s
		}
	}
	if best < enough || 8*second > 7*best {
		return ""
	}
	return t.codes[at]
}

// unusual counts a letter beyond a to z.
func (t *tables) unusual(u rune, scores []int) {
	for i := range scores {
		scores[i] -= strange
	}
	for _, v := range t.letters[u] {
		scores[v.language] += v.score
	}
}

// count counts a word, its endings of two to four letters, and its runs of two and three.
func (t *tables) count(word []byte, scores []int) {
	if len(word) == 0 || len(word) > maxWord {
		return
	}
	add := func(votes []vote) {
		for _, v := range votes {
			scores[v.language] += v.score
		}
	}
	add(t.words[string(word)])
	var starts [maxWord + 1]int // of letters
	n := 0
	for i := range string(word) {
		starts[n] = i
		n++
	}
	starts[n] = len(word)
	for k := 2; k <= 4; k++ {
		if n > k {
			add(t.ends[string(word[starts[n-k]:])])
		}
		for i := 0; k <= 3 && i+k <= n; i++ {
			add(t.runs[string(word[starts[i]:starts[i+k]])])
		}
	}
}

// letter gives a letter of the Latin or Cyrillic script in lower case. An apostrophe ends a word, as in l'eau.
func letter(u rune) (rune, bool) {
	switch {
	case u >= 'a' && u <= 'z':
		return u, true
	case u >= 'A' && u <= 'Z':
		return u | 0x20, true
	case u < 0xc0 || u == 0xd7 || u == 0xf7:
		return 0, false
	case u <= 0xde:
		return u + 0x20, true
	case u <= 0xff:
		return u, true
	case u == 0x130:
		return 'i', true
	case u <= 0x17f:
		return latinA(u), true
	case u == 0x218 || u == 0x21a || u == 0x1a0 || u == 0x1af || u >= 0x1ea0 && u <= 0x1ef9 && u&1 == 0:
		return u + 1, true
	case u >= 0x410 && u <= 0x42f:
		return u + 0x20, true
	case u >= 0x400 && u <= 0x40f:
		return u + 0x50, true
	case u == 0x490:
		return 0x491, true
	case u <= 0x24f || u >= 0x1e00 && u <= 0x1eff || u >= 0x400 && u <= 0x4ff:
		return u, true
	}
	return 0, false
}

// latinA lowers letters of the block Latin Extended-A, where capitals are even or odd by turns.
func latinA(u rune) rune {
	odd := u >= 0x139 && u <= 0x148 || u >= 0x179
	switch {
	case u == 0x178:
		return 0xff
	case u == 0x138 || u == 0x149 || u == 0x17f:
		return u
	case odd == (u&1 == 1):
		return u + 1
	}
	return u
}

// scripts that one language here is written in.
const (
	latin = iota
	cyrillic
	greek
	hebrew
	arabic
	devanagari
	thai
	kana
	han
	hangul
	scriptCount
)

var scriptLanguage = [scriptCount]string{greek: "el", hebrew: "he", arabic: "ar", devanagari: "hi", thai: "th", kana: "ja", han: "zh", hangul: "ko"}

func scriptOf(u rune) int {
	switch {
	case u < 0x41 || u > 0x5a && u < 0x61 || u > 0x7a && u < 0xc0:
		return -1
	case u <= 0x24f || u >= 0x1e00 && u <= 0x1eff:
		return latin
	case u >= 0x370 && u <= 0x3ff || u >= 0x1f00 && u <= 0x1fff:
		return greek
	case u >= 0x400 && u <= 0x4ff:
		return cyrillic
	case u >= 0x590 && u <= 0x5ff:
		return hebrew
	case u >= 0x600 && u <= 0x6ff || u >= 0x750 && u <= 0x77f:
		return arabic
	case u >= 0x900 && u <= 0x97f:
		return devanagari
	case u >= 0xe00 && u <= 0xe7f:
		return thai
	case u >= 0x3040 && u <= 0x30ff:
		return kana
	case u >= 0x3400 && u <= 0x9fff || u >= 0x20000 && u <= 0x3ffff:
		return han
	case u >= 0xac00 && u <= 0xd7a3 || u >= 0x1100 && u <= 0x11ff:
		return hangul
	}
	return -1
}

// byScript decides texts mostly in a script that one language here has. A character of Han or kana says as much as several letters.
func byScript(text []byte) (code string, decided bool) {
	var n [scriptCount]int
	total := 0
	for i := 0; i < len(text); {
		u, size := utf8.DecodeRune(text[i:])
		i += size
		if s := scriptOf(u); s >= 0 {
			weight := 1
			if s == han || s == kana || s == hangul {
				weight = 3
			}
			n[s] += weight
			total += weight
		}
	}
	if 8*n[kana] > n[han] { // Japanese has both
		n[kana] += n[han]
		n[han] = 0
	}
	for s := greek; s < scriptCount; s++ {
		if n[s] >= 6 && 2*n[s] > total {
			return scriptLanguage[s], true
		}
	}
	return "", total == 0
}
