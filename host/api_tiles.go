// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"net/http"

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
	v, err := h.published(r.Context(), id)
	if err != nil {
		return nil, err
	}
	return v.Predicate.Tree.Tile(r.Context(), h.blobs, path)
}
