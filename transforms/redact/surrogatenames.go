// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/glovebox-dev/glovebox/transforms/redact/span"
)

// pool are names that people have both as given and as family names: so a word of a name has one surrogate, whether it stands first,
// last or alone, and "Smith" and "John Smith" stay one person.
const pool = "Abbott Addison Alexis Allen Alton Archer Arden Ashton Aubrey Austin Avery Bailey Barrett Beckett Bellamy Bennett Blair Blake " +
	"Bradley Brady Brooks Bryce Burke Byron Cameron Carey Carroll Carson Carter Casey Chandler Clark Clayton Cleo Clifford Cole Corey Craig " +
	"Curtis Dale Dallas Dalton Damon Darcy Davis Dean Denver Dexter Drew Duncan Dylan Easton Eden Elliott Ellis Ellery Emerson Everett Ezra " +
	"Finley Fletcher Flynn Forrest Foster Francis Franklin Garrett Gibson Gordon Grady Graham Grant Grayson Greer Griffin Hadley Harlan Harley " +
	"Harper Harrison Hayden Henry Hollis Howard Hudson Hunter Ingram Irving Jamison Jarvis Jensen Jordan Justice Keaton Keegan Kelly Kendall " +
	"Kennedy Kerry Kim Kingsley Kirby Kyle Lamar Lane Langston Lee Leighton Leslie Lewis Lincoln Lindsay Logan Lyle Mackenzie Madison Marlow " +
	"Marshall Martin Mason Maxwell Merritt Micah Miles Miller Milton Mitchell Monroe Morgan Morris Murphy Murray Nash Neal Nelson Nolan Norris " +
	"Oakley Orson Osborne Owen Palmer Parker Paxton Payton Penn Perry Porter Prescott Preston Quincy Quinn Ramsey Randall Raymond Reagan Reed " +
	"Reese Remington Rhodes Riley Robin Rodney Rory Ross Rowan Royce Russell Ryan Ryder Sawyer Scott Selby Shannon Shaw Shelby Shelton Sheridan " +
	"Sidney Skyler Sloan Spencer Stanley Sterling Stewart Stuart Sullivan Sutton Tatum Taylor Terry Thayer Thomas Tobias Todd Travis Tristan " +
	"Tucker Turner Tyler Tyson Vance Vaughn Vernon Victor Wade Walker Wallace Walton Warren Wayne Wesley Weston Whitney Winslow Winston Wyatt"

// towns are made of two parts, so that they are no place one knows.
const (
	townFirst = "Ash Beck Birch Bram Brook Cald Clear Cold Crest Dun East Elm Fair Fern Glen Gold Green Grim Hal Hart Haw High Hol Kings Lang " +
		"Lin Long Maple Marl Mill Moor New North Oak Pine Raven Red Rock Rose Silver South Spring Stan Stone Sun Thorn Wal West Whit Wil Winter Wood"
	townLast = "borough bourne bridge brook bury by cliff combe cross dale den field ford gate ham haven hill hurst land leigh ley low mere mont " +
		"moor mouth port ridge shore side stead stoke ton vale view ville water well wick wood worth"
)

// firms are invented, of two parts.
const firmLast = "Analytics Associates Bakery Brothers Builders Capital Consulting Couriers Design Dynamics Energy Engineering Farms Foods " +
	"Foundry Freight Garden Glass Group Health Holdings Industries Instruments Insurance Interiors Labs Logistics Machines Marine Materials " +
	"Media Metals Mills Motors Networks Optics Outfitters Packaging Partners Pharma Plastics Press Printing Properties Research Robotics " +
	"Services Software Solutions Studios Supply Systems Textiles Timber Tools Trading Transport Ventures Works"

// suffixes say of which kind a firm is; they stay.
const suffixes = " ab ag as asa bv co company corp corporation foundation gmbh group holding inc incorporated institute kg limited llc llp ltd " +
	"nv oy oyj plc pty pvt sa sarl se spa srl trust university "

// particles stand in names and are nobody's; they stay.
const particles = " al ap bin da das de del della den der di do dos du e el ibn la le les ten ter van von y zu zum zur "

