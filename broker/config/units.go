// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"context"
	"crypto/rand"
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

// LockKeys keeps others from adding wrapped keys and from shredding any until unlock is called: a key that was wrapped by a
// version of the key-encryption key which is shredded meanwhile would be lost.
func (l Layout) LockKeys() (unlock func() error, err error) {
	f, err := os.OpenFile(l.at("keys.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
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
	folders, err := os.ReadDir(c.layout.units())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, f := range folders {
		var id dataset.ID
		if err := id.UnmarshalText([]byte(f.Name())); err != nil {
			continue
		}
		units, err := c.UnitKeys(id)
		if err != nil {
			return nil, err
		}
		for unit := range units {
			w, err := c.UnitKey(id, unit)
			if err != nil {
				return nil, err
			}
			path := filepath.Join(c.layout.Units(id), unit.Hex()+wrapSuffix)
			out = append(out, WrappedKey{Unit: &grant.UnitRef{Dataset: id, ID: unit}, Context: keyholder.UnitContext(id, unit), Wrapped: w, path: path})
		}
	}
	slices.SortFunc(out, func(a, b WrappedKey) int { return strings.Compare(a.path, b.path) })
	return out, nil
}

// ShredUnit destroys a contributor's key, for good. In this order, each step durable before the next, so that a crash in
// between leaves an erasure to be repeated and never one undone: a mark that stands for the key, the file overwritten, the
// file gone. Then, where the keyholder's key has versions, a new version takes over every other wrapped key, and the old
// ones are shredded: a copy of the file, in a backup or in what the disk remembers, opens no more. Shredding again what is
// shredded does only the last part. The caller holds [Layout.LockKeys].
func (c *Config) ShredUnit(ctx context.Context, k keyholder.Keyholder, id dataset.ID, unit envelope.Digest) error {
	path := filepath.Join(c.layout.Units(id), unit.Hex())
	if _, err := readUnit(path); err != nil && !errors.Is(err, ErrShredded) {
		return err
	}
	if err := WriteFile(path+erasedSuffix, []byte{}); err != nil {
		return err
	}
	if err := errors.Join(overwrite(path+wrapSuffix), sweepUnits(filepath.Dir(path))); err != nil {
		return err
	}
	r, ok := k.(keyholder.Retirer)
	if !ok {
		return nil
	}
	return c.renew(ctx, r, k)
}

// overwrite replaces a file's bytes by random ones and removes it. That it is gone already is no error.
func overwrite(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	st, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	noise := make([]byte, st.Size())
	rand.Read(noise) //nolint:errcheck // never fails since Go 1.24
	_, err = f.WriteAt(noise, 0)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// sweepUnits overwrites what an interrupted AddUnits left: wrapped keys without a name.
func sweepUnits(folder string) error {
	left, err := filepath.Glob(filepath.Join(folder, ".tmp-*"))
	for _, path := range left {
		err = errors.Join(err, overwrite(path))
	}
	return err
}

// renew moves every wrapped key to a new version of the keyholder's key and shreds the versions before. None is shredded
// before all keys were seen to open under the new one.
func (c *Config) renew(ctx context.Context, r keyholder.Retirer, k keyholder.Keyholder) error {
	if err := r.Rotate(ctx); err != nil {
		return err
	}
	keys, err := c.WrappedKeys()
	if err != nil {
		return err
	}
	for i := range keys {
		if err := keys[i].Rewrap(ctx, r, k); err != nil {
			return err
		}
	}
	v, err := r.Versions(ctx)
	if err != nil {
		return err
	}
	return r.Retire(ctx, v.Latest)
}
