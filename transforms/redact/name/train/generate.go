// SPDX-License-Identifier: Apache-2.0

package main

import (
	"embed"
	"fmt"
	"math/rand"
	"path"
	"strings"
	"unicode"

	"github.com/glovebox-dev/glovebox/transforms/redact/name/internal/chain"
)

//go:embed templates/*.txt
var templateFiles embed.FS

// mark is a labelled part of a generated text.
type mark struct {
	start, end int
	label      chain.Label // the first label of its type
}

// generator fills templates. It is deterministic: one source of randomness, lists in sorted order.
type generator struct {
	r       *rand.Rand
	lex     *lexicon
	english []int
	here    *locale
	nouns   []string
	files   map[string][]string
	kinds   []string            // files of templates that stand alone
	rest    map[string][]string // templates kept for measuring, see [generator.split]

	text  strings.Builder
	marks []mark
}

func newGenerator(seed int64, lex *lexicon) (*generator, error) {
	g := &generator{r: rand.New(rand.NewSource(seed)), lex: lex, nouns: lex.own["fillers"], files: map[string][]string{}}
	entries, err := templateFiles.ReadDir("templates")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		b, err := templateFiles.ReadFile(path.Join("templates", e.Name()))
		if err != nil {
			return nil, err
		}
		name := strings.TrimSuffix(e.Name(), ".txt")
		if name == "words" {
			continue
		}
		for line := range strings.Lines(string(b)) {
			if line = strings.TrimSuffix(line, "\n"); line != "" {
				g.files[name] = append(g.files[name], strings.NewReplacer(`\n`, "\n", `\t`, "\t").Replace(line))
			}
		}
		if name != "negtail" && name != "subject" {
			g.kinds = append(g.kinds, name)
		}
	}
	for i := range lex.locales {
		switch lex.locales[i].code {
		case "en", "en_US", "en_GB", "en_IE", "en_NZ":
			g.english = append(g.english, i)
		}
	}
	g.pickLocale()
	return g, nil
}

// split keeps every seventh template for measuring: how well the tagger does on sentences that it never saw.
func (g *generator) split() {
	g.rest = map[string][]string{}
	for _, kind := range g.kinds {
		var keep []string
		for i, t := range g.files[kind] {
			if i%7 == 3 {
				g.rest[kind] = append(g.rest[kind], t)
			} else {
				keep = append(keep, t)
			}
		}
		g.files[kind] = keep
	}
}

// document makes one text with its marks.
func (g *generator) document(unseen bool) (string, []mark) {
	g.text.Reset()
	g.marks = nil
	g.pickLocale()
	for n := 1 + g.r.Intn(3); n > 0; n-- {
		kind := pick(g.r, g.kinds)
		if g.r.Intn(100) < 12 {
			kind = "neg"
		}
		files := g.files[kind]
		if unseen {
			files = g.rest[kind]
		}
		g.expand(pick(g.r, files), 0)
		if n > 1 {
			g.text.WriteString(pick(g.r, []string{" ", "\n", "\n\n", "\n\n", "\n\n"}))
		}
	}
	return g.disguise(g.text.String(), g.marks)
}

// disguise writes some texts in small letters, in capitals, quoted or without line ends; marks stay where they belong.
func (g *generator) disguise(text string, marks []mark) (string, []mark) {
	if g.r.Intn(30) == 0 {
		text, marks = g.garble(text, marks)
	}
	switch n := g.r.Intn(100); {
	case n < 16:
		return remap(text, marks, func(r rune) string { return string(unicode.ToLower(r)) })
	case n < 20:
		return remap(text, marks, func(r rune) string { return string(unicode.ToUpper(r)) })
	case n < 25:
		prefix := pick(g.r, []string{"> ", ">", "| ", "* ", "  ", "\t", "// ", "# "})
		return remap(prefix+text, shift(marks, len(prefix)), func(r rune) string {
			if r == '\n' {
				return "\n" + prefix
			}
			return string(r)
		})
	case n < 28:
		return remap(text, marks, func(r rune) string {
			if r == '\n' {
				return " "
			}
			return string(r)
		})
	case n < 33: // without accents
		return remap(text, marks, func(r rune) string {
			if f := chain.Fold(r); f != unicode.ToLower(r) && r >= 0x80 && f < 0x80 {
				if unicode.IsUpper(r) {
					return strings.ToUpper(string(f))
				}
				return string(f)
			}
			return string(r)
		})
	}
	return text, marks
}

