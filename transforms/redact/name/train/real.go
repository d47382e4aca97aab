// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/mail"
	"strings"
	"unicode"

	"github.com/glovebox-dev/glovebox/transforms/redact/name/internal/chain"
)

// realText labels text that nobody labelled, as far as it can be known: words that are written small are nobody's names, names
// in the headers of a mail are persons, countries are places; of the rest nothing is said, and nothing learned.
type realText struct {
	words  *chain.Gazetteer
	people map[uint32]bool // words of the names in headers of any mail
	seen   map[uint32]int  // in how many texts a word with a capital stands
	terms  bool            // frequent capitalised words that are in no list are products and the like
}

func newRealText(words *chain.Gazetteer, texts []string, terms bool) *realText {
	rt := &realText{words: words, people: map[uint32]bool{}, seen: map[uint32]int{}, terms: terms}
	for _, text := range texts {
		for _, name := range rt.headerNames(text) {
			for _, t := range tokens(name) {
				if t.Kind.Word() {
					rt.people[t.Low] = true
				}
			}
		}
		here := map[uint32]bool{}
		for at := 0; at < len(text); {
			var ts []chain.Token
			ts, at = chain.Piece(ts, []byte(text), at)
			for i := range ts {
				if ts[i].Kind.Capital() && !here[ts[i].Low] {
					here[ts[i].Low] = true
					rt.seen[ts[i].Low]++
				}
			}
		}
	}
	return rt
}

// characterWords are the names of the novel's persons.
var characterWords = hashes(characters...)

// headerNames are the names of people in the mail's From, To and Cc, "Last, First" turned round.
func (rt *realText) headerNames(text string) (names []string) {
	head, _, _ := strings.Cut(text, "\n\n")
	if _, rest, ok := strings.Cut(head, "\n"); ok && strings.HasPrefix(head, "From ") {
		head = rest
	}
	msg, err := mail.ReadMessage(strings.NewReader(head + "\n\n"))
	if err != nil {
		return nil
	}
	for _, h := range []string{"From", "To", "Cc", "Reply-To"} {
		list, err := msg.Header.AddressList(h)
		if err != nil {
			continue
		}
		for _, a := range list {
			if looksHuman(a.Name) && rt.noList(a.Name) {
				names = append(names, a.Name)
			}
		}
	}
	return names
}

// looksHuman is true of two to four words that each begin with a capital.
func looksHuman(name string) bool {
	parts := strings.Fields(name)
	if len(parts) < 2 || len(parts) > 4 || strings.ContainsAny(name, "@/0123456789:()&") {
		return false
	}
	for _, p := range parts {
		r := []rune(strings.Trim(p, ".,\"'"))
		if len(r) == 0 || !unicode.IsUpper(r[0]) || len(r) > 2 && unicode.IsUpper(r[1]) && unicode.IsUpper(r[2]) {
			return false
		}
	}
	return true
}

// noList says that no word of a name is an ordinary one, as in the names of mailing lists and shops.
func (rt *realText) noList(name string) bool {
	for _, t := range tokens(name) {
		lists := rt.words.Find(t.Low)
		if t.Kind == chain.Mixed && lists&chain.Names == 0 || t.Kind.Word() && lists&(chain.Common|chain.OrgWord|chain.OrgEnd) != 0 && lists&(chain.Given|chain.Family) == 0 {
			return false
		}
	}
	return true
}

// examples labels one text; marks are what is known for certain. Long texts are cut.
func (rt *realText) examples(text string, marks []mark, limit int) (all []*example) {
	full := map[uint32][][]uint32{} // by the first word: the names in this mail's headers
	single := map[uint32]bool{}
	for _, name := range rt.headerNames(text) {
		var seq []uint32
		for _, t := range tokens(name) {
			if t.Kind.Word() {
				seq = append(seq, t.Low)
				if t.End-t.Start > 2 && rt.words.Find(t.Low)&(chain.Common|chain.OrgWord|chain.OrgEnd) == 0 {
					single[t.Low] = true
				}
			}
		}
		if len(seq) > 1 && rt.words.Find(seq[0])&chain.Given != 0 {
			full[seq[0]] = append(full[seq[0]], seq)
		}
	}
	total, k := 0, 0
	for at := 0; at < len(text) && total < limit; {
		e := &example{weight: realWeight}
		e.tokens, at = chain.Piece(nil, []byte(text), at)
		rt.words.Annotate(e.tokens)
		rt.label(e, full, single)
		k = apply(e, marks, k)
		all = append(all, e)
		total += len(e.tokens)
	}
	return all
}

