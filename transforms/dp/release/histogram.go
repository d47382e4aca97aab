// SPDX-License-Identifier: Apache-2.0

package release

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"sort"
	"strings"

	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/decimal"
	"github.com/glovebox-dev/glovebox/transforms/dp"
	"github.com/glovebox-dev/glovebox/transforms/dp/noise"
	"github.com/glovebox-dev/glovebox/transforms/dp/sampler"
)

// histogramQuery counts records by the text of a field, or by the interval that its number is in. With declared keys each of them is counted, whether it is there or
// not. Without, keys are those that so many records have that no one unit decides whether they are shown (Korolova and
// others 2009; Desfontaines, Voss, Gipson, Mandayam 2022): that is for a probability of delta.
type histogramQuery struct {
	common
	Field    string            `json:"field"`
	Keys     []string          `json:"keys"`
	Edges    []*decimal.Number `json:"edges"`    // in place of keys: they are the intervals from each edge to before the next
	Other    bool              `json:"other"`    // with keys or edges: count all other records together too
	Delta    *decimal.Number   `json:"delta"`    // without keys
	Most     int64             `json:"most"`     // without keys: how many are shown, those of the greatest noised counts; 100 without it
	Groups   int64             `json:"groups"`   // of one unit that count, at most; as many as it has records without it
	PerGroup int64             `json:"perGroup"` // records of one unit in one group, at most; all without it

	delta int64 // 10⁻¹²
}

func (q *histogramQuery) check() error {
	if err := checkField("field", q.Field); err != nil {
		return err
	}
	if q.Groups < 0 || q.Groups > MaxContributions || q.PerGroup < 0 || q.PerGroup > MaxContributions {
		return fmt.Errorf("groups and perGroup: want 1 to %d, or none", MaxContributions)
	}
	if q.Edges != nil {
		if err := q.intervals(); err != nil {
			return err
		}
	}
	if len(q.Keys) > 0 {
		return q.checkKeys()
	}
	if q.Most == 0 {
		q.Most = defaultMost
	}
	switch {
	case q.Most < 1 || q.Most > MaxValues:
		return fmt.Errorf("most: %d, want 1 to %d", q.Most, MaxValues)
	case q.Keys != nil:
		return errors.New("keys: an empty list; leave it out, and say delta, to have the keys chosen")
	case q.Other:
		return errors.New("other: it needs keys or edges")
	case q.Delta == nil:
		return errors.New("want keys, edges, or delta: the probability that a key is shown because of one unit alone, e.g. 1e-8")
	}
	v, exact, ok := q.Delta.Scaled(12)
	if !ok || !exact || v < 1 || v > dp.Pico/1000 {
		return fmt.Errorf("delta: %s, want 1e-12 to 0.001, with at most 12 digits after the point", q.Delta.Literal)
	}
	q.delta = v
	return nil
}

func (q *histogramQuery) checkKeys() error {
	if q.Delta != nil || q.Most != 0 {
		return errors.New("delta, most: with keys or edges there is no need for them")
	}
	if len(q.Keys) > MaxValues {
		return fmt.Errorf("keys: %d of them, at most %d", len(q.Keys), MaxValues)
	}
	seen := map[string]bool{}
	for i, k := range q.Keys {
		if len(k) > MaxText || seen[k] {
			return fmt.Errorf("keys[%d]: it is there twice, or has more than %d bytes", i, MaxText)
		}
		seen[k] = true
	}
	return nil
}

// defaultMost is how many keys that are not declared are shown.
const defaultMost = 100

// intervals makes the keys of intervals.
func (q *histogramQuery) intervals() error {
	if q.Keys != nil {
		return errors.New("edges: want either keys or edges")
	}
	if len(q.Edges) < 2 || len(q.Edges) > MaxValues {
		return fmt.Errorf("edges: %d of them, want 2 to %d", len(q.Edges), MaxValues)
	}
	for i, e := range q.Edges {
		switch {
		case e == nil:
			return fmt.Errorf("edges[%d]: want a number", i)
		case i == 0:
			continue
		case q.Edges[i-1].Cmp(&e.Decimal) >= 0:
			return fmt.Errorf("edges[%d]: %s does not come after %s", i, e.Literal, q.Edges[i-1].Literal)
		}
		q.Keys = append(q.Keys, fmt.Sprintf("[%s, %s)", q.Edges[i-1].Literal, e.Literal))
	}
	return nil
}

// interval is the key of the interval that a number is in, or none.
func (q *histogramQuery) interval(text []byte) (string, bool) {
	d, ok := decimal.Parse(text)
	if !ok {
		return "", false
	}
	after := sort.Search(len(q.Edges), func(i int) bool { return q.Edges[i].Cmp(&d) > 0 })
	if after == 0 || after == len(q.Edges) {
		return "", false
	}
	return q.Keys[after-1], true
}

func (q *histogramQuery) fields() []string { return q.names(q.Field) }
func (q *histogramQuery) values() []string {
	out := append([]string{""}, q.Keys...)
	for range q.Most {
		out = append(out, longestKey)
	}
	return out
}

// limits are a unit's groups, and its records in each of them.
func (q *histogramQuery) limits(s *setting) (groups, each int64) {
	groups, each = s.contributions, s.contributions
	if q.Groups > 0 {
		groups = min(groups, q.Groups)
	}
	if q.PerGroup > 0 {
		each = min(each, q.PerGroup)
	}
	return groups, each
}

