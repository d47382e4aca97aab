// SPDX-License-Identifier: Apache-2.0

package host

import (
	"time"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/internal/door"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// Bounds, each checked before what it bounds is read or kept.
const (
	maxConfig   = 64 << 10
	maxJob      = 2 << 20 // a signed job
	maxManifest = envelope.MaxEnvelope
	maxCancel   = 64 << 10
	maxRecord   = 1 << 20 // a signed record of a broker
	maxRequest  = maxManifest + 64<<10
	maxChunk    = 1 << 20 // of a streamed upload or download
	maxHas      = 4096    // digests in one question
	maxPage     = 1000
	defaultPage = 100
	maxEntries  = 256
	maxBodies   = 8 << 20 // bytes of records in one page
	maxKeyFile  = 4 << 10
	maxText     = 1 << 10 // of a reason, message or hint that comes from elsewhere
	maxReply    = grant.MaxMessage
	maxOutput   = door.MaxBlob
	maxHeader   = 64 << 10 // of an age file
	maxWatchers = 1024
	maxTrees    = 1024 // of which the host remembers the root and a few digests

	// An age payload is longer than the plaintext by 16 bytes in 64 KiB, and the plaintext than the outputs by tar's
	// framing, a salt and sealed logs.
	payloadSlack = 16 << 20

	// maxManifests bounds a job's manifests together. They are in its bundle, beside evidence, job, usage and grants.
	maxManifests = usage.MaxBundle - 12<<20

	// diskReserve stays free, so that a full disk stops uploads and payloads before it stops the queue or the end of a run.
	diskReserve = 64 << 20

	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	// keepalive is how often a quiet Watch repeats itself.
	keepalive = 15 * time.Second
	// nextWait is how long an enclave's question for a job is held.
	nextWait = 5 * time.Second
	// stallSlack is how long beyond its wall limit a job may keep an enclave silent before the enclave is replaced.
	stallSlack = 15 * time.Minute
)
