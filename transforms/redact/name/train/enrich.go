// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"

	"github.com/glovebox-dev/glovebox/transforms/redact/name/internal/chain"
)

// Words of real text in whose place a name can stand.
var (
	subjects = hashes("he", "she")
	objects  = hashes("him", "them", "somebody", "someone", "everyone", "anybody", "nobody", "everybody")
	owners   = hashes("his", "their")
	articles = hashes("the", "this", "that", "a", "an", "my", "your", "our", "his", "their")
	near     = hashes("in", "at", "from", "to", "near", "into", "through", "towards", "around", "across", "outside", "for", "of", "via", "reach", "leave", "left", "visit", "visited")
	places   = hashes("house", "city", "town", "country", "world", "sea", "ship", "cabin", "room", "office", "island", "port", "harbor", "land", "village", "area", "state", "building", "store", "market", "church", "coast", "shore", "river", "north", "south", "east", "west", "university", "hotel", "airport", "station", "ocean", "region", "place", "net", "web", "home", "states", "border")
	adverbs  = hashes("there", "here", "home", "abroad", "away", "overseas")
	bodies   = hashes("company", "government", "bank", "school", "project", "team", "list", "group", "firm", "army", "police", "press", "media", "industry", "court", "club", "agency", "vendor", "vendors", "manufacturer", "provider", "publisher", "store", "crew", "owners", "companies", "university", "committee", "board", "party", "department", "site", "service", "business", "author", "authors", "developers", "distributor", "system")
	people   = hashes("man", "woman", "boy", "girl", "captain", "mate", "guy", "friend", "person", "user", "author", "sender", "owner", "boss", "wife", "husband", "brother", "sister", "son", "daughter", "king", "doctor", "lady", "gentleman", "sailor", "carpenter", "president", "customer", "client", "programmer", "kid", "child", "father", "mother")
)

func hashes(words ...string) map[uint32]bool {
	m := map[uint32]bool{}
	for _, w := range words {
		m[chain.Hash(w)] = true
	}
	return m
}

// enrich puts names in the place of some pronouns and nouns of a real text: sentences that nobody wrote for us. Headers stay.
func (g *generator) enrich(text string) (string, []mark) {
	g.text.Reset()
	g.marks = nil
	from := max(0, bodyOf(text))
	g.text.WriteString(text[:from])
	copied := from
	for at := from; at < len(text); {
		var ts []chain.Token
		ts, at = chain.Piece(nil, []byte(text), at)
		for i := 0; i < len(ts); i++ {
			n := g.r.Intn(100)
			if ts[i].Left || n >= 40 {
				continue
			}
			put, last := g.stead(ts, i, n < 3)
			if put == nil || ts[last].Right && ts[last+1].Kind != chain.Comma && ts[last+1].Kind != chain.Stop {
				continue
			}
			g.text.WriteString(text[copied:ts[i].Start])
			put()
			copied = int(ts[last].End)
			i = last
		}
	}
	g.text.WriteString(text[copied:])
	return g.text.String(), g.marks
}

// stead says what may stand instead of the tokens from i to last.
func (g *generator) stead(ts []chain.Token, i int, whole bool) (put func(), last int) {
	t := &ts[i]
	entity := func(name string) func() {
		return func() {
			if whole && name == "place" {
				name = "addr"
			}
			if after, _ := g.entity(name); after != "" {
				g.text.WriteString(after)
			}
		}
	}
	switch {
	case i+1 == len(ts):
		return nil, i
	case subjects[t.Low], objects[t.Low]:
		return entity(pick(g.r, []string{"person", "first", "last", "person", "first", "org"})), i
	case owners[t.Low]:
		return func() {
			entity(pick(g.r, []string{"first", "person", "last"}))()
			g.text.WriteString(pick(g.r, []string{"'s", "'s", "’s"}))
		}, i
	case adverbs[t.Low] && i > 0 && !near[ts[i-1].Low]:
		return func() {
			g.text.WriteString(pick(g.r, []string{"in ", "to ", "from ", "at ", "near "}))
			entity("place")()
		}, i
	case !articles[t.Low] || ts[i+1].Kind != chain.Lower:
		return nil, i
	}
	return g.nounStead(ts, i, entity)
}

// nounStead is [generator.stead] for an article and a noun.
func (g *generator) nounStead(ts []chain.Token, i int, entity func(string) func()) (put func(), last int) {
	noun := ts[i+1].Low
	switch {
	case people[noun]:
		return entity(pick(g.r, []string{"person", "first", "last", "person"})), i + 1
	case bodies[noun] && (i == 0 || !near[ts[i-1].Low] || g.r.Intn(2) == 0):
		return entity("org"), i + 1
	case places[noun] && i > 0 && near[ts[i-1].Low]:
		return entity(pick(g.r, []string{"place", "place", "place", "city", "org"})), i + 1
	}
	return nil, i
}

// characters are the persons of the novel that is learned from.
var characters = strings.Fields("Ahab Starbuck Stubb Flask Queequeg Tashtego Daggoo Ishmael Peleg Bildad Pip Fedallah Elijah Mapple Starbuck Perth Coffin Hussey Bulkington Gardiner Boomer Bunger Radney Steelkilt Gabriel Mayhew Derick Macey")
