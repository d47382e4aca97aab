// SPDX-License-Identifier: Apache-2.0

package endorsements

import (
	"fmt"
	"strings"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/azure/hcl"
	"github.com/glovebox-dev/glovebox/attestation/gpu/spdm"
)

// What the platforms' packages say of their own evidence. Nothing is parsed twice.

// snpReport is the SNP report in a piece of evidence.
func snpReport(p *attestation.Nested) ([]byte, error) {
	if p.Platform == attestation.PlatformSNP {
		return p.Evidence, nil
	}
	e, err := hcl.ParseEvidence(p.Evidence)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNeeds, err)
	}
	r, err := hcl.Parse(e.HCLReport)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrNeeds, err)
	case r.Kind != hcl.SNP:
		return nil, fmt.Errorf("%w: a report of %s hardware in %s evidence", ErrNeeds, r.Kind, p.Platform)
	}
	return r.Hardware, nil
}

// intelQuote is the quote in a piece of evidence.
func intelQuote(p *attestation.Nested) ([]byte, error) {
	if p.Platform != attestation.PlatformAzureTDX {
		return p.Evidence, nil
	}
	e, err := hcl.ParseEvidence(p.Evidence)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrNeeds, err)
	case len(e.TDQuote) == 0:
		return nil, fmt.Errorf("%w: no TD quote in this evidence", ErrNeeds)
	}
	return e.TDQuote, nil
}

// hopper is the chip that does not say its name in reports.
const hopper = "GH100"

// gpuManifests names the reference manifests for a GPU's driver and VBIOS, by type of endorsement, as NVIDIA's service does.
func gpuManifests(p *attestation.Nested) (map[string]string, error) {
	r, err := spdm.Parse(p.Evidence)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNeeds, err)
	}
	o := &r.Opaque
	if o.Project == "" || o.ProjectSKU == "" || o.ChipSKU == "" {
		return nil, fmt.Errorf("%w: this GPU's firmware does not name its project and SKU; give the manifests with --collateral", ErrNeeds)
	}
	chip := o.Chip
	if chip == "" {
		chip = hopper
	}
	return map[string]string{
		attestation.DriverRIMType: "NV_GPU_DRIVER_" + chip + "_" + o.Driver,
		attestation.VBIOSRIMType: strings.ToUpper(fmt.Sprintf("NV_GPU_VBIOS_%s_%s_%s_%s",
			o.Project, o.ProjectSKU, o.ChipSKU, strings.ReplaceAll(o.VBIOS, ".", ""))),
	}, nil
}
