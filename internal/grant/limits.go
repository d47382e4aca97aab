// SPDX-License-Identifier: Apache-2.0

package grant

import "time"

// Bounds of the protocol.
const (
	MaxNonceLife = 2 * time.Minute
	MaxLease     = 7 * 24 * time.Hour
	MaxMessage   = 40 << 20 // a release request carries evidence, job and two manifests
	MaxReasons   = 64
	// MaxReasonText bounds the words of a revocation or a cancellation, in bytes.
	MaxReasonText = 1 << 10
)
