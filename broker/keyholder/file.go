// SPDX-License-Identifier: Apache-2.0

package keyholder

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"filippo.io/age"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

const (
	fileLabel   = "glovebox.dev/key-wrap/v2\n" // opens every key that a File wrapped; also part of the authenticated data
	identityTip = "# Glovebox keyholder identity: opens the key-encryption key beside it. Keep it secret.\n"
)

// File is a keyholder whose key-encryption keys lie in an age file. It reads the file again whenever that was replaced, so
// a rotation or a shredded version takes effect in running brokers at once, and a file that is gone stops them.
type File struct {
	path   string
	unlock Unlock

	mu   sync.RWMutex
	ring map[int]cipher.AEAD
	old  int // oldest version
	top  int // latest version
	seen stamp
}

// stamp tells one state of a file from another.
type stamp struct {
	info fs.FileInfo
	size int64
	mod  time.Time
}

func (s stamp) same(o stamp) bool {
	return s.info != nil && o.info != nil && os.SameFile(s.info, o.info) && s.size == o.size && s.mod.Equal(o.mod)
}

func stampOf(path string) (stamp, error) {
	st, err := os.Stat(path)
	if err != nil {
		return stamp{}, err
	}
	return stamp{st, st.Size(), st.ModTime()}, nil
}

// Create makes a key-encryption key and an identity and writes both with mode 0600. It never overwrites.
func Create(path, identityPath string) (*File, error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, err
	}
	if err := writeNew(identityPath, []byte(identityTip+id.String()+"\n")); err != nil {
		return nil, err
	}
	f, err := CreateFile(path, Unlock{id, id.Recipient(), "the identity in " + filepath.Base(identityPath)})
	if err != nil {
		return nil, errors.Join(err, os.Remove(identityPath))
	}
	return f, nil
}

// CreateFile makes a key-encryption key and writes it, locked with u, with mode 0600. It never overwrites.
func CreateFile(path string, u Unlock) (*File, error) {
	r, err := newRing()
	if err != nil {
		return nil, err
	}
	defer r.wipe()
	sealed, err := r.seal(u)
	if err != nil {
		return nil, err
	}
	if err := writeNew(path, sealed); err != nil {
		return nil, err
	}
	return OpenFile(path, u)
}

// Open reads what [Create] wrote. It refuses files that others can read ([envelope.ErrKeyMode]).
func Open(path, identityPath string) (*File, error) {
	u, err := IdentityFile(identityPath)
	if err != nil {
		return nil, err
	}
	return OpenFile(path, u)
}

// OpenFile reads what [CreateFile] wrote. A wrong passphrase or identity is [ErrAuth], and changes nothing.
func OpenFile(path string, u Unlock) (*File, error) {
	if u.identity == nil || u.recipient == nil {
		return nil, fmt.Errorf("%w: nothing to unlock %s with", ErrInput, filepath.Base(path))
	}
	f := &File{path: path, unlock: u}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.load(); err != nil {
		return nil, err
	}
	return f, nil
}

