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
// have today, without CRLs: the quote, its key's certificate (both RSA-2048, or ECDSA P-256 for an ECC key's quote), and
// the intermediate by the root (RSA-4096). The root's own signature is not checked: its key is pinned.
const SignatureChecks = 3
