// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"sync"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/licence"
)

// Offer is the licence as a W3C ODRL 2.2 offer, in the metadata's own JSON-LD context: a reader needs no other document.
// It is derived from [Terms], never written by hand: the terms are what is enforced, the offer is how other tools read
// them. Every term is in it, so that a change of any changes [Manifest.OfferDigest].
type Offer struct {
	ID          string       `json:"@id"`
	Type        string       `json:"@type"`
	License     string       `json:"dct:license,omitempty"` // URL of a listed licence, if the terms are exactly that
	Assigner    string       `json:"odrl:assigner"`
	Permission  []Permission `json:"odrl:permission"`
	Prohibition []Rule       `json:"odrl:prohibition"`
}

// Permission is what a buyer may do. The first is to use the data; others add what may be done with results.
type Permission struct {
	Target     string       `json:"odrl:target"`
	Action     string       `json:"odrl:action"`
	Constraint []Constraint `json:"odrl:constraint,omitempty"`
	Duty       []Duty       `json:"odrl:duty,omitempty"`
}

// Duty is what the permission costs.
type Duty struct {
	Action     string       `json:"odrl:action"`
	Constraint []Constraint `json:"odrl:constraint,omitempty"`
}

// Rule is an action on a target that is prohibited, where the constraint holds.
type Rule struct {
	Target     string       `json:"odrl:target"`
	Action     string       `json:"odrl:action"`
	Constraint []Constraint `json:"odrl:constraint,omitempty"`
}

// Constraint compares two operands.
type Constraint struct {
	LeftOperand  string   `json:"odrl:leftOperand"`
	Operator     string   `json:"odrl:operator"`
	RightOperand []string `json:"odrl:rightOperand"`
	Unit         string   `json:"odrl:unit,omitempty"`
}

func isAnyOf(what string, list []string) Constraint {
	return Constraint{what, "odrl:isAnyOf", list, ""}
}

func isEqual(what, v string) Constraint { return Constraint{what, "odrl:eq", []string{v}, ""} }

func atMost(what string, v int64) Constraint {
	return Constraint{what, "odrl:lteq", []string{strconv.FormatInt(v, 10)}, ""}
}

func costs(what string, v int64, currency string) Constraint {
	return Constraint{what, "odrl:eq", []string{strconv.FormatInt(v, 10)}, currency}
}

// texts writes a list's entries as they stand in JSON.
func texts[T fmt.Stringer](list []T) []string {
	out := []string{}
	for _, v := range list {
		out = append(out, v.String())
	}
	return out
}

// offer says in ODRL what the terms say.
func (m *Manifest) offer() Offer {
	t, l, target := &m.Terms, &m.Terms.Licence, "glovebox:dataset:"+m.Dataset.String()
	o := Offer{
		ID: m.offerID(), Type: "odrl:Offer", Assigner: m.Owner.String(),
		Permission:  []Permission{{target, "gb:train", slices.Concat(t.offerUse(), t.offerParties(), t.offerRun()), t.offerDuties()}},
		Prohibition: []Rule{{target, "odrl:distribute", nil}, {target, "odrl:reproduce", nil}},
	}
	if l.SPDX != "" {
		o.License = "https://spdx.org/licenses/" + l.SPDX
	}
	for _, c := range []struct {
		action  string
		allowed bool
		duty    []Duty
	}{
		{"odrl:commercialize", l.Commercial, nil},
		{"odrl:derive", l.Derivatives, alike(l.ShareAlike)},
	} {
		if c.allowed {
			o.Permission = append(o.Permission, Permission{target, c.action, nil, c.duty})
		} else {
			o.Prohibition = append(o.Prohibition, Rule{target, c.action, nil})
		}
	}
	if len(l.Prohibited) > 0 {
		o.Prohibition = append(o.Prohibition, Rule{target, "odrl:use", []Constraint{isAnyOf("odrl:purpose", l.Prohibited)}})
	}
	return o
}

func alike(shareAlike bool) []Duty {
	if !shareAlike {
		return nil
	}
	return []Duty{{"cc:ShareAlike", nil}}
}

// offerUse says what for, where and how often.
func (t *Terms) offerUse() []Constraint {
	c := []Constraint{isAnyOf("odrl:purpose", t.Purposes)}
	if !slices.Contains(t.Licence.Territories, licence.Worldwide) {
		c = append(c, isAnyOf("odrl:spatial", t.Licence.Territories))
	}
	c = append(c,
		isAnyOf("gb:mode", t.Modes), isAnyOf("gb:output", t.Outputs), atMost("gb:outputBytes", t.MaxOutputBytes),
		atMost("gb:epochs", int64(t.MaxEpochs)), atMost("odrl:count", t.MaxUses), atMost("gb:notAfter", t.NotAfter))
	for _, f := range []struct {
		what string
		is   bool
	}{{"gb:trainingOnly", t.Licence.TrainingOnly}, {"gb:revocable", t.Licence.Revocable}, {"gb:consent", t.Consent}} {
		if f.is {
			c = append(c, isEqual(f.what, "true"))
		}
	}
	return append(append(c, t.offerSteps()...), t.offerPrivate()...)
}

// offerPrivate says what one job may spend in the modes in which the enclave adds noise.
func (t *Terms) offerPrivate() (c []Constraint) {
	for i := range t.Private {
		p := &t.Private[i]
		c = append(c,
			atMost("gb:epsilonMicros-"+p.Mode, p.Epsilon), atMost("gb:deltaPicos-"+p.Mode, p.Delta),
			atMost("gb:contributions-"+p.Mode, p.Contributions), isAnyOf("gb:runtime-"+p.Mode, p.Runtimes))
		if p.Shards > 0 {
			c = append(c, Constraint{"gb:shards-" + p.Mode, "odrl:gteq", []string{strconv.FormatInt(p.Shards, 10)}, ""})
		}
	}
	return c
}

