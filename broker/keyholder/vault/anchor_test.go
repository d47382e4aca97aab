// SPDX-License-Identifier: Apache-2.0

package vault_test

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/broker/keyholder/vault"
	"github.com/glovebox-dev/glovebox/broker/keyholder/vault/vaulttest"
)

func anchor(t *testing.T, c *config.VaultKeyholder) *vault.Anchor {
	t.Helper()
	a, err := open(t, c, false).Anchor(*c.Anchor)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func holds(t *testing.T, a *vault.Anchor, want string) {
	t.Helper()
	if got, err := a.Load(t.Context()); err != nil || string(got) != want {
		t.Errorf("Load: %q, %v; want %q", got, err, want)
	}
}

func store(t *testing.T, a *vault.Anchor, previous, next string, want error) {
	t.Helper()
	var p []byte
	if previous != "" {
		p = []byte(previous)
	}
	if err := a.Store(t.Context(), p, []byte(next)); !errors.Is(err, want) || (want == nil && err != nil) {
		t.Errorf("Store(%q → %q): %v, want %v", previous, next, err, want)
	}
}

func TestAnchor(t *testing.T) {
	s := server(t)
	c := s.Owner(t, deploy, nil)
	a := anchor(t, c)
	if got, err := a.Load(t.Context()); err != nil || got != nil {
		t.Errorf("Load of a new anchor: %q, %v", got, err)
	}
	store(t, a, "something", "one", vault.ErrConflict)
	store(t, a, "", "one", nil)
	holds(t, a, "one")
	store(t, a, "one", "two", nil)
	store(t, a, "one", "two", nil) // the same again: its answer may have been lost
	store(t, a, "one", "three", vault.ErrConflict)
	store(t, a, "", "three", vault.ErrConflict)
	holds(t, a, "two")
	store(t, a, "two", "", keyholder.ErrInput)
	holds(t, anchor(t, c), "two")
}

// TestAnchorConflict: two brokers with copies of one ledger; the second is told.
func TestAnchorConflict(t *testing.T) {
	s := server(t)
	c := s.Owner(t, deploy, nil)
	a, b := anchor(t, c), anchor(t, c)
	store(t, a, "", "one", nil)
	holds(t, b, "one")
	store(t, a, "one", "two", nil)
	store(t, b, "one", "other", vault.ErrConflict) // by check-and-set: b still believes in "one"
	store(t, b, "two", "three", nil)
	store(t, a, "two", "four", vault.ErrConflict)

	var won atomic.Int32
	var wg sync.WaitGroup
	for i := range 8 {
		x := anchor(t, c)
		wg.Go(func() {
			err := x.Store(t.Context(), []byte("three"), fmt.Appendf(nil, "by %d", i))
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, vault.ErrConflict) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d of 8 racing brokers stored their anchor", won.Load())
	}
}

// TestAnchorDeleted: deleting the anchor does not make the ledger look new.
func TestAnchorDeleted(t *testing.T) {
	s := server(t)
	c := s.Owner(t, deploy, nil)
	a := anchor(t, c)
	store(t, a, "", "one", nil)
	s.MustDo(t, http.MethodDelete, "kv/data/"+c.Anchor.Path, nil, nil)
	if got, err := a.Load(t.Context()); !errors.Is(err, vault.ErrConflict) || got != nil {
		t.Errorf("Load of a deleted anchor: %q, %v", got, err)
	}
	store(t, anchor(t, c), "", "two", vault.ErrConflict)
	s.MustDo(t, http.MethodPut, "kv/undelete/"+c.Anchor.Path, map[string]any{"versions": []int{1}}, nil)
	holds(t, a, "one")
	s.MustDo(t, http.MethodPut, "kv/data/"+c.Anchor.Path, map[string]any{"options": map[string]int{"cas": 1}, "data": map[string]string{"other": "x"}}, nil)
	if _, err := a.Load(t.Context()); !errors.Is(err, vault.ErrConflict) {
		t.Errorf("Load of something else: %v", err)
	}
}

func TestBrokerCannotDeleteAnchor(t *testing.T) {
	s := server(t)
	c := s.Owner(t, deploy, nil)
	store(t, anchor(t, c), "", "one", nil)
	token := login(t, s, c.Auth)
	for _, r := range [][2]string{
		{http.MethodDelete, "kv/data/"}, {http.MethodDelete, "kv/metadata/"}, {http.MethodPut, "kv/destroy/"}, {http.MethodPut, "kv/metadata/"},
	} {
		if err := s.Do(token, r[0], r[1]+c.Anchor.Path, map[string]any{"versions": []int{1}}, nil); err == nil {
			t.Errorf("the broker's policy lets it %s %s", r[0], r[1])
		}
	}
	if err := s.Do(token, http.MethodPut, "kv/data/"+c.Anchor.Path, map[string]any{"data": map[string]string{"anchor": "b2xk"}}, nil); err == nil {
		t.Error("the anchor can be written without saying what it replaces")
	}
}

func TestAnchorOutage(t *testing.T) {
	s := vaulttest.Start(t)
	c := s.Owner(t, deploy, nil)
	a := anchor(t, c)
	store(t, a, "", "one", nil)
	if err := s.Seal(); err != nil {
		t.Fatal(err)
	}
	store(t, a, "one", "two", keyholder.ErrUnavailable)
	if got, err := a.Load(t.Context()); !errors.Is(err, keyholder.ErrUnavailable) || got != nil {
		t.Errorf("Load: %q, %v", got, err)
	}
	if err := s.Unseal(); err != nil {
		t.Fatal(err)
	}
	store(t, a, "one", "two", nil)
	holds(t, a, "two")
}

func TestAnchorWrongMount(t *testing.T) {
	s := server(t)
	c := s.Owner(t, deploy, nil)
	for _, mount := range []string{"nowhere", "transit"} {
		c.Anchor.Mount = mount
		if got, err := anchor(t, c).Load(t.Context()); err == nil || got != nil {
			t.Errorf("Load from %s: %q, %v", mount, got, err)
		}
	}
	// Even where the policy says yes, a path that is no KV engine of version 2 is not an absent anchor.
	s.MustDo(t, http.MethodPut, "sys/policies/acl/glovebox-broker-"+c.Key, map[string]string{
		"policy": `path "*" { capabilities = ["create", "read", "update"] }`,
	}, nil)
	for _, mount := range []string{"nowhere", "transit", "sys"} {
		c.Anchor.Mount = mount
		if got, err := anchor(t, c).Load(t.Context()); err == nil || got != nil {
			t.Errorf("Load from %s: %q, %v", mount, got, err)
		}
	}
}
