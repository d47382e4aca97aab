// SPDX-License-Identifier: Apache-2.0

// Package chain is the linear-chain tagger's arithmetic: tokens, hashed features, word lists and the best labelling.
//
// Trust domain: pure; it runs natively and inside WebAssembly. Its one job: the program that trains and the tagger that runs see
// the same tokens and the same features. All of it is integers, so that every machine finds the same labels.
package chain

import (
	"unicode"
	"unicode/utf8"
)

// Kind is what a token looks like.
type Kind uint8

// Kinds of tokens. The order is part of the model.
const (
	Lower   Kind = iota // a word in lower case
	Title               // a word that begins with a capital
	Upper               // two capitals or more
	Initial             // one capital
	Mixed               // iPhone, McDonald
	Uncased             // a script without case
	Digits              // digits alone
	Code                // letters with digits or underscores
	Line                // one end of line
	Para                // two or more
	Comma               // ,
	Stop                // .
	Colon               // : and ;
	Dash                // - and the like
	Quote               // quotation marks and apostrophes
	Bracket             // ( ) [ ] { } < >
	Other               // any other sign
	Net                 // an e-mail address, a URL or a path
	Edge                // before the first and after the last token
	Kinds
)

// Word says whether the token is made of letters.
func (k Kind) Word() bool { return k <= Uncased }

// Capital says whether the token has a capital where a name has one.
func (k Kind) Capital() bool { return k >= Title && k <= Mixed }

// Token is one word, number, sign or end of line.
type Token struct {
	Start, End     int32 // bytes of the text
	Low            uint32
	Pre, Suf3, Suf uint32 // hashes of the first three, the last three and the last two letters
	Shape          uint32
	Gaz            Lists
	Phrase         Phrase
	Kind           Kind
	Left, Right    bool   // glued to the token before, to the one after
	Head           uint32 // hash of the first word of its line
	Place          uint8  // its place in its line, and whether the line is short
}

const hashSeed = 2166136261

func step(h, c uint32) uint32 { return (h ^ c) * 16777619 }

// Hash is the hash of a word as the tokeniser sees it: lower case and without accents.
func Hash(word string) uint32 {
	h := uint32(hashSeed)
	for _, r := range word {
		h = step(h, uint32(Fold(r)))
	}
	return h
}

// folded is the letters U+00C0 to U+017F without accents, in lower case.
const folded = "aaaaaaaceeeeiiiidnooooo*ouuuuytsaaaaaaaceeeeiiiidnooooo/ouuuuyty" +
	"aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiiiiijjkkklllllllllln" +
	"nnnnnnnnoooooooorrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs"

// Fold is a letter in lower case, and without its accent where it is a Latin one.
func Fold(r rune) rune {
	switch {
	case r < 0x80:
		if r-'A' < 26 && r >= 'A' {
			return r + 'a' - 'A'
		}
		return r
	case r >= 0xC0 && r < 0xC0+rune(len(folded)):
		return rune(folded[r-0xC0])
	case r == '’':
		return '\''
	case r >= 0x1E00 && r < 0x1F00:
		return foldVietnamese(unicode.ToLower(r))
	}
	return unicode.ToLower(r)
}

func foldVietnamese(r rune) rune {
	switch {
	case r >= 0x1EA1 && r <= 0x1EB7:
		return 'a'
	case r >= 0x1EB9 && r <= 0x1EC7:
		return 'e'
	case r >= 0x1EC9 && r <= 0x1ECB:
		return 'i'
	case r >= 0x1ECD && r <= 0x1EE3:
		return 'o'
	case r >= 0x1EE5 && r <= 0x1EF1:
		return 'u'
	case r >= 0x1EF3 && r <= 0x1EF9:
		return 'y'
	}
	return r
}

type class uint8

const (
	space class = iota
	newline
	lowerLetter
	upperLetter
	plainLetter // of a script without case
	digit
	mark
	sign
)

var ascii = func() (t [128]class) {
	for c := range t {
		switch {
		case c == '\n':
			t[c] = newline
		case c <= ' ' || c == 0x7F:
			t[c] = space
		case c >= 'a' && c <= 'z':
			t[c] = lowerLetter
		case c >= 'A' && c <= 'Z':
			t[c] = upperLetter
		case c >= '0' && c <= '9':
			t[c] = digit
		case c == '_':
			t[c] = mark
		default:
			t[c] = sign
		}
	}
	return t
}()

