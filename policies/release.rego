# SPDX-License-Identifier: Apache-2.0

# METADATA
# title: Release of a package's key
# description: |
#   allow is a positive conjunction of conditions, and each condition is a rule with the default false. A value that is
#   missing makes a condition undefined, hence false: undefined denies. Go has checked before that every field of the
#   input is there and has its type. What was not met is listed in reasons, each with what would satisfy it.
package glovebox.release

import data.glovebox.assurance
import data.glovebox.egress
import data.glovebox.entitlement
import data.glovebox.licence
import data.glovebox.privacy

default allow := false

allow if {
	package_ok
	mode_ok
	steps_ok
	purpose_ok
	epochs_ok
	runtime_ok
	assurance_ok
	uses_ok
	buyer_uses_ok
	cost_ok
	terms_current
	job_current
	version_current
	buyer_ok
	code_ok
	not_revoked
	not_cancelled
	licence.ok
	egress.ok
	entitlement.ok
	privacy.ok
}

# What this release of Glovebox can enforce inside the enclave. Terms and jobs may only narrow it.
enforced_modes := {"dp-release", "dp-training", "k-anonymous", "local-dp", "pseudonymised", "raw-in-tee", "redacted", "sample-aggregate"}

# Runtime classes of the modes in which the enclave adds the noise: epsilon rests on them. All other modes run in one.
private_runtimes := {
	"dp-release": {"dp-query/1"},
	"dp-training": {"wasm-train-sum/1", "wasm-train/1"},
	"sample-aggregate": {"wasm-fuel/1"},
}

enforced_runtimes := {"wasm-fuel/1"}

# The job must name the package as what it is.
default package_ok := false

package_ok if {
	input.package.kind == "dataset"
	input.package.manifest in input.job.datasets
}

package_ok if {
	input.package.kind == "code"
	input.package.manifest == input.job.code
}

default mode_ok := false

mode_ok if {
	input.job.mode in enforced_modes
	input.job.mode in input.terms.modes
}

# Every mode rests on the steps that the terms name for it, but for one that has none, and those in which the enclave adds
# the noise, which may have some. Code is nobody's records.
default steps_ok := false

steps_ok if {
	input.package.kind == "dataset"
	input.job.mode == "raw-in-tee"
	count(input.terms.steps) == 0
}

steps_ok if {
	input.package.kind == "dataset"
	is_string(input.job.mode)
	not input.job.mode == "raw-in-tee"
	count(input.terms.steps) > 0
}

steps_ok if {
	input.package.kind == "dataset"
	input.job.mode in privacy.private
	count(input.terms.steps) >= 0
}

steps_ok if {
	input.package.kind == "code"
	count(input.terms.steps) == 0
}

# The job is the statement of the code's owner, so its purpose and outputs need no second permission from her.
default purpose_ok := false

purpose_ok if {
	input.package.kind == "dataset"
	input.job.purpose in input.terms.purposes
}

purpose_ok if input.package.kind == "code"

default epochs_ok := false

epochs_ok if {
	is_string(input.job.mode)
	not input.job.mode in privacy.private
	epochs >= 1
	epochs <= input.terms.maxEpochs
}

# What is read into memory is read once.
epochs_ok if {
	input.job.mode in privacy.private
	epochs == 1
	input.terms.maxEpochs >= 1
}

# Code is read once, whatever the number of passes over the data.
epochs := input.job.epochs if input.package.kind == "dataset"

epochs := 1 if input.package.kind == "code"

default runtime_ok := false

runtime_ok if {
	is_string(input.job.mode)
	not input.job.mode in privacy.private
	input.job.runtime in enforced_runtimes
	input.evidence.runtime == input.job.runtime
}

runtime_ok if {
	input.package.kind == "dataset"
	input.job.runtime in private_runtimes[input.job.mode]
	input.job.runtime in input.terms.private.runtimes
	input.evidence.runtime == input.job.runtime
}

runtime_ok if {
	input.package.kind == "code"
	input.job.runtime in private_runtimes[input.job.mode]
	input.evidence.runtime == input.job.runtime
}

default assurance_ok := false

assurance_ok if {
	input.evidence.reference != ""
	input.evidence.assurance in assurance.at_least[input.terms.minAssurance]
	input.evidence.assurance in assurance.admitted[input.package.test]
}

default uses_ok := false

uses_ok if {
	input.account.uses >= 0
	input.account.uses < input.terms.maxUses
}

default buyer_uses_ok := false

buyer_uses_ok if {
	input.account.buyerUses >= 0
	input.account.buyerUses < input.terms.buyers.maxUses
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

# A dataset is released to the buyers that the terms name, or to any; code only to its owner's own jobs.
default buyer_ok := false

buyer_ok if {
	input.package.kind == "dataset"
	input.terms.buyers.any == true
	input.job.buyer != ""
}

buyer_ok if {
	input.package.kind == "dataset"
	input.job.buyer in input.terms.buyers.keys
}

buyer_ok if {
	input.package.kind == "code"
	input.buyer != ""
	input.job.buyer == input.buyer
}

# Code that the terms admit as such, or by who signed it. The code's own broker has no say about other code.
default code_ok := false

code_ok if {
	input.package.kind == "dataset"
	input.terms.code.any == true
	input.job.code != ""
}

code_ok if {
	input.package.kind == "dataset"
	input.job.code in input.terms.code.manifests
}

code_ok if {
	input.package.kind == "dataset"
	input.job.codeOwner != ""
	input.job.codeOwner in input.terms.code.owners
}

code_ok if input.package.kind == "code"

default not_revoked := false

not_revoked if {
	input.revoked == {
		"dataset": false, "manifest": false, "job": false, "buyer": false, "code": false, "grant": false, "permit": false,
	}
}

default not_cancelled := false

not_cancelled if input.cancelled == false
