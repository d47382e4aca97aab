// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

func (e *engine) challenge() error {
	e.t.Helper()
	_, err := e.do("challenge", map[string]any{"manifest": e.manifest.String(), "job": e.job.String()})
	return err
}

// TestChallengesWithoutEnd do not fill Vault's storage, nor after a restart; they end by themselves.
func TestChallengesWithoutEnd(t *testing.T) {
	e := newEngine(t)
	n := nonce{Manifest: e.manifest, Job: e.job, Expires: e.now.Add(nonceLife).Unix()}
	for range maxNonces - 2 {
		if err := put(t.Context(), e.storage, storedNonces+envelope.NewNonce().String(), &n); err != nil {
			t.Fatal(err)
		}
	}
	full := func() {
		t.Helper()
		for range 2 {
			if c, ok := errors.AsType[logical.HTTPCodedError](e.challenge()); !ok || c.Code() != http.StatusServiceUnavailable {
				t.Fatalf("%v, want a refusal to be tried again", c)
			}
		}
		if list, err := e.storage.List(t.Context(), storedNonces); len(list) != maxNonces || err != nil {
			t.Errorf("%d nonces stored, %v", len(list), err)
		}
	}
	for range 2 {
		if err := e.challenge(); err != nil {
			t.Fatal(err)
		}
	}
	full()
	e.b.nonces = -1 // as after a restart
	full()
	e.now = e.now.Add(2*nonceLife + 1e9)
	if err := e.b.tidy(t.Context(), &logical.Request{Storage: e.storage}); err != nil || e.b.nonces != 0 {
		t.Fatalf("%d nonces counted, %v", e.b.nonces, err)
	}
	if err := e.challenge(); err != nil {
		t.Error(err)
	}
}

// unread is a storage that does not answer for the configuration.
type unread struct{ logical.Storage }

func (s unread) Get(ctx context.Context, at string) (*logical.StorageEntry, error) {
	if at == storedConfig {
		return nil, fmt.Errorf("storage is away")
	}
	return s.Storage.Get(ctx, at)
}

// TestReferenceRollbackWhileStorageIsAway: a configuration that cannot be read is not one that is not there.
func TestReferenceRollbackWhileStorageIsAway(t *testing.T) {
	for name, spoil := range map[string]func(e *engine) (undo func()){
		"away": func(e *engine) func() {
			was := e.storage
			e.storage = unread{was}
			return func() { e.storage = was }
		},
		"damaged": func(e *engine) func() {
			if err := put(t.Context(), e.storage, storedConfig, map[string]int{"version": 5}); err != nil {
				t.Fatal(err)
			}
			return func() {}
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t)
			e.must("config", e.config(5))
			undo := spoil(e)
			if _, err := e.do("config", e.config(4)); err == nil {
				t.Error("older reference values were taken over")
			}
			undo()
			if s, err := e.b.settings(t.Context(), e.storage); err == nil && s.Version != 5 {
				t.Errorf("version %d", s.Version)
			}
		})
	}
}
