// SPDX-License-Identifier: Apache-2.0

package terms

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/jwk"
)

// compiler is one run over a document.
type compiler struct {
	*Document
	cfg      Config
	out      Compiled
	problems Problems
}

func (c *compiler) problem(at Origin, path, msg, hint string) {
	if at.Flag != "" {
		path = at.Flag
	}
	c.problems.add(Problem{Line: at.Line, Column: at.Column, Path: path, Message: msg, Hint: hint})
}

// text is a key's single value; ok is false where there is none.
func (c *compiler) text(path string) (v *value, ok bool) {
	v = c.get(path)
	return v, v != nil && v.kind == isText
}

// texts are a key's values; a single one is a list of one. Entries that are no texts are problems.
func (c *compiler) texts(v *value, path string) []*value {
	switch {
	case v == nil:
		return nil
	case v.kind == isText:
		return []*value{v}
	}
	var out []*value
	for _, item := range v.items {
		if item.kind != isText {
			c.problem(item.at, path, fmt.Sprintf("holds %s", item.kind), "want plain values")
			continue
		}
		out = append(out, item)
	}
	if len(v.items) == 0 && v.kind == isList {
		c.problem(v.at, path, "is an empty list", "leave the key out, or name something")
	}
	return out
}

// set reads a key's values into a sorted set and refuses repetitions.
func (c *compiler) set(path string, check func(string) error) []string {
	return c.setOf(c.get(path), path, check)
}

func (c *compiler) setOf(list *value, path string, check func(string) error) []string {
	out := []string{}
	for _, v := range c.texts(list, path) {
		if err := check(v.text); err != nil {
			c.problem(v.at, path, err.Error(), "")
			continue
		}
		if slices.Contains(out, v.text) {
			c.problem(v.at, path, fmt.Sprintf("%q is there twice", v.text), "")
			continue
		}
		out = append(out, v.text)
	}
	slices.Sort(out)
	return out
}

func (c *compiler) boolean(path string) bool {
	v, ok := c.text(path)
	if !ok {
		return false
	}
	if v.text != "true" && v.text != "false" {
		c.problem(v.at, path, fmt.Sprintf("%q is neither true nor false", v.text), "")
	}
	return v.text == "true"
}

// number reads one by parse and holds it to a range.
func (c *compiler) number(path string, parse func(string) (int64, error), least, most, absent int64) int64 {
	v, ok := c.text(path)
	if !ok {
		return absent
	}
	n, err := parse(v.text)
	switch {
	case err != nil:
		c.problem(v.at, path, err.Error(), "")
		return absent
	case n < least:
		c.problem(v.at, path, fmt.Sprintf("%q is too little", v.text), bound("at least", least, parse))
		return absent
	case n > most:
		c.problem(v.at, path, fmt.Sprintf("%q is too much", v.text), bound("at most", most, parse))
		return absent
	}
	return n
}

// bound names a limit where it can be written as the key's values are: counts, bytes and seconds.
func bound(what string, n int64, parse func(string) (int64, error)) string {
	for _, unit := range []string{"", "s"} {
		s := strconv.FormatInt(n, 10) + unit
		if got, err := parse(s); err == nil && got == n {
			return what + " " + s
		}
	}
	return ""
}

func (c *compiler) word(path, absent string, of ...string) string {
	v, ok := c.text(path)
	if !ok {
		return absent
	}
	if !slices.Contains(of, v.text) {
		c.problem(v.at, path, fmt.Sprintf("%q is not known", v.text), "want "+strings.Join(of, " or "))
		return absent
	}
	return v.text
}

func micros(s string) (int64, error) { return parseDecimal(s, 6) }
func picos(s string) (int64, error)  { return parseDecimal(s, 12) }

func purposeWord(s string) error {
	if !isTerm(s) {
		return fmt.Errorf("%q is not a purpose: lower-case letters, digits and . _ : / -, at most 128", s)
	}
	if rest, ok := strings.CutPrefix(s, "gb:"); ok {
		return fmt.Errorf("%q: write the purpose %q without gb:, as jobs state it", s, rest)
	}
	return nil
}

func outputClass(s string) error {
	if !slices.Contains([]string{"metrics", "model", "table"}, s) {
		return fmt.Errorf("%q is not a class of output: metrics, model or table", s)
	}
	return nil
}

