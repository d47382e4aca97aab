// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/redact/span"
)

// Bounds of what a creator adds.
const (
	maxPatterns = 64
	maxRegexp   = 1024 // bytes
	maxLists    = 64
	maxPhrase   = 256 // bytes

	// Longer texts are matched against patterns piece by piece, so that one pattern costs a bounded time for each byte.
	piece = 56 << 10
	// MaxMatch is how long a match of a pattern may be where the text is longer than a piece.
	MaxMatch = 4 << 10
)

func invalid(format string, a ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{transforms.ErrConfig}, a...)...)
}

// own compiles patterns and word lists, and gives the types that they add.
func (d *Detector) own(c *Detect) (custom []span.Type, err error) {
	if len(c.Patterns) > maxPatterns || len(c.Words) > maxLists {
		return nil, invalid("patterns, words: at most %d patterns and %d lists", maxPatterns, maxLists)
	}
	for i := range c.Patterns {
		p, err := compile(&c.Patterns[i])
		if err != nil {
			return nil, fmt.Errorf("patterns: %d: %w", i+1, err)
		}
		d.patterns = append(d.patterns, p)
		custom = append(custom, p.kind)
	}
	var all []phrase
	for i := range c.Words {
		w := &c.Words[i]
		l, err := w.list()
		if err != nil {
			return nil, fmt.Errorf("words: %d: %w", i+1, err)
		}
		for _, text := range w.Words {
			if text = strings.TrimSpace(text); text == "" || len(text) > maxPhrase {
				return nil, invalid("words: %d: a word of %d bytes, want 1 to %d", i+1, len(text), maxPhrase)
			}
			all = append(all, phrase{text, len(d.lists)})
		}
		d.lists = append(d.lists, l)
		custom = append(custom, l.kind)
	}
	if len(all) > 0 {
		d.lexicon = newLexicon(all)
	}
	return custom, nil
}

func compile(p *Pattern) (pattern, error) {
	score, err := scoreOf("score", p.Score, span.Certain)
	switch {
	case err != nil:
		return pattern{}, err
	case !validName(p.Type):
		return pattern{}, invalid("type %q: want capitals, digits and underscores, at most %d", p.Type, maxTypeName)
	case p.Name == "" || len(p.Name) > maxTypeName || strings.ContainsFunc(p.Name, func(r rune) bool { return r < ' ' || r > '~' }):
		return pattern{}, invalid("name %q: want 1 to %d printable characters", p.Name, maxTypeName)
	case p.Regexp == "" || len(p.Regexp) > maxRegexp:
		return pattern{}, invalid("%s: regexp of %d bytes, want 1 to %d", p.Name, len(p.Regexp), maxRegexp)
	}
	re, err := regexp.Compile(p.Regexp)
	if err != nil {
		return pattern{}, invalid("%s: %v (the syntax is RE2's: no look-around, no back references)", p.Name, err)
	}
	if re.MatchString("") {
		return pattern{}, invalid("%s: the regexp matches nothing at all, and so everywhere", p.Name)
	}
	return pattern{"pattern:" + p.Name, span.Type(p.Type), re, score}, nil
}

func (w *Words) list() (list, error) {
	score, err := scoreOf("score", w.Score, span.Certain)
	switch {
	case err != nil:
		return list{}, err
	case !validName(w.Type):
		return list{}, invalid("type %q: want capitals, digits and underscores, at most %d", w.Type, maxTypeName)
	case len(w.Words) == 0:
		return list{}, invalid("%s: an empty list", w.Type)
	}
	return list{span.Type(w.Type), score}, nil
}

// scoreOf turns 0 to 1 into thousandths.
func scoreOf(name string, v *float64, absent span.Score) (span.Score, error) {
	if v == nil {
		return absent, nil
	}
	if !(*v > 0 && *v <= 1) {
		return 0, invalid("%s: %v, want more than 0 and at most 1", name, *v)
	}
	thousandths := float64(*v * 1000) // apart, so that no machine fuses it with the sum
	return span.Score(thousandths + 0.5), nil
}

// thresholds sets what score each wanted type needs.
func (d *Detector) thresholds(c *Detect, custom []span.Type) error {
	least, err := scoreOf("minScore", c.MinScore, span.Medium)
	if err != nil {
		return err
	}
	for t := range d.want {
		d.least[t] = least
	}
	known := append(Types(), custom...)
	for t, v := range c.Thresholds {
		if !slices.Contains(known, span.Type(t)) {
			return invalid("thresholds: there is no type %q%s", t, hint(t, names(known, nil)))
		}
		s, err := scoreOf("thresholds: "+t, &v, 0)
		if err != nil {
			return err
		}
		if d.want[span.Type(t)] {
			d.least[span.Type(t)] = s
		}
	}
	return nil
}

func (d *Detector) allowed(words []string) error {
	all := make([]phrase, 0, len(words))
	for _, text := range words {
		if text = strings.TrimSpace(text); text == "" || len(text) > maxPhrase {
			return invalid("allow: a text of %d bytes, want 1 to %d", len(text), maxPhrase)
		}
		all = append(all, phrase{text, 0})
	}
	if len(all) > 0 {
		d.allow = newLexicon(all)
	}
	return nil
}

// disallow takes out the findings whose whole text is allowed.
func (d *Detector) disallow(all []span.Finding, text []byte) []span.Finding {
	if d.allow == nil {
		return all
	}
	return slices.DeleteFunc(all, func(f span.Finding) bool {
		is := false
		if f.Len() <= 2*maxPhrase {
			d.allow.find(text[f.Start:f.End], func(_, start, end int) { is = is || start == 0 && end == f.Len() })
		}
		return is
	})
}

// recogniseOwn finds with the creator's patterns and lists.
func (d *Detector) recogniseOwn(dst []span.Finding, text []byte) []span.Finding {
	if d.lexicon != nil {
		d.lexicon.find(text, func(n, start, end int) {
			if l := &d.lists[n]; l.score >= d.least[l.kind] && d.want[l.kind] {
				dst = append(dst, span.Finding{Type: l.kind, Start: start, End: end, Score: l.score, Rule: "words", Why: span.ByList})
			}
		})
	}
	for i := range d.patterns {
		if p := &d.patterns[i]; p.score >= d.least[p.kind] && d.want[p.kind] {
			dst = p.find(dst, text)
		}
	}
	return dst
}

// find matches piece by piece; a piece sees enough around it to match what begins in it.
func (p *pattern) find(dst []span.Finding, text []byte) []span.Finding {
	for at := 0; at == 0 || at < len(text); at += piece {
		from, to := max(at-MaxMatch, 0), min(at+piece+MaxMatch, len(text))
		end := at + piece
		if len(text) <= piece+MaxMatch {
			end = len(text)
		}
		for _, m := range p.re.FindAllIndex(text[from:to], -1) {
			start, stop := from+m[0], from+m[1]
			if start >= at && start < end && stop > start {
				dst = append(dst, span.Finding{Type: p.kind, Start: start, End: stop, Score: p.score, Rule: p.rule, Why: span.ByList})
			}
		}
		if end == len(text) {
			break
		}
	}
	return dst
}
