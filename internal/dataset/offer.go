// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Offer is the licence as a W3C ODRL 2.2 offer, in the metadata's own JSON-LD context: a reader needs no other document.
// It is derived from [Terms], never written by hand: the terms are what is
// enforced, the offer is how other tools read them.
type Offer struct {
	ID          string       `json:"@id"`
	Type        string       `json:"@type"`
	Assigner    string       `json:"odrl:assigner"`
	Permission  []Permission `json:"odrl:permission"`
	Prohibition []Rule       `json:"odrl:prohibition"`
}

// Permission is what a buyer may do.
type Permission struct {
	Target     string       `json:"odrl:target"`
	Action     string       `json:"odrl:action"`
	Constraint []Constraint `json:"odrl:constraint"`
	Duty       []Duty       `json:"odrl:duty"`
}

// Duty is what the permission costs.
type Duty struct {
	Action     string       `json:"odrl:action"`
	Constraint []Constraint `json:"odrl:constraint"`
}

// Rule is an action on a target.
type Rule struct {
	Target string `json:"odrl:target"`
	Action string `json:"odrl:action"`
}

// Constraint compares two operands.
type Constraint struct {
	LeftOperand  string   `json:"odrl:leftOperand"`
	Operator     string   `json:"odrl:operator"`
	RightOperand []string `json:"odrl:rightOperand"`
	Unit         string   `json:"odrl:unit,omitempty"`
}

// offer says in ODRL what the terms say.
func (m *Manifest) offer() Offer {
	t, target := &m.Terms, "glovebox:dataset:"+m.Dataset.String()
	n := func(v int64) []string { return []string{strconv.FormatInt(v, 10)} }
	limit := func(what string, v int64) Constraint { return Constraint{what, "odrl:lteq", n(v), ""} }
	return Offer{
		ID: m.offerID(), Type: "odrl:Offer", Assigner: m.Owner.String(),
		Permission: []Permission{{
			Target: target, Action: "gb:train",
			Constraint: []Constraint{
				{"odrl:purpose", "odrl:isAnyOf", t.Purposes, ""},
				{"gb:mode", "odrl:isAnyOf", t.Modes, ""},
				{"gb:output", "odrl:isAnyOf", t.Outputs, ""},
				limit("gb:outputBytes", t.MaxOutputBytes), limit("gb:epochs", int64(t.MaxEpochs)), limit("odrl:count", t.MaxUses),
				limit("gb:notAfter", t.NotAfter),
				{"gb:assurance", "odrl:gteq", []string{t.MinAssurance}, ""},
			},
			Duty: []Duty{{"odrl:compensate", []Constraint{
				{"gb:perRecordMicros", "odrl:eq", n(t.Price.PerRecord), t.Price.Currency},
				{"gb:perUseMicros", "odrl:eq", n(t.Price.PerUse), t.Price.Currency},
			}}},
		}},
		Prohibition: []Rule{{target, "odrl:distribute"}, {target, "odrl:reproduce"}},
	}
}

// Context is Croissant's JSON-LD context with Glovebox's prefix. There is one value, so it carries nothing.
type Context struct{}

func (Context) object() map[string]any {
	typed := func(id, typ string) any { return map[string]any{"@id": id, "@type": typ} }
	c := map[string]any{
		"@language": "en", "@vocab": "https://schema.org/",
		"name": map[string]any{"@container": "@language"}, "description": map[string]any{"@container": "@language"},
		"cr": "http://mlcommons.org/croissant/", "rai": "http://mlcommons.org/croissant/RAI/", "gb": "https://glovebox.dev/ns#",
		"odrl": "http://www.w3.org/ns/odrl/2/", "dct": "http://purl.org/dc/terms/", "sc": "https://schema.org/", "conformsTo": "dct:conformsTo",
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
func (c Context) MarshalJSON() ([]byte, error) { return json.Marshal(c.object()) }

// UnmarshalJSON implements json.Unmarshaler. It refuses every other context.
func (c *Context) UnmarshalJSON(b []byte) error {
	var got map[string]any
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
