# SPDX-License-Identifier: Apache-2.0

package glovebox.release_test

import data.glovebox.release

good := {
	"now": 1800000000000,
	"buyer": "",
	"cancelled": false,
	"package": {
		"manifest": "sha256:aa", "dataset": "d0", "kind": "dataset", "test": true, "version": 2, "latest": 2, "leaves": 10,
	},
	"terms": {
		"modes": ["raw-in-tee"], "purposes": ["research"], "outputs": ["metrics", "model"], "maxOutputBytes": 1000,
		"maxEpochs": 8, "maxUses": 3, "logs": "sealed", "allowance": 4, "leaseSeconds": 3600, "notAfter": 1800086400,
		"minAssurance": "simulated", "access": "receipt", "currency": "EUR", "minPaid": 100, "consent": true, "steps": [], "spends": 0,
		"code": {"any": false, "manifests": ["sha256:c0"], "owners": []},
		"buyers": {
			"any": false, "keys": ["did:key:zBuyer"], "maxUses": 2,
			"require": [{"name": "sector", "anyOf": ["health", "public"]}],
		},
		"licence": {
			"spdx": "CC-BY-4.0", "commercial": true, "derivatives": true, "shareAlike": false, "attribution": true,
			"trainingOnly": false, "prohibited": ["weapons"], "territories": ["DE", "FR"], "revocable": false, "royaltyPPM": 10,
		},
		"privacy": {
			"population": "people", "unit": "record", "adjacency": "add-or-remove", "epsilon": 3000000,
			"buyerEpsilon": 1000000, "delta": 1000,
		},
		"private": {"epsilon": 0, "delta": 0, "contributions": 0, "shards": 0, "runtimes": []},
	},
	"job": {
		"id": "sha256:bb", "buyer": "did:key:zBuyer", "code": "sha256:c0", "codeOwner": "did:key:zCoder",
		"datasets": ["sha256:aa"], "purpose": "research", "commercial": true, "derive": true, "territory": "DE",
		"mode": "raw-in-tee", "operation": "train", "runtime": "wasm-fuel/1", "epochs": 8, "outputs": ["model"],
		"outputBytes": 1000, "spendCap": 500, "notAfter": 1800043200,
		"privacy": {
			"declared": false, "unit": "", "adjacency": "", "contributions": 0, "shards": 0, "epsilon": 0, "delta": 0, "bounded": false,
			"computed": 0,
		},
	},
	"evidence": {"assurance": "simulated", "reference": "r", "runtime": "wasm-fuel/1"},
	"entitlement": {
		"kind": "receipt", "left": 1, "operations": ["train"], "code": "*", "buyer": "did:key:zBuyer", "epochs": 8, "leaves": 10,
		"attributes": {"sector": ["health"]}, "paid": 100, "currency": "EUR", "minPrice": 0, "notAfter": 1800043200,
	},
	"account": {
		"uses": 2, "buyerUses": 1, "reserved": 200, "cost": 300, "epsilon": 0, "epsilonAfter": 0, "buyerEpsilonAfter": 0,
		"jobEpsilonAfter": 0, "conditional": false,
	},
	"granted": {"leaves": 10, "withheld": 0, "records": 20, "units": 20, "together": 20, "purpose": "research", "released": 10},
	"revoked": {
		"dataset": false, "manifest": false, "job": false, "buyer": false, "code": false, "grant": false, "permit": false,
	},
}

code := json.patch(good, [
	{"op": "replace", "path": "/package/kind", "value": "code"},
	{"op": "replace", "path": "/buyer", "value": "did:key:zBuyer"},
	{"op": "replace", "path": "/terms/purposes", "value": []},
	{"op": "replace", "path": "/terms/outputs", "value": []},
	{"op": "replace", "path": "/terms/maxEpochs", "value": 1},
	{"op": "replace", "path": "/terms/access", "value": "open"},
	{"op": "replace", "path": "/entitlement/kind", "value": "none"},
	{"op": "replace", "path": "/job/code", "value": "sha256:aa"},
])

with_value(path, value) := json.patch(good, [{"op": "replace", "path": path, "value": value}])

# denied holds when exactly these rules fail.
denied(request, rules) if {
	not release.allow with input as request
	got := {r.rule | some r in release.reasons} with input as request
	got == rules
}

test_good_is_allowed if {
	release.allow with input as good
	count(release.reasons) == 0 with input as good
}

