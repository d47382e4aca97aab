// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/internal/dataset"
)

// The data key of a first version that is being packed lies beside its journal as NAME.DATASET.wrap, so that it moves with all
// other wrapped keys when the key that wraps them is renewed.
const journalSuffix = ".journal"

// Packing is the journal of the pack of that name that is under way, or was interrupted. The broker does not read it.
func (l Layout) Packing(name string) string {
	return filepath.Join(l.packing(), name+journalSuffix)
}

func (l Layout) packing() string { return l.at("packing") }

func (l Layout) packKey(name string, id dataset.ID) string {
	return filepath.Join(l.packing(), name+"."+id.String()+wrapSuffix)
}

// Packs are the names of the packs that are under way or were interrupted.
func (l Layout) Packs() (names []string, err error) {
	entries, err := os.ReadDir(l.packing())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), journalSuffix); ok {
			names = append(names, name)
		}
	}
	return names, err
}

// AddPackKey stores the data key of a pack that begins, wrapped with [keyholder.PackContext], in place of that of an earlier
// one of its name. The caller holds [Layout.LockKeys] until the pack's journal is there.
func (c *Config) AddPackKey(name string, id dataset.ID, wrapped []byte) error {
	if len(wrapped) == 0 || len(wrapped) > keyholder.MaxWrapped {
		return fmt.Errorf("%w: wrapped key of %d bytes for the pack of %s", ErrPackage, len(wrapped), name)
	}
	if err := c.DropPackKey(name); err != nil {
		return err
	}
	return WriteFile(c.layout.packKey(name, id), wrapped)
}

// PackKey is what [Config.AddPackKey] stored, or what came of it since.
func (c *Config) PackKey(name string, id dataset.ID) ([]byte, error) {
	return readFile(c.layout.packKey(name, id), keyholder.MaxWrapped)
}

// DropPackKey overwrites and removes the key of a pack that is complete or given up. The caller holds [Layout.LockKeys].
func (c *Config) DropPackKey(name string) error {
	return c.eachPackKey(func(of string, _ dataset.ID, path string) error {
		if of != name {
			return nil
		}
		return overwrite(path)
	})
}

// SweepPackKeys removes keys of packs that a crash left without a journal. The caller holds [Layout.LockKeys].
func (c *Config) SweepPackKeys() error {
	return c.eachPackKey(func(name string, _ dataset.ID, path string) error {
		if _, err := os.Lstat(c.layout.Packing(name)); !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return overwrite(path)
	})
}

// wrappedPacks are the wrapped keys of packs that are not complete, for [Config.WrappedKeys].
func (c *Config) wrappedPacks() (out []WrappedKey, err error) {
	err = c.eachPackKey(func(name string, id dataset.ID, path string) error {
		w, err := readFile(path, keyholder.MaxWrapped)
		if errors.Is(err, os.ErrNotExist) { // its pack ended just now
			return nil
		}
		out = append(out, WrappedKey{Pack: name, Context: keyholder.PackContext(id), Wrapped: w, path: path})
		return err
	})
	return out, err
}

// eachPackKey calls f for each key of a pack that lies there.
func (c *Config) eachPackKey(f func(name string, id dataset.ID, path string) error) error {
	entries, err := os.ReadDir(c.layout.packing())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		stem, ok := strings.CutSuffix(e.Name(), wrapSuffix)
		k := strings.LastIndexByte(stem, '.')
		var id dataset.ID
		if !ok || k < 0 || id.UnmarshalText([]byte(stem[k+1:])) != nil {
			continue
		}
		err = errors.Join(err, f(stem[:k], id, filepath.Join(c.layout.packing(), e.Name())))
	}
	return err
}
