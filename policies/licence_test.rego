# SPDX-License-Identifier: Apache-2.0

package glovebox.licence_test

import data.glovebox.licence
import data.glovebox.release
import data.glovebox.release_test

with_clause(clauses) := json.patch(release_test.good, [{"op": "replace", "path": concat("/", ["/terms/licence", k]), "value": v} | some k, v in clauses])

test_empty_input if {
	every condition in [licence.ok, licence.commercial_ok, licence.derivatives_ok, licence.prohibited_ok, licence.territory_ok] {
		condition == false
	}
}

test_good if licence.ok with input as release_test.good

test_commercial if release_test.denied(release_test.with_value("/terms/licence/commercial", false), {"commercial"})

test_not_commercial if {
	r := json.patch(with_clause({"commercial": false}), [{"op": "replace", "path": "/job/commercial", "value": false}])
	release.allow with input as r
}

test_derivatives if release_test.denied(release_test.with_value("/terms/licence/derivatives", false), {"derivatives"})

test_no_derivatives_made if {
	r := json.patch(with_clause({"derivatives": false}), [{"op": "replace", "path": "/job/derive", "value": false}])
	release.allow with input as r
}

test_prohibited_wins if release_test.denied(with_clause({"prohibited": ["research", "weapons"]}), {"prohibited"})

test_prohibitions_missing if {
	r := json.patch(release_test.good, [{"op": "remove", "path": "/terms/licence/prohibited"}])
	not licence.prohibited_ok with input as r
}

test_territory if release_test.denied(release_test.with_value("/job/territory", "US"), {"territory"})

test_no_territories if release_test.denied(with_clause({"territories": []}), {"territory"})

test_worldwide if {
	release.allow with input as with_clause({"territories": ["*"]})
	r := json.patch(with_clause({"territories": ["*"]}), [{"op": "replace", "path": "/job/territory", "value": "XX"}])
	release_test.denied(r, {"territory"})
}

test_everywhere_needs_everywhere if {
	release_test.denied(release_test.with_value("/job/territory", "*"), {"territory"})
	r := json.patch(with_clause({"territories": ["*"]}), [{"op": "replace", "path": "/job/territory", "value": "*"}])
	release.allow with input as r
}

# A place that is no country is covered by no licence, not even by one that names it.
test_no_country if {
	r := json.patch(with_clause({"territories": ["XX"]}), [{"op": "replace", "path": "/job/territory", "value": "XX"}])
	release_test.denied(r, {"territory"})
}

test_code_is_its_owners if {
	r := json.patch(release_test.code, [{"op": "replace", "path": "/terms/licence/commercial", "value": false}])
	release.allow with input as r
}
