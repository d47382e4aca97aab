// SPDX-License-Identifier: Apache-2.0

package context_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/transforms/redact/context"
)

const (
	social context.Topic = iota
	passport
	licence
	health
	mynumber
	resident
	short
	big = 255
)

func set() *context.Set {
	return context.New(
		context.Entry{social, "social security|ssn|numéro de sécurité sociale"},
		context.Entry{passport, "passport|reisepass|паспорт|διαβατήριο|ประชาชน"},
		context.Entry{licence, "driver's license|führerschein|straße"},
		context.Entry{health, "health card"},
		context.Entry{health, "security card"},
		context.Entry{mynumber, "マイナンバー"},
		context.Entry{resident, "주민등록번호|身份证"},
		context.Entry{big, "zzyzx"},
		context.Entry{short, "nx"},
	)
}

// near asks about the first run of # in the text.
func near(s *context.Set, text string) context.Words {
	start := strings.IndexByte(text, '#')
	end := start
	for end < len(text) && text[end] == '#' {
		end++
	}
	return s.Near([]byte(text), start, end)
}

func TestPhrases(t *testing.T) {
	s := set()
	for _, c := range []struct {
		text string
		want context.Topic
		yes  bool
	}{
		{"SSN: ####", social, true},
		{"my Social  Security number is ####", social, true},
		{"social (security) ####", social, true},
		{"social and security ####", social, false},
		{"ssnx ####", social, false},
		{"assn ####", social, false},
		{"numero de securite sociale: ####", social, true},
		{"NUMÉRO DE SÉCURITÉ SOCIALE ####", social, true},
		{"nume\u0301ro de se\u0301curite\u0301 sociale ####", social, true},
		{"num\xe9ro de s\xe9curit\xe9 sociale ####", social, true},
		{`{"socialSecurityNumber":"####"}`, social, true},
		{"social_security_no=####", social, true},
		{"HTTPPassport ####", passport, false},
		{"myPassport ####", passport, true},
		{"Паспорт № ####", passport, true},
		{"ПАСПОРТ ####", passport, true},
		{"Διαβατήριο ####", passport, true},
		{"เลขประจำตัวประชาชน ####", passport, true},
		{"his driver's license ####", licence, true},
		{"his driver’s license ####", licence, true},
		{"his driver license ####", licence, true},
		{"Führerschein ####", licence, true},
		{"STRASSE ####", licence, true},
		{"私のマイナンバーは####です", mynumber, true},
		{"제 주민등록번호는 ####", resident, true},
		{"身份证号码：####", resident, true},
		{"zzyzx ####", big, true},
		{"zzyzx2 ####", big, true},
		{"id 9nx7 ####", short, false},
		{"nx: ####", short, true},
		{"#### is my SSN", social, true},
		{"#### (SSN)", social, true},
		{"####, SSN is another", social, false},
		{"####. SSN is another", social, false},
		{"####\nSSN is another", social, false},
		{"####", social, false},
		{"ssn " + strings.Repeat("word ", 20) + "####", social, false},
		{"x" + strings.Repeat("y", 70) + "ssn ####", social, false},
	} {
		w := near(s, c.text)
		if got := w.Has(c.want); got != c.yes {
			t.Errorf("%q: topic %d near: %v, want %v", c.text, c.want, got, c.yes)
		}
	}
}

// TestSpellings: a word is the same word whatever of its letters have accents or are capitals, however long it is.
func TestSpellings(t *testing.T) {
	for n := 3; n <= 26; n++ {
		word := strings.Repeat("a", n-1) + "e"
		s := context.New(context.Entry{social, word})
		for i := range n {
			for _, text := range []string{word[:i] + strings.ToUpper(word[i:]), strings.ToUpper(word[:i]) + word[i:], word[:i] + "à" + word[i+1:]} {
				camel := i > 0 && text[i-1]-'a' < 26 && text[i]-'A' < 26
				if i == n-1 && strings.HasSuffix(text, "à") {
					continue // another word
				}
				if w := near(s, text+" ####"); w.Has(social) == camel {
					t.Errorf("%q near %q: %v", word, text, !camel)
				}
				if w := near(s, text+"xyz ####"); w.Has(social) {
					t.Errorf("%q in %q", word, text)
				}
			}
		}
	}
}

