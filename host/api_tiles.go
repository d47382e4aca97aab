// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// serveTiles serves a published package's tree as static resources: /data/<manifest, in hex>/manifest.dsse, and the tiles of its
// hashes at tile/<L>/<N> beside it (C2SP tlog-tiles). They never change.
func (h *Host) serveTiles(w http.ResponseWriter, r *http.Request) {
	b, err := h.treeFile(r, r.PathValue("manifest"), r.PathValue("path"))
	switch {
	case errors.Is(err, dataset.ErrNoBlob) || errors.Is(err, ErrUnknown) || errors.Is(err, envelope.ErrDigest):
		http.NotFound(w, r)
	case err != nil:
		http.Error(w, "cannot be read", http.StatusInternalServerError)
	default:
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Cache-Control", "max-age=604800, immutable")
		w.Write(b) //nolint:errcheck // a caller that left
	}
}

func (h *Host) treeFile(r *http.Request, manifest, path string) ([]byte, error) {
	id, err := envelope.ParseDigest("sha256:" + manifest)
	if err != nil {
		return nil, err
	}
	if path == dataset.TreeHead {
		return h.signedManifest(r.Context(), id)
	}
	t, err := h.trees.of(r.Context(), id, h.published)
	if err != nil {
		return nil, err
	}
	return t.Tile(r.Context(), h.blobs, path)
}

// trees are those of the manifests that tiles were asked of last. Everybody may ask, and a manifest of megabytes is not to be
// verified for each tile. What was published stays, and stays what it is, so nothing in here ever becomes wrong.
type trees struct {
	verifying chan struct{} // room for one: the others wait, and most of them find it known then

	mu    sync.Mutex
	known map[envelope.Digest]*dataset.Tree
	order []envelope.Digest // the one known longest first
}

func newTrees() *trees {
	return &trees{verifying: make(chan struct{}, 1), known: map[envelope.Digest]*dataset.Tree{}}
}

// of gives a manifest's tree, which is not to be changed: requests share it. published reads and verifies the manifest.
func (t *trees) of(ctx context.Context, id envelope.Digest, published func(context.Context, envelope.Digest) (*envelope.Verified[dataset.Manifest], error)) (*dataset.Tree, error) {
	if tree := t.get(id); tree != nil {
		return tree, nil
	}
	select {
	case t.verifying <- struct{}{}:
		defer func() { <-t.verifying }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if tree := t.get(id); tree != nil {
		return tree, nil
	}
	v, err := published(ctx, id)
	if err != nil {
		return nil, err
	}
	tree := v.Predicate.Tree // a copy, so that the manifest itself is not kept
	t.keep(id, &tree)
	return &tree, nil
}

func (t *trees) get(id envelope.Digest) *dataset.Tree {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.known[id]
}

func (t *trees) keep(id envelope.Digest, tree *dataset.Tree) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.known[id], t.order = tree, append(t.order, id)
	if len(t.order) > maxTrees {
		delete(t.known, t.order[0])
		t.order = slices.Delete(t.order, 0, 1)
	}
}
