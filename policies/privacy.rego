# SPDX-License-Identifier: Apache-2.0

# METADATA
# title: Consent, erasure and privacy budgets
# description: |
#   The broker computes which leaves it may release and what the ledger's accounts would be after this job; the rules
#   decide whether that is enough and not too much.
package glovebox.privacy

default ok := false

ok if {
	consent_ok
	leaves_ok
	epsilon_ok
	buyer_epsilon_ok
	account_delta_ok
	declared_ok
	job_epsilon_ok
	attempts_ok
	bound_ok
	delta_ok
	units_ok
	unit_ok
	contributions_ok
	shards_ok
}

# Where consent counts, it was checked for this job's purpose.
default consent_ok := false

consent_ok if input.terms.consent == false

consent_ok if {
	input.terms.consent == true
	input.job.purpose != ""
	input.granted.purpose == input.job.purpose
}

# Something is left to release, and every leaf is accounted for.
default leaves_ok := false

leaves_ok if {
	input.granted.released >= 1
	input.granted.released <= input.granted.leaves
	input.granted.leaves + input.granted.withheld == input.package.leaves
}

# Modes that promise no differential privacy. Their releases are recorded as unbounded, and no budget covers them.
unaccounted := {"aggregate-only", "k-anonymous", "pseudonymised", "raw-in-tee", "redacted"}

# Modes in which the enclave itself adds the noise: what is spent is the job's to say, within the terms.
private := {"dp-release", "dp-training", "sample-aggregate"}

default enclave_adds_noise := false

enclave_adds_noise if input.job.mode in private

default accounted := false

accounted if {
	is_string(input.job.mode)
	not input.job.mode in unaccounted
}

default epsilon_ok := false

epsilon_ok if {
	input.job.mode in unaccounted
	input.account.epsilon == 0
	input.terms.spends == 0
}

# What terms say that a job's steps spend for one record is what the ledger was asked about, no less.
epsilon_ok if {
	accounted
	not input.job.mode in private
	input.package.kind == "dataset"
	input.account.epsilon >= 1
	input.account.epsilon == input.terms.spends
	input.account.epsilon <= input.account.epsilonAfter
	input.account.epsilonAfter <= input.terms.privacy.epsilon
}

# Where the enclave adds the noise, it is what the job states, and steps spend nothing.
epsilon_ok if {
	input.job.mode in private
	input.package.kind == "dataset"
	input.terms.spends == 0
	input.account.epsilon >= 1
	input.account.epsilon == input.job.privacy.epsilon
	input.account.epsilon <= input.account.epsilonAfter
	input.account.epsilonAfter <= input.terms.privacy.epsilon
}

# Code is nobody's records, in any mode.
epsilon_ok if {
	accounted
	input.package.kind == "code"
	input.account.epsilon == 0
}

default buyer_epsilon_ok := false

buyer_epsilon_ok if {
	input.job.mode in unaccounted
	input.account.epsilon == 0
	input.terms.spends == 0
}

buyer_epsilon_ok if {
	accounted
	input.package.kind == "dataset"
	input.account.epsilon >= 1
	input.account.epsilon <= input.account.buyerEpsilonAfter
	input.account.buyerEpsilonAfter <= input.terms.privacy.buyerEpsilon
}

buyer_epsilon_ok if {
	accounted
	input.package.kind == "code"
	input.account.epsilon == 0
}

# The account's delta too is less than one in the persons whose account it is: at one in n, publishing one of n would be within it.
default account_delta_ok := false

account_delta_ok if input.job.mode in unaccounted

account_delta_ok if {
	accounted
	input.package.kind == "dataset"
	input.terms.privacy.delta >= 0
	input.granted.units >= 1
	input.terms.privacy.delta * input.granted.units < 1000000000000
}

account_delta_ok if {
	accounted
	input.package.kind == "code"
}

# What a job declares of its privacy is declared in these modes, and in no other.
default declared_ok := false

declared_ok if {
	is_string(input.job.mode)
	not input.job.mode in private
	input.job.privacy.declared == false
}

declared_ok if {
	input.job.mode in private
	input.job.privacy.declared == true
}

# Nothing is held against a declaration where there is none, and in a package of code, which is nobody's records.
default free := false

free if {
	is_string(input.job.mode)
	not input.job.mode in private
}

free if input.package.kind == "code"

default job_epsilon_ok := false

job_epsilon_ok if free

job_epsilon_ok if {
	input.job.privacy.epsilon >= 1
	input.job.privacy.epsilon <= input.terms.private.epsilon
}

# What one job may spend is what all its attempts may together: their noise is independent, and the records are the same.
default attempts_ok := false

attempts_ok if free

attempts_ok if {
	input.job.privacy.epsilon >= 1
	input.job.privacy.epsilon <= input.account.jobEpsilonAfter
	input.account.jobEpsilonAfter <= input.terms.private.epsilon
}

# The broker's own accountant comes to no more than what the job states. Accountants compute in floats: two millionths are
# nobody's gain.
default bound_ok := false

bound_ok if free

bound_ok if {
	input.job.privacy.bounded == true
	input.job.privacy.computed >= 0
	input.job.privacy.computed <= input.job.privacy.epsilon + 2
}

# Delta is a chance of no guarantee at all, so it is less than one in all records.
default delta_ok := false

delta_ok if free

delta_ok if {
	input.job.privacy.delta >= 1
	input.job.privacy.delta <= input.terms.private.delta
	input.granted.records >= 1
	input.job.privacy.delta * input.granted.records < 1000000000000
}

# One person is hidden among others, so there are others in what is released.
default units_ok := false

units_ok if free

units_ok if input.granted.together >= 2

# The job means by a person, and by data that differ in one, what the owner does.
default unit_ok := false

unit_ok if free

unit_ok if {
	input.job.privacy.unit != ""
	input.job.privacy.unit == input.terms.privacy.unit
	input.job.privacy.adjacency != ""
	input.job.privacy.adjacency == input.terms.privacy.adjacency
}

default contributions_ok := false

contributions_ok if free

contributions_ok if {
	input.job.privacy.contributions >= 1
	input.job.privacy.contributions <= input.terms.private.contributions
}

default shards_ok := false

shards_ok if free

shards_ok if {
	not input.job.mode == "sample-aggregate"
	input.job.privacy.shards == 0
}

shards_ok if {
	input.job.mode == "sample-aggregate"
	input.terms.private.shards >= 1
	input.job.privacy.shards >= input.terms.private.shards
}
