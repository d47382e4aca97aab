// SPDX-License-Identifier: Apache-2.0

package verify

const (
	maxCertificates = 16       // looked at in one evidence
	maxCertificate  = 8 << 10  // bytes of one, DER
	maxChain        = 64 << 10 // bytes of a PEM file
	maxCRLs         = 3        // one for each product line
	maxCRL          = 256 << 10
	maxImport       = 128 << 10 // bytes of a file with a report
)