test_code_is_allowed if {
	release.allow with input as code
	release.obligations.epochs == 1 with input as code
	release.obligations.maxOutput == 1000 with input as code
}

test_empty_input_is_denied if {
	not release.allow with input as {}
	not release.obligations with input as {}
	count(release.reasons) == 27 with input as {}
}

test_no_obligations_without_allow if not release.obligations with input as with_value("/job/mode", "x")

test_mode if denied(with_value("/job/mode", "aggregate-only"), {"mode"})

test_mode_not_enforced if {
	r := json.patch(good, [
		{"op": "replace", "path": "/job/mode", "value": "aggregate-only"},
		{"op": "replace", "path": "/terms/modes", "value": ["aggregate-only"]},
	])
	denied(r, {"mode"})
}

test_no_modes if denied(with_value("/terms/modes", []), {"mode"})

test_purpose if denied(with_value("/job/purpose", "advertising"), {"consent", "purpose"})

test_no_purposes if denied(with_value("/terms/purposes", []), {"purpose"})

test_outputs if denied(with_value("/job/outputs", ["model", "table"]), {"outputs"})

test_no_outputs_declared if denied(with_value("/job/outputs", []), {"outputs"})

test_output_bytes if denied(with_value("/job/outputBytes", 1001), {"output-bytes"})

test_no_output_bytes if denied(with_value("/job/outputBytes", 0), {"output-bytes"})

test_epochs if denied(with_value("/job/epochs", 9), {"entitlement-epochs", "epochs"})

test_no_epochs if denied(with_value("/job/epochs", 0), {"entitlement-epochs", "epochs"})

test_runtime if {
	r := json.patch(good, [
		{"op": "replace", "path": "/job/runtime", "value": "native-jail/1"},
		{"op": "replace", "path": "/evidence/runtime", "value": "native-jail/1"},
	])
	denied(r, {"runtime"})
}

test_runtime_not_attested if denied(with_value("/evidence/runtime", "native-jail/1"), {"runtime"})

test_assurance_below_terms if denied(with_value("/terms/minAssurance", "tpm"), {"assurance"})

test_assurance_unknown if denied(with_value("/evidence/assurance", "magic"), {"assurance"})

test_minimum_unknown if denied(with_value("/terms/minAssurance", "magic"), {"assurance"})

test_below_tpm_needs_a_test_package if denied(with_value("/package/test", false), {"assurance"})

test_tpm_needs_no_test_package if {
	r := json.patch(good, [
		{"op": "replace", "path": "/package/test", "value": false},
		{"op": "replace", "path": "/evidence/assurance", "value": "tpm"},
	])
	release.allow with input as r
}

test_no_reference if denied(with_value("/evidence/reference", ""), {"assurance"})

test_uses if denied(with_value("/account/uses", 3), {"uses"})

test_negative_uses if denied(with_value("/account/uses", -1), {"uses"})

test_buyer_uses if denied(with_value("/account/buyerUses", 2), {"buyer-uses"})

test_negative_buyer_uses if denied(with_value("/account/buyerUses", -1), {"buyer-uses"})

test_not_in_the_job if denied(with_value("/job/datasets", ["sha256:a0"]), {"package"})

test_code_not_in_the_job if {
	r := json.patch(code, [{"op": "replace", "path": "/job/code", "value": "sha256:c0"}])
	denied(r, {"package"})
}

test_other_buyer if denied(with_value("/terms/buyers/keys", ["did:key:zOther"]), {"buyer"})

test_any_buyer if {
	r := json.patch(good, [
		{"op": "replace", "path": "/terms/buyers/keys", "value": []},
		{"op": "replace", "path": "/terms/buyers/any", "value": true},
	])
	release.allow with input as r
}

test_other_code if denied(with_value("/terms/code/manifests", ["sha256:c1"]), {"code"})

test_code_by_owner if {
	r := json.patch(good, [
		{"op": "replace", "path": "/terms/code/manifests", "value": []},
		{"op": "replace", "path": "/terms/code/owners", "value": ["did:key:zCoder"]},
	])
	release.allow with input as r
}

test_code_of_nobody if {
	r := json.patch(good, [
		{"op": "replace", "path": "/terms/code/manifests", "value": []},
		{"op": "replace", "path": "/terms/code/owners", "value": [""]},
		{"op": "replace", "path": "/job/codeOwner", "value": ""},
	])
	denied(r, {"code"})
}

