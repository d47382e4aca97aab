// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/policies/input"
)

// names are the terms of all member names in the document, made once: a decision looks most of them up.
var names = func() map[string]*ast.Term {
	all := map[string]*ast.Term{}
	in := documentShape()
	in.names(all)
	return all
}()

type field = [2]*ast.Term

func member(name string, v *ast.Term) field  { return field{names[name], v} }
func str(name, s string) field               { return member(name, ast.StringTerm(s)) }
func flag(name string, b bool) field         { return member(name, ast.InternedTerm(b)) }
func num(name string, n int64) field         { return member(name, ast.InternedTerm(int(n))) }
func obj(name string, fields ...field) field { return member(name, ast.ObjectTerm(fields...)) }
func arr(name string, of []string) field     { return member(name, listTerm(of)) }

func listTerm(of []string) *ast.Term {
	terms := make([]*ast.Term, len(of))
	for i, s := range of {
		terms[i] = ast.StringTerm(s)
	}
	return ast.ArrayTerm(terms...)
}

// document is what the rules read of a request: the request in JSON, but ranges of leaves are counted, not listed. The
// rules ask how many there are, and Go knows where.
func document(r *Request, released grant.Ranges) ast.Value {
	e, g := &r.Evidence, &r.Granted
	return ast.NewObject(
		num("now", r.Now), str("buyer", r.Buyer), flag("cancelled", r.Cancelled),
		packageDocument(&r.Package), termsDocument(&r.Terms), jobDocument(&r.Job),
		obj("evidence", str("assurance", string(e.Assurance)), str("reference", e.Reference), str("runtime", e.Runtime)),
		entitlementDocument(&r.Entitlement), accountDocument(&r.Account),
		obj("granted", num("leaves", g.Leaves.Count()), num("withheld", g.Withheld), num("records", g.Records), num("units", g.Units), num("together", g.Together), str("purpose", g.Purpose), num("released", released.Count())),
		revokedDocument(&r.Revoked),
	)
}

func packageDocument(p *Package) field {
	return obj("package",
		str("manifest", p.Manifest.String()), str("dataset", p.Dataset.String()), str("kind", string(p.Kind)), flag("test", p.Test),
		num("version", p.Version), num("latest", p.Latest), num("leaves", p.Leaves))
}

func termsDocument(t *Terms) field {
	l, p := &t.Licence, &t.Privacy
	return obj("terms",
		arr("modes", t.Modes), arr("purposes", t.Purposes), arr("outputs", t.Outputs), num("maxOutputBytes", t.MaxOutputBytes),
		num("maxEpochs", int64(t.MaxEpochs)), num("maxUses", t.MaxUses), str("logs", t.Logs), num("allowance", t.Allowance),
		num("leaseSeconds", t.LeaseSeconds), num("notAfter", t.NotAfter), str("minAssurance", t.MinAssurance), str("access", t.Access),
		str("currency", t.Currency), num("minPaid", t.MinPaid), flag("consent", t.Consent),
		arr("steps", t.Steps), num("spends", t.Spends), privateField(&t.Private),
		obj("code", flag("any", t.Code.Any), arr("manifests", t.Code.Manifests), arr("owners", t.Code.Owners)),
		obj("buyers", flag("any", t.Buyers.Any), arr("keys", t.Buyers.Keys), num("maxUses", t.Buyers.MaxUses),
			member("require", attributesTerm(t.Buyers.Require))),
		obj("licence",
			str("spdx", l.SPDX), flag("commercial", l.Commercial), flag("derivatives", l.Derivatives), flag("shareAlike", l.ShareAlike),
			flag("attribution", l.Attribution), flag("trainingOnly", l.TrainingOnly), arr("prohibited", l.Prohibited),
			arr("territories", l.Territories), flag("revocable", l.Revocable), num("royaltyPPM", l.RoyaltyPPM)),
		obj("privacy", str("population", p.Population), str("unit", p.Unit), str("adjacency", p.Adjacency), num("epsilon", p.Epsilon),
			num("buyerEpsilon", p.BuyerEpsilon), num("delta", p.Delta)))
}

func privateField(p *input.Private) field {
	return obj("private",
		num("epsilon", p.Epsilon), num("delta", p.Delta), num("contributions", p.Contributions), num("shards", p.Shards), arr("runtimes", p.Runtimes))
}

func attributesTerm(in []dataset.Attribute) *ast.Term {
	terms := make([]*ast.Term, len(in))
	for i, a := range in {
		terms[i] = ast.ObjectTerm(str("name", a.Name), arr("anyOf", a.AnyOf))
	}
	return ast.ArrayTerm(terms...)
}

func jobDocument(j *Job) field {
	return obj("job",
		str("id", j.ID.String()), str("buyer", j.Buyer), str("code", j.Code), str("codeOwner", j.CodeOwner), arr("datasets", j.Datasets),
		str("purpose", j.Purpose), flag("commercial", j.Commercial), flag("derive", j.Derive), str("territory", j.Territory),
		str("mode", j.Mode), str("operation", j.Operation), str("runtime", j.Runtime), num("epochs", int64(j.Epochs)),
		arr("outputs", j.Outputs), num("outputBytes", j.OutputBytes), num("spendCap", j.SpendCap), num("notAfter", j.NotAfter),
		privacyField(&j.Privacy))
}

func privacyField(p *input.Privacy) field {
	return obj("privacy",
		flag("declared", p.Declared), str("unit", p.Unit), str("adjacency", p.Adjacency), num("contributions", p.Contributions), num("shards", p.Shards),
		num("epsilon", p.Epsilon), num("delta", p.Delta), flag("bounded", p.Bounded), num("computed", p.Computed))
}

func entitlementDocument(e *Entitlement) field {
	attributes := make([]field, 0, len(e.Attributes))
	for name, values := range e.Attributes {
		attributes = append(attributes, field{ast.StringTerm(name), listTerm(values)})
	}
	return obj("entitlement",
		str("kind", e.Kind), num("left", e.Left), arr("operations", e.Operations), str("code", e.Code), str("buyer", e.Buyer),
		num("epochs", e.Epochs), num("leaves", e.Leaves.Count()), obj("attributes", attributes...), num("paid", e.Paid),
		str("currency", e.Currency), num("minPrice", e.MinPrice), num("notAfter", e.NotAfter))
}

func accountDocument(a *Account) field {
	return obj("account",
		num("uses", a.Uses), num("buyerUses", a.BuyerUses), num("reserved", a.Reserved), num("cost", a.Cost),
		num("epsilon", a.Epsilon), num("epsilonAfter", a.EpsilonAfter), num("buyerEpsilonAfter", a.BuyerEpsilonAfter),
		num("jobEpsilonAfter", a.JobEpsilonAfter), flag("conditional", a.Conditional))
}

func revokedDocument(r *Revoked) field {
	return obj("revoked",
		flag("dataset", r.Dataset), flag("manifest", r.Manifest), flag("job", r.Job), flag("buyer", r.Buyer), flag("code", r.Code),
		flag("grant", r.Grant), flag("permit", r.Permit))
}
