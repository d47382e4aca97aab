// SPDX-License-Identifier: Apache-2.0

package verify

import "time"

// Bounds of verification.
const (
	maxCertificates = 8 // beside the key's own: Google's intermediates and root
	maxChain        = 3 // certificates above the key's
	maxCRLs         = 8
	maxCRL          = 1 << 20
	clockSkew       = time.Minute // of a CRL's issue
)

// SignatureChecks are the bare verifications in one verification of evidence with a chain of the length that Google's
// have today, without revocation lists: the quote and its key's certificate (RSA-2048, or ECDSA P-256), the intermediate's
// certificate and the root's own (RSA-4096).
const SignatureChecks = 4
