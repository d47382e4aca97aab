// SPDX-License-Identifier: Apache-2.0

package keyholder_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"filippo.io/age"

	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/broker/keyholder/keyholdertest"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

func paths(t *testing.T) (string, string) {
	dir := t.TempDir()
	return filepath.Join(dir, "keyholder.age"), filepath.Join(dir, "keyholder.identity")
}

func TestFile(t *testing.T) {
	keyholdertest.Run(t, func(t *testing.T) keyholder.Keyholder {
		k, id := paths(t)
		f, err := keyholder.Create(k, id)
		if err != nil {
			t.Fatal(err)
		}
		return f
	})
}

func TestFileReopens(t *testing.T) {
	k, id := paths(t)
	a, err := keyholder.Create(k, id)
	if err != nil {
		t.Fatal(err)
	}
	w, err := a.Wrap(t.Context(), []byte("c"), []byte("key"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := keyholder.Open(k, id)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := b.Unwrap(t.Context(), []byte("c"), w); err != nil || string(got) != "key" {
		t.Fatalf("Unwrap after Open: %v", err)
	}
	if _, err := keyholder.Create(k, id); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Create over existing files: %v", err)
	}
}

func TestKeyFileReadableByOthers(t *testing.T) {
	for _, which := range []int{0, 1} {
		k, id := paths(t)
		if _, err := keyholder.Create(k, id); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod([]string{k, id}[which], 0o640); err != nil {
			t.Fatal(err)
		}
		if _, err := keyholder.Open(k, id); !errors.Is(err, envelope.ErrKeyMode) {
			t.Errorf("file %d with mode 0640: %v", which, err)
		}
	}
}

func TestAllZeroKey(t *testing.T) {
	for _, n := range []int{0, 16, 32, 33} {
		k, id := paths(t)
		if _, err := keyholder.Create(k, id); err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(id)
		if err != nil {
			t.Fatal(err)
		}
		ids, err := age.ParseIdentities(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		w, err := age.Encrypt(&b, ids[0].(*age.X25519Identity).Recipient())
		if err != nil {
			t.Fatal(err)
		}
		w.Write(make([]byte, n)) //nolint:errcheck // into a buffer
		w.Close()                //nolint:errcheck // into a buffer
		if err := os.WriteFile(k, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := keyholder.Open(k, id); !errors.Is(err, keyholder.ErrInput) {
			t.Errorf("all-zero key of %d bytes: %v", n, err)
		}
	}
}

func TestIdentityOfAnother(t *testing.T) {
	k1, id1 := paths(t)
	k2, id2 := paths(t)
	for _, p := range [][2]string{{k1, id1}, {k2, id2}} {
		if _, err := keyholder.Create(p[0], p[1]); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := keyholder.Open(k1, id2); !errors.Is(err, keyholder.ErrInput) {
		t.Errorf("key file with another identity: %v", err)
	}
}

func TestZeroFile(t *testing.T) {
	var f keyholder.File
	if _, err := f.Wrap(t.Context(), []byte("c"), []byte("k")); !errors.Is(err, keyholder.ErrInput) {
		t.Errorf("zero File wraps: %v", err)
	}
	if _, err := f.Unwrap(t.Context(), []byte("c"), []byte("w")); !errors.Is(err, keyholder.ErrInput) {
		t.Errorf("zero File unwraps: %v", err)
	}
}
