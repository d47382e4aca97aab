// SPDX-License-Identifier: Apache-2.0

package endorsements

import (
	"fmt"

	"github.com/glovebox-dev/glovebox/attestation"
)

// What the platforms' packages say of their own evidence. Nothing is parsed twice.

// snpReport is the SNP report in a piece of evidence.
func snpReport(p *attestation.Nested) ([]byte, error) {
	if p.Platform == attestation.PlatformSNP {
		return p.Evidence, nil
	}
	return nil, fmt.Errorf("%w: %s is not read yet", ErrNeeds, p.Platform)
}

// intelQuote is the quote in a piece of evidence.
func intelQuote(p *attestation.Nested) ([]byte, error) {
	if p.Platform != attestation.PlatformAzureTDX {
		return p.Evidence, nil
	}
	return nil, fmt.Errorf("%w: %s is not read yet", ErrNeeds, p.Platform)
}

// gpuManifests names the reference manifests for a GPU's driver and VBIOS, by type of endorsement.
func gpuManifests(p *attestation.Nested) (map[string]string, error) {
	return nil, fmt.Errorf("%w: %s is not read yet", ErrNeeds, p.Platform)
}
