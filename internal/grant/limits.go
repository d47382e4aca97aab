// SPDX-License-Identifier: Apache-2.0

package grant

import (
	"bytes"
	"time"
)

// Bounds of the protocol.
const (
	MaxNonceLife = 2 * time.Minute
	MaxLease     = 7 * 24 * time.Hour
	MaxReasons   = 64
	MaxRanges    = 8192 // of leaves in a grant
	// MaxReasonText bounds the words of a revocation or a cancellation, in bytes.
	MaxReasonText = 1 << 10
)

// Bounds of messages in bytes, checked before anything in them is decoded: decoding takes many times their size.
const (
	MaxMessage       = 40 << 20 // any message or reply: a release carries evidence, job and two manifests
	MaxPlanMessage   = 40 << 20 // job and two manifests
	MaxCommitMessage = 1 << 20  // a usage statement; the ranges of leaves are the bulk
	MaxSmallMessage  = 64 << 10 // every other kind, and what is of no kind at all
)

// Bounds of what messages carry, in bytes as signed.
const (
	MaxHeartbeat    = 16 << 10
	MaxTicket       = 64 << 10 // with its hand-overs
	MaxHandOvers    = 16
	MaxHandOver     = 2 << 10
	MaxUsage        = MaxCommitMessage / 4 * 3
	MaxJob          = 1 << 20
	MaxCodeManifest = 4 << 20 // a stranger may send any: the broker of the data does not know the code
)

// Kind is what a message asks for, by the one name that canonical JSON puts first.
type Kind string

// The kinds of messages.
const (
	KindChallenge Kind = "challenge"
	KindEnroll    Kind = "enroll"
	KindActivate  Kind = "activate"
	KindRelease   Kind = "release"
	KindHeartbeat Kind = "heartbeat"
	KindCommit    Kind = "commit"
	KindPlan      Kind = "plan"
)

// KindOf looks at the first bytes of a message. It is "" for what [ParseMessage] will refuse anyway, and believes
// nothing: what else is in the message is not looked at.
func KindOf(message []byte) Kind {
	for _, k := range []Kind{KindChallenge, KindEnroll, KindActivate, KindRelease, KindHeartbeat, KindCommit, KindPlan} {
		if bytes.HasPrefix(message, []byte(`{"`+string(k)+`":`)) {
			return k
		}
	}
	return ""
}

// Limit is how many bytes a message of this kind may have.
func (k Kind) Limit() int {
	switch k {
	case KindRelease:
		return MaxMessage
	case KindPlan:
		return MaxPlanMessage
	case KindCommit:
		return MaxCommitMessage
	}
	return MaxSmallMessage
}

// Leased reports whether messages of this kind come from running leases: they must not wait for strangers' messages.
func (k Kind) Leased() bool { return k == KindHeartbeat || k == KindCommit }
