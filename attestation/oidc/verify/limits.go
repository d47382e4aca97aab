// SPDX-License-Identifier: Apache-2.0

package verify

import "time"

// Bounds.
const (
	maxToken     = 32 << 10 // compact; Google's with certificates have 11 KiB
	maxImport    = 2 * maxToken
	maxCerts     = 4
	minCerts     = 2
	maxCert      = 4 << 10
	minRSA       = 2048
	maxRSA       = 8192
	maxText      = 1 << 10 // of a claim
	maxList      = 256     // entries of a claim
	maxNonces    = 6       // that Google puts into one token
	maxShown     = 64      // bytes of what was seen, in messages
	maxIssuers   = 4
	maxTokenLife = 24 * 60 * 60 // seconds; Google's live for one hour
)

// maxSkew is how far a token's time may be ahead of the verifier's clock.
const maxSkew = 2 * time.Minute
