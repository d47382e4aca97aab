// SPDX-License-Identifier: Apache-2.0

package terms

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/glovebox-dev/glovebox/internal/licence"
)

// Namespaces whose terms an offer may use; see normal.
const (
	odrlContext = "http://www.w3.org/ns/odrl.jsonld"
	odrlNS      = "http://www.w3.org/ns/odrl/2/"
	gloveboxNS  = "https://glovebox.dev/ns#"
	creativeNS  = "http://creativecommons.org/ns#"
)

// offerReader turns an ODRL 2.2 offer into a source. It understands what it lists and refuses everything else, each
// with its JSON path: a clause that is skipped would be one that nobody enforces.
type offerReader struct {
	where string // what messages call the offer
	bare  bool   // the context is ODRL's, so its terms need no prefix
	out   source
	used  *node // the permission to use the data at all
	asset string
	errs  []error
}

// fromODRL reads an offer in JSON-LD. where names it in messages. The error joins all that is wrong.
func fromODRL(b []byte, where string) (source, error) {
	root, err := parseJSON(b)
	if err != nil {
		return source{}, err
	}
	r := &offerReader{where: where}
	r.policy(root)
	return r.out, errors.Join(r.errs...)
}

func (r *offerReader) bad(n *node, f string, a ...any) {
	r.errs = append(r.errs, fmt.Errorf("%w: %s: %s", ErrODRL, n.path, fmt.Sprintf(f, a...)))
}

// at says where a node stands, for clauses.
func (r *offerReader) at(n *node) string { return r.where + " " + n.path }

// normal reduces the ways to write a term to one: "odrl:use", "gb:train", "cc:Attribution"; "" is not understood.
func (r *offerReader) normal(s string) string {
	for prefix, ns := range map[string]string{"odrl:": odrlNS, "gb:": gloveboxNS, "cc:": creativeNS} {
		if rest, ok := strings.CutPrefix(s, ns); ok {
			return prefix + rest
		}
		if strings.HasPrefix(s, prefix) {
			return s
		}
	}
	if r.bare && s != "" && !strings.Contains(s, ":") {
		return "odrl:" + s
	}
	return ""
}

// fields reads an object's keys by their normal names; those not in known are errors.
func (r *offerReader) fields(n *node, known ...string) map[string]*node {
	out := map[string]*node{}
	if n.fields == nil {
		r.bad(n, "want an object")
		return out
	}
	for _, k := range n.keys {
		v := n.fields[k]
		name := k
		switch k {
		case "@context", "@type", "@id":
		case "type", "uid":
			name = map[string]string{"type": "@type", "uid": "@id"}[k]
		default:
			name = r.normal(k)
		}
		if name == "odrl:uid" {
			name = "@id"
		}
		switch {
		case !slices.Contains(known, name):
			r.bad(v, "is not understood")
		case out[name] != nil:
			r.bad(v, "says the same as %s", out[name].path)
		default:
			out[name] = v
		}
	}
	return out
}

// word is the normal form of a term that stands as a value.
func (r *offerReader) word(n *node) string {
	s, ok := r.id(n)
	if !ok {
		return ""
	}
	w := r.normal(s)
	if w == "" {
		r.bad(n, "%q is not a term of ODRL", s)
	}
	return w
}

// id is a string, or an object with an @id only.
func (r *offerReader) id(n *node) (string, bool) {
	switch {
	case n.fields != nil && len(n.keys) == 1 && n.fields["@id"] != nil:
		return r.id(n.fields["@id"])
	case n.fields != nil, n.list, n.flag != nil, n.number:
		r.bad(n, "want a string or an @id")
		return "", false
	}
	return n.text, true
}

