// SPDX-License-Identifier: Apache-2.0

// Package verifiers lists the evidence formats that a relying party accepts.
//
// Trust domain: brokers, buyers and auditors; never the enclave. Its one job: wire platform verifiers in one place, so
// that every relying party accepts the same ones.
package verifiers

import (
	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/simulated"
	"github.com/glovebox-dev/glovebox/attestation/tpm/verify"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// New returns the formats for TPM evidence endorsed by one of brokers and, in builds that have it and for a root that is
// given, for simulated evidence. What cannot be accepted is left out, so that [attestation.NewVerifier] refuses to start
// without any format and a verifier refuses the missing platform by name.
func New(brokers []envelope.PublicKey, simulatedRoot *envelope.PublicKey) []attestation.Format {
	var out []attestation.Format
	if f, err := verify.NewFormat(verify.Config{Brokers: brokers}); err == nil {
		out = append(out, f)
	}
	if simulatedRoot == nil {
		return out
	}
	if f, err := simulated.NewFormat(*simulatedRoot); err == nil {
		out = append(out, f)
	}
	return out
}
