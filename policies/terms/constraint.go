// SPDX-License-Identifier: Apache-2.0

package terms

import (
	"slices"
	"strings"
	"time"
)

// comparison is a constraint taken apart.
type comparison struct {
	node   *node
	left   string
	op     string
	values []*node
	unit   string
}

func (r *offerReader) comparison(n *node) (c comparison, ok bool) {
	before := len(r.errs)
	f := r.fields(n, "@type", "@id", "odrl:leftOperand", "odrl:operator", "odrl:rightOperand", "odrl:unit")
	c.node = n
	for _, k := range []string{"odrl:leftOperand", "odrl:operator", "odrl:rightOperand"} {
		if f[k] == nil {
			r.bad(n, "has no %s", k)
		}
	}
	if t := f["@type"]; t != nil && r.word(t) != "odrl:Constraint" {
		r.bad(t, "is not odrl:Constraint")
	}
	if u := f["odrl:unit"]; u != nil {
		c.unit, _ = r.id(u)
	}
	if len(r.errs) > before {
		return c, false
	}
	c.left, c.op = r.word(f["odrl:leftOperand"]), r.word(f["odrl:operator"])
	for _, v := range f["odrl:rightOperand"].many() {
		c.values = append(c.values, r.literal(v))
	}
	if len(c.values) == 0 || len(c.values) > maxValues {
		r.bad(n, "compares with %d values, want 1 to %d", len(c.values), maxValues)
	}
	return c, len(r.errs) == before
}

// literal is a plain value, or the @value of one with its type; a list of one is its item.
func (r *offerReader) literal(n *node) *node {
	if n.fields == nil {
		if n.list || n.flag != nil {
			r.bad(n, "want a string or number")
		}
		return n
	}
	for _, k := range n.keys {
		if k != "@value" && k != "@type" && k != "@id" {
			r.bad(n.fields[k], "is not understood")
		}
	}
	v := n.fields["@value"]
	if v == nil {
		v = n.fields["@id"]
	}
	if v == nil || v.fields != nil || v.list || v.flag != nil || n.fields["@value"] != nil && n.fields["@id"] != nil {
		r.bad(n, "want one @value or @id")
		return &node{path: n.path}
	}
	return v
}

func (c *comparison) texts() []string {
	out := make([]string, len(c.values))
	for i, v := range c.values {
		out[i] = v.text
	}
	return out
}

// constraint reads one of the permission to use, or of a prohibition of it.
func (r *offerReader) constraint(n *node, permitted bool) {
	c, ok := r.comparison(n)
	if !ok {
		return
	}
	switch c.left {
	case "odrl:purpose", "odrl:spatial":
		r.set(c, permitted)
		return
	}
	if !permitted {
		r.bad(n, "prohibits by %s, which cannot be expressed; prohibit a purpose or a place", c.left)
		return
	}
	switch c.left {
	case "odrl:recipient":
		r.words(c, &r.out.recipients)
	case "gb:mode":
		r.words(c, &r.out.modes)
	case "gb:output":
		r.words(c, &r.out.outputs)
	case "odrl:count":
		r.atMost(c, &r.out.uses)
	case "gb:epochs":
		r.atMost(c, &r.out.epochs)
	case "gb:outputBytes":
		r.atMost(c, &r.out.outputBytes)
	case "gb:notAfter":
		r.atMost(c, &r.out.notAfter)
	case "odrl:dateTime":
		r.until(c)
	case "gb:trainingOnly":
		r.holds(c, trainingOnly)
	case "gb:revocable":
		r.holds(c, revocable)
	case "gb:assurance":
		if c.op != "odrl:gteq" || len(c.values) != 1 {
			r.bad(n, "want odrl:gteq and one value")
			return
		}
		r.once(c, r.out.assurance != nil)
		r.out.assurance = &quantity[string]{c.values[0].text, r.at(n)}
	default:
		r.bad(n, "constrains %s, which is not understood", c.left)
	}
}

// holds reads a clause that an offer says as a constraint.
func (r *offerReader) holds(c comparison, what clause) {
	if c.op != "odrl:eq" || len(c.values) != 1 || c.values[0].text != "true" {
		r.bad(c.node, "want odrl:eq and true, or nothing")
		return
	}
	r.say(c.node, what, answer{true, true, r.at(c.node)})
}

// once refuses a second constraint of one kind: two would have to be combined, and one is easily forgotten.
func (r *offerReader) once(c comparison, there bool) {
	if there {
		r.bad(c.node, "constrains %s a second time", c.left)
	}
}

// set reads purposes and places, each allowed or prohibited.
func (r *offerReader) set(c comparison, permitted bool) {
	among := slices.Contains([]string{"odrl:isAnyOf", "odrl:isA", "odrl:isPartOf", "odrl:eq"}, c.op)
	none := slices.Contains([]string{"odrl:isNoneOf", "odrl:neq"}, c.op)
	switch {
	case !among && !none, c.op != "odrl:isAnyOf" && c.op != "odrl:isNoneOf" && len(c.values) != 1:
		r.bad(c.node, "operator %s with %d values is not understood", c.op, len(c.values))
		return
	case !permitted && none:
		r.bad(c.node, "prohibits everything but; say it as a permission")
		return
	}
	allowed := permitted && among
	if c.left == "odrl:purpose" {
		r.purposes(c, allowed)
		return
	}
	list, err := territoriesOf(c.texts())
	if err != nil {
		r.bad(c.node, "%v", err)
		return
	}
	if allowed {
		r.once(c, r.out.territories != nil)
		r.out.territories = &quantity[[]string]{list, r.at(c.node)}
		return
	}
	for _, t := range list {
		r.out.excluded = append(r.out.excluded, quantity[string]{t, r.at(c.node)})
	}
}

