// SPDX-License-Identifier: Apache-2.0

// Package verifiers lists the evidence formats that a relying party accepts.
//
// Trust domain: brokers, buyers and auditors; never the enclave. Its one job: wire platform verifiers in one place, so
// that every relying party accepts the same ones.
package verifiers

import (
	"slices"
	"sync"

	"github.com/glovebox-dev/glovebox/attestation"
	azure "github.com/glovebox-dev/glovebox/attestation/azure/verify"
	gce "github.com/glovebox-dev/glovebox/attestation/gce/verify"
	gpu "github.com/glovebox-dev/glovebox/attestation/gpu/verify"
	nitro "github.com/glovebox-dev/glovebox/attestation/nitro/verify"
	oidc "github.com/glovebox-dev/glovebox/attestation/oidc/verify"
	sgx "github.com/glovebox-dev/glovebox/attestation/sgx/verify"
	"github.com/glovebox-dev/glovebox/attestation/simulated"
	snp "github.com/glovebox-dev/glovebox/attestation/snp/verify"
	tdx "github.com/glovebox-dev/glovebox/attestation/tdx/verify"
	tpm "github.com/glovebox-dev/glovebox/attestation/tpm/verify"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// vendors are the formats whose roots are pinned in their packages; reference values say which of them an owner wants.
func vendors() []func() (attestation.Format, error) {
	return []func() (attestation.Format, error){
		sgx.NewFormat, snp.NewFormat, tdx.NewFormat, nitro.NewFormat, azure.NewSNPFormat, azure.NewTDXFormat, oidc.NewFormat, gpu.NewFormat,
		func() (attestation.Format, error) { return gce.NewFormat() },
	}
}

// pinned are the formats of vendors: made once, since AMD's certificates alone take milliseconds, and an auditor asks for
// formats once for each grant. They hold nothing but roots, and no call changes them.
var pinned = sync.OnceValue(func() []attestation.Format {
	var out []attestation.Format
	for _, format := range vendors() {
		if f, err := format(); err == nil {
			out = append(out, f)
		}
	}
	return out
})

// importers read the vendors' files, see [Import].
func importers() map[attestation.Platform]importer {
	out := map[attestation.Platform]importer{
		attestation.PlatformSGX:      sgx.Import,
		attestation.PlatformSNP:      snp.Import,
		attestation.PlatformTDX:      tdx.Import,
		attestation.PlatformNitro:    nitro.Import,
		attestation.PlatformAzureSNP: azure.ImportSNP,
		attestation.PlatformAzureTDX: azure.ImportTDX,
		attestation.PlatformGCE:      gce.Import,
		attestation.PlatformTPM:      tpm.Import,
		attestation.PlatformOIDC:     oidc.Import,
		attestation.PlatformGPU:      gpu.Import,
	}
	if simulated.Enabled {
		out[attestation.PlatformSimulated] = importSimulated
	}
	return out
}

// ForPeople is [New] for who only looks: TPM evidence is taken apart also if no broker's word counts, and then refused.
func ForPeople(brokers []envelope.PublicKey, simulatedRoot *envelope.PublicKey) []attestation.Format {
	out := New(brokers, simulatedRoot)
	if len(brokers) == 0 {
		out = append(out, tpm.Unvouched())
	}
	return out
}

// New returns the formats of every platform: those whose roots are pinned, TPM evidence endorsed by one of brokers and, in
// builds that have it and for a root that is given, simulated evidence. What cannot be accepted is left out, so that a
// verifier refuses the missing platform by name.
func New(brokers []envelope.PublicKey, simulatedRoot *envelope.PublicKey) []attestation.Format {
	out := slices.Clone(pinned())
	if f, err := tpm.NewFormat(tpm.Config{Brokers: brokers}); err == nil {
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