func classify(text []byte, at int) (class, rune, int) {
	if c := text[at]; c < utf8.RuneSelf {
		return ascii[c], rune(c), 1
	}
	r, n := utf8.DecodeRune(text[at:])
	switch {
	case r == utf8.RuneError && n == 1:
		return sign, r, n
	case unicode.IsLower(r):
		return lowerLetter, r, n
	case unicode.IsUpper(r) || unicode.IsTitle(r):
		return upperLetter, r, n
	case unicode.IsLetter(r):
		return plainLetter, r, n
	case unicode.IsMark(r) || r == 0x200D || r == 0xAD:
		return mark, r, n
	case unicode.IsDigit(r):
		return digit, r, n
	case unicode.IsSpace(r) || r == 0xFEFF || r == 0x200B:
		return space, r, n
	}
	return sign, r, n
}

// Bounds of one piece of text that is labelled at once.
const (
	pieceTokens = 512 // a piece ends at the next space
	pieceForced = 1024
	pieceSoft   = 96 // a piece ends at the next empty line
)

// Piece appends the tokens of text from at until the piece's end, and returns the tokens and where the next piece starts.
func Piece(dst []Token, text []byte, at int) ([]Token, int) {
	first := len(dst)
	glued := false
	for at < len(text) {
		n := len(dst) - first
		cl, r, size := classify(text, at)
		if n >= pieceForced || n >= pieceTokens && cl <= newline || n >= pieceSoft && dst[len(dst)-1].Kind == Para {
			break
		}
		switch cl {
		case space:
			dst, at = gap(dst, first, text, at)
			glued = false
			continue
		case newline:
			dst, at = lines(dst, text, at)
			glued = false
			continue
		case sign:
			dst = append(dst, signToken(r, at, size))
		default:
			dst = append(dst, word(text, at))
		}
		t := &dst[len(dst)-1]
		t.Left = glued
		if glued && len(dst) > first+1 {
			dst[len(dst)-2].Right = true
		}
		glued = true
		at = int(t.End)
	}
	dst = joinNet(dst, first, text)
	places(dst[first:])
	return dst, at
}

// gap skips white space within a line. A tab or three spaces between words are a column's end, and a token.
func gap(dst []Token, first int, text []byte, at int) ([]Token, int) {
	start, count, tab := at, 0, false
	for at < len(text) {
		cl, r, size := classify(text, at)
		if cl != space {
			wide := (count > 2 || tab) && cl != newline && len(dst) > first && dst[len(dst)-1].Kind != Line && dst[len(dst)-1].Kind != Para
			if wide {
				dst = append(dst, Token{Start: int32(start), End: int32(at), Kind: Line, Low: gapHash, Shape: gapHash})
			}
			return dst, at
		}
		count++
		tab = tab || r == '\t'
		at += size
	}
	return dst, at
}

const gapHash = 0x100 + uint32(Line)

// lines reads ends of line and the white space between them as one token.
func lines(dst []Token, text []byte, at int) ([]Token, int) {
	start, count, end := at, 0, at
	for at < len(text) {
		cl, _, size := classify(text, at)
		if cl > newline {
			break
		}
		at += size
		if cl == newline {
			count++
			end = at
		}
	}
	kind := Line
	if count > 1 {
		kind = Para
	}
	t := Token{Start: int32(start), End: int32(end), Kind: kind, Low: uint32(kind) + 1, Shape: uint32(kind) + 1}
	return append(dst, t), at
}

func signToken(r rune, at, size int) Token {
	kind := Other
	switch r {
	case ',':
		kind = Comma
	case '.':
		kind = Stop
	case ':', ';':
		kind = Colon
	case '-', '–', '—', '‐', '‑':
		kind = Dash
	case '"', '\'', '’', '‘', '“', '”', '«', '»', '`', '„':
		kind = Quote
	case '(', ')', '[', ']', '{', '}', '<', '>':
		kind = Bracket
	}
	h := step(hashSeed, uint32(r))
	return Token{Start: int32(at), End: int32(at + size), Kind: kind, Low: h, Pre: h, Suf3: h, Suf: h, Shape: uint32(kind) + 1}
}

// reading is a word while it is read.
type reading struct {
	Token
	a, b, c                                            uint32 // the last three letters
	upper, lower, plain, digits, marks, inner, letters int
	quoted                                             bool // the last sign was an apostrophe
}

// take adds a letter or digit, folded.
func (w *reading) take(f uint32) {
	w.Low = step(w.Low, f)
	if w.letters++; w.letters <= 3 {
		w.Pre = step(w.Pre, f)
	}
	w.a, w.b, w.c = w.b, w.c, f
	w.quoted = false
}

// word reads letters, digits and marks; an apostrophe belongs to the word where three letters or more follow it.
func word(text []byte, start int) Token {
	w := reading{Token: Token{Start: int32(start), Low: hashSeed, Pre: hashSeed}}
	at := start
	for at < len(text) {
		if c := text[at]; c-'a' < 26 { // most of all
			w.lower++
			w.take(uint32(c))
			at++
			continue
		}
		cl, r, size := classify(text, at)
		switch {
		case cl == sign && (r == '\'' || r == '’') && w.letters > 0 && w.digits == 0 && lettersFollow(text, at+size):
			w.quoted = true
			w.Low = step(w.Low, '\'')
			at += size
			continue
		case cl < lowerLetter || cl == sign:
			return w.finish(at)
		}
		at += size
		if w.count(cl, r) {
			w.take(uint32(Fold(r)))
		}
		w.quoted = false
	}
	return w.finish(at)
}

