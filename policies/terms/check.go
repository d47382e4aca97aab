// SPDX-License-Identifier: Apache-2.0

package terms

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/licence"
)

// said names a clause and where it stands: "licence.spdx CC-BY-4.0 (line 12)".
func (c *compiler) said(path string) string {
	v := c.get(path)
	switch {
	case v == nil:
		return path + " (not said)"
	case v.kind == isText:
		return fmt.Sprintf("%s: %s (%s)", path, v.text, v.at)
	case v.kind == isList:
		var texts []string
		for _, item := range v.items {
			texts = append(texts, item.text)
		}
		return fmt.Sprintf("%s: [%s] (%s)", path, strings.Join(texts, ", "), v.at)
	}
	return fmt.Sprintf("%s (%s)", path, v.at)
}

// contradict reports two clauses that cannot both hold, at the line of the later one.
func (c *compiler) contradict(a, b, why string) {
	var at Origin
	for _, path := range []string{a, b} {
		if v := c.get(path); v != nil && v.at.Line >= at.Line {
			at = v.at
		}
	}
	c.problems.add(Problem{Line: at.Line, Column: at.Column, Message: contradiction{c.said(a), c.said(b), why}.String()})
}

// clash is contradict for clauses of which one is not a key of the terms.
func (c *compiler) clash(section, a, b, why string) {
	at := c.sectionAt(section)
	c.problems.add(Problem{Line: at.Line, Column: at.Column, Message: contradiction{a, b, why}.String()})
}

// licence combines the listed licence, the offer and the creator's own clauses, the strictest of each.
func (c *compiler) licence() {
	var sources []source
	if v, ok := c.text("licence.spdx"); ok {
		l, note, err := SPDX(v.text)
		if err != nil {
			c.problem(v.at, "licence.spdx", strings.TrimPrefix(err.Error(), ErrLicence.Error()+": "), "")
		} else {
			sources = append(sources, fromSPDX(l, c.said("licence.spdx")))
		}
		if note != "" {
			c.out.Notes = append(c.out.Notes, v.text+": "+note)
		}
	}
	if v, ok := c.text("licence.odrl"); ok {
		s, err := c.offer(v)
		if err != nil {
			c.problem(v.at, "licence.odrl", strings.ReplaceAll(err.Error(), ErrODRL.Error()+": ", ""), "every clause must be one that is enforced; see docs/terms.md")
		} else {
			sources = append(sources, s)
			c.narrow(s)
		}
	}
	sources = append(sources, c.own())
	out := combine(sources)
	for _, x := range out.contradictions {
		c.problem(c.sectionAt("licence"), "licence", x.String(), "")
	}
	for _, path := range out.missing {
		spec, _ := lookup(path)
		c.problem(c.sectionAt("licence"), path, "is missing: "+spec.Says, "write everywhere, or name countries")
	}
	c.out.Notes = append(c.out.Notes, out.notes...)
	c.out.Terms.Licence = out.licence
	c.licenceFits(sources)
}

// licenceFits compares the licence with what the terms allow otherwise.
func (c *compiler) licenceFits(sources []source) {
	t := &c.out.Terms
	for _, s := range sources {
		for _, p := range s.prohibited {
			if slices.Contains(t.Purposes, p.value) {
				c.clash("licence", c.said("purposes"), p.where, fmt.Sprintf("purpose %q is allowed and prohibited", p.value))
			}
		}
		if a := s.answers[trainingOnly]; a.yes && slices.Contains(t.Outputs, "table") {
			c.clash("licence", c.said("outputs.classes"), a.where, "training makes models and metrics, and tables may leave")
		}
	}
}

func (c *compiler) sectionAt(name string) Origin {
	if v := c.get(name); v != nil {
		return v.at
	}
	return Origin{}
}

func (c *compiler) offer(v *value) (source, error) {
	if c.cfg.File == nil {
		return source{}, errors.New("files cannot be read here")
	}
	b, err := c.cfg.File(v.text, MaxFile)
	if err != nil {
		return source{}, err
	}
	return fromODRL(b, c.said("licence.odrl"))
}

// own are the clauses that the terms say themselves. They are firm: no other source may say the contrary.
func (c *compiler) own() source {
	var s source
	for _, x := range allClauses() {
		path := "licence." + string(x)
		if _, ok := c.text(path); ok {
			s.say(x, answer{c.boolean(path), true, c.said(path)})
		}
	}
	for _, p := range c.set("licence.prohibited", purposeWord) {
		s.prohibited = append(s.prohibited, quantity[string]{p, c.said("licence.prohibited")})
	}
	if v := c.get("licence.territories"); v != nil && v.kind != "" && v.kind != isSection {
		list := c.set("licence.territories", func(string) error { return nil })
		if len(list) == 1 && list[0] == everywhere {
			list = []string{licence.Worldwide}
		}
		expanded, err := territoriesOf(list)
		if err != nil {
			c.problem(v.at, "licence.territories", strings.TrimPrefix(err.Error(), licence.ErrLicence.Error()+": "), "")
			expanded = []string{licence.Worldwide} // so that nothing else is said of it
		}
		s.territories = &quantity[[]string]{expanded, c.said("licence.territories")}
	}
	if v, ok := c.text("licence.royalty"); ok {
		text := strings.TrimSpace(strings.TrimSuffix(v.text, "%"))
		n, err := parseDecimal(text, 4)
		switch {
		case err != nil || text == v.text:
			c.problem(v.at, "licence.royalty", fmt.Sprintf("%q is not a percentage", v.text), "write it like 2.5 %")
		case n > 1_000_000:
			c.problem(v.at, "licence.royalty", "is more than the whole revenue", "")
		default:
			s.royalty = &quantity[int64]{n, c.said("licence.royalty")}
		}
	}
	return s
}

