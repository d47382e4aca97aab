# SPDX-License-Identifier: Apache-2.0

package glovebox.privacy_test

import data.glovebox.privacy
import data.glovebox.release
import data.glovebox.release_test

accounted(epsilon, after, buyer) := json.patch(release_test.good, [
	{"op": "replace", "path": "/job/mode", "value": "local-dp"},
	{"op": "replace", "path": "/terms/modes", "value": ["local-dp"]},
	{"op": "replace", "path": "/terms/steps", "value": ["sha256:5a"]},
	{"op": "replace", "path": "/terms/spends", "value": epsilon},
	{"op": "replace", "path": "/account/epsilon", "value": epsilon},
	{"op": "replace", "path": "/account/epsilonAfter", "value": after},
	{"op": "replace", "path": "/account/buyerEpsilonAfter", "value": buyer},
])

test_empty_input if {
	every condition in [
		privacy.ok, privacy.consent_ok, privacy.leaves_ok, privacy.accounted, privacy.epsilon_ok, privacy.buyer_epsilon_ok,
	] {
		condition == false
	}
}

test_good if privacy.ok with input as release_test.good

test_consent_for_another_purpose if release_test.denied(release_test.with_value("/granted/purpose", "art"), {"consent"})

test_consent_not_checked if release_test.denied(release_test.with_value("/granted/purpose", ""), {"consent"})

test_consent_not_asked_for if {
	r := json.patch(release_test.good, [
		{"op": "replace", "path": "/granted/purpose", "value": ""},
		{"op": "replace", "path": "/terms/consent", "value": false},
	])
	release.allow with input as r
}

test_nothing_released if release_test.denied(release_test.with_value("/granted/released", 0), {"leaves"})

test_released_more_than_granted if release_test.denied(release_test.with_value("/granted/released", 11), {"leaves"})

test_leaves_unaccounted_for if release_test.denied(release_test.with_value("/granted/withheld", 1), {"leaves"})

# An unbounded release has no cost that could be charged.
test_unaccounted_has_no_cost if release_test.denied(release_test.with_value("/account/epsilon", 1), {"buyer-epsilon", "epsilon"})

test_within_the_budget if {
	release.allow with input as accounted(5, 3000000, 1000000)
	release.obligations.privacy == 5 with input as accounted(5, 3000000, 1000000)
}

test_over_the_budget if release_test.denied(accounted(5, 3000001, 1000000), {"epsilon"})

test_over_the_buyers_budget if release_test.denied(accounted(5, 3000000, 1000001), {"buyer-epsilon"})

test_free_of_charge if release_test.denied(accounted(0, 0, 0), {"buyer-epsilon", "epsilon"})

test_total_below_the_cost if release_test.denied(accounted(5, 4, 4), {"buyer-epsilon", "epsilon"})

# What the ledger was asked about must be what the steps spend.
test_cheaper_than_the_steps if {
	r := json.patch(accounted(5, 3000000, 1000000), [{"op": "replace", "path": "/terms/spends", "value": 6}])
	release_test.denied(r, {"epsilon"})
}

test_code_spends_nothing if {
	r := json.patch(release_test.code, [
		{"op": "replace", "path": "/job/mode", "value": "local-dp"},
		{"op": "replace", "path": "/terms/modes", "value": ["local-dp"]},
	])
	release.allow with input as r
	release_test.denied(json.patch(r, [{"op": "replace", "path": "/account/epsilon", "value": 1}]), {"buyer-epsilon", "epsilon"})
}
