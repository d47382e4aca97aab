// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// person makes a whole name as people write them.
func (g *generator) person() string {
	r := g.r
	given, family := g.given(), g.family()
	switch n := r.Intn(100); {
	case n < 58:
		return given + " " + family
	case n < 64:
		return given + " " + initial(g.given()) + " " + family
	case n < 68:
		return initial(given) + " " + family
	case n < 70:
		return initial(given) + " " + initial(g.given()) + " " + family
	case n < 74:
		return given + " " + g.given() + " " + family
	case n < 78:
		return given + " " + pick(r, particles) + " " + family
	case n < 81:
		return given + " " + family + "-" + g.family()
	case n < 83:
		return given + "-" + g.given() + " " + family
	case n < 86:
		return given + " " + family + " " + g.family()
	case n < 88:
		return given + " " + pick(r, []string{"O'", "Mc", "Mac", "D'", "De", "Di", "La", "Le", "Al-", "Abu "}) + family
	case n < 89:
		return given + " " + family + pick(r, []string{" Jr.", " Sr.", " III", " II", " Jr"})
	case n < 95:
		return given
	}
	return family
}

var particles = []string{"van", "von", "de", "van der", "van den", "de la", "del", "della", "di", "da", "dos", "du", "le", "bin", "ibn", "al", "el", "ten", "ter", "zu", "af", "y", "Van", "De", "La", "Von", "St."}

func initial(w string) string {
	_, n := utf8.DecodeRuneInString(w)
	return w[:n] + "."
}

func (g *generator) given() string {
	if g.r.Intn(12) == 0 {
		return g.invented(2)
	}
	return g.vary(pick(g.r, g.locale().given))
}

func (g *generator) family() string {
	if g.r.Intn(8) == 0 {
		return g.invented(3)
	}
	return g.vary(pick(g.r, g.locale().family))
}

// vary mistypes one letter in ten names, so that the tagger does not learn the lists by heart.
func (g *generator) vary(w string) string {
	rs := []rune(w)
	if len(rs) < 5 || g.r.Intn(10) > 0 {
		return w
	}
	i := 1 + g.r.Intn(len(rs)-2)
	switch g.r.Intn(3) {
	case 0:
		rs = append(rs[:i], rs[i+1:]...)
	case 1:
		rs[i] = pick(g.r, []rune("aeiounrstl"))
	case 2:
		rs = append(rs, pick(g.r, []rune("aeisn")))
	}
	return string(rs)
}

// locale stays the same within most sentences: names of one language stand together.
func (g *generator) locale() *locale {
	if g.r.Intn(10) < 3 {
		g.pickLocale()
	}
	return g.here
}

func (g *generator) pickLocale() {
	switch n := g.r.Intn(100); {
	case n < 5:
		g.here = &g.lex.locales[g.r.Intn(len(g.lex.locales))]
	case n < 35:
		g.here = &g.lex.locales[g.english[g.r.Intn(len(g.english))]]
	default:
		g.here = &g.lex.locales[pick(g.r, g.lex.everyday)]
	}
}

var syllables = strings.Fields("ba be bo bra bri ca ce chi cha da de di do dra du el en er fa fe fi ga ge go gra ha he ho hu ja je jo ka ke ki ko kra la le li lo lu ma me mi mo mu na ne ni no nu o pa pe po ra re ri ro ru sa se shi so sta ste su ta te ti to tra tu u va ve vi vo wa we wi ya ye yo za ze zi zo zu")

var codas = strings.Fields("n r s l t m k son sen ov ova ski ska ez es o a i e ic ak er man berg stein ini elli ard eau ot ia us as is dottir yan ian wala oglu ko enko iu escu")

// invented makes a name that is in no list.
func (g *generator) invented(n int) string {
	var b strings.Builder
	for range 1 + g.r.Intn(n) {
		b.WriteString(pick(g.r, syllables))
	}
	b.WriteString(pick(g.r, codas))
	return capital(b.String())
}

func capital(w string) string {
	r, n := utf8.DecodeRuneInString(w)
	return string(unicode.ToUpper(r)) + w[n:]
}

func (g *generator) city() string {
	switch n := g.r.Intn(100); {
	case n < 45:
		return pick(g.r, g.lex.bigCities)
	case n < 95:
		return pick(g.r, g.lex.cities[""])
	}
	return g.invented(3)
}

func (g *generator) country() string {
	if g.r.Intn(100) < 8 {
		return g.own("countryshort")
	}
	return pick(g.r, g.lex.countries)
}

func (g *generator) region() string { return pick(g.r, g.lex.regions) }

func (g *generator) own(list string) string { return pick(g.r, g.lex.own[list]) }

