# SPDX-License-Identifier: Apache-2.0

# METADATA
# title: What may leave the enclave
# description: |
#   Output classes, their bytes, and logs. Of the code's own package nothing leaves but what its owner's job declares.
package glovebox.egress

default ok := false

ok if {
	outputs_ok
	output_bytes_ok
	training_only_ok
}

default outputs_ok := false

outputs_ok if {
	input.package.kind == "dataset"
	count(input.job.outputs) > 0
	every class in input.job.outputs {
		class in input.terms.outputs
	}
}

outputs_ok if {
	input.package.kind == "code"
	count(input.job.outputs) > 0
}

default output_bytes_ok := false

output_bytes_ok if {
	input.package.kind == "dataset"
	input.job.outputBytes > 0
	input.job.outputBytes <= input.terms.maxOutputBytes
}

output_bytes_ok if {
	input.package.kind == "code"
	input.job.outputBytes > 0
}

# What training makes. A licence for training only lets nothing else out.
training_outputs := {"metrics", "model"}

default training_only_ok := false

training_only_ok if {
	input.package.kind == "dataset"
	input.terms.licence.trainingOnly == false
}

training_only_ok if {
	input.package.kind == "dataset"
	input.terms.licence.trainingOnly == true
	count(input.job.outputs) > 0
	every class in input.job.outputs {
		class in training_outputs
	}
}

training_only_ok if input.package.kind == "code"

max_output := min([input.job.outputBytes, input.terms.maxOutputBytes]) if input.package.kind == "dataset"

max_output := input.job.outputBytes if input.package.kind == "code"

# Modes that let nothing out but outputs.
silent := {"dp-release", "dp-training", "k-anonymous", "local-dp", "sample-aggregate"}

# A log can carry records, so a licence for training only has none.
logs := "off" if input.terms.licence.trainingOnly == true

logs := "off" if input.job.mode in silent

logs := input.terms.logs if {
	input.terms.licence.trainingOnly == false
	is_string(input.job.mode)
	not input.job.mode in silent
}