// garble puts what a wrong character set or escaping leaves behind some of the spaces outside names.
func (g *generator) garble(text string, marks []mark) (string, []mark) {
	debris := pick(g.r, []string{"â€“", "Ã©", "â€™", "ï¿½", "\\n", "=20", "&nbsp;", "\\\"", "\ufffd", "=E9", "&amp;", "Â", "п»ї", "", "", "", ""}) + " "
	if debris == " " {
		debris = string(pick(g.r, []rune("ÐÑאבגדהابتثяюшђøλσΩ日本ー한กไ"))) + pick(g.r, []string{"", "€", "‡", "¤"}) + " "
	}
	at := 0
	return remap(text, marks, func(r rune) string {
		here := at
		at += len(string(r))
		if r != ' ' || g.r.Intn(4) > 0 {
			return string(r)
		}
		for _, m := range marks {
			if here >= m.start && here < m.end {
				return " "
			}
		}
		return " " + debris
	})
}

func shift(marks []mark, by int) []mark {
	out := make([]mark, len(marks))
	for i, m := range marks {
		out[i] = mark{m.start + by, m.end + by, m.label}
	}
	return out
}

// remap rewrites the text rune by rune and moves the marks along.
func remap(text string, marks []mark, f func(rune) string) (string, []mark) {
	var b strings.Builder
	at := make([]int, len(text)+1)
	for i, r := range text {
		at[i] = b.Len()
		b.WriteString(f(r))
	}
	at[len(text)] = b.Len()
	out := make([]mark, len(marks))
	for i, m := range marks {
		out[i] = mark{at[m.start], at[m.end], m.label}
	}
	return b.String(), out
}

// expand writes a template: [a|b] is one of several, {slot} is filled.
func (g *generator) expand(t string, depth int) {
	for t != "" {
		i := strings.IndexAny(t, "[{")
		if i < 0 {
			g.text.WriteString(t)
			return
		}
		g.text.WriteString(t[:i])
		t = t[i:]
		end := closing(t)
		if end < 0 {
			g.text.WriteString(t)
			return
		}
		inner := t[1:end]
		switch {
		case t[0] == '{':
			if !g.slot(inner, depth) {
				g.text.WriteString(t[:end+1])
			}
		case strings.Contains(inner, "|"):
			g.expand(pick(g.r, alternatives(inner)), depth)
		default: // brackets of the text itself
			g.text.WriteByte('[')
			g.expand(inner, depth)
			g.text.WriteByte(']')
		}
		t = t[end+1:]
	}
}

