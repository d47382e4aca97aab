// SPDX-License-Identifier: Apache-2.0

package host

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Names under the state directory.
const (
	databaseFile = "host.db"
	lockFile     = "host.lock"
	logKeyFile   = "log.key"
	rootFile     = "trusted_root.json"
	blobsDir     = "blobs"
	logDir       = "log"
	bundlesDir   = "bundles"
	resultsDir   = "results"

	partSuffix   = ".part"   // payload of an attempt that goes on
	sealedSuffix = ".sealed" // header and payload of an attempt whose run is about to be recorded
	resultSuffix = ".age"
	bundleSuffix = ".json"
	tempSuffix   = ".tmp"
)

// lockDir makes sure that one host uses dir. The lock goes with the process.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s", ErrLocked, dir)
		}
		return nil, err
	}
	return f, nil
}

// writeFile puts a whole file at path or leaves what was there.
func writeFile(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*"+tempSuffix)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// free is how many bytes an ordinary user may still write in dir.
func free(dir string) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * st.Bsize, nil
}

// results is the directory of age files. A file gets its final name only when its run is recorded.
type results struct{ dir string }

func (r results) path(job envelope.Digest) string {
	return filepath.Join(r.dir, job.Hex()+resultSuffix)
}

func (r results) attempt(l *lease, suffix string) string {
	return filepath.Join(r.dir, l.job.Hex()+"."+strconv.FormatInt(l.epoch, 10)+suffix)
}

// payload opens the file that an attempt's payload is appended to.
func (r results) payload(l *lease) (*os.File, error) {
	return os.OpenFile(r.attempt(l, partSuffix), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
}

// seal writes header and payload, flushed, under the attempt's name and returns the digest of both. The payload stays.
func (r results) seal(l *lease, header []byte, payload *os.File) (d envelope.Digest, n int64, err error) {
	f, err := os.OpenFile(r.attempt(l, sealedSuffix), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return d, 0, err
	}
	h := sha256.New()
	w := io.MultiWriter(f, h)
	m, err := w.Write(header)
	if err == nil && payload != nil {
		if _, err = payload.Seek(0, io.SeekStart); err == nil {
			n, err = io.Copy(w, payload)
		}
	}
	if err = errors.Join(err, f.Sync(), f.Close(), syncDir(r.dir)); err != nil {
		return d, 0, err
	}
	return envelope.Digest(h.Sum(nil)), n + int64(m), nil
}

// publish gives a recorded attempt's file its final name. It may be called again after a crash.
func (r results) publish(l *lease) error {
	err := os.Rename(r.attempt(l, sealedSuffix), r.path(l.job))
	if errors.Is(err, fs.ErrNotExist) {
		_, err = os.Stat(r.path(l.job))
		return err
	}
	return errors.Join(err, syncDir(r.dir))
}

// discard removes an attempt's payload and, unless its run is recorded, the sealed file.
func (r results) discard(l *lease, sealed bool) error {
	suffixes := []string{partSuffix}
	if sealed {
		suffixes = append(suffixes, sealedSuffix)
	}
	var errs []error
	for _, s := range suffixes {
		if err := os.Remove(r.attempt(l, s)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// sweep removes everything in dir that is not final.
func sweep(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		for _, s := range []string{partSuffix, sealedSuffix, tempSuffix} {
			if strings.HasSuffix(e.Name(), s) {
				if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
