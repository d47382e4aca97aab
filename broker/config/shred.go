// SPDX-License-Identifier: Apache-2.0

package config

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// What UNIT.erased says. At first nothing: the key that wrapped the unit's is still to be renewed. Then the version from
// which on nothing opens a copy, once there is one, so that trying again makes no further version. At last that it is done.
const (
	markToDo    = ""
	markVersion = "version "
	markDone    = "renewed\n" // no mark of another kind is as long
	maxMark     = 64
)

// ShredUnit is [Config.ShredUnits] for one contributor; [ErrUnknown] if she never had a key.
func (c *Config) ShredUnit(ctx context.Context, k keyholder.Keyholder, id dataset.ID, unit envelope.Digest) error {
	if _, err := readUnit(c.unitPath(id, unit)); err != nil && !errors.Is(err, ErrShredded) {
		return err
	}
	return c.ShredUnits(ctx, k, []grant.UnitRef{{Dataset: id, ID: unit}})
}

// ShredUnits destroys contributors' keys, for good. In this order, each step durable before the next, so that a crash in
// between leaves an erasure to be finished ([Config.HalfShredded]) and never one undone: a mark that stands for the key, the
// file overwritten, the file gone. Then, where the keyholder's key has versions, a new version takes over every other wrapped
// key, and the old ones are shredded: a copy of the file, in a backup or in what the disk remembers, opens no more. The mark
// says when that is done; until then it is done again, and once it is, shredding again does nothing. The caller holds
// [Layout.LockKeys].
func (c *Config) ShredUnits(ctx context.Context, k keyholder.Keyholder, units []grant.UnitRef) error {
	var marks []string
	var errs []error
	for _, u := range units {
		path := c.unitPath(u.Dataset, u.ID)
		done, err := destroy(path)
		if err != nil {
			errs = append(errs, fmt.Errorf("unit %s: %w", u.ID, err)) // the others' are destroyed all the same
		} else if !done {
			marks = append(marks, path+erasedSuffix)
		}
	}
	if len(marks) == 0 {
		return errors.Join(errs...)
	}
	if r, ok := k.(keyholder.Retirer); ok {
		if err := c.renew(ctx, r, k, marks); err != nil {
			return errors.Join(append(errs, err)...)
		}
	}
	return errors.Join(append(errs, markAll(marks, markDone))...)
}

func (c *Config) unitPath(id dataset.ID, unit envelope.Digest) string {
	return filepath.Join(c.layout.Units(id), unit.Hex())
}

// destroy marks a key as erased and overwrites its file, with what an interrupted [AddUnits] left beside it. done says that
// nothing else is to be done. A file beside a mark was put back by somebody, or is left from a crash: then all is to be done.
func destroy(path string) (done bool, err error) {
	said, err := readFile(path+erasedSuffix, maxMark)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return false, err
	}
	marked := err == nil
	_, err = os.Lstat(path + wrapSuffix)
	gone := errors.Is(err, os.ErrNotExist)
	if marked && gone {
		return string(said) == markDone, sweepUnits(filepath.Dir(path))
	}
	if err := WriteFile(path+erasedSuffix, []byte(markToDo)); err != nil {
		return false, err
	}
	return false, errors.Join(overwrite(path+wrapSuffix), sweepUnits(filepath.Dir(path)))
}

// markAll replaces what marks say.
func markAll(marks []string, what string) error {
	var errs []error
	for _, m := range marks {
		errs = append(errs, WriteFile(m, []byte(what)))
	}
	return errors.Join(errs...)
}