// parts: what a unit adds is a vector of counts of at most each, of which at most groups are not 0, and that add up to at most
// contributions. Two of them differ by at most the sum of their L1 norms, and, since no count is negative, by at most the root of
// the sum of their squares in L2.
func (q *histogramQuery) parts(s *setting) ([]part, error) {
	groups, each := q.limits(s)
	l1 := min(groups*each, s.contributions)
	square := min(groups*each, s.contributions) * each
	one := big.NewInt(1)
	p, err := q.part("count of each group", 1, noise.Sensitivity{L1: noise.Product(l1, s.sides()), L2: one, Root: noise.Product(square, s.sides())})
	p.Mechanism.Delta = q.delta
	if p.draws = len(q.Keys); q.Other {
		p.draws++
	}
	return []part{p}, err
}

// threshold is the least noised count that is shown where keys are not declared. A key that one unit alone has is below it but
// for a probability of delta over the groups of a unit, whatever the unit's records: the noise would have to be at least so
// much above what the unit can add to one group. Of the tails of both noises no more than a bound is needed: discrete Laplace's
// is at most exp(-k/scale), rounded Gaussian's the continuous one's from half below.
func (q *histogramQuery) threshold(s *setting, p *part) int64 {
	groups, each := q.limits(s)
	tail := float64(q.delta) / dp.Pico / float64(groups)
	k := p.Float(1) * math.Log(1/tail)
	if p.Mechanism.Kind == dp.Gaussian {
		// Chernoff's bound: the tail of N(0, σ²) from x on is at most exp(-x²/2σ²)/2.
		k = p.Float(1)*math.Sqrt(2*math.Log(1/(2*tail))) + 0.5
	}
	const margin = 1 + 1e-9 // for what floats lose
	return each + int64(math.Ceil(k*margin)) + 1
}

func (q *histogramQuery) start(s *setting, parts []part) counter {
	h := &grouping{q: q, parts: parts, counts: map[string]int64{}}
	h.groups, h.each = q.limits(s)
	h.alone = s.contributions == 1
	for _, k := range q.Keys {
		h.counts[k] = 0
	}
	if len(q.Keys) == 0 {
		h.threshold = q.threshold(s, &parts[0])
	}
	return h
}

type grouping struct {
	q            *histogramQuery
	parts        []part
	threshold    int64
	groups, each int64
	alone        bool             // a unit has one record: nothing to bound
	counts       map[string]int64 // by key
	other        int64
	had          map[int]map[string]int64 // records of a unit that count, by key
}

// otherKey stands for all that are not declared. No key has so many bytes.
var otherKey = strings.Repeat("?", MaxText+1)

// longestKey takes as much room in a result as any.
var longestKey = strings.Repeat("?", MaxText)

func (c *grouping) add(unit int, r *transforms.Record) {
	f := value(r, c.q.Field)
	if f == nil {
		return
	}
	key, known := c.key(f.Text)
	if !known && !c.q.Other || !c.within(unit, key) {
		return
	}
	if !known {
		c.other++
		return
	}
	c.counts[key]++
}

// key is the group of a text, which is known or all others'.
func (c *grouping) key(text []byte) (key string, known bool) {
	if c.q.Edges != nil {
		if key, known = c.q.interval(text); !known {
			key = otherKey
		}
		return key, known
	}
	if len(text) > MaxText {
		return otherKey, false
	}
	if _, known = c.counts[string(text)]; known || len(c.q.Keys) == 0 {
		return string(text), true
	}
	return otherKey, false
}

// within reports whether one more record of a unit counts in a group, and remembers it.
func (c *grouping) within(unit int, key string) bool {
	if c.alone {
		return true
	}
	if c.had == nil {
		c.had = map[int]map[string]int64{}
	}
	had := c.had[unit]
	if had == nil {
		had = map[string]int64{}
		c.had[unit] = had
	}
	n := had[key]
	if n >= c.each || n == 0 && int64(len(had)) >= c.groups {
		return false
	}
	had[key] = n + 1
	return true
}

func (c *grouping) result(src *sampler.Source, out *Result) error {
	p := &c.parts[0]
	keys := c.q.Keys
	if len(keys) == 0 {
		for k := range c.counts {
			keys = append(keys, k)
		}
		slices.Sort(keys) // what order they came in is nobody's business
	}
	for _, k := range keys {
		n, err := p.Draw(src)
		if err != nil {
			return err
		}
		if n += c.counts[k]; n >= c.threshold || len(c.q.Keys) > 0 {
			out.Groups = append(out.Groups, Group{Key: strings.ToValidUTF8(k, "\ufffd"), Count: float64(n)})
		}
	}
	if c.q.Other {
		n, err := p.Draw(src)
		if err != nil {
			return err
		}
		out.Groups = append(out.Groups, Group{Other: true, Count: float64(n + c.other)})
	}
	if most := int(c.q.Most); most > 0 && len(out.Groups) > most {
		// Which those are, and that there are more, follows from noised counts alone.
		slices.SortStableFunc(out.Groups, func(a, b Group) int { return cmp.Compare(b.Count, a.Count) })
		out.Groups = out.Groups[:most]
		slices.SortFunc(out.Groups, func(a, b Group) int { return strings.Compare(a.Key, b.Key) })
	}
	out.Margin, out.Threshold = p.Margin(doubt), float64(c.threshold)
	out.Noise = []Noise{p.said(1)}
	clear(c.counts)
	clear(c.had)
	return nil
}
