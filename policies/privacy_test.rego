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
		privacy.account_delta_ok,
		privacy.enclave_adds_noise, privacy.declared_ok, privacy.free, privacy.job_epsilon_ok, privacy.attempts_ok, privacy.bound_ok, privacy.delta_ok,
		privacy.units_ok, privacy.unit_ok, privacy.contributions_ok, privacy.shards_ok,
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

# A job that takes all that the terms allow in a mode in which the enclave adds the noise: epsilon 0.5 at delta 10⁻⁹ of a
# dataset of one record less than a thousand million.
private(mode, runtime, shards) := json.patch(release_test.good, [
	{"op": "replace", "path": "/job/mode", "value": mode},
	{"op": "replace", "path": "/job/runtime", "value": runtime},
	{"op": "replace", "path": "/job/epochs", "value": 1},
	{"op": "replace", "path": "/evidence/runtime", "value": runtime},
	{"op": "replace", "path": "/terms/modes", "value": [mode]},
	{"op": "replace", "path": "/terms/private", "value": {
		"epsilon": 500000, "delta": 1000, "contributions": 3, "shards": shards, "runtimes": [runtime],
	}},
	{"op": "replace", "path": "/job/privacy", "value": {
		"declared": true, "unit": "record", "adjacency": "add-or-remove", "contributions": 3, "shards": shards, "epsilon": 500000,
		"delta": 1000, "bounded": true, "computed": 500002,
	}},
	{"op": "replace", "path": "/granted/records", "value": 999999999},
	{"op": "replace", "path": "/granted/units", "value": 999999999},
	{"op": "replace", "path": "/granted/together", "value": 2},
	{"op": "replace", "path": "/account/epsilon", "value": 500000},
	{"op": "replace", "path": "/account/epsilonAfter", "value": 3000000},
	{"op": "replace", "path": "/account/buyerEpsilonAfter", "value": 1000000},
	{"op": "replace", "path": "/account/jobEpsilonAfter", "value": 500000},
])

training := private("dp-training", "wasm-train/1", 0)

but(path, value) := json.patch(training, [{"op": "replace", "path": path, "value": value}])

test_private_modes if {
	every r in [training, private("dp-release", "dp-query/1", 0), private("sample-aggregate", "wasm-fuel/1", 100)] {
		release.allow with input as r
		release.obligations.privacy == 500000 with input as r
		release.obligations.logs == "off" with input as r
	}
}

test_private_mode_after_steps if release.allow with input as but("/terms/steps", ["sha256:5a"])

test_undeclared if {
	release_test.denied(but("/job/privacy/declared", false), {"privacy-declared"})
	release_test.denied(json.patch(release_test.good, [{"op": "replace", "path": "/job/privacy/declared", "value": true}]), {"privacy-declared"})
}

test_job_spends_more_than_one_may if {
	release_test.denied(but("/terms/private/epsilon", 499999), {"privacy-epsilon"})
	release_test.denied(but("/job/privacy/epsilon", 0), {"epsilon", "privacy-epsilon"})
}

test_attempts_spend_more_than_one_job_may if {
	release_test.denied(but("/account/jobEpsilonAfter", 500001), {"privacy-attempts"})
	release_test.denied(but("/account/jobEpsilonAfter", 499999), {"privacy-attempts"})
	release_test.denied(json.remove(training, ["/account/jobEpsilonAfter"]), {"privacy-attempts"})
	release.allow with input as json.patch(training, [
		{"op": "replace", "path": "/terms/private/epsilon", "value": 800000},
		{"op": "replace", "path": "/account/jobEpsilonAfter", "value": 800000},
	])
}

# What the ledger was asked about must be what the job states.
test_cheaper_than_stated if release_test.denied(but("/account/epsilon", 499999), {"epsilon"})

test_steps_that_spend if release_test.denied(but("/terms/spends", 1), {"epsilon"})

test_mechanisms_come_to_more if {
	release_test.denied(but("/job/privacy/computed", 500003), {"privacy-bound"})
	release_test.denied(but("/job/privacy/bounded", false), {"privacy-bound"})
}

test_delta_of_one_record if {
	release_test.denied(but("/granted/records", 1000000000), {"privacy-delta"})
	release_test.denied(but("/granted/records", 0), {"privacy-delta"})
	release_test.denied(but("/job/privacy/delta", 0), {"privacy-delta"})
	release_test.denied(but("/terms/private/delta", 999), {"privacy-delta"})
	release_test.denied(but("/job/privacy/delta", 9007199254740991), {"privacy-delta"})
}

