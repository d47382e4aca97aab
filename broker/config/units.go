// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// ErrShredded means that a contributor's records were erased: no key opens them, and none is made for them again.
var ErrShredded = errors.New("config: the contributor's records were erased")

// A unit's key lies in UNIT.wrap. Once it is shredded, UNIT.erased stands in its place for good.
const (
	wrapSuffix   = ".wrap"
	erasedSuffix = ".erased"
)

// Units holds the wrapped keys of a dataset's contributors, all versions.
func (l Layout) Units(id dataset.ID) string { return filepath.Join(l.units(), id.String()) }

func (l Layout) units() string { return l.at("units") }

// ContributorKey is what names of a dataset's contributors are hashed with. The broker does not read it.
func (l Layout) ContributorKey(id dataset.ID) string {
	return filepath.Join(l.at("contributors"), id.String()+".key")
}

// ErrLocked means that somebody else is adding, moving or shredding wrapped keys just now.
var ErrLocked = errors.New("config: the wrapped keys are in use by another program")

// LockKeys keeps others from adding wrapped keys, moving and shredding any until unlock is called: a key that was wrapped by
// a version of the key-encryption key which is shredded meanwhile would be lost.
func (l Layout) LockKeys() (unlock func() error, err error) { return l.lockKeys(syscall.LOCK_EX) }

// TryLockKeys is [Layout.LockKeys] for those who cannot wait: it gives [ErrLocked] instead.
func (l Layout) TryLockKeys() (unlock func() error, err error) {
	unlock, err = l.lockKeys(syscall.LOCK_EX | syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = ErrLocked
	}
	return unlock, err
}

func (l Layout) lockKeys(how int) (unlock func() error, err error) {
	f, err := os.OpenFile(l.at("keys.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), how); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f.Close, nil
}

// AddUnits stores contributors' keys, wrapped with [keyholder.UnitContext]. It comes before [AddPackage]: each key appears
// whole, all are durable when it returns, and after a crash some of them may lie there for a package that never came, which
// does no harm. A contributor who has a key keeps it ([ErrExists] for another one), and one who was erased gets none
// ([ErrShredded]).
func AddUnits(dir string, id dataset.ID, wrapped map[envelope.Digest][]byte) error {
	folder := Layout{dir}.Units(id)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	var names []string
	for unit, w := range wrapped {
		if unit.IsZero() || len(w) == 0 || len(w) > keyholder.MaxWrapped {
			return fmt.Errorf("%w: wrapped key of %d bytes for unit %s", ErrPackage, len(w), unit)
		}
		path := filepath.Join(folder, unit.Hex())
		switch old, err := readUnit(path); {
		case errors.Is(err, ErrUnknown):
			names = append(names, path+wrapSuffix)
		case err != nil:
			return err
		case !bytes.Equal(old, w):
			return fmt.Errorf("%w: unit %s has another key", ErrExists, unit)
		}
	}
	slices.Sort(names)
	err := writeAll(names, func(path string) []byte {
		d, _ := unitOf(path) //nolint:errcheck // made above
		return wrapped[d]
	})
	return errors.Join(err, syncDir(filepath.Dir(folder)), syncDir(Layout{dir}.Dir))
}

// writeAll writes many files of one folder: all of them before the first has its name, so that flushing is shared.
func writeAll(paths []string, content func(path string) []byte) (err error) {
	temp := make([]string, 0, len(paths))
	defer func() {
		for _, t := range temp {
			if rerr := os.Remove(t); rerr != nil && !errors.Is(rerr, os.ErrNotExist) {
				err = errors.Join(err, rerr)
			}
		}
	}()
	for _, p := range paths {
		f, err := os.CreateTemp(filepath.Dir(p), ".tmp-*") // mode 0600
		if err != nil {
			return err
		}
		temp = append(temp, f.Name())
		_, werr := f.Write(content(p))
		if err := errors.Join(werr, f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	for i, p := range paths {
		if err := os.Rename(temp[i], p); err != nil {
			return err
		}
	}
	if len(paths) == 0 {
		return nil
	}
	return syncDir(filepath.Dir(paths[0]))
}

// UnitKey is a contributor's wrapped key: [ErrShredded] if it was destroyed, [ErrUnknown] if there never was one.
func (c *Config) UnitKey(id dataset.ID, unit envelope.Digest) ([]byte, error) {
	return readUnit(filepath.Join(c.layout.Units(id), unit.Hex()))
}

func readUnit(path string) ([]byte, error) {
	if _, err := os.Lstat(path + erasedSuffix); !errors.Is(err, os.ErrNotExist) {
		return nil, errors.Join(ErrShredded, err)
	}
	b, err := readFile(path+wrapSuffix, keyholder.MaxWrapped)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: no key of unit %s", ErrUnknown, filepath.Base(path))
	}
	return b, err
}

// UnitKeys lists the contributors of a dataset whose keys are here and not shredded.
func (c *Config) UnitKeys(id dataset.ID) (map[envelope.Digest]bool, error) {
	entries, err := os.ReadDir(c.layout.Units(id))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out := make(map[envelope.Digest]bool, len(entries))
	var erased []envelope.Digest
	for _, e := range entries {
		unit, ok := unitOf(e.Name())
		switch {
		case !ok:
		case strings.HasSuffix(e.Name(), erasedSuffix):
			erased = append(erased, unit)
		default:
			out[unit] = true
		}
	}
	for _, unit := range erased {
		delete(out, unit)
	}
	return out, nil
}

// unitOf reads a unit's identity from the name of its file.
func unitOf(path string) (envelope.Digest, bool) {
	name := filepath.Base(path)
	ext := filepath.Ext(name)
	d, err := envelope.ParseDigest("sha256:" + strings.TrimSuffix(name, ext))
	return d, err == nil && (ext == wrapSuffix || ext == erasedSuffix)
}

// wrappedUnits are the wrapped keys of all contributors, for [Config.WrappedKeys].
func (c *Config) wrappedUnits() (out []WrappedKey, err error) {
	err = c.eachDataset(func(id dataset.ID) error {
		units, err := c.UnitKeys(id)
		if err != nil {
			return err
		}
		for unit := range units {
			w, err := c.UnitKey(id, unit)
			if err != nil {
				return err
			}
			out = append(out, WrappedKey{
				Unit: &grant.UnitRef{Dataset: id, ID: unit}, Context: keyholder.UnitContext(id, unit), Wrapped: w, path: c.unitPath(id, unit) + wrapSuffix,
			})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(out, func(a, b WrappedKey) int { return strings.Compare(a.path, b.path) })
	return out, nil
}
