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

# What terms say that a job spends for one record is what the ledger was asked about, no less.
epsilon_ok if {
	accounted
	input.package.kind == "dataset"
	input.account.epsilon >= 1
	input.account.epsilon == input.terms.spends
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
