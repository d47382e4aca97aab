// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"time"

	"github.com/glovebox-dev/glovebox/internal/grant"
)

// Bounds of a broker.
const (
	nonceLife     = grant.MaxNonceLife
	maxNonces     = 1024            // outstanding for each package
	maxSkew       = 2 * time.Minute // between two brokers' clocks
	maxConcurrent = 32              // requests being served; each may hold MaxMessage bytes
	dataKeySize   = 32
	tickInterval  = 250 * time.Millisecond
	publishBatch  = 64
	publishRetry  = 2 * time.Second
	maxRefusals   = 10 // of one record, before it is passed over
	publishWait   = 10 * time.Second
	maxPublishAck = 64 << 10
)
