# SPDX-License-Identifier: Apache-2.0

# METADATA
# title: Obligations
# description: |
#   What the enclave must enforce, defined only where release allows. Go decodes it strictly into the closed
#   grant.Obligations.
package glovebox.release

obligations := {
	"mode": input.job.mode,
	"transforms": [],
	"leaves": [{"first": 0, "count": input.package.leaves}],
	"epochs": epochs,
	"outputs": sort({class | some class in input.job.outputs}),
	"maxOutput": max_output,
	"logs": input.terms.logs,
	"privacy": 0,
	"allowance": input.terms.allowance,
	"expires": expires,
} if {
	allow
}

max_output := min({input.job.outputBytes, input.terms.maxOutputBytes}) if input.package.kind == "dataset"

max_output := input.job.outputBytes if input.package.kind == "code"

# A grant ends with the lease, the job or the terms, whichever is first.
expires := min({
	input.now + (input.terms.leaseSeconds * 1000),
	input.job.notAfter * 1000,
	input.terms.notAfter * 1000,
})
