# SPDX-License-Identifier: Apache-2.0

# METADATA
# title: Shape of the input
# description: |
#   Every field the release rules read is there and has its type. Go checks the same before; this is the second lock.
package glovebox.shape

default ok := false

ok if {
	is_number(input.now)
	input.now > 0
	is_string(input.buyer)
	input.cancelled in {true, false}
	package_ok
	terms_ok
	job_ok
	evidence_ok
	account_ok
	revoked_ok
}

package_ok if {
	input.package.kind in {"code", "dataset"}
	text(input.package.manifest)
	input.package.test in {true, false}
	input.package.version >= 1
	input.package.latest >= 1
	input.package.leaves >= 1
}

terms_ok if {
	strings(input.terms.modes)
	strings(input.terms.purposes)
	strings(input.terms.outputs)
	is_number(input.terms.maxOutputBytes)
	is_number(input.terms.maxEpochs)
	is_number(input.terms.maxUses)
	input.terms.logs in {"off", "sealed"}
	input.terms.allowance >= 1
	input.terms.leaseSeconds >= 1
	is_number(input.terms.notAfter)
	is_string(input.terms.minAssurance)
}

job_ok if {
	text(input.job.id)
	text(input.job.buyer)
	is_string(input.job.purpose)
	is_string(input.job.mode)
	is_string(input.job.runtime)
	is_number(input.job.epochs)
	strings(input.job.outputs)
	is_number(input.job.outputBytes)
	is_number(input.job.spendCap)
	is_number(input.job.notAfter)
}

evidence_ok if {
	is_string(input.evidence.assurance)
	is_string(input.evidence.reference)
	is_string(input.evidence.runtime)
}

account_ok if {
	is_number(input.account.uses)
	is_number(input.account.reserved)
	is_number(input.account.cost)
}

revoked_ok if {
	input.revoked.manifest in {true, false}
	input.revoked.job in {true, false}
	input.revoked.buyer in {true, false}
}

# A comparison with "" alone would hold for null.
text(s) if {
	is_string(s)
	s != ""
}

strings(list) if {
	is_array(list)
	every s in list {
		is_string(s)
	}
}