func TestNearestPhraseIsTold(t *testing.T) {
	s := set()
	w := near(s, "my passport was stolen, and my SSN is ####")
	if !w.Nearest.Has(social) || w.Nearest.Has(passport) || !w.Before.Has(passport) {
		t.Error("the SSN is nearest, the passport is before it")
	}
	w = near(s, "SSN 123456789 passport ####")
	if w.Before.Has(social) || !w.Far.Has(social) || !w.Before.Has(passport) || !w.Nearest.Has(passport) {
		t.Error("the SSN is far, beyond another number")
	}
	w = near(s, "social security card ####")
	if !w.Nearest.Has(social) || !w.Nearest.Has(health) {
		t.Error("phrases that overlap are nearest together")
	}
	w = near(s, "SSN (2 of 3) ####")
	if !w.Before.Has(social) {
		t.Error("short numbers do not part a word from its finding")
	}
}

func TestBits(t *testing.T) {
	var a, b context.Bits
	if !a.Empty() {
		t.Error("zero bits are empty")
	}
	for _, i := range []context.Topic{0, 63, 64, 200, 255} {
		a.Add(i)
		if !a.Has(i) || a.Has(i^1) {
			t.Errorf("topic %d", i)
		}
		a = context.Bits{}
	}
	a.Add(130)
	b.Add(131)
	if a.Meets(&b) {
		t.Error("they share nothing")
	}
	b.Union(&a)
	if !a.Meets(&b) || a.Empty() {
		t.Error("they share 130")
	}
}

func TestNoSetAndNoText(t *testing.T) {
	var none *context.Set
	w := none.Near([]byte("ssn 1"), 4, 5)
	if w.Has(social) {
		t.Error("no set finds nothing")
	}
	s := context.New()
	w = s.Near([]byte("ssn 1"), 4, 5)
	if w.Has(social) {
		t.Error("an empty set finds nothing")
	}
	for _, at := range [][2]int{{-1, 2}, {3, 2}, {0, 100}} {
		w = set().Near([]byte("ssn 1"), at[0], at[1])
		if w != (context.Words{}) {
			t.Error("offsets outside the text find nothing")
		}
	}
}

func TestNearAllocatesNothing(t *testing.T) {
	s, text := set(), []byte("My social security number, as on my passport, is 123456789 (SSN)")
	if n := testing.AllocsPerRun(100, func() { s.Near(text, 49, 58) }); n != 0 {
		t.Errorf("%v allocations a call", n)
	}
}

// What is far off cannot matter, so a call costs the same whatever the text's length: this is what makes any number of calls linear.
func TestFarTextDoesNotMatter(t *testing.T) {
	s := set()
	middle := strings.Repeat("ab ssn é ", 30) + "#### is ssn " + strings.Repeat("ssn é ab ", 30)
	short := near(s, middle)
	long := near(s, strings.Repeat("ssn passport ", 1000)+middle+strings.Repeat("ssn passport ", 1000))
	if short != long {
		t.Error("text beyond the window moved the outcome")
	}
}

// ascii is the text with its ASCII letters moved between the cases: those from first to last to the other.
func ascii(text []byte, first, last byte) []byte {
	out := bytes.Clone(text)
	for i, c := range out {
		if c >= first && c <= last {
			out[i] = c ^ 0x20
		}
	}
	return out
}

func FuzzNear(f *testing.F) {
	seeds := []string{"SSN: 1234", "num\xe9ro de s\xe9curit\xe9 sociale 1", "マイナンバー1", "driver’s 1", "\xe2\x80\x99s 1", "ĳ œ ß 1", "a\u0301 1", ""}
	for _, seed := range seeds {
		f.Add([]byte(seed), 3, 5)
	}
	s := set()
	f.Fuzz(func(t *testing.T, text []byte, start, end int) {
		w := s.Near(text, start, end)
		if start < 0 || end < start || end > len(text) {
			return
		}
		if s.Near(ascii(text, 'A', 'Z'), start, end) != s.Near(ascii(text, 'a', 'z'), start, end) {
			t.Error("case moved the outcome")
		}
		from, to := max(0, start-context.Back-8), min(len(text), end+context.Forward+8)
		if from > 0 && (text[from-1] >= 0x80 || text[from] >= 0x80) {
			return // cutting a character makes another text
		}
		cut := s.Near(text[from:to], start-from, end-from)
		if start-from >= context.Back+8 && from > 0 && cut != w && to == len(text) {
			t.Errorf("text beyond the window moved the outcome: %+v %+v", w, cut)
		}
	})
}

func BenchmarkNear(b *testing.B) {
	s, text := set(), []byte("Some words before. My social security number, as on my passport, is 123456789 (SSN), and some more")
	at := bytes.Index(text, []byte("123"))
	for b.Loop() {
		s.Near(text, at, at+9)
	}
}
