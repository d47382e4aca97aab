// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/s3store"
)

// openBlobs opens a folder of sealed blobs, or a bucket. Large blobs on their way to a bucket wait in spool; in the system's
// folder if it is "".
func openBlobs(ctx context.Context, where, spool string) (dataset.Store, error) {
	if !s3store.IsURL(where) {
		return dataset.NewDirStore(where)
	}
	c, err := s3store.Parse(where, os.Getenv)
	if err != nil {
		return nil, err
	}
	c.Spool = spool
	return s3store.Open(ctx, c)
}

// blobs opens the store of the owner's packages: what init was told, or the directory's own.
func (o *owner) blobs(ctx context.Context) (dataset.Store, error) {
	if o.Store == "" {
		return openBlobs(ctx, o.layout.Blobs(), "")
	}
	return openBlobs(ctx, o.Store, o.dir)
}