// count counts a rune by its class, and says whether it is part of the word's hash: combining accents are folded away.
func (w *reading) count(cl class, r rune) bool {
	switch cl {
	case lowerLetter:
		w.lower++
	case upperLetter:
		w.upper++
		if w.letters > 0 && !w.quoted {
			w.inner++
		}
	case plainLetter:
		w.plain++
	case digit:
		w.digits++
	case mark:
		if r != '_' {
			return false
		}
		w.marks++
	}
	return true
}

// lettersFollow says whether three letters stand at text[at:].
func lettersFollow(text []byte, at int) bool {
	for range 3 {
		if at >= len(text) {
			return false
		}
		cl, _, size := classify(text, at)
		if cl < lowerLetter || cl > plainLetter {
			return false
		}
		at += size
	}
	return true
}

func (w *reading) finish(end int) Token {
	t := &w.Token
	upper, lower, plain, digits, marks, inner := w.upper, w.lower, w.plain, w.digits, w.marks, w.inner
	t.End = int32(end)
	t.Suf = step(step(hashSeed, w.b), w.c)
	t.Suf3 = step(step(step(hashSeed, w.a), w.b), w.c)
	letters := upper + lower + plain
	switch {
	case letters == 0 && digits > 0 && marks == 0:
		t.Kind = Digits
	case digits > 0 || marks > 0:
		t.Kind = Code
	case upper == 1 && letters == 1:
		t.Kind = Initial
	case upper == 0 && plain > lower:
		t.Kind = Uncased
	case upper == 0:
		t.Kind = Lower
	case lower == 0:
		t.Kind = Upper
	case inner == 0:
		t.Kind = Title
	default:
		t.Kind = Mixed
	}
	t.Shape = uint32(t.Kind) + 1 + uint32(min(letters, 7))<<8 + uint32(min(digits, 7))<<12
	if t.Kind == Digits { // the figures themselves say nothing: 5 digits are 5 digits
		t.Low = 0x1000 + uint32(min(digits, 12))
		t.Pre, t.Suf, t.Suf3 = t.Low, t.Low, t.Low
	}
	return *t
}

// joinNet makes one token of each e-mail address, URL and path: they are nobody's name, and their parts look like words.
func joinNet(all []Token, first int, text []byte) []Token {
	out := first
	for i := first; i < len(all); {
		j, net := gluedRun(all, i, text)
		if !net {
			for ; i < j; i++ {
				all[out] = all[i]
				out++
			}
			continue
		}
		for j > i+1 && (all[j-1].Kind == Stop || all[j-1].Kind == Comma || all[j-1].Kind == Colon) {
			j--
		}
		t := Token{Start: all[i].Start, End: all[j-1].End, Kind: Net, Low: uint32(Net) + 1, Shape: uint32(Net) + 1, Left: all[i].Left, Right: all[j-1].Right}
		all[out] = t
		out++
		i = j
	}
	return all[:out]
}

// gluedRun finds the end of the tokens that hang together with token i, and whether they are an address of the net.
func gluedRun(all []Token, i int, text []byte) (int, bool) {
	if breaks(all[i].Kind) {
		return i + 1, false
	}
	net, slashes := false, 0
	j := i
	for ; j < len(all) && !breaks(all[j].Kind) && (j == i || all[j].Left); j++ {
		if all[j].Kind != Other {
			continue
		}
		switch text[all[j].Start] {
		case '@':
			net = net || j > i && all[j].Right
		case '/', '\\':
			slashes++
			net = net || j > i && slashes >= 2 && all[j-1].Start == all[j].Start-1 && text[all[j-1].Start] == text[all[j].Start]
		}
	}
	return j, net || slashes >= 3
}

func breaks(k Kind) bool {
	return k == Line || k == Para || k == Quote || k == Bracket || k == Comma
}

// places says for each token where it stands in its line.
func places(all []Token) {
	for i := 0; i < len(all); {
		j := i
		for j < len(all) && all[j].Kind != Line && all[j].Kind != Para {
			j++
		}
		head := uint32(0)
		for k := i; k < j && head == 0; k++ {
			if all[k].Kind.Word() {
				head = all[k].Low
			}
		}
		short := uint8(min(j-i, 15)/4) << 4
		for k := i; k < j; k++ {
			all[k].Head, all[k].Place = head, uint8(min(k-i, 7))|short
		}
		if j < len(all) {
			all[j].Place = 15 | short
		}
		i = j + 1
	}
}
