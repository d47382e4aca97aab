// SPDX-License-Identifier: Apache-2.0

package enclave

import "time"

// Every bound of the enclave that the job or the grant does not set.
const (
	// maxCode bounds a code package's plaintext in bytes.
	maxCode = 128 << 20
	// encapsulatedSize is HPKE's encapsulated key: an ML-KEM-768 ciphertext (1088) and an X25519 key (32).
	encapsulatedSize = 1120
	tagSize          = 16 // of AES-256-GCM
	// scratchMemory is how much of one dataset's transformed records is held in memory, and of what a step must see twice.
	scratchMemory = 32 << 20
	// maxHeld is how much of all datasets' records is held in memory together, where a job needs all of them: more than that, as
	// manifests say it, goes to a scratch.
	maxHeld = 4 << 30
	// Verified manifests that are remembered, and their bytes as signed.
	maxKnown      = 64
	maxKnownBytes = 8 << 20
)

// timing is how long the enclave waits for what, by its monotonic clock.
type timing struct {
	ask          time.Duration // a question to a broker is repeated, where terms say "wait"
	commit       time.Duration // a commit is asked for, whatever the terms: the run is over and only its result at stake
	unlogged     time.Duration // a commit is asked for where the log does not prove the grant yet; the lease may end it earlier
	answer       time.Duration // the host may take to answer one question, its own wait for a broker included
	output       time.Duration // the host may take to keep the whole payload: the plaintext waits no longer
	nonce        time.Duration // a nonce may have grown old when the last one comes; older ones are asked for again
	heartbeat    time.Duration // between heartbeats while nothing is read
	word         time.Duration // a broker's last word may be old when the first leaf is read on its strength
	backoffFirst time.Duration // between repeated questions, doubling
	backoffMost  time.Duration
	probe        time.Duration // a platform may take to give evidence to somebody who only asks
	probePace    time.Duration // least time between two probes
}

var defaultTiming = timing{
	ask: 90 * time.Second, commit: 90 * time.Second, unlogged: 10 * time.Minute, answer: 75 * time.Second, output: 10 * time.Minute,
	nonce: 10 * time.Second, heartbeat: 2 * time.Second, word: 2 * time.Second,
	backoffFirst: 100 * time.Millisecond, backoffMost: 2 * time.Second,
	probe: 30 * time.Second, probePace: time.Second,
}
