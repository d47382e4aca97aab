# SPDX-License-Identifier: Apache-2.0

# METADATA
# title: Obligations
# description: |
#   What the enclave must enforce, defined only where release allows. Go decodes it strictly into the closed
#   grant.Obligations, sorts the outputs and adds the leaves, whose number the rules have seen.
package glovebox.release

import data.glovebox.egress

obligations := {
	"mode": input.job.mode,
	"transforms": input.terms.steps,
	"epochs": epochs,
	"outputs": input.job.outputs,
	"maxOutput": egress.max_output,
	"logs": egress.logs,
	"privacy": input.account.epsilon,
	"allowance": input.terms.allowance,
	"expires": expires,
} if {
	allow
}

# A grant ends with the lease, the job or the terms, whichever is first, and with the entitlement where one is needed.
expires := min([lease_end, input.job.notAfter * 1000, input.terms.notAfter * 1000, entitlement_end])

lease_end := input.now + (input.terms.leaseSeconds * 1000)

entitlement_end := input.entitlement.notAfter * 1000 if data.glovebox.entitlement.required

entitlement_end := lease_end if not data.glovebox.entitlement.required
