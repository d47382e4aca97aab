// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Names under the state directory.
const (
	databaseFile = "host.db"
	lockFile     = "host.lock"
	logKeyFile   = "log.key"
	rootFile     = "trusted_root.json"
	cosignedFile = "cosigned" // the newest checkpoint that enough witnesses signed
	shownFile    = "shown"    // the largest checkpoint that was shown before enough witnesses signed it
	blobsDir     = "blobs"
	logDir       = "log"
	bundlesDir   = "bundles"
	resultsDir   = "results"

	partSuffix   = ".part"   // payload of an attempt that goes on
	sealedSuffix = ".sealed" // payload and header of an attempt whose run is about to be recorded
	resultSuffix = ".result"
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

// unlock gives the lock up at once. Closing alone would not while a child that is just being started still has the file.
func unlock(f *os.File) error {
	return errors.Join(syscall.Flock(int(f.Fd()), syscall.LOCK_UN), f.Close())
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

// removeFile removes a file that need not be there.
func removeFile(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
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

// free is how many bytes an ordinary user may still write in dir.
func free(dir string) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * st.Bsize, nil
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
