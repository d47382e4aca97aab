// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// TestOnlySecret is what only the TPM should know; nil for a token that is not pending.
func (e *Enroller) TestOnlySecret(token envelope.Nonce) []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	if p := e.pending[token]; p != nil {
		return bytes.Clone(p.secret[:])
	}
	return nil
}

// TestOnlyPending counts enrolments under way.
func (e *Enroller) TestOnlyPending() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.pending)
}
