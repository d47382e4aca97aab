# SPDX-License-Identifier: Apache-2.0

# METADATA
# title: Order of assurances
# description: An assurance that is not listed is weaker than everything, itself included.
package glovebox.assurance

# What is as strong as each.
at_least := {
	"simulated": {"simulated", "software-tpm", "tpm", "tee"},
	"software-tpm": {"software-tpm", "tpm", "tee"},
	"tpm": {"tpm", "tee"},
	"tee": {"tee"},
}

# Only packages packed as tests may be released below the assurance of a hardware TPM.
admitted := {true: at_least.simulated, false: at_least.tpm}
