// SPDX-License-Identifier: Apache-2.0

package relay

import "time"

// Bounds of both ends.
const (
	MaxBody     = 64 << 10 // of a request or an answer; a TD quote has 5 KiB, a token 12
	MaxError    = 256      // characters of an error that are shown
	maxFrame    = 96 << 10 // a body as base64 in JSON, with room for the rest
	maxAudience = 512      // the launcher's own bounds from here
	maxNonces   = 6
	minNonce    = 10
	maxNonce    = 74
	patience    = time.Minute
)