// load reads the file; the caller holds the lock. The stamp is taken first: a file replaced meanwhile is read again.
func (f *File) load() error {
	seen, err := stampOf(f.path)
	if err != nil {
		return err
	}
	r, err := readRing(f.path, f.unlock)
	if err != nil {
		return err
	}
	defer r.wipe()
	ring := map[int]cipher.AEAD{}
	for _, k := range r.Keys {
		if ring[k.Version], err = newAEAD(k.Key); err != nil {
			return err
		}
	}
	f.ring, f.old, f.top, f.seen = ring, r.Keys[0].Version, r.Keys[len(r.Keys)-1].Version, seen
	return nil
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// ready refuses the zero value and calls that are too late.
func (f *File) ready(ctx context.Context) error {
	if f == nil || f.unlock.identity == nil {
		return fmt.Errorf("%w: no key-encryption key", ErrInput)
	}
	return Interrupted(ctx)
}

// fresh makes sure that what is in memory is what is in the file.
func (f *File) fresh() error {
	now, err := stampOf(f.path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	f.mu.RLock()
	same := f.seen.same(now)
	f.mu.RUnlock()
	if same {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.seen.same(now) {
		return nil
	}
	if err := f.load(); err != nil {
		return fmt.Errorf("%w: %s was replaced and does not open: %w", ErrUnavailable, filepath.Base(f.path), err)
	}
	return nil
}

// version is the key of one version; 0 asks for the latest.
func (f *File) version(v int) (cipher.AEAD, int, error) {
	if err := f.fresh(); err != nil {
		return nil, 0, err
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	if v == 0 {
		v = f.top
	}
	aead := f.ring[v]
	if aead == nil {
		return nil, 0, ErrUnwrap
	}
	return aead, v, nil
}

// Wrap encrypts key with AES-256-GCM under the latest version, with label, version and context as authenticated data.
func (f *File) Wrap(ctx context.Context, context, key []byte) ([]byte, error) {
	if err := errors.Join(CheckWrap(context, key), f.ready(ctx)); err != nil {
		return nil, err
	}
	aead, v, err := f.version(0)
	if err != nil {
		return nil, err
	}
	head := Encode(fileLabel, v, nil)
	return aead.Seal(head, nil, key, authenticated(head, context)), nil
}

// Unwrap is the inverse of Wrap. The caller wipes the result.
func (f *File) Unwrap(ctx context.Context, context, wrapped []byte) ([]byte, error) {
	if err := errors.Join(CheckUnwrap(context, wrapped), f.ready(ctx)); err != nil {
		return nil, err
	}
	v, body, err := Decode(fileLabel, wrapped)
	if err != nil {
		return nil, err
	}
	aead, _, err := f.version(v)
	if err != nil {
		return nil, err
	}
	key, err := aead.Open(nil, nil, body, authenticated(wrapped[:len(wrapped)-len(body)], context))
	if err != nil || len(key) == 0 {
		return nil, ErrUnwrap
	}
	return key, nil
}

// authenticated is the additional data: the head of the wrapped key, so that its version cannot be changed, and context.
func authenticated(head, context []byte) []byte {
	d := envelope.Hash(fileLabel, head, context)
	return d[:]
}

// Rotate adds a new version to the file.
func (f *File) Rotate(ctx context.Context) error {
	return f.change(ctx, (*ring).add)
}

// Rewrap wraps the same key again, by the latest version.
func (f *File) Rewrap(ctx context.Context, context, wrapped []byte) ([]byte, error) {
	key, err := f.Unwrap(ctx, context, wrapped)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return f.Wrap(ctx, context, key)
}

// Versions reports which versions the file holds.
func (f *File) Versions(ctx context.Context) (Versions, error) {
	if err := f.ready(ctx); err != nil {
		return Versions{}, err
	}
	if err := f.fresh(); err != nil {
		return Versions{}, err
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	return Versions{f.old, f.top}, nil
}

// Version is the version that wrapped a key.
func (f *File) Version(wrapped []byte) (int, error) {
	v, _, err := Decode(fileLabel, wrapped)
	return v, err
}

// Retire drops the versions below oldest from the file. Copies of the file that somebody kept still hold them.
func (f *File) Retire(ctx context.Context, oldest int) error {
	return f.change(ctx, func(r *ring) error { return r.drop(oldest) })
}

// change rewrites the file. A lock beside it keeps two programs from losing each other's change.
func (f *File) change(ctx context.Context, edit func(*ring) error) error {
	if err := f.ready(ctx); err != nil {
		return err
	}
	release, err := lock(ctx, f.path+".lock")
	if err != nil {
		return err
	}
	defer release()
	r, err := readRing(f.path, f.unlock)
	if err != nil {
		return err
	}
	defer r.wipe()
	if err := edit(r); err != nil {
		return err
	}
	sealed, err := r.seal(f.unlock)
	if err != nil {
		return err
	}
	if err := replace(f.path, sealed); err != nil {
		return err
	}
	return f.fresh()
}