// org makes the name of an organisation.
func (g *generator) org() string {
	r := g.r
	switch n := r.Intn(100); {
	case n < 18:
		return g.own("knownorg")
	case n < 28:
		return g.family() + pick(r, []string{" ", " ", " ", ", "}) + pick(r, orgEnds)
	case n < 31:
		return g.family() + pick(r, []string{" & ", " and ", "-"}) + g.family() + " " + pick(r, orgEnds)
	case n < 33:
		return g.family() + pick(r, []string{" & ", "-"}) + g.family()
	case n < 34:
		return g.family() + ", " + g.family() + " & " + g.family()
	case n < 35:
		return g.family() + ", " + g.family() + " and " + g.family() + " " + pick(r, orgEnds)
	case n < 46:
		return g.own("orglead") + " " + g.own("orgword") + pick(r, []string{"", "", "", " " + pick(r, orgEnds), ", " + pick(r, orgEnds)})
	case n < 54:
		return g.own("orglead") + pick(r, []string{" ", "", ""}) + g.own("orglead") + pick(r, []string{"", " " + g.own("orgword"), " " + pick(r, orgEnds)})
	case n < 60:
		return g.city() + " " + g.own("orgword")
	case n < 64:
		return g.family() + " " + g.own("orgword")
	case n < 68:
		return pick(r, []string{"University of ", "Bank of ", "Museum of ", "Universität ", "Université de ", "Universidad de ", "Università di ", "City of ", "Church of ", "Port of "}) + g.city()
	case n < 73:
		return pick(r, []string{"Department of ", "Ministry of ", "Institute of ", "Office of ", "Center for ", "Institute for ", "National Council of ", "Society for ", "Bureau of ", "School of "}) + g.own("orgtopic")
	case n < 77:
		return pick(r, []string{"St. ", "Saint ", "Mount ", "Holy "}) + g.given() + pick(r, []string{" Hospital", " Medical Center", " School", "'s Church", " College", " Clinic"})
	case n < 80:
		return g.acronym()
	case n < 86:
		return g.coined()
	case n < 91:
		return g.invented(3) + pick(r, []string{"", " " + pick(r, orgEnds), " " + pick(r, orgEnds), " " + g.own("orgword"), ".com", " " + pick(r, g.lex.orgEnds)})
	case n < 94:
		return capital(pick(r, g.nouns)) + pick(r, []string{"", " "}) + capital(pick(r, g.nouns)) + pick(r, []string{"", " " + pick(r, orgEnds), " " + g.own("orgword")})
	}
	return "The " + g.own("orglead") + " " + capital(pick(r, g.nouns)) + " " + g.own("orgword")
}

// coined makes a name as young companies have it: two parts of words in one.
func (g *generator) coined() string {
	a, b := g.own("orgpart"), g.own("orgtail")
	if g.r.Intn(3) == 0 {
		a = strings.ToLower(g.own("orglead"))
	}
	w := capital(strings.ToLower(strings.ReplaceAll(a, " ", ""))) + b
	switch g.r.Intn(12) {
	case 0:
		w = capital(a) + capital(b)
	case 1:
		w += ".com"
	case 2:
		w += " " + pick(g.r, orgEnds)
	case 3:
		w += " " + g.own("orgword")
	}
	return w
}

var orgEnds = strings.Split("Inc|Inc.|Ltd|Ltd.|LLC|PLC|Corp.|Corporation|GmbH|AG|S.A.|SA|SARL|S.p.A.|S.r.l.|BV|B.V.|NV|AB|A/S|AS|Oy|Group|Co.|Company|& Co.|& Sons|and Sons|Holdings|Limited|KG|GmbH & Co. KG|Ltda.|Pty Ltd|Pte Ltd|LLP|S.L.|Sp. z o.o.|s.r.o.|d.o.o.|Kft.", "|")

func (g *generator) acronym() string {
	b := make([]byte, 3+g.r.Intn(2))
	for i := range b {
		b[i] = "ABCDEFGHILMNOPRSTUVW"[g.r.Intn(20)]
	}
	return string(b)
}

func (g *generator) digits(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('0' + g.r.Intn(10))
	}
	return string(b)
}

func (g *generator) number() string {
	return fmt.Sprint(1 + g.r.Intn([]int{9, 30, 100, 1000, 10000}[g.r.Intn(5)]))
}

// pattern fills "#" with digits, "?" with letters.
func (g *generator) pattern(p string) string {
	b := []byte(p)
	for i, c := range b {
		switch c {
		case '#':
			b[i] = byte('0' + g.r.Intn(10))
		case '?':
			b[i] = byte('A' + g.r.Intn(26))
		}
	}
	return string(b)
}

var (
	phones = []string{"+1 ### ### ####", "(###) ###-####", "###-###-####", "+49 ## #######", "0## ### ## ##", "+44 #### ######", "+33 # ## ## ## ##", "########", "1-800-###-####", "### #### ext. ##"}
	ids    = []string{"??-#####", "########", "####-####", "?######", "###-##-####", "????##", "##/####", "#### #### #### ####", "DE## #### #### #### ####", "#########", "??###?"}
	dates  = []string{"##/##/####", "####-##-##", "##.##.####", "M ##, ####", "## M ####", "W, ## M ####", "## M", "M ####", "W M ##", "W, M ##, ####"}
)

func (g *generator) date() string {
	p := pick(g.r, dates)
	p = strings.ReplaceAll(p, "####", fmt.Sprint(1940+g.r.Intn(90)))
	for strings.Contains(p, "##") {
		p = strings.Replace(p, "##", fmt.Sprintf("%02d", 1+g.r.Intn(12)), 1)
	}
	p = strings.ReplaceAll(p, "M", g.own(pick(g.r, []string{"month", "month3"})))
	return strings.ReplaceAll(p, "W", g.own(pick(g.r, []string{"day", "day3"})))
}