func closing(t string) int {
	depth := 0
	for i := range len(t) {
		switch t[i] {
		case '[', '{':
			depth++
		case ']', '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

func alternatives(t string) (all []string) {
	depth, from := 0, 0
	for i := range len(t) {
		switch t[i] {
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		case '|':
			if depth == 0 {
				all = append(all, t[from:i])
				from = i + 1
			}
		}
	}
	return append(all, t[from:])
}

func (g *generator) put(label chain.Label, s string) {
	start := g.text.Len()
	g.text.WriteString(s)
	g.marks = append(g.marks, mark{start, g.text.Len(), label})
}

// slot fills a slot; it reports false for what is no slot.
func (g *generator) slot(name string, depth int) bool {
	if s, ok := g.entity(name); ok {
		if s != "" {
			g.text.WriteString(s)
		}
		return true
	}
	if s, ok := g.filler(name); ok {
		g.text.WriteString(s)
		return true
	}
	if all := g.files[name]; len(all) > 0 {
		if depth > 3 {
			g.text.WriteString("it is.")
		} else {
			g.expand(pick(g.r, all), depth+1)
		}
		return true
	}
	if all := g.lex.own[name]; len(all) > 0 {
		g.text.WriteString(pick(g.r, all))
		return true
	}
	return false
}

// entity fills a slot whose content is labelled, and says what follows the label.
func (g *generator) entity(name string) (after string, ok bool) {
	base, upper := strings.CutSuffix(name, "upper")
	form := func(s string) string {
		if upper {
			return strings.ToUpper(s)
		}
		return s
	}
	switch base {
	case "person":
		g.put(chain.PersonFirst, form(g.person()))
	case "first":
		g.put(chain.PersonFirst, form(g.given()))
	case "firstp":
		g.put(chain.PersonFirst, g.given())
		return pick(g.r, []string{"'s", "'s", "’s"}), true
	case "last":
		g.put(chain.PersonFirst, form(g.family()))
	case "lastfirst":
		g.put(chain.PersonFirst, g.family()+", "+g.given())
	case "city":
		g.put(chain.LocationFirst, form(g.city()))
	case "country":
		g.put(chain.LocationFirst, g.country())
	case "region":
		g.put(chain.LocationFirst, g.region())
	case "regionabbr":
		g.put(chain.LocationFirst, pick(g.r, states))
	case "place":
		g.place()
	case "placeorg":
		if g.r.Intn(2) == 0 {
			g.put(chain.OrgLabelFirst, g.org())
		} else {
			g.place()
		}
	case "org":
		g.put(chain.OrgLabelFirst, form(g.org()))
	case "addr":
		g.put(chain.AddressFirst, g.address(false))
	case "addrml":
		g.put(chain.AddressFirst, g.address(g.r.Intn(10) > 0))
	case "streetonly":
		g.put(chain.AddressFirst, g.namedStreet())
	case "street":
		g.put(chain.AddressFirst, g.streetNumber())
	default:
		return "", false
	}
	return "", true
}

// place is a city, a country or a region, or a city with what it lies in.
func (g *generator) place() {
	switch n := g.r.Intn(100); {
	case n < 40:
		g.put(chain.LocationFirst, g.city())
	case n < 68:
		g.put(chain.LocationFirst, g.country())
	case n < 84:
		g.put(chain.LocationFirst, g.region())
	case n < 92:
		g.put(chain.LocationFirst, g.city())
		g.text.WriteString(", ")
		g.put(chain.LocationFirst, pick(g.r, states))
	default:
		g.put(chain.LocationFirst, g.city())
		g.text.WriteString(", ")
		g.put(chain.LocationFirst, g.country())
	}
}

// filler fills a slot whose content is nobody's name.
func (g *generator) filler(name string) (string, bool) {
	r := g.r
	switch name {
	case "num":
		return g.number(), true
	case "year":
		return fmt.Sprint(1900 + r.Intn(130)), true
	case "zip":
		return g.zip(), true
	case "date":
		return g.date(), true
	case "time":
		return fmt.Sprintf("%02d:%02d", r.Intn(24), r.Intn(60)) + pick(r, []string{"", "", " PM", " AM", "h", ":12"}), true
	case "phone":
		return g.pattern(pick(r, phones)), true
	case "id":
		return g.pattern(pick(r, ids)), true
	case "hex":
		return g.hex(), true
	case "shortname":
		return g.acronym(), true
	case "money":
		return pick(r, []string{"$", "€", "£", "USD ", "EUR "}) + g.number() + pick(r, []string{"", ".00", " million", ",000"}), true
	case "ip":
		return fmt.Sprintf("%d.%d.%d.%d", r.Intn(256), r.Intn(256), r.Intn(256), r.Intn(256)), true
	case "handle":
		return strings.ToLower(g.given()) + pick(r, []string{"", "_" + pick(r, g.nouns), g.digits(2)}), true
	case "host":
		return pick(r, []string{"mail", "www", "mx1", "smtp", "localhost"}) + "." + pick(r, g.nouns) + pick(r, []string{".com", ".org", ".net", ".de", ".co.uk"}), true
	case "email":
		return strings.ToLower(pick(r, []string{g.given(), g.given() + "." + g.family(), g.family(), pick(r, g.nouns)})) + "@" + pick(r, g.nouns) + pick(r, []string{".com", ".org", ".net", ".de", ".fr"}), true
	case "url":
		return pick(r, []string{"http://www.", "https://", "www."}) + pick(r, g.nouns) + ".com/" + pick(r, g.nouns), true
	case "initial", "initials":
		return string(rune('A' + r.Intn(26))), true
	case "word":
		return pick(r, g.nouns), true
	case "Word":
		return capital(pick(r, g.nouns)), true
	case "WORD":
		return strings.ToUpper(pick(r, g.nouns)), true
	}
	return "", false
}

// hex is a fingerprint, a digest or a dump.
func (g *generator) hex() string {
	width, sep := pick(g.r, []int{2, 4, 4, 8}), pick(g.r, []string{" ", " ", ":", "-"})
	parts := make([]string, 3+g.r.Intn(9))
	for i := range parts {
		parts[i] = fmt.Sprintf("%0*X", width, g.r.Int63n(1<<(4*width)))
	}
	s := strings.Join(parts, sep)
	if g.r.Intn(2) == 0 {
		return strings.ToLower(s)
	}
	return s
}
