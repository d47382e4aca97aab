// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

func TestPermits(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "alice")
	c, err := config.Init(dir, config.Options{Role: config.Creator, Listen: "127.0.0.1:0", Address: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	if list, err := config.ListPermits(dir, c.Owner); err != nil || len(list) != 0 {
		t.Fatal(list, err)
	}
	p := &grant.Permit{ID: envelope.NewNonce(), Dataset: envelope.PackageID{1}, Count: 3, NotAfter: 1_800_000_000}
	id, err := config.AddPermit(dir, p)
	if err != nil {
		t.Fatal(err)
	}
	list, err := config.ListPermits(dir, c.Owner)
	if err != nil || len(list) != 1 || list[0].ID != id || list[0].Predicate.Count != 3 {
		t.Fatal(list, err)
	}
	if st, err := os.Stat(filepath.Join(c.Layout().Permits(), id.Hex()+".dsse")); err != nil || st.Mode().Perm() != 0o600 {
		t.Error(err)
	}
	if _, err := config.AddPermit(dir, &grant.Permit{}); !errors.Is(err, grant.ErrInvalid) {
		t.Error(err)
	}
}

// TestForgedPermit: a permit that somebody else signed and put into the directory is noticed.
func TestForgedPermit(t *testing.T) {
	alice, mallory := filepath.Join(t.TempDir(), "alice"), filepath.Join(t.TempDir(), "mallory")
	var owners []envelope.PublicKey
	for _, dir := range []string{alice, mallory} {
		c, err := config.Init(dir, config.Options{Role: config.Creator, Listen: "127.0.0.1:0", Address: "http://127.0.0.1:1"})
		if err != nil {
			t.Fatal(err)
		}
		owners = append(owners, c.Owner)
	}
	if _, err := config.AddPermit(mallory, &grant.Permit{ID: envelope.NewNonce(), Dataset: envelope.PackageID{1}, Count: 9, NotAfter: 1_800_000_000}); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(config.Layout{Dir: mallory}.Permits(), config.Layout{Dir: alice}.Permits()); err != nil {
		t.Fatal(err)
	}
	if list, err := config.ListPermits(alice, owners[0]); list != nil || !errors.Is(err, config.ErrPackage) {
		t.Error(list, err)
	}
}
