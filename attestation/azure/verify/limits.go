// SPDX-License-Identifier: Apache-2.0

package verify

import tdx "github.com/glovebox-dev/glovebox/attestation/tdx/verify"

const (
	maxImport = 1 << 20 // a peer's JSON with numbers for bytes
	maxFiles  = 64
)

// Bare verifications in one verification: those of the hardware's verifier, and the quote's RSA-2048 signature.
const (
	// SNPSignatureChecks are an ECDSA P-384 (report), an RSA-4096 PSS (its key's certificate), and the quote.
	SNPSignatureChecks = 3
	// TDXSignatureChecks are ECDSA P-256, but for the quote.
	TDXSignatureChecks = tdx.SignatureChecks + 1
)
