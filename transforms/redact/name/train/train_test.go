// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math/rand"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/glovebox-dev/glovebox/transforms/redact/name/internal/chain"
)

// smallLexicon has what the generator needs, without any package.
func smallLexicon() *lexicon {
	many := func(kind string, n int) (all []string) {
		for i := range n {
			all = append(all, fmt.Sprintf("%s%c%c", kind, 'a'+i%26, 'a'+i/26))
		}
		return all
	}
	lists := map[string]map[string][]string{
		"given": {"en": many("Giv", 30), "de_DE": many("Vor", 30)}, "family": {"en": many("Fam", 30), "de_DE": many("Nach", 30)},
		"country": {"en": many("Country", 20)}, "region": {"en_US": many("Region", 20)}, "street": {"da_DK": many("Gade", 20)},
		"company_suffix": {"de_DE": {"GmbH"}},
	}
	return newLexicon(lists, []place{{"Bigtown", "DE", 200_000}, {"Smallham", "GB", 3000}})
}

func newTestGenerator(t *testing.T) *generator {
	t.Helper()
	g, err := newGenerator(7, smallLexicon())
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestDocuments: marks stand in order, in the text, on whole runes, and hold text; and a seed gives the same texts.
func TestDocuments(t *testing.T) {
	a, b := newTestGenerator(t), newTestGenerator(t)
	labels := map[chain.Label]int{}
	for range 3000 {
		text, marks := a.document(false)
		again, _ := b.document(false)
		if text != again {
			t.Fatalf("%q and %q of one seed", text, again)
		}
		last := 0
		for _, m := range marks {
			if m.start < last || m.end <= m.start || m.end > len(text) || !utf8.RuneStart(text[m.start]) {
				t.Fatalf("%+v after %d in %q", m, last, text)
			}
			last = m.end
			labels[m.label]++
		}
	}
	for _, l := range []chain.Label{chain.PersonFirst, chain.LocationFirst, chain.OrgLabelFirst, chain.AddressFirst} {
		if labels[l] < 300 {
			t.Errorf("label %d: %d times", l, labels[l])
		}
	}
}

// TestTemplates: every slot of every template is filled, and there are enough templates of many kinds.
func TestTemplates(t *testing.T) {
	g := newTestGenerator(t)
	slot := regexp.MustCompile(`\{([A-Za-z0-9]+)\}`)
	count := 0
	for name, all := range g.files {
		count += len(all)
		for _, template := range all {
			for _, m := range slot.FindAllStringSubmatch(template, -1) {
				if !g.slot(m[1], 9) {
					t.Errorf("%s: no slot %s in %q", name, m[0], template)
				}
			}
		}
	}
	if count < 300 || len(g.kinds) < 10 {
		t.Errorf("%d templates of %d kinds", count, len(g.kinds))
	}
}

func TestSplit(t *testing.T) {
	g := newTestGenerator(t)
	before := len(g.files["mail"])
	g.split()
	if len(g.files["mail"])+len(g.rest["mail"]) != before || len(g.rest["mail"]) == 0 {
		t.Errorf("%d and %d of %d", len(g.files["mail"]), len(g.rest["mail"]), before)
	}
	for _, kept := range g.rest["mail"] {
		if slices.Contains(g.files["mail"], kept) {
			t.Errorf("%q is in both", kept)
		}
	}
}

func TestEnrich(t *testing.T) {
	g := newTestGenerator(t)
	const text = "From: x\n\nhe said that she was in the house of the company with him."
	marks := 0
	for range 50 {
		out, all := g.enrich(text)
		for _, m := range all {
			if strings.Contains("he she him", out[m.start:m.end]) {
				t.Fatalf("%q is marked in %q", out[m.start:m.end], out)
			}
		}
		marks += len(all)
	}
	if marks < 50 {
		t.Errorf("%d names in 50 texts", marks)
	}
}

// TestLearn: a rule that is in the examples is learned.
func TestLearn(t *testing.T) {
	words := chain.NewGazetteer(8)
	var all []*example
	for i := range 60 {
		text := fmt.Sprintf("please call X%cbc today", 'a'+i%26)
		all = append(all, examples(words, text, []mark{{12, 16, chain.PersonFirst}})...)
	}
	w := newWeights()
	last := -1
	w.train(all, 6, 1, func(_, wrong, _ int) { last = wrong })
	if last != 0 {
		t.Errorf("%d tokens wrong after training", last)
	}
	m := chain.New(8)
	w.quantise(m)
	var d chain.Decoder
	e := examples(words, "please call Zorro today", nil)[0]
	d.Decode(m, e.tokens)
	if !slices.Equal(d.Labels, []chain.Label{0, 0, chain.PersonFirst, 0}) {
		t.Errorf("%v", d.Labels)
	}
}

func TestReadPlaces(t *testing.T) {
	one := []byte{0x12, 2, 'A', 'x', 0x1A, 2, 'D', 'E', 0x48, 0x90, 0x4E}
	b := append([]byte{byte(len(one))}, one...)
	got, err := readPlaces(b)
	if err != nil || !slices.Equal(got, []place{{"Ax", "DE", 10000}}) {
		t.Fatalf("%v %v", got, err)
	}
	r := rand.New(rand.NewSource(1))
	for range 2000 { // broken ones give an error or other places, and end
		broken := slices.Clone(b)
		broken[r.Intn(len(broken))] = byte(r.Intn(256))
		_, _ = readPlaces(broken[:r.Intn(len(broken)+1)])
	}
}

func TestDrop(t *testing.T) {
	words := chain.NewGazetteer(8)
	words.Add(chain.Hash("ann"), chain.Given)
	r := rand.New(rand.NewSource(1))
	kept := 0
	for range 200 {
		e := examples(words, "Ann", []mark{{0, 3, chain.PersonFirst}})[0]
		drop(e, r)
		if e.tokens[0].Gaz != 0 {
			kept++
		}
	}
	if kept < 100 || kept > 190 {
		t.Errorf("the list is kept %d times of 200", kept)
	}
}