# At a delta of one in n the account would hold whoever publishes one of n.
test_account_delta_of_one_person if {
	release_test.denied(but("/granted/units", 1000000000), {"account-delta"})
	release_test.denied(but("/granted/units", 0), {"account-delta"})
	release_test.denied(json.patch(accounted(5, 3000000, 1000000), [{"op": "replace", "path": "/terms/privacy/delta", "value": 50000000000}]), {"account-delta"})
	release.allow with input as json.patch(accounted(5, 3000000, 1000000), [{"op": "replace", "path": "/terms/privacy/delta", "value": 49999999999}])
	release.allow with input as json.patch(accounted(5, 3000000, 1000000), [{"op": "replace", "path": "/terms/privacy/delta", "value": 0}])
	release.allow with input as json.patch(release_test.good, [{"op": "replace", "path": "/terms/privacy/delta", "value": 990000000000}])
}

# Twenty records of four persons: the account is of persons, and a fourth is too much.
test_account_delta_counts_persons if {
	r := json.patch(training, [
		{"op": "replace", "path": "/terms/privacy/unit", "value": "contributor"},
		{"op": "replace", "path": "/job/privacy/unit", "value": "contributor"},
		{"op": "replace", "path": "/granted/records", "value": 20},
		{"op": "replace", "path": "/granted/units", "value": 4},
		{"op": "replace", "path": "/terms/privacy/delta", "value": 249999999999},
	])
	release.allow with input as r
	release_test.denied(json.patch(r, [{"op": "replace", "path": "/terms/privacy/delta", "value": 250000000000}]), {"account-delta"})
}

# One record or contributor cannot be hidden among others, whatever epsilon is.
test_alone if {
	every n in [0, 1] {
		every r in [training, private("dp-release", "dp-query/1", 0), private("sample-aggregate", "wasm-fuel/1", 100)] {
			release_test.denied(json.patch(r, [{"op": "replace", "path": "/granted/together", "value": n}]), {"privacy-units"})
		}
	}
	release_test.denied(json.remove(training, ["/granted/together"]), {"privacy-units"})
	release.allow with input as json.patch(accounted(5, 3000000, 1000000), [{"op": "replace", "path": "/granted/together", "value": 1}])
}

test_another_meaning_of_person if {
	release_test.denied(but("/job/privacy/unit", "contributor"), {"privacy-unit"})
	release_test.denied(but("/job/privacy/adjacency", "replace-one"), {"privacy-unit"})
}

test_a_million_contributions if {
	release_test.denied(but("/job/privacy/contributions", 1000000), {"privacy-contributions"})
	release_test.denied(but("/job/privacy/contributions", 0), {"privacy-contributions"})
}

test_shards if {
	r := private("sample-aggregate", "wasm-fuel/1", 100)
	release_test.denied(json.patch(r, [{"op": "replace", "path": "/job/privacy/shards", "value": 99}]), {"privacy-shards"})
	release_test.denied(json.patch(r, [{"op": "replace", "path": "/terms/private/shards", "value": 0}]), {"privacy-shards"})
	release_test.denied(but("/job/privacy/shards", 100), {"privacy-shards"})
}

# Epsilon rests on the runtime class, so the owner names it.
test_runtime_that_the_owner_did_not_name if {
	r := json.patch(training, [
		{"op": "replace", "path": "/job/runtime", "value": "wasm-train-sum/1"},
		{"op": "replace", "path": "/evidence/runtime", "value": "wasm-train-sum/1"},
	])
	release_test.denied(r, {"runtime"})
	release.allow with input as json.patch(r, [{"op": "replace", "path": "/terms/private/runtimes", "value": ["wasm-train-sum/1"]}])
	release_test.denied(but("/evidence/runtime", "wasm-train-sum/1"), {"runtime"})
}

test_runtime_of_another_mode if {
	every runtime in ["wasm-fuel/1", "dp-query/1"] {
		r := json.patch(training, [
			{"op": "replace", "path": "/job/runtime", "value": runtime},
			{"op": "replace", "path": "/evidence/runtime", "value": runtime},
			{"op": "replace", "path": "/terms/private/runtimes", "value": [runtime]},
		])
		release_test.denied(r, {"runtime"})
	}
}

test_one_pass if release_test.denied(but("/job/epochs", 2), {"epochs"})

test_code_that_trains if {
	r := json.patch(training, [
		{"op": "replace", "path": "/package/kind", "value": "code"},
		{"op": "replace", "path": "/buyer", "value": "did:key:zBuyer"},
		{"op": "replace", "path": "/terms/access", "value": "open"},
		{"op": "replace", "path": "/entitlement/kind", "value": "none"},
		{"op": "replace", "path": "/job/code", "value": "sha256:aa"},
		{"op": "replace", "path": "/terms/private", "value": release_test.good.terms.private},
		{"op": "replace", "path": "/account/epsilon", "value": 0},
	])
	release.allow with input as r
	release.obligations.privacy == 0 with input as r
	release_test.denied(json.patch(r, [{"op": "replace", "path": "/job/runtime", "value": "wasm-fuel/1"}]), {"runtime"})
}
