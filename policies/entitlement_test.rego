# SPDX-License-Identifier: Apache-2.0

package glovebox.entitlement_test

import data.glovebox.entitlement
import data.glovebox.release
import data.glovebox.release_test

open_terms := json.patch(release_test.good, [
	{"op": "replace", "path": "/terms/access", "value": "open"},
	{"op": "replace", "path": "/terms/buyers/require", "value": []},
	{"op": "replace", "path": "/entitlement/kind", "value": "none"},
	{"op": "replace", "path": "/entitlement/notAfter", "value": 0},
])

permit := json.patch(release_test.good, [
	{"op": "replace", "path": "/terms/access", "value": "permit"},
	{"op": "replace", "path": "/terms/buyers/require", "value": []},
	{"op": "replace", "path": "/entitlement/kind", "value": "permit"},
	{"op": "replace", "path": "/entitlement/currency", "value": ""},
	{"op": "replace", "path": "/entitlement/minPrice", "value": 300},
])

test_empty_input if {
	every condition in [
		entitlement.ok, entitlement.required, entitlement.kind_ok, entitlement.left_ok, entitlement.current,
		entitlement.operation_ok, entitlement.code_ok, entitlement.buyer_ok, entitlement.epochs_ok, entitlement.paid_ok,
		entitlement.price_ok, entitlement.attributes_ok,
	] {
		condition == false
	}
}

test_open if release.allow with input as open_terms

test_permit if release.allow with input as permit

test_access_unknown if {
	release_test.denied(release_test.with_value("/terms/access", "free"), {"entitlement"})
}

test_none if release_test.denied(release_test.with_value("/entitlement/kind", "none"), {"entitlement"})

test_permit_is_no_receipt if release_test.denied(release_test.with_value("/entitlement/kind", "permit"), {"entitlement"})

test_used_up if release_test.denied(release_test.with_value("/entitlement/left", 0), {"entitlement-uses"})

test_expired if release_test.denied(release_test.with_value("/entitlement/notAfter", 1800000000), {"entitlement-expired"})

test_operation if release_test.denied(release_test.with_value("/entitlement/operations", ["evaluate"]), {"operation"})

test_no_operations if release_test.denied(release_test.with_value("/entitlement/operations", []), {"operation"})

test_other_code if release_test.denied(release_test.with_value("/entitlement/code", "sha256:c1"), {"entitlement-code"})

test_empty_code_is_not_any if release_test.denied(release_test.with_value("/entitlement/code", ""), {"entitlement-code"})

test_other_buyer if release_test.denied(release_test.with_value("/entitlement/buyer", "did:key:zOther"), {"entitlement-buyer"})

test_empty_buyer_is_not_any if release_test.denied(release_test.with_value("/entitlement/buyer", ""), {"entitlement-buyer"})

test_epochs if release_test.denied(release_test.with_value("/entitlement/epochs", 7), {"entitlement-epochs"})

test_paid_too_little if release_test.denied(release_test.with_value("/entitlement/paid", 99), {"paid"})

test_paid_in_another_currency if release_test.denied(release_test.with_value("/entitlement/currency", "JPY"), {"paid"})

test_price if {
	release_test.denied(release_test.with_value("/entitlement/minPrice", 301), {"price"})
	r := json.patch(permit, [{"op": "replace", "path": "/account/cost", "value": 299}])
	release_test.denied(r, {"price"})
}

test_attribute_of_another_value if {
	release_test.denied(release_test.with_value("/entitlement/attributes", {"sector": ["arms"]}), {"attributes"})
}

test_attribute_missing if release_test.denied(release_test.with_value("/entitlement/attributes", {}), {"attributes"})

test_attributes_need_a_receipt if {
	r := json.patch(open_terms, [{"op": "replace", "path": "/terms/buyers/require", "value": [{"name": "sector", "anyOf": ["health"]}]}])
	release_test.denied(r, {"attributes"})
}

test_code_takes_none if {
	r := json.patch(release_test.code, [{"op": "replace", "path": "/terms/access", "value": "receipt"}])
	release_test.denied(r, {"entitlement"})
}