// offerSteps names the steps that every record goes through in a mode, in order. Validated terms have identities for all.
func (t *Terms) offerSteps() (c []Constraint) {
	for i := range t.Steps {
		ids, err := t.StepIDs(t.Steps[i].Mode)
		if err != nil {
			panic("dataset: a step has no canonical form: " + err.Error())
		}
		c = append(c, Constraint{"gb:steps-" + t.Steps[i].Mode, "odrl:isAllOf", texts(ids), ""})
	}
	return c
}

// offerParties says who, with whose code, and how a buyer gets in.
func (t *Terms) offerParties() []Constraint {
	c := []Constraint{isEqual("gb:access", t.Access)}
	if !t.Buyers.Any {
		c = append(c, isAnyOf("odrl:recipient", texts(t.Buyers.Keys)))
	}
	for _, a := range t.Buyers.Require {
		c = append(c, isAnyOf("gb:buyer-"+a.Name, a.AnyOf))
	}
	c = append(c, atMost("gb:buyerUses", t.Buyers.MaxUses))
	if !t.Code.Any {
		c = append(c, isAnyOf("gb:code", append(texts(t.Code.Manifests), texts(t.Code.Owners)...)))
	}
	if r := t.Receipts; r != nil {
		keys := []string{}
		for _, k := range r.Keys {
			keys = append(keys, k.Thumbprint())
		}
		c = append(c, isEqual("gb:receiptIssuer", r.Issuer), isEqual("gb:receiptAudience", r.Audience), isEqual("gb:payee", r.Payee), isAnyOf("gb:receiptKey", keys))
	}
	return c
}

// offerRun says how the job is held to the terms, and which privacy account it is debited to.
func (t *Terms) offerRun() []Constraint {
	p := &t.Privacy
	return []Constraint{
		{"gb:assurance", "odrl:gteq", []string{t.MinAssurance}, ""},
		isEqual("gb:logs", t.Logs), atMost("gb:allowance", t.Allowance), atMost("gb:leaseSeconds", t.LeaseSeconds), isEqual("gb:brokerAway", t.BrokerAway),
		isEqual("gb:population", p.Population), isEqual("gb:privacyUnit", p.Unit), isEqual("gb:adjacency", p.Adjacency),
		atMost("gb:epsilonMicros", p.Epsilon), atMost("gb:buyerEpsilonMicros", p.BuyerEpsilon), atMost("gb:deltaPicos", p.Delta),
	}
}

func (t *Terms) offerDuties() []Duty {
	pay := []Constraint{costs("gb:perRecordMicros", t.Price.PerRecord, t.Price.Currency), costs("gb:perUseMicros", t.Price.PerUse, t.Price.Currency)}
	if t.Licence.RoyaltyPPM > 0 {
		pay = append(pay, costs("gb:royaltyPPM", t.Licence.RoyaltyPPM, ""))
	}
	if t.Receipts != nil {
		pay = append(pay, costs("gb:receiptMinMicros", t.Receipts.MinAmount, t.Price.Currency))
	}
	out := []Duty{{"odrl:compensate", pay}}
	if t.Licence.Attribution {
		out = append(out, Duty{"odrl:attribute", nil})
	}
	return out
}

// Context is Croissant's JSON-LD context with Glovebox's prefix. There is one value, so it carries nothing.
type Context struct{}

func (Context) object() map[string]any {
	typed := func(id, typ string) any { return map[string]any{"@id": id, "@type": typ} }
	c := map[string]any{
		"@language": "en", "@vocab": "https://schema.org/",
		"name": map[string]any{"@container": "@language"}, "description": map[string]any{"@container": "@language"},
		"cr": "http://mlcommons.org/croissant/", "rai": "http://mlcommons.org/croissant/RAI/", "gb": "https://glovebox.dev/ns#",
		"odrl": "http://www.w3.org/ns/odrl/2/", "cc": "http://creativecommons.org/ns#", "dct": "http://purl.org/dc/terms/", "sc": "https://schema.org/", "conformsTo": "dct:conformsTo",
		"data": typed("cr:data", "@json"), "dataType": typed("cr:dataType", "@vocab"), "examples": typed("cr:examples", "@json"),
	}
	for _, t := range []string{
		"arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field", "fileProperty", "fileObject", "fileSet", "format", "includes", "isArray",
		"isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate", "separator",
		"source", "subField", "transform",
	} {
		c[t] = "cr:" + t
	}
	return c
}

// MarshalJSON implements json.Marshaler.
func (c Context) MarshalJSON() ([]byte, error) { return contextText() }

// contextText is the context as manifests have it: made once, since every manifest that is read is compared with it.
var contextText = sync.OnceValues(func() ([]byte, error) { return json.Marshal(Context{}.object()) })

// UnmarshalJSON implements json.Unmarshaler. It refuses every other context.
func (c *Context) UnmarshalJSON(b []byte) error {
	if text, err := contextText(); err == nil && bytes.Equal(b, text) {
		return nil
	}
	var got map[string]any // somebody else's order
	if err := json.Unmarshal(b, &got); err != nil || !reflect.DeepEqual(got, c.object()) {
		return fmt.Errorf("%w: JSON-LD context is not Croissant 1.1's", envelope.ErrMalformed)
	}
	return nil
}

// OfferDigest is what a licence receipt names the offer by: the SHA-256 of the RFC 8785 canonical JSON of usageInfo.
func (m *Manifest) OfferDigest() envelope.Digest {
	b, err := envelope.Canonical(m.offer())
	if err != nil {
		panic("dataset: an offer has no canonical form: " + err.Error())
	}
	return envelope.Sum(b)
}
