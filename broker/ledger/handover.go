// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"fmt"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// HeadAt is the chain up to the record numbered n; [ErrNotFound] when the ledger has fewer.
func (t *Tx) HeadAt(n int64) (head envelope.Digest, err error) {
	var b []byte
	if err := t.row(`SELECT head FROM records WHERE n = ?`, []any{n}, []any{&b}); err != nil {
		return head, err
	}
	if !fill(head[:], b) {
		return head, fmt.Errorf("%w: head of %d bytes", ErrCorrupt, len(b))
	}
	return head, nil
}
