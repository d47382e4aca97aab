// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"bytes"
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/glovebox-dev/glovebox/transforms/redact/name"
	"github.com/glovebox-dev/glovebox/transforms/redact/national"
	"github.com/glovebox-dev/glovebox/transforms/redact/scan"
	"github.com/glovebox-dev/glovebox/transforms/redact/span"
)

// Detect says what a detector finds. The zero value finds every type at the default threshold.
type Detect struct {
	Types      []string           `json:"detect,omitempty"`     // types and groups; with a leading dash what to leave out
	MinScore   *float64           `json:"minScore,omitempty"`   // 0 to 1, for types without a threshold; 0.5 if absent
	Thresholds map[string]float64 `json:"thresholds,omitempty"` // by type
	Patterns   []Pattern          `json:"patterns,omitempty"`
	Words      []Words            `json:"words,omitempty"`
	Allow      []string           `json:"allow,omitempty"` // what is no finding, compared without case
}

// Pattern is a regular expression of the creator's, in RE2's syntax.
type Pattern struct {
	Name   string   `json:"name"`
	Type   string   `json:"type"`
	Regexp string   `json:"regexp"`
	Score  *float64 `json:"score,omitempty"` // 1 if absent
}

// Words are words and phrases of the creator's.
type Words struct {
	Type  string   `json:"type"`
	Words []string `json:"words"`
	Score *float64 `json:"score,omitempty"` // 1 if absent
}

// Detector finds personal data in texts. It is for one goroutine.
type Detector struct {
	want     selection
	custom   map[span.Type]bool       // types of the creator's patterns and lists that are no others
	numbers  map[span.Type]bool       // types of national identifiers
	least    map[span.Type]span.Score // by type
	scanner  *scan.Scanner
	tagger   *name.Tagger // nil: no names are wanted
	patterns []pattern
	lexicon  *lexicon // nil: no lists
	lists    []list
	allow    *lexicon // nil: nothing is allowed
	views    [2]view
	scratch  []span.Finding
	before   []span.Finding
	pass     []span.Finding
	solid    []span.Finding // of cut
	soft     []span.Finding
	labelled []byte
}

// pattern is a compiled [Pattern].
type pattern struct {
	rule  string
	kind  span.Type
	re    *regexp.Regexp
	score span.Score
}

// NewDetector checks what is to be found. Its errors wrap transforms.ErrConfig.
func NewDetector(c Detect) (*Detector, error) {
	d := &Detector{custom: map[span.Type]bool{}, numbers: map[span.Type]bool{}, least: map[span.Type]span.Score{}}
	custom, err := d.own(&c)
	if err != nil {
		return nil, err
	}
	if d.want, err = choose(c.Types, custom); err != nil {
		return nil, err
	}
	if err := d.thresholds(&c, custom); err != nil {
		return nil, err
	}
	if err := d.allowed(c.Allow); err != nil {
		return nil, err
	}
	tokens := map[string]bool{}
	for _, t := range Types() {
		tokens[string(t)] = true
	}
	for _, t := range custom {
		d.custom[t] = !tokens[string(t)]
	}
	for _, t := range custom {
		tokens[string(t)] = true
	}
	d.views[0].types, d.views[1].types = tokens, tokens
	for _, t := range nationalTypes() {
		d.numbers[t] = !strings.Contains(string(t), "POST") && !strings.Contains(string(t), "PLZ")
	}
	var o scan.Options
	if d.want.any(nationalTypes()) {
		o.National = national.Match
	}
	d.scanner = scan.New(o)
	if d.want.any(named()) {
		d.tagger = name.Default()
	}
	return d, nil
}

// Find appends what is personal data in a text: sorted, disjoint, in bytes of the text, never inside a character. The text need not be
// valid UTF-8.
func (d *Detector) Find(dst []span.Finding, text []byte) []span.Finding {
	d.scratch = d.look(d.scratch[:0], text, true)
	return append(dst, d.settle(d.scratch, text)...)
}

// written says whether texts that follow are an operator's, whose tokens have values.
func (d *Detector) written(by bool) { d.views[0].values, d.views[1].values = by, by }

// findStructured is Find without names.
func (d *Detector) findStructured(dst []span.Finding, text []byte) []span.Finding {
	d.scratch = d.look(d.scratch[:0], text, false)
	return append(dst, d.settle(d.scratch, text)...)
}