func (r *offerReader) purposes(c comparison, allowed bool) {
	list := c.texts()
	for i, p := range list {
		word, ok := ownPurpose(p)
		if !ok {
			r.bad(c.node, "purpose %q: want a word of lower-case letters, digits and . _ / -, at most 128; of prefixes and IRIs only gb: and %s are understood", p, gloveboxNS)
			return
		}
		list[i] = word
	}
	list = sortedSet(list)
	if allowed {
		r.once(c, r.out.purposes != nil)
		r.out.purposes = &quantity[[]string]{list, r.at(c.node)}
		return
	}
	for _, p := range list {
		r.out.prohibited = append(r.out.prohibited, quantity[string]{p, r.at(c.node)})
	}
}

// ownPurpose is a purpose of an offer as jobs state it. One of another vocabulary is refused: no job states its IRI, so that
// prohibiting it would prohibit nothing.
func ownPurpose(s string) (string, bool) {
	for _, prefix := range []string{gloveboxNS, "gb:"} {
		if rest, ok := strings.CutPrefix(s, prefix); ok {
			s = rest
			break
		}
	}
	return s, isTerm(s) && !strings.Contains(s, ":") && !strings.Contains(s, "//")
}

func (r *offerReader) words(c comparison, to **quantity[[]string]) {
	if c.op != "odrl:isAnyOf" && (c.op != "odrl:eq" || len(c.values) != 1) {
		r.bad(c.node, "operator %s is not understood here; want odrl:isAnyOf", c.op)
		return
	}
	r.once(c, *to != nil)
	*to = &quantity[[]string]{sortedSet(c.texts()), r.at(c.node)}
}

func (r *offerReader) atMost(c comparison, to **quantity[int64]) {
	if len(c.values) != 1 || c.op != "odrl:lteq" && c.op != "odrl:lt" || c.unit != "" {
		r.bad(c.node, "want odrl:lteq or odrl:lt, one value and no unit")
		return
	}
	n, err := parseInteger(c.values[0].text)
	if err != nil {
		r.bad(c.node, "%v", err)
		return
	}
	if c.op == "odrl:lt" {
		n--
	}
	if n < 0 {
		r.bad(c.node, "allows less than none")
		return
	}
	r.once(c, *to != nil)
	*to = &quantity[int64]{n, r.at(c.node)}
}

// until reads the end of the offer; a beginning or an interval cannot be expressed.
func (r *offerReader) until(c comparison) {
	if len(c.values) != 1 || c.op != "odrl:lteq" && c.op != "odrl:lt" || c.unit != "" {
		r.bad(c.node, "want odrl:lteq or odrl:lt, and one date: only an end can be expressed")
		return
	}
	text := c.values[0].text
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		day, dayErr := time.Parse(time.DateOnly, text)
		if dayErr != nil {
			r.bad(c.node, "%q is neither a date nor a time with its zone", text)
			return
		}
		t = day
		if c.op == "odrl:lteq" {
			t = day.AddDate(0, 0, 1) // to the end of that day
		}
	}
	r.once(c, r.out.notAfter != nil)
	r.out.notAfter = &quantity[int64]{t.Unix(), r.at(c.node)}
}

// payment reads what a duty to compensate says.
func (r *offerReader) payment(n *node) {
	c, ok := r.comparison(n)
	if !ok {
		return
	}
	if c.op != "odrl:eq" || len(c.values) != 1 {
		r.bad(n, "want odrl:eq and one value")
		return
	}
	text := c.values[0].text
	switch c.left {
	case "odrl:payAmount":
		r.price(c, &r.out.perUse, func() (int64, error) { return parseDecimal(text, 6) })
	case "gb:perUseMicros":
		r.price(c, &r.out.perUse, func() (int64, error) { return parseInteger(text) })
	case "gb:perRecordMicros":
		r.price(c, &r.out.perRecord, func() (int64, error) { return parseInteger(text) })
	case "gb:royaltyPPM":
		r.royalty(c, func() (int64, error) { return parseInteger(text) })
	case "odrl:percentage":
		r.royalty(c, func() (int64, error) { return parseDecimal(strings.TrimSpace(strings.TrimSuffix(text, "%")), 4) })
	default:
		r.bad(n, "compensates by %s, which is not understood", c.left)
	}
}

func (r *offerReader) price(c comparison, to **quantity[price], parse func() (int64, error)) {
	n, err := parse()
	switch {
	case err != nil:
		r.bad(c.node, "%v", err)
	case !isoCurrency.MatchString(c.unit):
		r.bad(c.node, "unit %q is not a currency by its ISO 4217 code", c.unit)
	default:
		r.once(c, *to != nil)
		*to = &quantity[price]{price{c.unit, n}, r.at(c.node)}
	}
}

func (r *offerReader) royalty(c comparison, parse func() (int64, error)) {
	n, err := parse()
	switch {
	case err != nil:
		r.bad(c.node, "%v", err)
	case n > 1_000_000:
		r.bad(c.node, "a royalty above the whole revenue")
	case c.unit != "":
		r.bad(c.node, "a fraction has no unit")
	default:
		r.once(c, r.out.royalty != nil)
		r.out.royalty = &quantity[int64]{n, r.at(c.node)}
	}
}
