// SPDX-License-Identifier: Apache-2.0

package main

import (
	_ "embed"
	"math/rand"
	"slices"
	"strings"
	"unicode"

	"github.com/glovebox-dev/glovebox/transforms/redact/name/internal/chain"
)

//go:embed lists.py
var listsPy []byte

//go:embed templates/words.txt
var wordsTxt string

//go:embed gazetteer.txt
var gazetteerTxt string

// locale is the names of one language and country.
type locale struct {
	code          string
	given, family []string
}

// lexicon is every list that sentences are filled from.
type lexicon struct {
	locales   []locale
	everyday  []int // locales of Latin script
	bigCities []string
	cities    map[string][]string // by GeoNames' country code; "" has all
	countries []string
	regions   []string
	streets   []string
	orgEnds   []string
	own       map[string][]string // words.txt
}

// newLexicon sorts Faker's lists into what the templates need.
func newLexicon(lists map[string]map[string][]string, places []place) *lexicon {
	l := &lexicon{cities: map[string][]string{}, own: ownWords()}
	for _, code := range keys(lists["given"]) {
		lo := locale{code: code, given: clean(lists["given"][code]), family: clean(lists["family"][code])}
		if latin := clean(lists["given_latin"][code]); len(latin) > 0 {
			lo.given, lo.family = append(lo.given, latin...), append(lo.family, clean(lists["family_latin"][code])...)
		}
		if len(lo.given) < 20 || len(lo.family) < 20 {
			continue
		}
		l.locales = append(l.locales, lo)
		if isLatin(lo.given[len(lo.given)/2]) {
			l.everyday = append(l.everyday, len(l.locales)-1)
		}
	}
	for _, p := range places {
		l.cities[""] = append(l.cities[""], p.name)
		l.cities[p.country] = append(l.cities[p.country], p.name)
		if p.people >= 100_000 {
			l.bigCities = append(l.bigCities, p.name)
		}
	}
	for _, code := range keys(lists["city"]) {
		l.cities[""] = append(l.cities[""], clean(lists["city"][code])...)
	}
	l.countries = latinLists(lists["country"], "en", "en", "en", "de", "fr_FR", "es", "it_IT", "nl_NL", "sv_SE", "pt_BR", "da_DK")
	l.regions = latinLists(lists["region"], "en_US", "en_US", "en_US", "en_CA", "en_GB", "en_AU", "de_DE", "it_IT", "es_ES", "fr_CA", "en_IN", "nl_NL", "sk_SK", "da_DK")
	l.streets = latinLists(lists["street"], "cs_CZ", "da_DK", "hr_HR", "pl_PL", "sl_SI", "id_ID", "zu_ZA", "ru_RU")
	for _, code := range keys(lists["company_suffix"]) {
		l.orgEnds = append(l.orgEnds, clean(lists["company_suffix"][code])...)
	}
	return l
}

func latinLists(lists map[string][]string, codes ...string) (all []string) {
	for _, c := range codes {
		for _, w := range clean(lists[c]) {
			if len(w) > 3 {
				all = append(all, w)
			}
		}
	}
	return all
}

func isLatin(w string) bool {
	for _, r := range w {
		if unicode.IsLetter(r) {
			return unicode.Is(unicode.Latin, r)
		}
	}
	return false
}

// clean drops what is not a name: templates of Faker's, codes, notes in brackets.
func clean(words []string) (out []string) {
	for _, w := range words {
		if len(w) > 1 && !strings.ContainsAny(w, "{}()[]/#0123456789,;") {
			out = append(out, w)
		}
	}
	return out
}

func keys[V any](m map[string]V) []string {
	k := make([]string, 0, len(m))
	for s := range m {
		k = append(k, s)
	}
	slices.Sort(k)
	return k
}

// ownWords reads words.txt: "#name" begins a list of words, "#name|" one whose entries are split at bars.
func ownWords() map[string][]string {
	own := map[string][]string{}
	name, bars := "", false
	for line := range strings.Lines(wordsTxt) {
		line = strings.TrimSpace(line)
		if n, ok := strings.CutPrefix(line, "#"); ok {
			name, bars = strings.CutSuffix(n, "|")
			continue
		}
		if bars {
			own[name] = append(own[name], strings.Split(line, "|")...)
		} else {
			own[name] = append(own[name], strings.Fields(line)...)
		}
	}
	return own
}

func pick[T any](r *rand.Rand, all []T) T { return all[r.Intn(len(all))] }