// findInName is Find for the name of a member or a column. Such names are words that the tagger never learned to tell from people's
// ("firstName", "Headline"); of what it says, whole names of people and postal addresses count.
func (d *Detector) findInName(dst []span.Finding, text []byte) []span.Finding {
	d.scratch = slices.DeleteFunc(d.look(d.scratch[:0], text, bytes.IndexByte(text, ' ') > 0), func(f span.Finding) bool {
		person := f.Type == span.Person && f.Why&span.ByGazetteer != 0 && bytes.IndexByte(text[f.Start:f.End], ' ') > 0
		return isName(f.Type) && f.Why&span.ByModel != 0 && !person && f.Type != span.Address
	})
	return append(dst, d.settle(d.scratch, text)...)
}

// FindLabelled is Find for a short value that has a name, such as a column of CSV: the name is context for it, as a label is in a text.
func (d *Detector) FindLabelled(dst []span.Finding, label string, text []byte) []span.Finding {
	label = lastPart(label)
	if label == "" || len(label) > maxLabel || len(text) > maxLabelled { // before any work on it: there may be many values of one long name
		return d.Find(dst, text)
	}
	words := labelWords(label)
	if silent[words] {
		return d.Find(dst, text)
	}
	d.labelled = append(append(append(d.labelled[:0], label...), ": "...), text...)
	shift := len(label) + 2
	d.scratch = d.look(d.scratch[:0], d.labelled, true)
	kept := d.scratch[:0]
	for _, f := range d.scratch {
		if f.Start, f.End = max(f.Start-shift, 0), f.End-shift; f.End > f.Start {
			kept = append(kept, f)
		}
	}
	return append(dst, d.labelledWhole(d.settle(kept, text), words, text)...)
}

// Bounds of values that are read together with their names.
const (
	maxLabel    = 64
	maxLabelled = 256
)

// lastPart is the name of a value without the path to it. A name without a letter says nothing.
func lastPart(path string) string {
	for len(path) >= 2 && path[len(path)-2:] == "[]" {
		path = path[:len(path)-2]
	}
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '.' {
			path = path[i+1:]
			break
		}
	}
	for i := range len(path) {
		if c := path[i]; c|0x20 >= 'a' && c|0x20 <= 'z' || c >= 0x80 {
			return path
		}
	}
	return ""
}

// look gathers what all recognisers say, or all but the tagger, above the thresholds.
func (d *Detector) look(dst []span.Finding, text []byte, names bool) []span.Finding {
	v := &d.views[0]
	if !v.make(text, strict) {
		dst = d.recognise(dst, text, names)
	} else {
		dst = d.through(dst, v, text, names)
	}
	if w := &d.views[1]; v.pairs && w.make(text, loose) {
		dst = d.through(dst, w, text, names)
	}
	return dst
}

// through recognises in a view, and leads offsets back to the text.
func (d *Detector) through(dst []span.Finding, v *view, text []byte, names bool) []span.Finding {
	from := len(dst)
	dst = d.recognise(dst, v.text, names)
	kept := dst[:from]
	for _, f := range dst[from:] {
		f.Start, f.End = v.start(f.Start), v.end(f.End)
		if f.Start < f.End && f.End <= len(text) {
			kept = append(kept, f)
		}
	}
	return kept
}

// recognise appends what has the score that its type needs. The recognisers write to a slice of their own: they may take back what they found.
func (d *Detector) recognise(dst []span.Finding, text []byte, names bool) []span.Finding {
	d.pass = d.scanner.Scan(d.pass[:0], text)
	if d.tagger != nil && names {
		d.pass = d.tagger.Tag(d.pass, text)
	}
	d.pass = spoken(said(d.pass, text), text)
	for _, f := range d.pass {
		if least, ok := d.least[f.Type]; ok && f.Score >= least {
			dst = append(dst, f)
		}
	}
	return d.recogniseOwn(dst, text)
}

// settle leaves of overlapping findings one, takes out what is allowed, and keeps what a losing finding had beyond the winner: redaction
// must not leave half of a thing.
func (d *Detector) settle(all []span.Finding, text []byte) []span.Finding {
	all = unnest(d.cut(d.disallow(all, text), text))
	d.before = append(d.before[:0], all...)
	kept := span.Resolve(all)
	if len(kept) == len(d.before) {
		return kept
	}
	return leftovers(kept, d.before, text)
}

