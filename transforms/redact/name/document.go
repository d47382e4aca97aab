// SPDX-License-Identifier: Apache-2.0

package name

import (
	"github.com/glovebox-dev/glovebox/transforms/redact/name/internal/chain"
	"github.com/glovebox-dev/glovebox/transforms/redact/span"
)

// Bounds of what a call remembers of its text.
const (
	memory    = 1 << 10 // words of names
	maxOffers = 1 << 12 // words that may be names
)

// document is what a call has seen of its text: the words of names that the tagger was sure of, and the words with a capital that
// it took for nothing.
type document struct {
	words  [memory]uint32
	used   int
	offers []offer
}

type offer struct {
	start, end int32
	low        uint32
	next       bool // one space after the offer before
}

func (d *document) reset() {
	if d.used > 0 {
		clear(d.words[:])
		d.used = 0
	}
	d.offers = d.offers[:0]
}

// sure is the score from which on a name is looked for in the rest of the text.
const sure = 850

// remember keeps the words of a person's name.
func (d *document) remember(ts []chain.Token, f *span.Finding) {
	if f.Type != span.Person || f.Score < sure || len(ts) < 2 {
		return
	}
	for i := range ts {
		if t := &ts[i]; distinct(t) && d.used < memory*3/4 {
			d.add(t.Low)
		}
	}
}

// distinct says that a word is hardly anything but a name.
func distinct(t *chain.Token) bool {
	const other = chain.Common | chain.Frequent | chain.Calendar | chain.OrgEnd | chain.OrgWord | chain.Honour | chain.Particle | chain.Street | chain.Unit | chain.Country
	return (t.Kind == chain.Title || t.Kind == chain.Mixed) && t.End-t.Start > 2 && t.Gaz&other == 0
}

func (d *document) slot(low uint32) *uint32 {
	for i := low % memory; ; i = (i + 1) % memory {
		if w := &d.words[i]; *w == 0 || *w == low|1 {
			return w
		}
	}
}

func (d *document) add(low uint32) {
	if w := d.slot(low); *w == 0 {
		*w = low | 1
		d.used++
	}
}

// offer keeps a word that may turn out to be a name.
func (d *document) offer(ts []chain.Token, i int) {
	t := &ts[i]
	if !t.Kind.Capital() || t.Left || !distinct(t) || len(d.offers) == maxOffers {
		return
	}
	if t.Right && (i+1 == len(ts) || ts[i+1].Kind == chain.Dash || ts[i+1].Kind == chain.Other) {
		return
	}
	next := len(d.offers) > 0 && d.offers[len(d.offers)-1].end+1 == t.Start
	d.offers = append(d.offers, offer{t.Start, t.End, t.Low, next})
}

// again appends a finding for each offered word that is part of a remembered name.
func (d *document) again(dst []span.Finding) []span.Finding {
	if d.used == 0 {
		return dst
	}
	last := int32(-1)
	for _, o := range d.offers {
		if *d.slot(o.low) == 0 {
			continue
		}
		if o.next && last >= 0 && last+1 == o.start {
			dst[len(dst)-1].End = int(o.end)
		} else {
			dst = append(dst, span.Finding{
				Type: span.Person, Start: int(o.start), End: int(o.end),
				Score: span.Medium, Rule: ruleAgain, Why: span.ByContext,
			})
		}
		last = o.end
	}
	return dst
}
