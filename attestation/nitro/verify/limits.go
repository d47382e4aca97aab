// SPDX-License-Identifier: Apache-2.0

package verify

import "time"

// Bounds. Those of a document are AWS's (aws-nitro-enclaves-nsm-api, docs/attestation_process.md, section 3.2.2); where its
// text and its grammar differ, the wider of the two.
const (
	maxPayload  = 16384
	maxDocument = maxPayload + 256 // with COSE around it
	maxImport   = 4 * maxDocument  // as text, with a framing around it
	maxCert     = 1024
	maxBundle   = 8  // certificates above the leaf; AWS has four
	maxPCRs     = 32 // also the bound of an index
	maxField    = 1024
	maxModule   = 256
	maxCRL      = 1 << 20
	maxCRLs     = 4
	maxShown    = 80 // bytes of what was seen, in messages
	pcrSize     = 48 // of SHA-384, the only digest there is
	sigSize     = 96 // r and s of P-384
)

// maxSkew is how far a document's time may be ahead of the verifier's clock.
const maxSkew = 2 * time.Minute
