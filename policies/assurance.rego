# SPDX-License-Identifier: Apache-2.0

# METADATA
# title: Order of assurances
# description: An assurance that is not listed is weaker than everything, itself included.
package glovebox.assurance

rank := {"simulated": 1, "software-tpm": 2, "tpm": 3, "tee": 4}

default at_least(_, _) := false

at_least(got, least) if rank[got] >= rank[least]

# Only packages packed as tests may be released below the assurance of a hardware TPM.
default admitted(_, _) := false

admitted(got, _) if rank[got] >= rank.tpm

admitted(got, test) if {
	rank[got] >= 1
	test == true
}