func (rt *realText) label(e *example, full map[uint32][][]uint32, single map[uint32]bool) {
	n := len(e.tokens)
	e.labels, e.skip = make([]chain.Label, n), make([]bool, n)
	for i := 0; i < n; i++ {
		t := &e.tokens[i]
		e.skip[i] = rt.doubtful(e.tokens, i)
		if !t.Kind.Capital() {
			continue
		}
		if m := matchName(e.tokens, i, full[t.Low]); m > 1 {
			e.labels[i], e.skip[i] = chain.PersonFirst, false
			for k := i + 1; k < i+m; k++ {
				e.labels[k], e.skip[k] = chain.PersonMore, false
			}
			i += m - 1
			continue
		}
		if (single[t.Low] || !rt.terms && characterWords[t.Low]) && !t.Left && !t.Right && lonely(e.tokens, i) {
			e.labels[i], e.skip[i] = chain.PersonFirst, false
			continue
		}
		rt.place(e, i)
	}
	skipAddresses(e)
}

// matchName says over how many tokens one of the names goes.
func matchName(ts []chain.Token, i int, names [][]uint32) int {
	best := 0
	for _, seq := range names {
		k, j := 0, i
		for ; j < len(ts) && k < len(seq); j++ {
			if ts[j].Kind.Word() {
				if ts[j].Low != seq[k] {
					break
				}
				k++
			} else if ts[j].Kind != chain.Stop && ts[j].Kind != chain.Dash {
				break
			}
		}
		if k == len(seq) && j-i > best {
			best = j - i
		}
	}
	return best
}

// lonely says that no other capitalised word stands beside token i.
func lonely(ts []chain.Token, i int) bool {
	return (i == 0 || !ts[i-1].Kind.Capital()) && (i+1 == len(ts) || !ts[i+1].Kind.Capital())
}

// place labels countries and large cities whose words are nothing else.
func (rt *realText) place(e *example, i int) {
	t := &e.tokens[i]
	sure := t.Gaz&(chain.Country|chain.City|chain.Region) != 0 && t.Gaz&(chain.Given|chain.Family|chain.Common|chain.OrgWord|chain.Calendar|chain.Honour) == 0
	switch {
	case t.Left || t.Right && (i+1 == len(e.tokens) || e.tokens[i+1].Kind != chain.Comma && e.tokens[i+1].Kind != chain.Stop):
	case t.Phrase == chain.CountryFirst:
		e.labels[i], e.skip[i] = chain.LocationFirst, false
	case t.Phrase == chain.CountryMore && i > 0 && e.labels[i-1].Type() == 2:
		e.labels[i], e.skip[i] = chain.LocationMore, false
	case t.Phrase == chain.NoPhrase && sure && lonely(e.tokens, i) && t.Kind == chain.Title:
		e.labels[i], e.skip[i] = chain.LocationFirst, false
	}
}

// doubtful says that token i may be part of a name, as far as lists and counts can tell.
func (rt *realText) doubtful(ts []chain.Token, i int) bool {
	t := &ts[i]
	if !t.Kind.Capital() && t.Kind != chain.Uncased {
		// Signs and particles between doubtful words are doubtful too.
		if t.Kind == chain.Stop || t.Kind == chain.Dash || t.Gaz&chain.Particle != 0 || t.Kind == chain.Other || t.Low == chain.Hash("and") {
			return i > 0 && i+1 < len(ts) && rt.doubtfulWord(&ts[i-1]) && rt.doubtfulWord(&ts[i+1])
		}
		return false
	}
	return rt.doubtfulWord(t)
}

func (rt *realText) doubtfulWord(t *chain.Token) bool {
	switch {
	case !t.Kind.Capital():
		return false
	case t.Gaz&chain.Calendar != 0:
		return false
	case t.Gaz&chain.Common != 0 && !rt.people[t.Low] && t.Phrase == chain.NoPhrase && t.Gaz&chain.OrgWord == 0:
		return false
	case t.Gaz&(chain.Names|chain.OrgWord|chain.OrgEnd) != 0 || t.Phrase != chain.NoPhrase || rt.people[t.Low]:
		return true
	case rt.terms && (rt.seen[t.Low] >= 4 || t.Kind == chain.Upper && t.End-t.Start <= 5): // techniques more often than organisations
		return false
	}
	return true
}

// skipAddresses says nothing of lines with a number and a street word or a code: they may be addresses.
func skipAddresses(e *example) {
	for i := 0; i < len(e.tokens); {
		j, street, digits := i, false, false
		for ; j < len(e.tokens) && e.tokens[j].Kind != chain.Line && e.tokens[j].Kind != chain.Para; j++ {
			t := &e.tokens[j]
			street = street || t.Gaz&(chain.Street|chain.Unit) != 0 && t.Kind.Capital()
			digits = digits || t.Kind == chain.Digits || t.Kind == chain.Code
		}
		if street && digits && j-i < 24 {
			for k := max(0, i-2); k < min(len(e.tokens), j+6); k++ {
				e.skip[k] = true
			}
		}
		i = j + 1
	}
}
