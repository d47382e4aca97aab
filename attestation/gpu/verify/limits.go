// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"github.com/glovebox-dev/glovebox/attestation/gpu/rim"
	"github.com/glovebox-dev/glovebox/attestation/gpu/spdm"
)

// Bounds of verification and of import.
const (
	maxChain  = 8              // certificates read from one PEM file
	maxImport = 4 * rim.MaxRIM // one raw file: JSON forms hold base64 of a report and a chain
	maxHex    = 2*spdm.MaxReport + 2
)
