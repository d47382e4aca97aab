// SPDX-License-Identifier: Apache-2.0

package name

import (
	"bytes"

	"github.com/glovebox-dev/glovebox/transforms/redact/name/internal/chain"
)

// Rows of numbers look like addresses to the tagger: readings, room numbers, lists of references. An address also has a street, a
// post-office box, a flat or a place.

// addressEnd is where the first address of the tokens ends: a semicolon parts two. next is where the other begins.
func addressEnd(text []byte, ts []chain.Token, from, to int) (end, next int) {
	for i := from; i < to; i++ {
		if ts[i].Kind == chain.Colon && text[ts[i].Start] == ';' {
			return i, i + 1
		}
	}
	return to, to
}

// postal says whether the tokens have what makes numbers an address.
func postal(text []byte, ts []chain.Token) bool {
	digits, place := false, false
	for i := range ts {
		t := &ts[i]
		switch {
		case t.Kind == chain.Uncased, streetAt(text, ts, i), unitAt(text, ts, i), housed(ts, i):
			return true
		case number(t):
			digits = true
		case t.Gaz&chain.Names != 0 && isPlace(t):
			place = true
		}
		if digits && place {
			return true
		}
	}
	return false
}

func isPlace(t *chain.Token) bool {
	const where = chain.City | chain.Village | chain.Country | chain.Region
	if t.Phrase == chain.PlaceFirst || t.Phrase == chain.PlaceMore || t.Phrase == chain.CountryFirst {
		return true
	}
	return t.Gaz&where != 0 && t.Gaz&(chain.Common|chain.Frequent) == 0 && (t.Kind.Capital() || t.Gaz&^chain.Village&where != 0 && t.End-t.Start > 3)
}

// streetAt says whether token i is a word for a street with a name beside it, or ends with one.
func streetAt(text []byte, ts []chain.Token, i int) bool {
	t := &ts[i]
	if !t.Kind.Word() {
		return false
	}
	if t.Gaz&chain.Street != 0 {
		return i > 0 && named(&ts[i-1]) || i+1 < len(ts) && named(&ts[i+1]) ||
			i+2 < len(ts) && ts[i+1].Kind == chain.Stop && named(&ts[i+2])
	}
	return endsAsStreet(text[t.Start:t.End])
}

// named says whether a token may be of a street's name.
func named(t *chain.Token) bool { return t.Kind.Word() || t.Kind == chain.Code }

// unitAt says whether a flat or a box with its number begins at token i, or a post office of the forces. Rooms and floors are where
// meetings are.
func unitAt(text []byte, ts []chain.Token, i int) bool {
	word := text[ts[i].Start:ts[i].End]
	switch string(word) {
	case "FPO", "APO", "DPO", "fpo", "apo", "dpo":
		return i+1 < len(ts)
	}
	if ts[i].Gaz&chain.Unit == 0 || !ts[i].Kind.Word() || len(word) < 3 && !ts[i].Kind.Capital() {
		return false
	}
	for _, w := range [...]string{"room", "floor", "level", "section"} {
		if bytes.EqualFold(word, []byte(w)) {
			return false
		}
	}
	if i++; i < len(ts) && ts[i].Kind == chain.Stop {
		i++
	}
	return i < len(ts) && number(&ts[i])
}

func number(t *chain.Token) bool { return t.Kind == chain.Digits || t.Kind == chain.Code }

// housed says whether token i is a name with the number of a house right beside it.
func housed(ts []chain.Token, i int) bool {
	const other = chain.Common | chain.Frequent | chain.Calendar | chain.OrgEnd | chain.Honour | chain.Unit | chain.Street
	t := &ts[i]
	if t.Kind != chain.Title && t.Kind != chain.Upper && t.Kind != chain.Mixed || t.Gaz&other != 0 || t.End-t.Start < 4 {
		return false
	}
	house := func(k int) bool {
		return k >= 0 && k < len(ts) && number(&ts[k]) && ts[k].End-ts[k].Start <= 4
	}
	return house(i-1) && ts[i-1].End+1 == t.Start || house(i+1) && t.End+1 == ts[i+1].Start
}

// endsAsStreet says whether a word is the name of a street in a language that writes both as one.
func endsAsStreet(word []byte) bool {
	for _, end := range [...]string{
		"straße", "strasse", "str", "weg", "platz", "gasse", "allee", "damm", "ring", "ufer", "gatan", "vägen", "gata", "veien", "vegen", "gade", "vej", "straat",
		"laan", "plein", "gracht", "kade", "dijk", "katu", "tie", "utca", "körút",
	} {
		if n := len(word) - len(end); n >= 3 && bytes.EqualFold(word[n:], []byte(end)) {
			return true
		}
	}
	return false
}
