// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// TestTilesWithoutEnd: whoever asks for tile after tile has the host verify the manifest once.
func TestTilesWithoutEnd(t *testing.T) {
	w := newWorld(t, anywhere, nil)
	first, second := w.owned("asked"), w.owned("not-asked")
	get := func(p *dataset.Packed) int {
		r := httptest.NewRecorder()
		w.h.Handler().ServeHTTP(r, httptest.NewRequest(http.MethodGet, "/data/"+p.ID.Hex()+"/tile/0/000.p/1", nil))
		return r.Code
	}
	if got := get(first); got != http.StatusOK {
		t.Fatalf("status %d", got)
	}
	// From here on nothing verifies.
	if err := w.h.db.update(t.Context(), func(tx *sql.Tx) error {
		_, err := tx.Exec(`UPDATE manifests SET signed = ?`, []byte("{}"))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if got := get(first); got != http.StatusOK {
		t.Errorf("status %d: its manifest was verified again", got)
	}
	for range 2 {
		if got := get(second); got != http.StatusInternalServerError {
			t.Errorf("status %d of one that does not verify", got)
		}
	}
}

// TestTreesAreBounded: what is remembered has a bound, and what failed is not remembered.
func TestTreesAreBounded(t *testing.T) {
	trees, asked := newTrees(), 0
	of := func(n int) error {
		var id envelope.Digest
		binary.BigEndian.PutUint64(id[:], uint64(n))
		_, err := trees.of(t.Context(), id, func(context.Context, envelope.Digest) (*envelope.Verified[dataset.Manifest], error) {
			if asked++; n < 0 {
				return nil, ErrUnknown
			}
			return &envelope.Verified[dataset.Manifest]{ID: id}, nil
		})
		return err
	}
	for n := range 2 * maxTrees {
		for range 2 {
			if err := of(n); err != nil {
				t.Fatal(err)
			}
		}
	}
	if asked != 2*maxTrees || len(trees.known) != maxTrees || len(trees.order) != maxTrees {
		t.Errorf("verified %d times, %d and %d remembered", asked, len(trees.known), len(trees.order))
	}
	asked = 0
	for range 2 {
		if err := of(-1); !errors.Is(err, ErrUnknown) {
			t.Error(err)
		}
	}
	if asked != 2 {
		t.Error("what failed is remembered")
	}
}
