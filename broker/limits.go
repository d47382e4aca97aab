// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"time"

	"github.com/glovebox-dev/glovebox/internal/grant"
)

// Bounds of a broker.
const (
	nonceLife     = grant.MaxNonceLife
	maxNonces     = 32_768          // outstanding for each package; more than a disk writes in nonceLife
	maxJobNonces  = 64              // of them for one job
	maxAttempts   = 16              // of one job on one dataset
	maxReruns     = 2               // of them after one completed: the other brokers' commits may have failed
	maxSkew       = 2 * time.Minute // between two brokers' clocks
	maxServing    = 16              // requests of strangers being served
	maxLeased     = 16              // heartbeats and commits being served
	maxLarge      = 4               // of strangers' requests above grant.MaxCommitMessage being served
	budgetPiece   = 256 << 10       // of the memory for messages being received
	maxBudget     = 1024            // pieces
	bodyWait      = 5 * time.Second // for the first grant.MaxSmallMessage bytes of a message
	largeWait     = 30 * time.Second
	slotWait      = 2 * time.Second // for a slot, before the caller is told to try again
	dataKeySize   = 32
	maxCached     = 16 << 20         // bytes of signed jobs, and of signed code manifests, that are remembered as verified
	clockSlack    = time.Second      // by which the wall clock may be behind the time without having been set back
	settled       = 2 * time.Second  // after a change of a file, before its time stamp tells it from the next
	maxAccounting = 2                // computations at a time of what jobs spend
	maxDecision   = 2 * time.Second  // of the rules, the owner's own included; all others wait for it
	rescanTicks   = 4                // ticks from one reading of all withdrawals to the next
	unreadGrace   = 10 * time.Second // for a withdrawal that cannot be read, before running leases get no more data
	shredEvery    = time.Minute      // from one look for erasures that were cut off to the next
	shredRetry    = 2 * time.Second  // after the first failure of an erasure
	shredLocked   = 250 * time.Millisecond
	tickInterval  = 250 * time.Millisecond
	publishBatch  = 64
	publishRetry  = 2 * time.Second
	maxRefusals   = 10 // of one record, before it is passed over
	publishWait   = 10 * time.Second
	maxPublishAck = 64 << 10
	maxProving    = 8               // commits that wait for the log to prove their grants
	proofWait     = 5 * time.Second // for the log to prove one
	maxProof      = 64 << 10        // an entry, an audit path and a checkpoint, as JSON
)
