# SPDX-License-Identifier: Apache-2.0

# METADATA
# title: Release of a package's key
# description: |
#   allow is a positive conjunction of conditions, and each condition is a rule with the default false. A value that is
#   missing or of another type makes a condition undefined, hence false: undefined denies. What was not met is listed in
#   reasons, each with what would satisfy it.
package glovebox.release

import data.glovebox.assurance
import data.glovebox.shape

default allow := false

allow if {
	shape.ok
	mode_ok
	purpose_ok
	outputs_ok
	output_bytes_ok
	epochs_ok
	runtime_ok
	assurance_ok
	uses_ok
	cost_ok
	terms_current
	job_current
	version_current
	buyer_ok
	not_revoked
	not_cancelled
}

# What this release of Glovebox can enforce inside the enclave. Terms and jobs may only narrow it.
enforced_modes := {"raw-in-tee"}

enforced_runtimes := {"wasm-fuel/1"}

default mode_ok := false

mode_ok if {
	input.job.mode in enforced_modes
	input.job.mode in input.terms.modes
}

# The job is the statement of the code's owner, so its purpose and outputs need no second permission from her.
default purpose_ok := false

purpose_ok if {
	input.package.kind == "dataset"
	input.job.purpose in input.terms.purposes
}

purpose_ok if input.package.kind == "code"

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

default epochs_ok := false

epochs_ok if {
	input.job.epochs >= 1
	epochs <= input.terms.maxEpochs
}

# Code is read once, whatever the number of passes over the data.
epochs := input.job.epochs if input.package.kind == "dataset"

epochs := 1 if input.package.kind == "code"

default runtime_ok := false

runtime_ok if {
	input.job.runtime in enforced_runtimes
	input.evidence.runtime == input.job.runtime
}

default assurance_ok := false

assurance_ok if {
	input.evidence.reference != ""
	assurance.at_least(input.evidence.assurance, input.terms.minAssurance)
	assurance.admitted(input.evidence.assurance, input.package.test)
}

default uses_ok := false

uses_ok if {
	input.account.uses >= 0
	input.account.uses < input.terms.maxUses
}

default cost_ok := false

cost_ok if {
	input.account.cost >= 0
	input.account.reserved >= 0
	input.account.cost + input.account.reserved <= input.job.spendCap
}

default terms_current := false

terms_current if input.now < input.terms.notAfter * 1000

default job_current := false

job_current if input.now < input.job.notAfter * 1000

default version_current := false

version_current if {
	input.package.version >= 1
	input.package.version == input.package.latest
}

# A dataset is released to any buyer that is not revoked; code only to its owner's own jobs.
default buyer_ok := false

buyer_ok if {
	input.package.kind == "dataset"
	input.job.buyer != ""
}

buyer_ok if {
	input.package.kind == "code"
	input.buyer != ""
	input.job.buyer == input.buyer
}

default not_revoked := false

not_revoked if {
	input.revoked.manifest == false
	input.revoked.job == false
	input.revoked.buyer == false
}

default not_cancelled := false

not_cancelled if input.cancelled == false