// everywhere is how terms write the territory "*", which YAML would need quotes for.
const everywhere = "everywhere"

// narrow takes what an offer says beyond the licence: limits are lowered to its, and what the terms allow beyond its
// lists is a contradiction.
func (c *compiler) narrow(s source) {
	t := &c.out.Terms
	for path, x := range map[string]struct {
		have []string
		may  *quantity[[]string]
	}{
		"purposes": {t.Purposes, s.purposes}, "modes": {t.Modes, s.modes}, "outputs.classes": {t.Outputs, s.outputs},
	} {
		if x.may == nil {
			continue
		}
		for _, v := range x.have {
			if !slices.Contains(x.may.value, v) {
				c.clash(path, c.said(path), x.may.where, "the offer does not allow "+v)
			}
		}
	}
	epochs := int64(t.MaxEpochs)
	for path, x := range map[string]struct {
		have *int64
		may  *quantity[int64]
	}{
		"uses.jobs": {&t.MaxUses, s.uses}, "uses.epochs": {&epochs, s.epochs}, "outputs.most": {&t.MaxOutputBytes, s.outputBytes}, "uses.until": {&t.NotAfter, s.notAfter},
	} {
		if x.may != nil && x.may.value < *x.have {
			*x.have = x.may.value
			c.out.Notes = append(c.out.Notes, fmt.Sprintf("%s: lowered by %s", c.said(path), x.may.where))
		}
	}
	t.MaxEpochs, t.Buyers.MaxUses = int(epochs), min(t.Buyers.MaxUses, t.MaxUses)
	c.narrowPrice("price.per-use", t.Price.PerUse, s.perUse)
	c.narrowPrice("price.per-record", t.Price.PerRecord, s.perRecord)
	c.narrowRest(s)
}

func (c *compiler) narrowPrice(path string, have int64, offer *quantity[price]) {
	if offer != nil && (offer.value.amount != have || offer.value.currency != c.out.Terms.Price.Currency) {
		c.clash(path, c.said(path), offer.where, "the offer has another price")
	}
}

func (c *compiler) narrowRest(s source) {
	t := &c.out.Terms
	if s.recipients != nil {
		bad := t.Buyers.Any
		for _, k := range t.Buyers.Keys {
			bad = bad || !slices.Contains(s.recipients.value, k.String())
		}
		if bad {
			c.clash("buyers", c.said("buyers"), s.recipients.where, "the offer is for certain buyers only")
		}
	}
	if s.assurance != nil {
		levels := assurances(true)
		want := slices.Index(levels, s.assurance.value)
		if want < 0 {
			c.problem(c.sectionAt("licence.odrl"), "licence.odrl", fmt.Sprintf("%s: assurance %q is not known", s.assurance.where, s.assurance.value), "")
		} else if want > slices.Index(levels, t.MinAssurance) {
			t.MinAssurance = levels[want]
			c.out.Notes = append(c.out.Notes, fmt.Sprintf("run.assurance: raised to %s by %s", levels[want], s.assurance.where))
		}
	}
}

// contradictions compares clauses that were read one by one.
func (c *compiler) contradictions() {
	t := &c.out.Terms
	if r := t.Receipts; r != nil && r.MinAmount < t.Price.PerUse {
		c.contradict("price.per-use", "receipts.minimum", "a receipt for less than the price would do")
	}
	if len(t.Buyers.Require) > 0 && t.Access != dataset.AccessReceipt && t.Access != "" {
		c.contradict("access", "buyers.require", "only a receipt states attributes of a buyer")
	}
	if v := c.get("uses.each-buyer"); v != nil && t.Buyers.MaxUses > t.MaxUses && t.MaxUses > 0 {
		c.contradict("uses.jobs", "uses.each-buyer", "one buyer may have more jobs than there are")
	}
	if t.Consent && t.Privacy.Unit != dataset.UnitContributor && c.get("consent") != nil {
		c.contradict("consent", "privacy.unit", "consent is a contributor's, and the unit is not the contributor")
	}
	c.contradictPrivacy()
	if v := c.get("uses.until"); v != nil && t.NotAfter > 0 && !c.cfg.Now.IsZero() && t.NotAfter <= c.cfg.Now.Unix() {
		c.problem(v.at, "uses.until", fmt.Sprintf("%s is over: it is %s", v.text, c.cfg.Now.UTC().Format(time.DateOnly)), "name a later day")
	}
}

func (c *compiler) contradictPrivacy() {
	p := c.out.Terms.Privacy
	switch {
	case c.get("privacy.delta") != nil && c.get("privacy.epsilon") == nil:
		c.contradict("privacy.delta", "privacy.epsilon", "a delta is one of an epsilon")
	case c.get("privacy.each-buyer") != nil && c.get("privacy.epsilon") == nil:
		c.contradict("privacy.each-buyer", "privacy.epsilon", "one buyer's part is of a whole")
	case p.BuyerEpsilon > p.Epsilon && p.Epsilon > 0:
		c.contradict("privacy.epsilon", "privacy.each-buyer", "one buyer may spend more than all")
	}
}
