// SPDX-License-Identifier: Apache-2.0

package tlog

import "fmt"

// Validate checks a proof's shape, for statements that carry one: whoever relies on it verifies it under a log's key.
// Errors: [ErrInclusion].
func (p *Proof) Validate() error {
	switch {
	case p.Index < 0 || p.Index >= p.Size || p.Size > maxSize:
		return fmt.Errorf("%w: entry %d of %d", ErrInclusion, p.Index, p.Size)
	case p.Hashes == nil || len(p.Hashes) > maxHashes:
		return fmt.Errorf("%w: no list of hashes, or more than %d", ErrInclusion, maxHashes)
	case p.Checkpoint == "" || len(p.Checkpoint) > MaxCheckpoint:
		return fmt.Errorf("%w: no checkpoint, or one of more than %d bytes", ErrInclusion, MaxCheckpoint)
	}
	return nil
}

// When is the time at which the threshold was reached, in Unix seconds, by the clock of the witness that reached it; 0 for
// cosignatures that [Witnesses.Cosigned] would not return.
func (w *Witnesses) When(sigs []Cosignature) int64 {
	if n := w.Threshold(); n >= 1 && n <= len(sigs) {
		return sigs[n-1].Time
	}
	return 0
}
