// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// tempPrefix names blobs being written. A writer holds a lock on its file; one without a lock is left from a crash.
const tempPrefix = "incoming-"

// tempTries bounds how often a writer begins again because a sweep was faster than its lock.
const tempTries = 10

// DirStore is a [Store] in a directory: DIR/ab/cdef… by the digest's hexadecimal, files 0600. A blob appears whole, by
// rename, after it was flushed to disk. Any number of processes may share the directory.
type DirStore struct{ dir string }

// NewDirStore opens or makes a store in dir, and sweeps what a crashed writer left there.
func NewDirStore(dir string) (*DirStore, error) {
	if dir == "" {
		return nil, fmt.Errorf("%w: store without a directory", ErrConfig)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("store: %w", diskError(err))
	}
	s := &DirStore{dir}
	return s, s.sweep()
}

// Put implements [Store].
func (s *DirStore) Put(ctx context.Context, r io.Reader) (d envelope.Digest, n int64, err error) {
	f, err := s.create()
	if err != nil {
		return d, 0, fmt.Errorf("store: %w", diskError(err))
	}
	defer func() {
		if f != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if d, n, err = CopyBlob(ctx, f, r); err != nil {
		return envelope.Digest{}, 0, fmt.Errorf("store: %w", diskError(err))
	}
	if err := s.publish(f, d); err != nil {
		return envelope.Digest{}, 0, fmt.Errorf("store: %w", diskError(err))
	}
	f = nil
	return d, n, nil
}

// create makes a locked file for a blob.
func (s *DirStore) create() (*os.File, error) {
	for range tempTries {
		f, err := os.CreateTemp(s.dir, tempPrefix+"*")
		if err != nil {
			return nil, err
		}
		if tryLock(f) == nil {
			if _, err := os.Lstat(f.Name()); err == nil {
				return f, nil
			}
		}
		f.Close()
		os.Remove(f.Name())
	}
	return nil, fmt.Errorf("cannot lock a file in %s", s.dir)
}

// publish flushes f and gives it its name.
func (s *DirStore) publish(f *os.File, d envelope.Digest) error {
	if err := f.Sync(); err != nil {
		return err
	}
	path := s.path(d)
	if err := os.Mkdir(filepath.Dir(path), 0o700); err == nil {
		if err := syncDir(s.dir); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return errors.Join(f.Close(), syncDir(filepath.Dir(path)))
}

// ReadAt implements [BlobReader].
func (s *DirStore) ReadAt(ctx context.Context, d envelope.Digest, p []byte, off int64) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	f, err := s.open(d)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return f.ReadAt(p, off)
}

// Size implements [Store].
func (s *DirStore) Size(ctx context.Context, d envelope.Digest) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	st, err := os.Lstat(s.path(d))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, fmt.Errorf("%w: %s", ErrNoBlob, d)
	case err != nil:
		return 0, fmt.Errorf("store: %w", err)
	case !st.Mode().IsRegular():
		return 0, fmt.Errorf("%w: %s is not a file", ErrNoBlob, d)
	}
	return st.Size(), nil
}

// Remove forgets a blob. Removing what is not there is no error.
func (s *DirStore) Remove(_ context.Context, d envelope.Digest) error {
	if err := os.Remove(s.path(d)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

func (s *DirStore) open(d envelope.Digest) (*os.File, error) {
	f, err := os.Open(s.path(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNoBlob, d)
	}
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return f, nil
}

func (s *DirStore) path(d envelope.Digest) string {
	h := d.Hex()
	return filepath.Join(s.dir, h[:2], h[2:])
}

// sweep removes unfinished blobs that no living process is writing.
func (s *DirStore) sweep() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	for _, e := range entries {
		if !e.Type().IsRegular() || !strings.HasPrefix(e.Name(), tempPrefix) {
			continue
		}
		f, err := os.Open(filepath.Join(s.dir, e.Name()))
		if err != nil {
			continue // finished or swept by somebody else
		}
		if tryLock(f) == nil {
			err = os.Remove(f.Name())
		}
		f.Close()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("store: %w", err)
		}
	}
	return nil
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// diskError names a full disk, so that callers can match it and give its hint.
func diskError(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}

// keptOpen is a [BlobReader] that keeps the last blob's file open, where the one below is a directory itself and not something
// around it. It is for one goroutine. A blob that is removed meanwhile can be read on.
type keptOpen struct {
	BlobReader
	d envelope.Digest
	f *os.File // nil: none is open
}

// ReadAt implements [BlobReader].
func (k *keptOpen) ReadAt(ctx context.Context, d envelope.Digest, p []byte, off int64) (n int, err error) {
	dir, ok := k.BlobReader.(*DirStore)
	if !ok {
		return k.BlobReader.ReadAt(ctx, d, p, off)
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if k.f == nil || k.d != d {
		k.Close()
		if k.f, err = dir.open(d); err != nil {
			return 0, err
		}
		k.d = d
	}
	return k.f.ReadAt(p, off)
}

// Close lets go of the open file.
func (k *keptOpen) Close() {
	if k.f != nil {
		k.f.Close()
		k.f = nil
	}
}
