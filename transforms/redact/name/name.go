// SPDX-License-Identifier: Apache-2.0

// Package name finds persons, locations, organisations and postal addresses in text.
//
// Trust domain: pure; it runs natively and inside WebAssembly. Its one job: a small statistical tagger, trained by the program in
// train and embedded as a file, says which words are names. It decides with whole numbers only, so that the same text and the
// same model give the same findings on every machine.
package name

import (
	"crypto/sha256"
	_ "embed"
	"fmt"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/glovebox-dev/glovebox/transforms/redact/name/internal/chain"
	"github.com/glovebox-dev/glovebox/transforms/redact/span"
)

//go:embed model.bin
var embedded []byte

// Rules that findings name.
const (
	ruleTagger = "name-tagger"
	ruleAgain  = "name-again" // the name stands elsewhere in the text, and there the tagger was sure
)

// ErrModel is a model that this version does not read.
var ErrModel = chain.ErrModel

// Tagger finds names. It is safe for use by many goroutines.
type Tagger struct {
	model  *chain.Model
	digest [32]byte
	spare  sync.Pool
}

// New makes a tagger of a model that the training program wrote.
func New(model []byte) (*Tagger, error) {
	m, err := chain.Decode(model)
	if err != nil {
		return nil, fmt.Errorf("name: %w", err)
	}
	return &Tagger{model: m, digest: sha256.Sum256(model)}, nil
}

var load = sync.OnceValue(func() *Tagger {
	t, err := New(embedded)
	if err != nil {
		panic("name: the embedded model is broken: " + err.Error())
	}
	return t
})

// Default is the tagger of the embedded model, which is read at the first call.
func Default() *Tagger { return load() }

// Digest is the SHA-256 of the model's file.
func (t *Tagger) Digest() [32]byte { return t.digest }

var types = [5]span.Type{"", span.Person, span.Location, span.Organisation, span.Address}

// scratch is what one call works with; it is kept for the next one.
type scratch struct {
	chain.Decoder
	tokens []chain.Token
	document
}

// block bounds what is tagged at once, so that offsets within it fit 32 bits.
const block = 1 << 30

// Tag appends the names in text to dst, in the order of the text. The time is linear in the text.
func (t *Tagger) Tag(dst []span.Finding, text []byte) []span.Finding {
	for base := 0; base < len(text); {
		end := min(len(text), base+block)
		for back := 0; end < len(text) && back < utf8.UTFMax && !utf8.RuneStart(text[end]); back++ {
			end--
		}
		first := len(dst)
		dst = t.tag(dst, text[base:end])
		for i := first; i < len(dst); i++ {
			dst[i].Start += base
			dst[i].End += base
		}
		base = end
	}
	return dst
}

func (t *Tagger) tag(dst []span.Finding, text []byte) []span.Finding {
	s, ok := t.spare.Get().(*scratch)
	if !ok {
		s = &scratch{}
	}
	defer t.spare.Put(s)
	s.reset()
	first := len(dst)
	for at := 0; at < len(text); {
		s.tokens, at = chain.Piece(s.tokens[:0], text, at)
		t.model.Words.Annotate(s.tokens)
		s.Decode(t.model, s.tokens)
		dst = t.piece(dst, text, s)
	}
	n := len(dst)
	dst = s.again(dst)
	if len(dst) > n {
		slices.SortFunc(dst[first:], func(a, b span.Finding) int { return a.Start - b.Start })
	}
	return dst
}

// piece appends the findings of the piece that s has labelled.
func (t *Tagger) piece(dst []span.Finding, text []byte, s *scratch) []span.Finding {
	labels := s.Labels
	for i := 0; i < len(labels); {
		if labels[i] == chain.Outside {
			s.offer(s.tokens, i)
			i++
			continue
		}
		j := nameEnd(s, i)
		next := j
		if labels[i].Type() == chain.AddressFirst.Type() {
			if j, next = addressEnd(text, s.tokens, i, j); !postal(text, s.tokens[i:j]) {
				i = next
				continue
			}
		}
		if f, ok := t.finding(text, s, i, j); ok {
			dst = append(dst, f)
			s.remember(s.tokens[i:j], &f)
		}
		i = next
	}
	return dst
}

// nameEnd is where the name that begins with token i ends. Two persons with nothing but a space between them are one: the tagger
// takes rare given names and family names for two.
func nameEnd(s *scratch, i int) int {
	first := s.Labels[i]
	if !first.First() { // after a semicolon in an address
		first--
	}
	j := i + 1
	for j < len(s.Labels) {
		if first.Type() == chain.PersonFirst.Type() && hyphenated(s.tokens, j) {
			j += 2
			continue
		}
		again := first == chain.PersonFirst && s.Labels[j] == first && s.tokens[j].Start == s.tokens[j-1].End+1 && s.tokens[j-1].Kind.Word()
		if s.Labels[j] != first+1 && !again {
			break
		}
		j++
	}
	return j
}

// hyphenated says whether the name before token j goes on with a hyphen: Kim Jong-un.
func hyphenated(ts []chain.Token, j int) bool {
	if j+1 >= len(ts) || ts[j].Kind != chain.Dash || !ts[j].Left || !ts[j].Right || !ts[j-1].Kind.Capital() {
		return false
	}
	t := &ts[j+1]
	return t.Kind == chain.Title || t.Kind == chain.Lower && t.End-t.Start <= 3
}

// finding makes a finding of tokens from..to-1.
func (t *Tagger) finding(text []byte, s *scratch, from, to int) (f span.Finding, ok bool) {
	label := s.Labels[from]
	score := t.model.Confidence(label.Type(), s.Margin(t.model, s.tokens, from, to))
	a, b := trim(text, s.tokens, from, to)
	if a >= b {
		return f, false
	}
	why := span.ByModel
	for i := a; i < b; i++ {
		if s.tokens[i].Gaz&chain.Names != 0 || s.tokens[i].Phrase != chain.NoPhrase {
			why |= span.ByGazetteer
		}
	}
	return span.Finding{
		Type: types[label.Type()], Start: int(s.tokens[a].Start), End: int(s.tokens[b-1].End),
		Score: span.Score(score), Rule: ruleTagger, Why: why,
	}, true
}

// trim leaves out ends of line and signs at both ends, but for the stop of an abbreviation.
func trim(text []byte, ts []chain.Token, from, to int) (a, b int) {
	for from < to && !holds(&ts[from]) && text[ts[from].Start] != '#' {
		from++
	}
	for from < to && !holds(&ts[to-1]) {
		if ts[to-1].Kind == chain.Stop && ts[to-1].Left && to-2 > from && abbreviated(&ts[to-2]) {
			break
		}
		to--
	}
	return from, to
}

func holds(t *chain.Token) bool { return t.Kind <= chain.Code }

// abbreviated says that a stop belongs to the word before it: J., Ltd., St.
func abbreviated(t *chain.Token) bool {
	return t.Kind == chain.Initial || t.Gaz&(chain.OrgEnd|chain.Street) != 0 && t.End-t.Start <= 5
}
