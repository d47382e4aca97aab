// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"

	"github.com/glovebox-dev/glovebox/broker/ledger"
)

// SetMaxNonces makes the bound of outstanding challenges small enough to meet in a test.
func (b *Broker) SetMaxNonces(n int64) { b.maxNonces = n }

// MaxJobNonces is the bound for one job.
const MaxJobNonces = maxJobNonces

// MaxProving is how many commits wait for the log at a time.
const MaxProving = maxProving

// ProofWait is how long a proof may take, and MaxProof its answer's bytes.
const (
	ProofWait = proofWait
	MaxProof  = maxProof
)

// Remembered counts the leases whose signs of life are in memory.
func (b *Broker) Remembered() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.live)
}

// View reads the ledger.
func (b *Broker) View(ctx context.Context, f func(*ledger.Tx) error) error {
	return b.ledger.View(ctx, f)
}

// PublishSome pushes the next records once.
func (b *Broker) PublishSome(ctx context.Context, skipRefused bool) (int, error) {
	return b.publishSome(ctx, skipRefused)
}