test_any_code if {
	r := json.patch(good, [
		{"op": "replace", "path": "/terms/code/manifests", "value": []},
		{"op": "replace", "path": "/terms/code/any", "value": true},
	])
	release.allow with input as r
}

test_cost if denied(with_value("/account/cost", 301), {"cost"})

test_reserved if denied(with_value("/account/reserved", 201), {"cost"})

test_negative_cost if denied(with_value("/account/cost", -1), {"cost", "price"})

test_terms_expired if {
	not release.allow with input as with_value("/terms/notAfter", 1800000000)
	denied(with_value("/terms/notAfter", 1800000000), {"terms-expired"})
}

test_job_expired if denied(with_value("/job/notAfter", 1800000000), {"job-expired"})

test_old_version if denied(with_value("/package/latest", 3), {"version"})

test_code_of_another_buyer if {
	r := json.patch(code, [{"op": "replace", "path": "/buyer", "value": "did:key:zOther"}])
	denied(r, {"buyer"})
}

test_code_at_a_creator if {
	r := json.patch(code, [{"op": "replace", "path": "/buyer", "value": ""}])
	denied(r, {"buyer"})
}

test_revoked_manifest if denied(with_value("/revoked/manifest", true), {"revoked"})

test_revoked_job if denied(with_value("/revoked/job", true), {"revoked"})

test_revoked_others if {
	every what in ["code", "dataset", "grant", "permit"] {
		denied(with_value(concat("", ["/revoked/", what]), true), {"revoked"})
	}
}

test_revoked_buyer if denied(with_value("/revoked/buyer", true), {"revoked"})

test_cancelled if denied(with_value("/cancelled", true), {"cancelled"})

test_expires_with_the_lease if {
	release.obligations.expires == 1800003600000 with input as good
}

test_expires_with_the_job if {
	release.obligations.expires == 1800000001000 with input as with_value("/job/notAfter", 1800000001)
}

test_expires_with_the_terms if {
	release.obligations.expires == 1800000002000 with input as with_value("/terms/notAfter", 1800000002)
}

test_expires_with_the_entitlement if {
	release.obligations.expires == 1800000003000 with input as with_value("/entitlement/notAfter", 1800000003)
}

test_code_expires_without_an_entitlement if {
	r := json.patch(code, [{"op": "replace", "path": "/entitlement/notAfter", "value": 0}])
	release.obligations.expires == 1800003600000 with input as r
}

# Each condition is false without input, and false is what it is.
test_conditions_without_input if {
	every condition in [
		release.package_ok, release.mode_ok, release.purpose_ok, release.epochs_ok, release.runtime_ok, release.assurance_ok,
		release.uses_ok, release.buyer_uses_ok, release.cost_ok, release.terms_current, release.job_current,
		release.version_current, release.buyer_ok, release.code_ok, release.not_revoked, release.not_cancelled,
	] {
		condition == false
	}
}

# Every mode but one rests on its steps.
in_mode(mode, steps) := json.patch(good, [
	{"op": "replace", "path": "/terms/modes", "value": [mode]},
	{"op": "replace", "path": "/job/mode", "value": mode},
	{"op": "replace", "path": "/terms/steps", "value": steps},
])

test_steps_of_modes if {
	every mode in {"redacted", "pseudonymised", "k-anonymous"} {
		release.allow with input as in_mode(mode, ["sha256:5a"])
		release.obligations.transforms == ["sha256:5a"] with input as in_mode(mode, ["sha256:5a"])
		denied(in_mode(mode, []), {"steps"})
	}
}

test_raw_has_no_steps if denied(with_value("/terms/steps", ["sha256:5a"]), {"steps"})

test_steps_missing if {
	r := json.patch(good, [{"op": "remove", "path": "/terms/steps"}])
	denied(r, {"steps"})
}

test_code_has_no_steps if {
	release.allow with input as json.patch(code, [
		{"op": "replace", "path": "/terms/modes", "value": ["redacted"]},
		{"op": "replace", "path": "/job/mode", "value": "redacted"},
	])
	denied(json.patch(code, [{"op": "replace", "path": "/terms/steps", "value": ["sha256:5a"]}]), {"steps"})
}

test_silent_modes_have_no_logs if {
	release.obligations.logs == "off" with input as in_mode("k-anonymous", ["sha256:5a"])
	release.obligations.logs == "sealed" with input as in_mode("redacted", ["sha256:5a"])
}