func (r *offerReader) policy(root *node) {
	if c := root.fields["@context"]; c != nil {
		r.context(c)
	}
	f := r.fields(root, "@context", "@type", "@id", "odrl:profile", "odrl:assigner", "odrl:permission", "odrl:prohibition", "odrl:conflict")
	if t := f["@type"]; t == nil || r.word(t) != "odrl:Offer" {
		r.bad(root, "is not of @type odrl:Offer")
	}
	if p := f["odrl:profile"]; p != nil {
		r.bad(p, "profiles are not understood")
	}
	if c := f["odrl:conflict"]; c != nil && r.word(c) != "odrl:prohibit" && r.word(c) != "odrl:invalid" {
		r.bad(c, "prohibitions always win here")
	}
	if p := f["odrl:permission"]; p != nil {
		for _, rule := range p.many() {
			r.permission(rule)
		}
	}
	if r.used == nil {
		r.bad(root, "permits neither odrl:use nor gb:train")
	}
	if p := f["odrl:prohibition"]; p != nil {
		for _, rule := range p.many() {
			r.prohibition(rule)
		}
	}
	r.unsaid(root)
}

// context admits ODRL's own context and prefixes for the namespaces that are understood. Nothing is fetched.
func (r *offerReader) context(c *node) {
	for _, item := range c.many() {
		if item.text == odrlContext && item.fields == nil {
			r.bare = true
			continue
		}
		if item.fields == nil {
			r.bad(item, "only the context %s, and prefixes, are understood", odrlContext)
		}
		for _, k := range item.keys {
			want := map[string]string{"odrl": odrlNS, "gb": gloveboxNS, "cc": creativeNS}[k]
			if want == "" || item.fields[k].text != want {
				r.bad(item.fields[k], "is not understood; prefixes are odrl, gb and cc, each with its own namespace")
			}
		}
	}
}

// say notes an answer, and refuses an offer that contradicts itself.
func (r *offerReader) say(n *node, c clause, a answer) {
	if old, ok := r.out.answers[c]; ok && old.yes != a.yes {
		r.bad(n, "contradicts %s", old.where)
		return
	}
	r.out.say(c, a)
}

// unsaid fills in what an offer that is silent does not allow.
func (r *offerReader) unsaid(root *node) {
	for c, action := range map[clause]string{commercial: "odrl:commercialize", derivatives: "odrl:derive"} {
		if _, ok := r.out.answers[c]; !ok {
			r.out.say(c, answer{false, false, fmt.Sprintf("%s, which does not permit %s", r.at(root), action)})
		}
	}
	if r.out.territories == nil {
		r.out.territories = &quantity[[]string]{[]string{licence.Worldwide}, r.at(root)} // a permission without a place is for all
	}
}

const ruleKeys = "@type @id odrl:target odrl:action odrl:constraint"

// rule reads what permissions and prohibitions have in common and returns the actions, by normal name.
func (r *offerReader) rule(n *node, typ string, more ...string) (map[string]*node, []string) {
	f := r.fields(n, append(strings.Fields(ruleKeys), more...)...)
	if t := f["@type"]; t != nil && r.word(t) != typ {
		r.bad(t, "is not %s", typ)
	}
	if t := f["odrl:target"]; t != nil {
		id, ok := r.id(t)
		if ok && r.asset != "" && r.asset != id {
			r.bad(t, "is another target than %q; an offer is about one dataset", r.asset)
		}
		r.asset = id
	}
	a := f["odrl:action"]
	if a == nil {
		r.bad(n, "has no action")
		return f, nil
	}
	var actions []string
	for _, item := range a.many() {
		w := r.word(item)
		if slices.Contains(actions, w) {
			r.bad(item, "is there twice")
		}
		actions = append(actions, w)
	}
	return f, actions
}