// sure is the score from which a form decides against the tagger.
const sure span.Score = 700

// formed are the types whose form is their own: no name and no postal address has such a thing in it. National identifiers are, but for
// postal codes.
func (d *Detector) formed(t span.Type) bool {
	switch t {
	case span.Email, span.URL, span.Phone, span.IP, span.CreditCard, span.IBAN:
		return true
	}
	return d.numbers[t]
}

func isName(t span.Type) bool {
	return t == span.Person || t == span.Location || t == span.Organisation || t == span.Address
}

// cut takes out of the tagger's findings what has a form of its own: an address that goes on into the telephone number below it ends before
// it. It takes one pass over both.
func (d *Detector) cut(all []span.Finding, text []byte) []span.Finding {
	d.solid, d.soft = d.solid[:0], d.soft[:0]
	for _, f := range all {
		if d.formed(f.Type) && f.Score >= sure {
			d.solid = append(d.solid, f)
		} else if isName(f.Type) {
			d.soft = append(d.soft, f)
		}
	}
	if len(d.solid) == 0 || len(d.soft) == 0 {
		return all
	}
	all = slices.DeleteFunc(all, func(f span.Finding) bool { return isName(f.Type) })
	solid, k := span.Resolve(d.solid), 0
	slices.SortFunc(d.soft, byPlace)
	for _, f := range d.soft {
		for k < len(solid) && solid[k].End <= f.Start {
			k++
		}
		if k == len(solid) || solid[k].Start >= f.End {
			all = append(all, f)
			continue
		}
		from := f.Start
		for j := k; from < f.End; j++ {
			part, next := f, f.End
			if j < len(solid) && solid[j].Start < f.End {
				part.End, next = solid[j].Start, solid[j].End
			}
			part.Start, part.End = trim(text, from, max(from, part.End))
			if part.Start < part.End && (f.Type != span.Address || bytes.ContainsAny(text[part.Start:part.End], "0123456789")) {
				all = append(all, part)
			}
			from = max(from, next)
		}
	}
	return all
}

// byPlace sorts by start; of those that start at one place the longer comes first, then the better.
func byPlace(a, b span.Finding) int {
	return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(b.End, a.End), cmp.Compare(b.Score, a.Score),
		cmp.Compare(a.Type, b.Type), cmp.Compare(a.Rule, b.Rule))
}

// whole are the types that hold others: a postal address is one thing, whatever is in it, and so is a URL.
func whole(t span.Type) bool { return t == span.Address || t == span.URL || t == span.Email }

// unnest drops findings that stand inside of one that holds others. It sorts.
func unnest(all []span.Finding) []span.Finding {
	slices.SortFunc(all, byPlace)
	kept, start, end := all[:0], 0, 0
	for _, f := range all {
		if f.End < end || f.End == end && f.Start > start {
			continue
		}
		kept = append(kept, f)
		if whole(f.Type) && f.End > end {
			start, end = f.Start, f.End
		}
	}
	return kept
}

// leftovers adds the parts of dropped findings that no kept one covers, where they hold a letter or a digit. Those that there were
// before are in order; it takes one pass over both.
func leftovers(kept, before []span.Finding, text []byte) []span.Finding {
	n := len(kept)
	covered, k := 0, 0 // up to where leftovers were made, and the first kept one that may matter
	for _, f := range before {
		from := max(f.Start, covered)
		for k < n && kept[k].End <= from {
			k++
		}
		for j := k; from < f.End; j++ {
			to := f.End
			if j < n {
				to = min(to, kept[j].Start)
			}
			part := f
			if part.Start, part.End = trim(text, from, to); part.Start < part.End {
				kept = append(kept, part)
			}
			if j >= n {
				break
			}
			from = max(from, kept[j].End)
		}
		covered = max(covered, f.End)
	}
	if len(kept) > n {
		slices.SortFunc(kept, byPlace)
	}
	return kept
}

// trim takes what is no letter and no digit off both ends. Bytes beyond ASCII are letters.
func trim(text []byte, from, to int) (start, end int) {
	for from < to && !wordByte(text[from]) {
		from++
	}
	for from < to && !wordByte(text[to-1]) {
		to--
	}
	return from, to
}

func wordByte(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c >= 0x80
}
