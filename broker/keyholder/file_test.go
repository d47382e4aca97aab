// SPDX-License-Identifier: Apache-2.0

package keyholder_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
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

// TestUnusableKeyFile: what is inside the age file is checked too, and no message shows it.
func TestUnusableKeyFile(t *testing.T) {
	zero, good := base64.StdEncoding.EncodeToString(make([]byte, 32)), base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))
	for name, plain := range map[string]string{
		"empty":             "",
		"raw key":           strings.Repeat("k", 32),
		"no keys":           `{"format":1,"keys":[]}`,
		"other format":      `{"format":2,"keys":[{"key":"` + good + `","version":1}]}`,
		"all zero":          `{"format":1,"keys":[{"key":"` + zero + `","version":1}]}`,
		"short":             `{"format":1,"keys":[{"key":"AAAA","version":1}]}`,
		"version 0":         `{"format":1,"keys":[{"key":"` + good + `","version":0}]}`,
		"version twice":     `{"format":1,"keys":[{"key":"` + good + `","version":1},{"key":"` + good + `","version":1}]}`,
		"unsorted":          `{"format":1,"keys":[{"key":"` + good + `","version":2},{"key":"` + good + `","version":1}]}`,
		"unknown field":     `{"format":1,"keys":[{"key":"` + good + `","version":1}],"x":1}`,
		"one bad among two": `{"format":1,"keys":[{"key":"` + good + `","version":1},{"key":"` + zero + `","version":2}]}`,
	} {
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
		io.WriteString(w, plain) //nolint:errcheck // into a buffer
		w.Close()                //nolint:errcheck // into a buffer
		if err := os.WriteFile(k, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := keyholder.Open(k, id); !errors.Is(err, keyholder.ErrInput) || strings.Contains(err.Error(), good) {
			t.Errorf("%s: %v", name, err)
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
	if _, err := keyholder.Open(k1, id2); !errors.Is(err, keyholder.ErrAuth) {
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

func TestFileOutage(t *testing.T) {
	keyholdertest.Outage(t, func(t *testing.T) (keyholder.Keyholder, func(), func()) {
		k, id := paths(t)
		f, err := keyholder.Create(k, id)
		if err != nil {
			t.Fatal(err)
		}
		move := func(from, to string) func() {
			return func() {
				if err := os.Rename(from, to); err != nil {
					t.Fatal(err)
				}
			}
		}
		return f, move(k, k+".away"), move(k+".away", k)
	})
}

const passphrase = "correct horse battery"

func unlock(t *testing.T, pass string) keyholder.Unlock {
	t.Helper()
	keyholder.SetWorkFactor(t, 10)
	u, err := keyholder.Passphrase([]byte(pass))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestPassphraseFile(t *testing.T) {
	keyholdertest.Run(t, func(t *testing.T) keyholder.Keyholder {
		k, _ := paths(t)
		f, err := keyholder.CreateFile(k, unlock(t, passphrase))
		if err != nil {
			t.Fatal(err)
		}
		return f
	})
}

// TestWrongPassphrase: a clear error, and nothing is lost.
func TestWrongPassphrase(t *testing.T) {
	k, _ := paths(t)
	f, err := keyholder.CreateFile(k, unlock(t, passphrase))
	if err != nil {
		t.Fatal(err)
	}
	w, err := f.Wrap(t.Context(), []byte("c"), []byte("key"))
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(k)
	if err != nil {
		t.Fatal(err)
	}
	const wrong = "incorrect horse battery"
	if _, err := keyholder.OpenFile(k, unlock(t, wrong)); !errors.Is(err, keyholder.ErrAuth) || strings.Contains(err.Error(), wrong) {
		t.Errorf("wrong passphrase: %v", err)
	}
	if _, err := keyholder.CreateFile(k, unlock(t, wrong)); !errors.Is(err, fs.ErrExist) {
		t.Errorf("creating over a key file: %v", err)
	}
	if after, err := os.ReadFile(k); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the key file changed: %v", err)
	}
	again, err := keyholder.OpenFile(k, unlock(t, passphrase))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := again.Unwrap(t.Context(), []byte("c"), w); err != nil || string(got) != "key" {
		t.Errorf("the right passphrase afterwards: %v", err)
	}
}

func TestPassphraseSources(t *testing.T) {
	for _, bad := range []string{"", "\n", "short", strings.Repeat("x", keyholder.MaxPassphrase+1)} {
		if _, err := keyholder.Passphrase([]byte(bad)); !errors.Is(err, keyholder.ErrInput) {
			t.Errorf("passphrase of %d bytes: %v", len(bad), err)
		}
	}
	k, path := paths(t)
	if _, err := keyholder.CreateFile(k, unlock(t, passphrase)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(passphrase+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	u, err := keyholder.PassphraseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keyholder.OpenFile(k, u); err != nil {
		t.Errorf("passphrase from a file: %v", err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := keyholder.PassphraseFile(path); !errors.Is(err, envelope.ErrKeyMode) {
		t.Errorf("passphrase file that others can read: %v", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, passphrase) //nolint:errcheck // fits the pipe
	w.Close()                     //nolint:errcheck // nothing to lose
	fd, err := syscall.Dup(int(r.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	r.Close() //nolint:errcheck // the copy is read
	if u, err = keyholder.PassphraseFD(uintptr(fd)); err != nil {
		t.Fatal(err)
	}
	if _, err := keyholder.OpenFile(k, u); err != nil {
		t.Errorf("passphrase from a file descriptor: %v", err)
	}
}

// TestTwoProgramsRotate: neither loses the other's version, and each sees what the other did.
func TestTwoProgramsRotate(t *testing.T) {
	k, id := paths(t)
	a, err := keyholder.Create(k, id)
	if err != nil {
		t.Fatal(err)
	}
	b, err := keyholder.Open(k, id)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for _, f := range []*keyholder.File{a, b} {
		wg.Go(func() {
			for range 5 {
				if err := f.Rotate(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, f := range []*keyholder.File{a, b} {
		if v, err := f.Versions(t.Context()); err != nil || v != (keyholder.Versions{Oldest: 1, Latest: 11}) {
			t.Errorf("%+v, %v", v, err)
		}
	}
	w, err := a.Wrap(t.Context(), []byte("c"), []byte("key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.Rotate(t.Context()), b.Retire(t.Context(), 12)); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Unwrap(t.Context(), []byte("c"), w); !errors.Is(err, keyholder.ErrUnwrap) {
		t.Errorf("a running broker still opens what another program shredded: %v", err)
	}
}

// TestKeyFileReplaced: a key file that somebody else made stops the keyholder instead of being used.
func TestKeyFileReplaced(t *testing.T) {
	k, id := paths(t)
	f, err := keyholder.Create(k, id)
	if err != nil {
		t.Fatal(err)
	}
	k2, id2 := paths(t)
	if _, err := keyholder.Create(k2, id2); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(k2, k); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Wrap(t.Context(), []byte("c"), []byte("key")); !errors.Is(err, keyholder.ErrUnavailable) {
		t.Errorf("Wrap with somebody else's key file: %v", err)
	}
}

func TestTooManyVersions(t *testing.T) {
	k, id := paths(t)
	f, err := keyholder.Create(k, id)
	if err != nil {
		t.Fatal(err)
	}
	for range 63 {
		if err := f.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Rotate(t.Context()); !errors.Is(err, keyholder.ErrInput) {
		t.Errorf("version 65: %v", err)
	}
	if _, err := keyholder.Open(k, id); err != nil {
		t.Errorf("64 versions: %v", err)
	}
}

func TestUnitContext(t *testing.T) {
	seen := map[string]bool{string(keyholder.Context(envelope.Digest{})): true}
	for _, id := range [][16]byte{{}, {1}} {
		for _, u := range []envelope.Digest{{}, {1}} {
			c := string(keyholder.UnitContext(id, u))
			if seen[c] {
				t.Error("two contexts are the same")
			}
			seen[c] = true
		}
	}
}

func BenchmarkFileUnwrap(b *testing.B) {
	dir := b.TempDir()
	f, err := keyholder.Create(filepath.Join(dir, "k"), filepath.Join(dir, "id"))
	if err != nil {
		b.Fatal(err)
	}
	c := keyholder.Context(envelope.Hash("bench"))
	w, err := f.Wrap(b.Context(), c, make([]byte, 32))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := f.Unwrap(b.Context(), c, w); err != nil {
			b.Fatal(err)
		}
	}
}
