// SPDX-License-Identifier: Apache-2.0

package quote

// Bounds, checked before parsing.
const (
	MaxEvidence  = 16 << 10 // the TPM's part of an evidence envelope
	maxStructure = 1 << 10  // any one TPM structure: a quote has about 150 bytes
	coordinate   = 32       // of a P-256 point or signature
)
