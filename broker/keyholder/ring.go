// SPDX-License-Identifier: Apache-2.0

package keyholder

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"filippo.io/age"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

const (
	kekSize     = 32
	maxFile     = 16 << 10
	maxVersions = 64
	ringFormat  = 1
	lockPoll    = 50 * time.Millisecond
	lockPatient = 10 * time.Second
)

// ring is what the age file holds: every version of the key-encryption key that is not shredded, oldest first. Numbers are
// never used again, and the latest is never dropped, so a new one is always one more.
type ring struct {
	Format int   `json:"format"` // 1
	Keys   []kek `json:"keys"`
}

type kek struct {
	Version int    `json:"version"`
	Key     []byte `json:"key"`
}

func newRing() (*ring, error) {
	r := &ring{Format: ringFormat}
	return r, r.add()
}

func (r *ring) wipe() {
	for _, k := range r.Keys {
		clear(k.Key)
	}
}

func (r *ring) add() error {
	if len(r.Keys) >= maxVersions {
		return fmt.Errorf("%w: %d versions; rewrap and retire old ones first", ErrInput, len(r.Keys))
	}
	next := 1
	if n := len(r.Keys); n > 0 {
		next = r.Keys[n-1].Version + 1
	}
	key := make([]byte, kekSize)
	rand.Read(key) //nolint:errcheck // never fails since Go 1.24
	r.Keys = append(r.Keys, kek{next, key})
	return nil
}

func (r *ring) drop(oldest int) error {
	if latest := r.Keys[len(r.Keys)-1].Version; oldest > latest {
		return fmt.Errorf("%w: version %d wraps now and cannot be retired; rotate first", ErrInput, latest)
	}
	for len(r.Keys) > 1 && r.Keys[0].Version < oldest {
		clear(r.Keys[0].Key)
		r.Keys = r.Keys[1:]
	}
	return nil
}

func (r *ring) check() error {
	if r.Format != ringFormat || len(r.Keys) == 0 || len(r.Keys) > maxVersions {
		return fmt.Errorf("format %d with %d keys", r.Format, len(r.Keys))
	}
	last := 0
	for _, k := range r.Keys {
		if k.Version <= last || len(k.Key) != kekSize || bytes.Equal(k.Key, make([]byte, kekSize)) {
			return fmt.Errorf("unusable key of version %d", k.Version)
		}
		last = k.Version
	}
	return nil
}

func (r *ring) seal(u Unlock) ([]byte, error) {
	if u.recipient == nil {
		return nil, fmt.Errorf("%w: nothing to lock the key file with", ErrInput)
	}
	plain, err := envelope.Canonical(r)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	var out bytes.Buffer
	w, err := age.Encrypt(&out, u.recipient)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func readRing(path string, u Unlock) (*ring, error) {
	sealed, err := envelope.ReadSecretFile(path, maxFile)
	if err != nil {
		return nil, err
	}
	body, err := age.Decrypt(bytes.NewReader(sealed), u.identity)
	if _, wrong := errors.AsType[*age.NoIdentityMatchError](err); wrong {
		return nil, fmt.Errorf("%w: %s does not open %s", ErrAuth, u.what, filepath.Base(path))
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s is not an age file, or is damaged", ErrInput, filepath.Base(path))
	}
	plain, err := io.ReadAll(io.LimitReader(body, maxFile+1))
	defer clear(plain)
	if err != nil {
		return nil, fmt.Errorf("%w: %s is damaged", ErrInput, filepath.Base(path))
	}
	var r ring
	if err := envelope.DecodeStrict(plain, maxFile, &r); err != nil {
		return nil, fmt.Errorf("%w: %s does not hold keys of a keyholder", ErrInput, filepath.Base(path)) // no cause: it may cite the plaintext
	}
	if err := r.check(); err != nil {
		r.wipe()
		return nil, fmt.Errorf("%w: %s: %w", ErrInput, filepath.Base(path), err)
	}
	return &r, nil
}

// writeNew creates a file with mode 0600 and makes it durable; on error nothing of it stays.
func writeNew(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, werr := f.Write(b)
	if err := errors.Join(werr, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return syncDir(path)
}

// replace puts b at path: after a crash there is the old file or the new one.
func replace(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-*") // mode 0600
	if err != nil {
		return err
	}
	_, werr := f.Write(b)
	err = errors.Join(werr, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(path)
}

// syncDir makes a new name in path's directory durable.
func syncDir(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// lock waits for the file's advisory lock.
func lock(ctx context.Context, path string) (release func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(lockPatient); ; {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil //nolint:errcheck // closing gives the lock up
		}
		if time.Now().After(end) || ctx.Err() != nil {
			f.Close() //nolint:errcheck // already failing
			return nil, fmt.Errorf("%w: another program changes the key file", ErrUnavailable)
		}
		time.Sleep(lockPoll)
	}
}
