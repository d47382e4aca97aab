// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"context"
	"io"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// BlobReader reads ranges of blobs named by digest. What it returns is not trusted: readers prove it. ReadAt follows
// io.ReaderAt, and returns [ErrNoBlob] for a digest it does not have.
type BlobReader interface {
	ReadAt(ctx context.Context, d envelope.Digest, p []byte, off int64) (int, error)
}

// Store keeps blobs by the SHA-256 of their content. Put reads r to its end and keeps all of it or, when r or the store
// fails, nothing. Putting what is already there changes nothing. The suite storetest.Run is the contract.
type Store interface {
	BlobReader
	Put(ctx context.Context, r io.Reader) (envelope.Digest, int64, error)
	Size(ctx context.Context, d envelope.Digest) (int64, error)
}

// remover is what a [Store] may also do: forget a blob. A failed [Pack] cleans up with it.
type remover interface {
	Remove(ctx context.Context, d envelope.Digest) error
}
