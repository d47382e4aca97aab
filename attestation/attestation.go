// SPDX-License-Identifier: Apache-2.0

// Package attestation says what evidence is, what it is bound to, and in which four steps it becomes claims:
// authenticate → bind → appraise → decide.
//
// Trust domain: pure; used by the enclave (which collects) and by brokers, buyers and auditors (who verify). Its one
// job: make it impossible to hold [Claims] that evidence did not earn. Platforms live in sub-packages, the collector and
// the verifier of each apart, since verifiers bring dependencies that the enclave must not have.
// docs/spec/evidence.md is the format.
package attestation

import (
	"context"
	"errors"
	"fmt"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Errors, one for each step that can refuse; [ErrEvidence] is the root of all of them.
var (
	ErrEvidence     = errors.New("attestation: evidence refused")
	ErrMalformed    = fmt.Errorf("%w: malformed", ErrEvidence)
	ErrPlatform     = fmt.Errorf("%w: platform not accepted", ErrEvidence)
	ErrAuthenticate = fmt.Errorf("%w: not authentic", ErrEvidence)
	ErrBind         = fmt.Errorf("%w: not bound to this exchange", ErrEvidence)
	ErrAppraise     = fmt.Errorf("%w: not acceptable", ErrEvidence)
	ErrReference    = errors.New("attestation: reference values refused")
	ErrBinding      = errors.New("attestation: incomplete binding")
)

// Platform names a kind of root of trust.
type Platform string

// The platforms of this release.
const (
	PlatformSimulated Platform = "simulated"
	PlatformTPM       Platform = "tpm"       // a TPM whose key an owner's broker vouches for
	PlatformSGX       Platform = "sgx"       // Intel SGX, DCAP quote v3
	PlatformSNP       Platform = "snp"       // AMD SEV-SNP attestation report
	PlatformTDX       Platform = "tdx"       // Intel TDX, DCAP quote v4 or v5
	PlatformNitro     Platform = "nitro"     // AWS Nitro Enclaves attestation document
	PlatformAzureSNP  Platform = "azure-snp" // Azure vTPM, rooted in an SNP report
	PlatformAzureTDX  Platform = "azure-tdx" // Azure vTPM, rooted in a TDX quote
	PlatformGCE       Platform = "gce"       // Google Compute Engine vTPM
	PlatformOIDC      Platform = "oidc"      // Google Confidential Space token
	PlatformGPU       Platform = "gpu"       // NVIDIA GPU, nested under a CPU's evidence only
)

// Platforms are all of them, in the order people read them.
func Platforms() []Platform {
	return []Platform{
		PlatformSGX, PlatformSNP, PlatformTDX, PlatformNitro, PlatformAzureSNP, PlatformAzureTDX, PlatformGCE, PlatformTPM,
		PlatformOIDC, PlatformGPU, PlatformSimulated,
	}
}

// Assurance is what an authenticated root lets one conclude. It is derived, never claimed. The zero value assures
// nothing.
type Assurance string

// Assurances, from none to memory kept secret from the host.
const (
	AssuranceSimulated   Assurance = "simulated"    // a key in a file: nothing
	AssuranceSoftwareTPM Assurance = "software-tpm" // a TPM in software: the host could forge it
	AssuranceTPM         Assurance = "tpm"          // known code was booted; the host can read memory
	AssuranceTEE         Assurance = "tee"          // known code, and memory the host cannot read
)

// AtLeast reports whether a is as strong as b. Unknown assurances are weaker than everything, themselves included.
func (a Assurance) AtLeast(b Assurance) bool {
	return a.rank() > 0 && b.rank() > 0 && a.rank() >= b.rank()
}

func (a Assurance) rank() int {
	switch a {
	case AssuranceSimulated:
		return 1
	case AssuranceSoftwareTPM:
		return 2
	case AssuranceTPM:
		return 3
	case AssuranceTEE:
		return 4
	}
	return 0
}

// Collector produces evidence over a binding digest. The enclave holds one.
type Collector interface {
	Platform() Platform
	// Collect fills Platform, Evidence, Endorsements and EventLogs for d.
	Collect(ctx context.Context, d envelope.Digest) (Evidence, error)
}
