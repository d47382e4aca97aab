# SPDX-License-Identifier: Apache-2.0

package glovebox.release_test

import data.glovebox.release

good := {
	"now": 1800000000000,
	"buyer": "",
	"cancelled": false,
	"package": {"manifest": "sha256:aa", "kind": "dataset", "test": true, "version": 2, "latest": 2, "leaves": 10},
	"terms": {
		"modes": ["raw-in-tee"], "purposes": ["research"], "outputs": ["metrics", "model"], "maxOutputBytes": 1000,
		"maxEpochs": 8, "maxUses": 3, "logs": "off", "allowance": 4, "leaseSeconds": 3600, "notAfter": 1800086400,
		"minAssurance": "simulated",
	},
	"job": {
		"id": "sha256:bb", "buyer": "did:key:zBuyer", "purpose": "research", "mode": "raw-in-tee", "runtime": "wasm-fuel/1",
		"epochs": 8, "outputs": ["model"], "outputBytes": 1000, "spendCap": 500, "notAfter": 1800043200,
	},
	"evidence": {"assurance": "simulated", "reference": "r", "runtime": "wasm-fuel/1"},
	"account": {"uses": 2, "reserved": 200, "cost": 300},
	"revoked": {"manifest": false, "job": false, "buyer": false},
}

code := json.patch(good, [
	{"op": "replace", "path": "/package/kind", "value": "code"},
	{"op": "replace", "path": "/buyer", "value": "did:key:zBuyer"},
	{"op": "replace", "path": "/terms/purposes", "value": []},
	{"op": "replace", "path": "/terms/outputs", "value": []},
	{"op": "replace", "path": "/terms/maxEpochs", "value": 1},
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
	count(release.reasons) == 16 with input as {}
}

test_no_obligations_without_allow if not release.obligations with input as with_value("/job/mode", "x")

test_mode if denied(with_value("/job/mode", "dp-training"), {"mode"})

test_mode_not_enforced if {
	r := json.patch(good, [
		{"op": "replace", "path": "/job/mode", "value": "dp-training"},
		{"op": "replace", "path": "/terms/modes", "value": ["dp-training"]},
	])
	denied(r, {"mode"})
}

test_no_modes if denied(with_value("/terms/modes", []), {"mode"})

test_purpose if denied(with_value("/job/purpose", "advertising"), {"purpose"})

test_no_purposes if denied(with_value("/terms/purposes", []), {"purpose"})

test_outputs if denied(with_value("/job/outputs", ["model", "table"]), {"outputs"})

test_no_outputs_declared if denied(with_value("/job/outputs", []), {"outputs"})

test_output_bytes if denied(with_value("/job/outputBytes", 1001), {"output-bytes"})

test_no_output_bytes if denied(with_value("/job/outputBytes", 0), {"output-bytes"})

test_epochs if denied(with_value("/job/epochs", 9), {"epochs"})

test_no_epochs if denied(with_value("/job/epochs", 0), {"epochs"})

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

test_cost if denied(with_value("/account/cost", 301), {"cost"})

test_reserved if denied(with_value("/account/reserved", 201), {"cost"})

test_negative_cost if denied(with_value("/account/cost", -1), {"cost"})

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

test_revoked_buyer if denied(with_value("/revoked/buyer", true), {"revoked"})

test_cancelled if denied(with_value("/cancelled", true), {"cancelled"})

test_wrong_type_denies if {
	every path in ["/now", "/package/version", "/terms/maxUses", "/account/cost", "/job/spendCap"] {
		not release.allow with input as with_value(path, "1")
	}
}

test_text_is_not_a_list if not release.allow with input as with_value("/terms/modes", "raw-in-tee")

test_expires_with_the_lease if {
	release.obligations.expires == 1800003600000 with input as good
}

test_expires_with_the_job if {
	release.obligations.expires == 1800000001000 with input as with_value("/job/notAfter", 1800000001)
}

test_expires_with_the_terms if {
	release.obligations.expires == 1800000002000 with input as with_value("/terms/notAfter", 1800000002)
}

test_outputs_are_the_jobs if {
	r := with_value("/job/outputs", ["model", "metrics", "model"])
	release.obligations.outputs == ["metrics", "model"] with input as r
}