// read takes every key for itself; what keys say together is for contradictions.
func (c *compiler) read() {
	t := &c.out.Terms
	c.word("version", "1", "1")
	c.out.Test = c.boolean("test")
	t.Purposes = c.set("purposes", purposeWord)
	t.Outputs = c.set("outputs.classes", outputClass)
	t.MaxOutputBytes = c.number("outputs.most", parseSize, 1, dataset.MaxOutputBytes, 0)
	t.MaxUses = c.number("uses.jobs", parseInteger, 1, dataset.MaxAmount, 0)
	t.MaxEpochs = int(c.number("uses.epochs", parseInteger, 1, dataset.MaxEpochs, 0))
	t.NotAfter = c.number("uses.until", parseEnd, 1, dataset.MaxAmount, 0)
	t.Price = dataset.Price{
		Currency:  c.currency(),
		PerUse:    c.number("price.per-use", micros, 0, dataset.MaxAmount, 0),
		PerRecord: c.number("price.per-record", micros, 0, dataset.MaxAmount, 0),
	}
	t.Access = c.word("access", "", dataset.AccessOpen, dataset.AccessReceipt, dataset.AccessPermit)
	t.Consent = c.word("consent", "required", "required", "none") == "required"
	t.Logs = c.word("run.logs", dataset.LogsOff, dataset.LogsOff, dataset.LogsSealed)
	t.LeaseSeconds = c.number("run.lease", parseSpan, 1, dataset.MaxLeaseSeconds, 3600)
	t.Allowance = c.number("run.allowance", parseInteger, 1, dataset.MaxAmount, 64)
	t.BrokerAway = c.word("run.broker-away", dataset.AwayWait, dataset.AwayWait, dataset.AwayFail)
	t.MinAssurance = c.word("run.assurance", string(attestation.AssuranceTPM), assurances(c.out.Test)...)
	c.parties()
	c.receipts()
	c.privacy()
}

// assurances are those that terms may demand, weakest first.
func assurances(test bool) []string {
	hard := []string{string(attestation.AssuranceTPM), string(attestation.AssuranceTEE)}
	if test {
		return append([]string{string(attestation.AssuranceSimulated), string(attestation.AssuranceSoftwareTPM)}, hard...)
	}
	return hard
}

func (c *compiler) currency() string {
	v, ok := c.text("price.currency")
	if ok && !isoCurrency.MatchString(v.text) {
		c.problem(v.at, "price.currency", fmt.Sprintf("%q is not an ISO 4217 code", v.text), "write it like EUR")
	}
	if !ok {
		return ""
	}
	return v.text
}

// parties reads who may use the data, and with whose code.
func (c *compiler) parties() {
	t := &c.out.Terms
	key := func(s string) error { _, err := envelope.ParsePublicKey(s); return err }
	digest := func(s string) error { _, err := envelope.ParseDigest(s); return err }
	t.Buyers = dataset.Buyers{
		Any: c.boolean("buyers.any"), Keys: keysOf(c.set("buyers.keys", key)), Require: c.require(),
		MaxUses: c.number("uses.each-buyer", parseInteger, 1, dataset.MaxAmount, t.MaxUses),
	}
	t.Code = dataset.Code{Any: c.boolean("code.any"), Manifests: []envelope.Digest{}, Owners: keysOf(c.set("code.owners", key))}
	for _, s := range c.set("code.manifests", digest) {
		d, err := envelope.ParseDigest(s)
		if err != nil || d.IsZero() {
			c.problem(c.get("code.manifests").at, "code.manifests", "names no package", "")
			continue
		}
		t.Code.Manifests = append(t.Code.Manifests, d)
	}
	c.anyOrNamed("buyers", "buyer", t.Buyers.Any, "buyers.keys")
	c.anyOrNamed("code", "code", t.Code.Any, "code.manifests", "code.owners")
}

// keysOf parses what was checked.
func keysOf(texts []string) []envelope.PublicKey {
	out := []envelope.PublicKey{}
	for _, s := range texts {
		if k, err := envelope.ParsePublicKey(s); err == nil {
			out = append(out, k)
		}
	}
	slices.SortFunc(out, func(a, b envelope.PublicKey) int { return cmp.Compare(a.String(), b.String()) })
	return out
}

// anyOrNamed wants exactly one way to say who.
func (c *compiler) anyOrNamed(section, what string, anyone bool, lists ...string) {
	named := ""
	for _, l := range lists {
		if c.get(l) != nil {
			named = l
			break
		}
	}
	at := Origin{}
	if s := c.root.fields[section]; s != nil {
		at = s.at
	}
	switch {
	case anyone && named != "":
		c.contradict(section+".any", named, fmt.Sprintf("any %s, or only those named", what))
	case !anyone && named == "":
		c.problem(at, section, fmt.Sprintf("admits no %s", what), fmt.Sprintf("write any: true below %s, or name some: %s", section, strings.Join(lists, ", ")))
	}
}

