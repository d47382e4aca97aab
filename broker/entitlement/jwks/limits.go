// SPDX-License-Identifier: Apache-2.0

package jwks

import "time"

const (
	// MaxFresh is the longest that a copy is used without asking again, whatever Cache-Control allows.
	MaxFresh = 24 * time.Hour
	// MaxStale is how old a copy may be that stands in for an issuer who is away.
	MaxStale     = 7 * 24 * time.Hour
	timeout      = 10 * time.Second
	maxRedirects = 3
	maxHeader    = 64 << 10
	maxURL       = 2048
	maxETag      = 1024
	// skew is how far a copy's time may lie in the future before its clock counts as wrong.
	skew = time.Minute
)
