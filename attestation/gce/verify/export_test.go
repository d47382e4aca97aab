// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"crypto/x509"

	"github.com/glovebox-dev/glovebox/attestation"
)

// NewTestOnlyFormat pins another root than Google's.
func NewTestOnlyFormat(root *x509.Certificate) (attestation.Format, error) {
	return newFormat(map[string]string{pin(root).Hex(): "test root"})
}
