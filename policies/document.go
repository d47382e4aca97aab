// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// object is a JSON object of the document.
type object = map[string]any

// document is what the rules read of a request: the request in JSON, but ranges of leaves are counted, not listed. The
// rules ask how many there are, and Go knows where.
func document(r *Request, released grant.Ranges) ast.Value {
	return ast.LazyObject(object{
		"now": r.Now, "buyer": r.Buyer, "cancelled": r.Cancelled,
		"package": packageDocument(&r.Package), "terms": termsDocument(&r.Terms), "job": jobDocument(&r.Job),
		"evidence": object{
			"assurance": string(r.Evidence.Assurance), "reference": r.Evidence.Reference, "runtime": r.Evidence.Runtime,
		},
		"entitlement": entitlementDocument(&r.Entitlement), "account": accountDocument(&r.Account),
		"granted": object{
			"leaves": r.Granted.Leaves.Count(), "withheld": r.Granted.Withheld, "purpose": r.Granted.Purpose, "released": released.Count(),
		},
		"revoked": revokedDocument(&r.Revoked),
	})
}

func packageDocument(p *Package) object {
	return object{
		"manifest": p.Manifest.String(), "dataset": p.Dataset.String(), "kind": string(p.Kind), "test": p.Test,
		"version": p.Version, "latest": p.Latest, "leaves": p.Leaves,
	}
}

func termsDocument(t *Terms) object {
	return object{
		"modes": t.Modes, "purposes": t.Purposes, "outputs": t.Outputs, "maxOutputBytes": t.MaxOutputBytes,
		"maxEpochs": t.MaxEpochs, "maxUses": t.MaxUses, "logs": t.Logs, "allowance": t.Allowance, "leaseSeconds": t.LeaseSeconds,
		"notAfter": t.NotAfter, "minAssurance": t.MinAssurance, "access": t.Access, "currency": t.Currency, "minPaid": t.MinPaid,
		"consent": t.Consent,
		"code":    object{"any": t.Code.Any, "manifests": t.Code.Manifests, "owners": t.Code.Owners},
		"buyers": object{
			"any": t.Buyers.Any, "keys": t.Buyers.Keys, "maxUses": t.Buyers.MaxUses, "require": attributesDocument(t.Buyers.Require),
		},
		"licence": object{
			"spdx": t.Licence.SPDX, "commercial": t.Licence.Commercial, "derivatives": t.Licence.Derivatives,
			"shareAlike": t.Licence.ShareAlike, "attribution": t.Licence.Attribution, "trainingOnly": t.Licence.TrainingOnly,
			"prohibited": t.Licence.Prohibited, "territories": t.Licence.Territories, "revocable": t.Licence.Revocable,
			"royaltyPPM": t.Licence.RoyaltyPPM,
		},
		"privacy": object{
			"population": t.Privacy.Population, "unit": t.Privacy.Unit, "adjacency": t.Privacy.Adjacency,
			"epsilon": t.Privacy.Epsilon, "buyerEpsilon": t.Privacy.BuyerEpsilon, "delta": t.Privacy.Delta,
		},
	}
}

func attributesDocument(in []dataset.Attribute) []any {
	out := make([]any, 0, len(in))
	for _, a := range in {
		out = append(out, object{"name": a.Name, "anyOf": a.AnyOf})
	}
	return out
}

func jobDocument(j *Job) object {
	return object{
		"id": j.ID.String(), "buyer": j.Buyer, "code": j.Code, "codeOwner": j.CodeOwner, "datasets": j.Datasets,
		"purpose": j.Purpose, "commercial": j.Commercial, "derive": j.Derive, "territory": j.Territory, "mode": j.Mode,
		"operation": j.Operation, "runtime": j.Runtime, "epochs": j.Epochs, "outputs": j.Outputs, "outputBytes": j.OutputBytes,
		"spendCap": j.SpendCap, "notAfter": j.NotAfter,
	}
}

func entitlementDocument(e *Entitlement) object {
	attributes := object{}
	for name, values := range e.Attributes {
		attributes[name] = values
	}
	return object{
		"kind": e.Kind, "left": e.Left, "operations": e.Operations, "code": e.Code, "buyer": e.Buyer, "epochs": e.Epochs,
		"leaves": e.Leaves.Count(), "attributes": attributes, "paid": e.Paid, "currency": e.Currency, "minPrice": e.MinPrice,
		"notAfter": e.NotAfter,
	}
}

func accountDocument(a *Account) object {
	return object{
		"uses": a.Uses, "buyerUses": a.BuyerUses, "reserved": a.Reserved, "cost": a.Cost, "epsilon": a.Epsilon,
		"epsilonAfter": a.EpsilonAfter, "buyerEpsilonAfter": a.BuyerEpsilonAfter, "conditional": a.Conditional,
	}
}

func revokedDocument(r *Revoked) object {
	return object{
		"dataset": r.Dataset, "manifest": r.Manifest, "job": r.Job, "buyer": r.Buyer, "code": r.Code, "grant": r.Grant, "permit": r.Permit,
	}
}
