// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Languages of months and weekdays, in the order in which a word that several have is taken: "april" is English, but German behind "12. ".
const (
	english = iota
	german
	french
	spanish
	italian
	portuguese
	dutch
)

// months are the names of the months, by language: the whole name, and after a slash the short form.
func months() [7]string {
	return [7]string{
		english:    "january/jan february/feb march/mar april/apr may/may june/jun july/jul august/aug september/sep october/oct november/nov december/dec",
		german:     "januar/jan februar/feb märz/mär april/apr mai/mai juni/jun juli/jul august/aug september/sep oktober/okt november/nov dezember/dez",
		french:     "janvier/janv février/févr mars/mars avril/avr mai/mai juin/juin juillet/juil août/août septembre/sept octobre/oct novembre/nov décembre/déc",
		spanish:    "enero/ene febrero/feb marzo/mar abril/abr mayo/may junio/jun julio/jul agosto/ago septiembre/sep octubre/oct noviembre/nov diciembre/dic",
		italian:    "gennaio/gen febbraio/feb marzo/mar aprile/apr maggio/mag giugno/giu luglio/lug agosto/ago settembre/set ottobre/ott novembre/nov dicembre/dic",
		portuguese: "janeiro/jan fevereiro/fev março/mar abril/abr maio/mai junho/jun julho/jul agosto/ago setembro/set outubro/out novembro/nov dezembro/dez",
		dutch:      "januari/jan februari/feb maart/mrt april/apr mei/mei juni/jun juli/jul augustus/aug september/sep oktober/okt november/nov december/dec",
	}
}

// weekdays are the names of the days, from Sunday on.
func weekdays() [7]string {
	return [7]string{
		english:    "sunday/sun monday/mon tuesday/tue wednesday/wed thursday/thu friday/fri saturday/sat",
		german:     "sonntag/so montag/mo dienstag/di mittwoch/mi donnerstag/do freitag/fr samstag/sa",
		french:     "dimanche/dim lundi/lun mardi/mar mercredi/mer jeudi/jeu vendredi/ven samedi/sam",
		spanish:    "domingo/dom lunes/lun martes/mar miércoles/mié jueves/jue viernes/vie sábado/sáb",
		italian:    "domenica/dom lunedì/lun martedì/mar mercoledì/mer giovedì/gio venerdì/ven sabato/sab",
		portuguese: "domingo/dom segunda/seg terça/ter quarta/qua quinta/qui sexta/sex sábado/sáb",
		dutch:      "zondag/zo maandag/ma dinsdag/di woensdag/wo donderdag/do vrijdag/vr zaterdag/za",
	}
}

// calendarWord is what a word means in a calendar.
type calendarWord struct {
	value, language int
	short           bool
}

// lookUp finds a word in lower case.
func lookUp(names [7]string, word string, germanFirst bool) (w calendarWord, ok bool) {
	if word == "sept" || word == "tues" || word == "thurs" || word == "thur" || word == "weds" {
		word = word[:3]
	}
	for i := range names {
		language := i
		if germanFirst && i <= german {
			language = german - i
		}
		n := 0
		for pair := range strings.SplitSeq(names[language], " ") {
			long, short, _ := strings.Cut(pair, "/")
			if word == long || word == short {
				return calendarWord{n, language, word != long}, true
			}
			n++
		}
	}
	return w, false
}

// appendWord writes the name of another month or day in the language, length and case of the one that stood there.
func (d *date) appendWord(dst []byte, names [7]string, p *part, value int) []byte {
	n := 0
	for pair := range strings.SplitSeq(names[p.language], " ") {
		if n == value {
			long, short, _ := strings.Cut(pair, "/")
			if p.short {
				long = short
			}
			return appendCase(dst, long, d.text[p.start:p.end])
		}
		n++
	}
	return dst
}

// appendCase writes a word in lower case as another word is written: in capitals, with a capital, or neither.
func appendCase(dst []byte, word string, like []byte) []byte {
	first, n := utf8.DecodeRune(like)
	second, _ := utf8.DecodeRune(like[n:])
	for i, r := range word {
		if unicode.IsUpper(first) && (i == 0 || unicode.IsUpper(second)) {
			r = unicode.ToUpper(r)
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst
}