func (c *compiler) require() []dataset.Attribute {
	out := []dataset.Attribute{}
	v := c.get("buyers.require")
	if v == nil {
		return out
	}
	if v.kind != isSection || len(v.keys) == 0 {
		c.problem(v.at, "buyers.require", "wants attributes with their values", "like country: [DE, FR]")
		return out
	}
	for _, name := range v.keys {
		path := "buyers.require." + name
		if !attributeName.MatchString(name) {
			c.problem(v.fields[name].at, path, "is not the name of an attribute", "lower-case letters, digits and _ . -, at most 64")
			continue
		}
		if v.fields[name].kind == isSection {
			c.problem(v.fields[name].at, path, "is a section", "want its values")
			continue
		}
		out = append(out, dataset.Attribute{Name: name, AnyOf: c.setOf(v.fields[name], path, func(string) error { return nil })})
	}
	slices.SortFunc(out, func(a, b dataset.Attribute) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// receipts reads whose licence receipts count. They are there exactly if access is by receipt.
func (c *compiler) receipts() {
	v := c.get("receipts")
	if c.out.Terms.Access != dataset.AccessReceipt {
		if v != nil && v.kind == isSection && c.out.Terms.Access != "" {
			c.contradict("access", "receipts", "receipts count only where access is receipt")
		}
		return
	}
	r := &dataset.Receipts{MinAmount: c.number("receipts.minimum", micros, 0, dataset.MaxAmount, 0)}
	for path, to := range map[string]*string{"receipts.issuer": &r.Issuer, "receipts.audience": &r.Audience, "receipts.payee": &r.Payee} {
		s, ok := c.text(path)
		if !ok {
			spec, _ := lookup(path)
			c.contradict("access", path, "access by receipt needs it: "+spec.Says)
			continue
		}
		*to = s.text
	}
	if c.get("receipts.minimum") == nil {
		c.contradict("access", "receipts.minimum", "access by receipt needs it: what must have been paid, if only 0")
	}
	r.Keys = c.receiptKeys()
	c.out.Terms.Receipts = r
}

// receiptKeys reads the marketplace's keys from where the terms say, or from the terms themselves.
func (c *compiler) receiptKeys() []jwk.JWK {
	v := c.get("receipts.keys")
	if v == nil {
		c.contradict("access", "receipts.keys", "access by receipt needs it: the marketplace's keys")
		return nil
	}
	pins := c.set("receipts.pins", func(string) error { return nil })
	var keys []jwk.JWK
	var err error
	switch {
	case v.kind == isText && c.cfg.Keys == nil:
		err = errors.New("key sets cannot be read here")
	case v.kind == isText:
		keys, err = c.cfg.Keys(v.text, pins)
	case v.kind == isSection:
		keys, err = inlineKeys([]*value{v})
	default:
		keys, err = inlineKeys(v.items)
	}
	if err != nil {
		c.problems.add(Problem{
			Line: v.at.Line, Column: v.at.Column, Path: "receipts.keys", Message: err.Error(), err: err,
			Hint: "give the marketplace's public keys as a JWKS file, its https URL, or inline as JWKs",
		})
	}
	for _, k := range keys {
		if len(pins) > 0 && !slices.Contains(pins, k.Thumbprint()) {
			c.contradict("receipts.keys", "receipts.pins", fmt.Sprintf("the key with thumbprint %s is not pinned", k.Thumbprint()))
		}
	}
	return keys
}

// inlineKeys reads JWKs written as sections.
func inlineKeys(list []*value) ([]jwk.JWK, error) {
	var set struct {
		Keys []map[string]string `json:"keys"`
	}
	for _, item := range list {
		if item.kind != isSection {
			return nil, errors.New("a key is not a section")
		}
		k := map[string]string{}
		for _, name := range item.keys {
			if item.fields[name].kind != isText {
				return nil, fmt.Errorf("%s of a key is not a text", name)
			}
			k[name] = item.fields[name].text
		}
		set.Keys = append(set.Keys, k)
	}
	b, err := json.Marshal(set)
	if err != nil {
		return nil, err
	}
	keys, err := jwk.ParseSet(b)
	if err == nil && len(keys) != len(list) {
		err = errors.New("some of the keys are of a kind that receipts cannot be verified with")
	}
	return keys, err
}

func (c *compiler) privacy() {
	p := dataset.Privacy{
		Unit:      c.word("privacy.unit", dataset.UnitRecord, dataset.UnitRecord, dataset.UnitContributor),
		Adjacency: c.word("privacy.adjacency", dataset.AddOrRemove, dataset.AddOrRemove, dataset.ReplaceOne),
		Epsilon:   c.number("privacy.epsilon", micros, 1, dataset.MaxAmount, 0),
		Delta:     c.number("privacy.delta", picos, 0, 999_999_999_999, 0),
	}
	p.BuyerEpsilon = c.number("privacy.each-buyer", micros, 1, math.MaxInt64, p.Epsilon)
	if v, ok := c.text("privacy.population"); ok {
		if p.Population = v.text; !populationName.MatchString(v.text) {
			c.problem(v.at, "privacy.population", fmt.Sprintf("%q is not a name", v.text), "lower-case letters, digits and . _ -, at most 128")
		}
	}
	c.out.Terms.Privacy = p
}
