// SPDX-License-Identifier: Apache-2.0

package receipt

import "time"

const (
	// MaxReceipt bounds a receipt in bytes, signature included.
	MaxReceipt = 8 << 10
	// MaxAmount bounds every number: the integers that JSON keeps exact everywhere.
	MaxAmount     = 1<<53 - 1
	maxText       = 1 << 10 // iss, aud, payee
	maxID         = 256     // jti, payment
	maxScopes     = 16
	maxAttributes = 32
	maxValues     = 32
	maxValue      = 256
	// skew is how far an issuer's clock may be ahead of ours: a receipt can be used the moment it is sold. Nothing is given
	// on expiry.
	skew = time.Minute
)
