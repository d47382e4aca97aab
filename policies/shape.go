// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"maps"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// shape is the schema of a part of the document: what the rules read is there, has its type, and nothing else is there.
// Everything that reaches the rules has passed it, and the rules themselves are checked against it when they compile, so
// that a rule about a field that does not exist is an error and not a rule that never fires.
type shape struct {
	kind    string      // JSON type, or "text": a string that is not empty
	keys    []*ast.Term // names of an object's members, in order
	members []shape     // in the order of keys
	items   *shape      // of an array, or of an object with any members
}

var (
	aNumber  = shape{kind: "number"}
	aBoolean = shape{kind: "boolean"}
	aString  = shape{kind: "string"}
	aText    = shape{kind: "text"}
)

func list(of shape) shape { return shape{kind: "array", items: &of} }
func each(of shape) shape { return shape{kind: "object", items: &of} }

func members(m map[string]shape) shape {
	s := shape{kind: "object"}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		s.keys, s.members = append(s.keys, ast.StringTerm(name)), append(s.members, m[name])
	}
	return s
}

// alike is an object whose members are all of one kind.
func alike(of shape, names ...string) map[string]shape {
	m := map[string]shape{}
	for _, name := range names {
		m[name] = of
	}
	return m
}

func join(ms ...map[string]shape) shape {
	all := map[string]shape{}
	for _, m := range ms {
		maps.Copy(all, m)
	}
	return members(all)
}

// documentShape is the shape of what [document] makes.
func documentShape() shape {
	return members(map[string]shape{
		"now": aNumber, "buyer": aString, "cancelled": aBoolean,
		"package": join(alike(aText, "manifest", "dataset", "kind"), alike(aNumber, "version", "latest", "leaves"), alike(aBoolean, "test")),
		"terms":   termsShape(),
		"job": join(map[string]shape{"privacy": join(alike(aBoolean, "declared", "bounded"), alike(aString, "unit", "adjacency"),
			alike(aNumber, "contributions", "shards", "epsilon", "delta", "computed"))}, alike(aText, "id", "buyer", "code", "purpose", "territory", "mode", "operation", "runtime"), alike(aString, "codeOwner"),
			alike(aBoolean, "commercial", "derive"), alike(list(aText), "datasets", "outputs"),
			alike(aNumber, "epochs", "outputBytes", "spendCap", "notAfter")),
		"evidence": join(alike(aText, "assurance", "reference", "runtime")),
		"entitlement": join(alike(aText, "kind"), alike(aString, "code", "buyer", "currency"), alike(list(aText), "operations"),
			alike(each(list(aText)), "attributes"), alike(aNumber, "left", "epochs", "leaves", "paid", "minPrice", "notAfter")),
		"account": join(alike(aNumber, "uses", "buyerUses", "reserved", "cost", "epsilon", "epsilonAfter", "buyerEpsilonAfter", "jobEpsilonAfter"),
			alike(aBoolean, "conditional")),
		"granted": join(alike(aNumber, "leaves", "withheld", "records", "units", "together", "released"), alike(aString, "purpose")),
		"revoked": join(alike(aBoolean, "dataset", "manifest", "job", "buyer", "code", "grant", "permit")),
	})
}

func termsShape() shape {
	return join(alike(list(aText), "modes", "purposes", "outputs", "steps"), alike(aBoolean, "consent"),
		alike(aText, "logs", "minAssurance", "access", "currency"),
		alike(aNumber, "maxOutputBytes", "maxEpochs", "maxUses", "allowance", "leaseSeconds", "notAfter", "minPaid", "spends"),
		map[string]shape{
			"code": join(alike(aBoolean, "any"), alike(list(aText), "manifests", "owners")),
			"buyers": join(alike(aBoolean, "any"), alike(list(aText), "keys"), alike(aNumber, "maxUses"),
				alike(list(join(alike(aText, "name"), alike(list(aText), "anyOf"))), "require")),
			"licence": join(alike(aString, "spdx"), alike(list(aText), "prohibited", "territories"), alike(aNumber, "royaltyPPM"),
				alike(aBoolean, "commercial", "derivatives", "shareAlike", "attribution", "trainingOnly", "revocable")),
			"privacy": join(alike(aText, "population", "unit", "adjacency"), alike(aNumber, "epsilon", "buyerEpsilon", "delta")),
			"private": join(alike(aNumber, "epsilon", "delta", "contributions", "shards"), alike(list(aText), "runtimes")),
		})
}

// fits reports whether v has the shape.
func (s *shape) fits(v ast.Value) bool {
	switch v := v.(type) {
	case ast.String:
		return s.kind == "string" || s.kind == "text" && v != ""
	case ast.Number:
		return s.kind == "number"
	case ast.Boolean:
		return s.kind == "boolean"
	case *ast.Array:
		return s.kind == "array" && !v.Until(func(t *ast.Term) bool { return !s.items.fits(t.Value) })
	case ast.Object:
		return s.kind == "object" && s.fitsObject(v)
	}
	return false
}

func (s *shape) fitsObject(v ast.Object) bool {
	if s.items != nil {
		return !v.Until(func(_, t *ast.Term) bool { return !s.items.fits(t.Value) })
	}
	if v.Len() != len(s.keys) {
		return false
	}
	for i, k := range s.keys {
		if t := v.Get(k); t == nil || !s.members[i].fits(t.Value) {
			return false
		}
	}
	return true
}

// name is that of member i.
func (s *shape) name(i int) string { return string(s.keys[i].Value.(ast.String)) }

// names adds the terms of all member names.
func (s *shape) names(all map[string]*ast.Term) {
	for i, k := range s.keys {
		all[s.name(i)] = k
		s.members[i].names(all)
	}
	if s.items != nil {
		s.items.names(all)
	}
}

// object is a JSON object.
type object = map[string]any

// schema is the shape as a JSON schema.
func (s *shape) schema() object {
	switch {
	case s.kind == "text":
		return object{"type": "string", "minLength": 1}
	case s.kind == "array":
		return object{"type": "array", "items": s.items.schema()}
	case s.kind != "object":
		return object{"type": s.kind}
	case s.items != nil:
		return object{"type": "object", "additionalProperties": s.items.schema()}
	}
	properties, required := object{}, []any{}
	for i := range s.keys {
		properties[s.name(i)] = s.members[i].schema()
		required = append(required, s.name(i))
	}
	return object{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
}