// streets are the words of addresses that say what a part of it is; they stay.
const streets = " al allee apartment apt av ave avenida avenue blvd bldg boulevard box building calle chaussee circle cir close corso court ct " +
	"cours crescent de del della der des di dr drive du el flat floor gasse gata gate highway hwy house la laan lane le les level ln lot no p o parkway pkwy " +
	"piazza pl place platz plaza plein po quai rd road room route rua rue square sq st ste straat strada strasse straße str street suite terrace " +
	"the trail unit van via viale von way weg "

func word(list string, n int) string {
	for w := range strings.SplitSeq(list, " ") {
		if n == 0 {
			return w
		}
		n--
	}
	return ""
}

func count(list string) int { return strings.Count(list, " ") + 1 }

// given is one name.
func given(r *draw) string { return word(pool, r.pick(count(pool))) }

// person replaces each word of a name by its own surrogate; initials by initials, and words of other scripts letter by letter.
func (s surrogate) person(dst, text []byte, r *draw) []byte {
	many := strings.ContainsAny(strings.TrimSpace(string(text)), " \t\n")
	return s.words(dst, text, func(dst, w []byte) []byte {
		lower := strings.ToLower(string(w))
		if many && strings.Contains(particles, " "+lower+" ") {
			return append(dst, w...)
		}
		return s.nameWord(dst, w)
	})
}

// nameWord is the surrogate of one word.
func (s surrogate) nameWord(dst, w []byte) []byte {
	own := &draw{s.prf.sum(span.Person, w, 0), 0}
	switch n := utf8.RuneCount(w); {
	case !latin(w) || n == 1:
		return s.shape(dst, w, own)
	default:
		return appendCase(dst, strings.ToLower(given(own)), w)
	}
}

// place replaces a place's name by a made-up one, word by word; a code in capitals by another.
func (s surrogate) place(dst, text []byte) []byte {
	return s.words(dst, text, s.placeWord)
}

func (s surrogate) placeWord(dst, w []byte) []byte {
	own := &draw{s.prf.sum(span.Location, w, 0), 0}
	if !latin(w) || utf8.RuneCount(w) <= 3 {
		return s.shape(dst, w, own)
	}
	town := word(townFirst, own.pick(count(townFirst))) + word(townLast, own.pick(count(townLast)))
	return appendCase(dst, strings.ToLower(town), w)
}

// organisation gives a made-up firm, with the suffix that there was.
func (s surrogate) organisation(dst, text []byte, r *draw) []byte {
	if !latin(text) {
		return s.shape(dst, text, r)
	}
	dst = append(append(dst, given(r)...), ' ')
	dst = append(dst, word(firmLast, r.pick(count(firmLast)))...)
	last := text[lastSpace(text):]
	if bare := strings.ToLower(strings.Trim(string(last), " .,")); len(last) < len(text) && strings.Contains(suffixes, " "+bare+" ") {
		dst = append(dst, last...)
	}
	return dst
}

func lastSpace(text []byte) int {
	for i := len(text) - 1; i > 0; i-- {
		if text[i] == ' ' {
			return i
		}
	}
	return len(text)
}

// address replaces numbers and names in a postal address, and keeps its lines and what says street, box or floor.
func (s surrogate) address(dst, text []byte) []byte {
	return s.words(dst, text, func(dst, w []byte) []byte {
		if strings.Contains(streets, " "+strings.ToLower(string(w))+" ") {
			return append(dst, w...)
		}
		own := &draw{s.prf.sum(span.Address, w, 0), 0}
		if w[0] >= '0' && w[0] <= '9' {
			dst = append(dst, own.nonZero())
			return s.shape(dst, w[1:], own)
		}
		return s.placeWord(dst, w)
	})
}

// words calls each for every word, a run of letters and digits; what is between them stays.
func (s surrogate) words(dst, text []byte, each func(dst, w []byte) []byte) []byte {
	for len(text) > 0 {
		n := 0
		for n < len(text) {
			c, size := utf8.DecodeRune(text[n:])
			if !inWord(c) {
				break
			}
			n += size
		}
		if n > 0 {
			dst, text = each(dst, text[:n:n]), text[n:]
			continue
		}
		_, size := utf8.DecodeRune(text)
		dst, text = append(dst, text[:size]...), text[size:]
	}
	return dst
}

// latin reports whether all letters are of the Latin script.
func latin(w []byte) bool {
	for _, c := range string(w) {
		if c >= utf8.RuneSelf && unicode.IsLetter(c) && !unicode.Is(unicode.Latin, c) {
			return false
		}
	}
	return true
}