// HalfShredded lists the contributors whose erasure was begun and is not finished: those whose key lies beside its mark, and
// those whose mark does not say that the key which wrapped theirs was renewed.
func (c *Config) HalfShredded() (out []grant.UnitRef, err error) {
	err = c.eachDataset(func(id dataset.ID) error {
		entries, err := os.ReadDir(c.layout.Units(id))
		if err != nil {
			return err
		}
		wrapped, erased := map[envelope.Digest]bool{}, map[envelope.Digest]bool{} // erased: whether it is done
		for _, e := range entries {
			unit, ok := unitOf(e.Name())
			switch {
			case !ok:
			case strings.HasSuffix(e.Name(), wrapSuffix):
				wrapped[unit] = true
			default:
				st, err := e.Info()
				erased[unit] = err == nil && st.Size() == int64(len(markDone))
			}
		}
		for unit, done := range erased {
			if wrapped[unit] || !done {
				out = append(out, grant.UnitRef{Dataset: id, ID: unit})
			}
		}
		return nil
	})
	return out, err
}

// eachDataset calls f for each dataset that has contributors' keys.
func (c *Config) eachDataset(f func(id dataset.ID) error) error {
	folders, err := os.ReadDir(c.layout.units())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range folders {
		var id dataset.ID
		if err := id.UnmarshalText([]byte(e.Name())); err != nil {
			continue
		}
		if err := f(id); err != nil {
			return err
		}
	}
	return nil
}

// overwrite replaces a file's bytes by random ones and removes it. That it is gone already is no error.
func overwrite(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if errors.Is(err, os.ErrNotExist) {
		if err = os.Remove(path); errors.Is(err, os.ErrNotExist) { // else a link that led nowhere
			err = nil
		}
		return err
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
func (c *Config) renew(ctx context.Context, r keyholder.Retirer, k keyholder.Keyholder, marks []string) error {
	latest, err := rotateOnce(ctx, r, marks)
	if err != nil {
		return err
	}
	keys, err := c.WrappedKeys()
	if err != nil {
		return err
	}
	for i := range keys {
		if err := keys[i].moveTo(ctx, r, k, latest); err != nil {
			return c.lostPack(&keys[i], err)
		}
	}
	return r.Retire(ctx, latest)
}

// lostPack adds to the error of a pack's key that does not open what lets erasures go on. Such a pack is only work begun, so its
// owner can drop it; of any other key it would be a loss.
func (c *Config) lostPack(w *WrappedKey, err error) error {
	if w.Pack == "" || !errors.Is(err, keyholder.ErrUnwrap) {
		return err
	}
	return fmt.Errorf("%w; no erasure is finished before that pack goes on or is dropped. If the version that wrapped its key was shredded, drop it: glovebox creator pack SOURCE --dir %s --name %s --restart",
		err, c.layout.Dir, w.Pack)
}

// rotateOnce makes a new version, unless an attempt before this one did, and gives its number.
func rotateOnce(ctx context.Context, r keyholder.Retirer, marks []string) (int, error) {
	v, err := r.Versions(ctx)
	if err != nil {
		return 0, err
	}
	fresh := true
	for _, m := range marks {
		said, err := readFile(m, maxMark)
		if err != nil {
			return 0, err
		}
		n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(string(said), markVersion), "\n"))
		fresh = fresh && err == nil && n > 0 && n <= v.Latest // else another keyholder made it
	}
	if fresh {
		return v.Latest, nil
	}
	if err := r.Rotate(ctx); err != nil {
		return 0, err
	}
	if v, err = r.Versions(ctx); err != nil {
		return 0, err
	}
	return v.Latest, markAll(marks, markVersion+strconv.Itoa(v.Latest)+"\n")
}

// moveTo makes sure that a wrapped key opens under version latest.
func (w *WrappedKey) moveTo(ctx context.Context, r keyholder.Retirer, k keyholder.Keyholder, latest int) error {
	if n, err := r.Version(w.Wrapped); err != nil || n < latest {
		return w.Rewrap(ctx, r, k)
	}
	key, err := k.Unwrap(ctx, w.Context, w.Wrapped)
	clear(key)
	if err != nil {
		return fmt.Errorf("%s: %w", w.name(), err)
	}
	return nil
}