func (r *offerReader) permission(n *node) {
	f, actions := r.rule(n, "odrl:Permission", "odrl:duty")
	uses := false
	for _, a := range actions {
		where := fmt.Sprintf("%s.action %s", r.at(n), a)
		switch a {
		case "odrl:use", "gb:train":
			uses = true
		case "odrl:commercialize", "cc:CommercialUse":
			r.say(n, commercial, answer{true, true, where})
		case "odrl:derive", "odrl:modify", "cc:DerivativeWorks":
			r.say(n, derivatives, answer{true, true, where})
		case "":
		default:
			if slices.Contains(leaving(), a) {
				r.bad(n, "permits %s, and data that is sealed leaves nowhere", a)
			} else {
				r.bad(n, "permits %s, which is not understood", a)
			}
		}
	}
	if d := f["odrl:duty"]; d != nil {
		for _, duty := range d.many() {
			r.duty(duty)
		}
	}
	c := f["odrl:constraint"]
	switch {
	case uses && r.used != nil:
		r.bad(n, "is a second permission to use the data, after %s; there can be one", r.used.path)
	case uses:
		r.used = n
		if c != nil {
			for _, item := range c.many() {
				r.constraint(item, true)
			}
		}
	case c != nil:
		r.bad(c, "constrains an action other than the use as a whole; put it on the permission to use")
	}
}

// leaving are the actions that would take the data itself elsewhere.
func leaving() []string {
	return []string{
		"odrl:distribute", "odrl:reproduce", "odrl:sell", "odrl:transfer", "odrl:share", "odrl:give", "odrl:lease", "odrl:grantUse", "odrl:copy",
		"odrl:export", "cc:Distribution", "cc:Reproduction", "cc:Sharing",
	}
}

func (r *offerReader) prohibition(n *node) {
	f, actions := r.rule(n, "odrl:Prohibition")
	c := f["odrl:constraint"]
	for _, a := range actions {
		where := fmt.Sprintf("%s.action %s", r.at(n), a)
		switch {
		case (a == "odrl:use" || a == "gb:train") && c != nil:
			for _, item := range c.many() {
				r.constraint(item, false)
			}
			if len(c.many()) != 1 {
				r.bad(c, "want one constraint: a prohibition with several applies only where all hold")
			}
		case a == "odrl:use" || a == "gb:train":
			r.bad(n, "prohibits the use as a whole")
		case c != nil:
			r.bad(c, "constrains a prohibition of %s, which cannot be expressed", a)
		case a == "odrl:commercialize" || a == "cc:CommercialUse":
			r.say(n, commercial, answer{false, true, where})
		case a == "odrl:derive" || a == "odrl:modify" || a == "cc:DerivativeWorks":
			r.say(n, derivatives, answer{false, true, where})
		case slices.Contains(leaving(), a):
			// Holds by construction: sealed data leaves nowhere.
		case a != "":
			r.bad(n, "prohibits %s, which is not understood", a)
		}
	}
}

func (r *offerReader) duty(n *node) {
	f := r.fields(n, "@type", "@id", "odrl:action", "odrl:constraint")
	if t := f["@type"]; t != nil && r.word(t) != "odrl:Duty" {
		r.bad(t, "is not odrl:Duty")
	}
	a := f["odrl:action"]
	if a == nil {
		r.bad(n, "has no action")
		return
	}
	c := f["odrl:constraint"]
	switch w := r.word(a); w {
	case "odrl:attribute", "cc:Attribution":
		r.say(n, attribution, answer{true, true, r.at(n)})
	case "cc:ShareAlike":
		r.say(n, shareAlike, answer{true, true, r.at(n)})
	case "odrl:compensate":
		if c == nil {
			r.bad(n, "does not say how much")
			return
		}
		for _, item := range c.many() {
			r.payment(item)
		}
		return
	case "":
	default:
		r.bad(n, "is a duty to %s, which is not understood", w)
	}
	if c != nil {
		r.bad(c, "constrains a duty, which cannot be expressed")
	}
}

var isoCurrency = regexp.MustCompile(`^[A-Z]{3}$`)

// territoriesOf reads country codes and groups, by themselves or at the end of an ISO 3166 URN.
func territoriesOf(values []string) ([]string, error) {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = strings.TrimPrefix(v, "urn:iso:std:iso:3166:-1:")
	}
	return licence.Expand(out)
}