// gazetteer makes the table that the tagger carries. A word of two letters or less is in a list only if we wrote it.
func (l *lexicon) gazetteer(lists map[string]map[string][]string, places []place, counts *wordCounts) *chain.Gazetteer {
	g := &builder{chain.NewGazetteer(gazetteerBits)}
	for _, code := range keys(lists["given"]) {
		g.words(lists["given"][code], chain.Given)
		g.words(lists["given_latin"][code], chain.Given)
	}
	for _, code := range keys(lists["family"]) {
		g.words(lists["family"][code], chain.Family)
		g.words(lists["family_latin"][code], chain.Family)
	}
	for _, p := range places {
		switch {
		case p.people >= 50_000:
			g.phrase(p.name, chain.City)
		case p.people >= 2_000:
			g.phrase(p.name, chain.Village)
		}
	}
	for _, code := range keys(lists["city"]) {
		for _, w := range clean(lists["city"][code]) {
			g.phrase(w, chain.Village)
		}
	}
	for _, code := range keys(lists["country"]) {
		for _, w := range clean(lists["country"][code]) {
			g.phrase(w, chain.Country)
		}
	}
	for _, code := range keys(lists["region"]) {
		for _, w := range clean(lists["region"][code]) {
			if len(w) > 3 {
				g.phrase(w, chain.Region)
			}
		}
	}
	for _, w := range l.own["knownorg"] {
		g.phrase(w, chain.OrgWord)
	}
	for _, w := range l.own["orgword"] {
		g.word(w, chain.OrgWord)
	}
	for _, w := range l.own["nat"] {
		g.word(w, chain.Calendar)
	}
	g.ownLists()
	for _, w := range counts.common {
		g.Add(w, chain.Common)
	}
	for _, w := range counts.frequent {
		g.Add(w, chain.Frequent)
	}
	return g.Gazetteer
}

const gazetteerBits = 19

type builder struct{ *chain.Gazetteer }

func (g *builder) words(words []string, list chain.Lists) {
	for _, w := range clean(words) {
		g.word(w, list)
	}
}

// word adds each part of a name: José Luis, Jean-Luc.
func (g *builder) word(w string, list chain.Lists) {
	for _, t := range tokens(w) {
		if t.Kind.Word() && t.End-t.Start > 2 {
			g.Add(t.Low, list)
		}
	}
}

// phrase adds a name of one word, or the phrase and the word that it begins with.
func (g *builder) phrase(w string, list chain.Lists) {
	var parts []uint32
	for _, t := range tokens(w) {
		if t.Kind <= chain.Code {
			parts = append(parts, t.Low)
		}
	}
	switch {
	case len(parts) == 1:
		if len(w) > 2 {
			g.Add(parts[0], list)
		}
	case len(parts) <= 6 && len(parts) > 1:
		g.Add(parts[0], chain.Begins)
		g.Add(chain.PhraseHash(parts...), list)
	}
}

// ownLists reads gazetteer.txt: "#list", then words.
func (g *builder) ownLists() {
	lists := map[string]chain.Lists{
		"orgend": chain.OrgEnd, "street": chain.Street, "unit": chain.Unit, "honour": chain.Honour,
		"particle": chain.Particle, "calendar": chain.Calendar, "region": chain.Region, "country": chain.Country, "given": chain.Given,
	}
	var list chain.Lists
	for line := range strings.Lines(gazetteerTxt) {
		line = strings.TrimSpace(line)
		if n, ok := strings.CutPrefix(line, "#"); ok {
			list = lists[n]
			continue
		}
		for w := range strings.SplitSeq(line, "|") {
			if parts := tokens(w); len(parts) == 1 {
				g.Add(parts[0].Low, list)
			} else {
				g.phrase(w, list)
			}
		}
	}
}

func tokens(w string) []chain.Token {
	t, _ := chain.Piece(nil, []byte(w), 0)
	return t
}

// wordCounts says which words real text writes small.
type wordCounts struct {
	common, frequent []uint32
}

// bodyOf is where the body of a mail begins: words in its headers are written large without being names.
func bodyOf(text string) int {
	if strings.HasPrefix(text, "From ") || strings.HasPrefix(text, "Return-Path:") || strings.HasPrefix(text, "Received:") {
		return strings.Index(text, "\n\n") + 1
	}
	return 0
}

// countWords takes the words of the dictionary and of real text: a word is common when it is written small at least five times
// as often as not.
func countWords(dictionary []string, texts []string) *wordCounts {
	small, capital := map[uint32]int{}, map[uint32]int{}
	for _, text := range texts {
		for at := bodyOf(text); at < len(text); {
			var ts []chain.Token
			ts, at = chain.Piece(nil, []byte(text), at)
			for i := range ts {
				switch {
				case ts[i].Left || ts[i].Right && ts[i].Kind != chain.Lower:
				case ts[i].Kind == chain.Lower:
					small[ts[i].Low]++
				case ts[i].Kind == chain.Title:
					capital[ts[i].Low]++
				}
			}
		}
	}
	c := &wordCounts{}
	for _, w := range dictionary {
		h := chain.Hash(w)
		if small[h] >= 5*capital[h] {
			c.common = append(c.common, h)
		}
	}
	var often []uint32
	for h, n := range small {
		if n >= 4 && n >= 5*capital[h] || n >= 300 {
			c.common = append(c.common, h)
			often = append(often, h)
		}
	}
	slices.Sort(c.common)
	slices.SortFunc(often, func(a, b uint32) int {
		if small[a] != small[b] {
			return small[b] - small[a]
		}
		return int(int64(a) - int64(b))
	})
	c.frequent = often[:min(len(often), 1500)]
	return c
}
