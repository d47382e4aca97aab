# SPDX-License-Identifier: Apache-2.0

package glovebox.egress_test

import data.glovebox.egress
import data.glovebox.release
import data.glovebox.release_test

training := release_test.with_value("/terms/licence/trainingOnly", true)

test_empty_input if {
	every condition in [egress.ok, egress.outputs_ok, egress.output_bytes_ok, egress.training_only_ok] {
		condition == false
	}
	not egress.logs
	not egress.max_output
}

test_good if egress.ok with input as release_test.good

test_outputs if release_test.denied(release_test.with_value("/job/outputs", ["model", "table"]), {"outputs"})

test_output_bytes if release_test.denied(release_test.with_value("/job/outputBytes", 1001), {"output-bytes"})

test_training_only if {
	release.allow with input as training
	r := json.patch(training, [
		{"op": "replace", "path": "/job/outputs", "value": ["model", "table"]},
		{"op": "replace", "path": "/terms/outputs", "value": ["metrics", "model", "table"]},
	])
	release_test.denied(r, {"training-only"})
}

test_training_only_unknown if {
	r := json.patch(release_test.good, [{"op": "remove", "path": "/terms/licence/trainingOnly"}])
	not egress.training_only_ok with input as r
	not egress.logs with input as r
}

test_logs_can_carry_records if {
	release.obligations.logs == "sealed" with input as release_test.good
	release.obligations.logs == "off" with input as training
	release.obligations.logs == "off" with input as release_test.with_value("/terms/logs", "off")
}

test_output_is_the_smaller_limit if {
	release.obligations.maxOutput == 900 with input as release_test.with_value("/job/outputBytes", 900)
	release.obligations.maxOutput == 1000 with input as release_test.with_value("/terms/maxOutputBytes", 2000)
}

test_code_is_its_owners if {
	r := json.patch(release_test.code, [
		{"op": "replace", "path": "/job/outputs", "value": ["table"]},
		{"op": "replace", "path": "/terms/licence/trainingOnly", "value": true},
	])
	release.allow with input as r
}
