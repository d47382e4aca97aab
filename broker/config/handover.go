// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// HandOversDir holds the owner's signed hand-overs of her broker from key to key, numbered from 0001.
func (l Layout) HandOversDir() string { return l.at("handovers") }

// NextBrokerKey is the broker's key that a rotation has made and not yet put in place.
func (l Layout) NextBrokerKey() string { return l.at("broker.key.next") }

// HandOvers reads the signed hand-overs, oldest first; none if there was none.
func (c *Config) HandOvers() ([][]byte, error) {
	files, err := SignedFiles(c.layout.HandOversDir())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err // part of them would be another succession
	}
	return files, nil
}

// HandOver gives the broker a fresh key and has the owner endorse it, from the ledger's head on. The broker must be
// stopped. After a crash, asking again goes on where it ended: nothing is signed twice.
func HandOver(dir string, head grant.Head, reason string, now int64) (*grant.HandOver, error) {
	c, err := Load(Layout{dir}.Config())
	if err != nil {
		return nil, err
	}
	if h, err := c.finishHandOver(); h != nil || err != nil {
		return h, err
	}
	old, err := publicOf(c.layout.BrokerKey())
	if err != nil {
		return nil, err
	}
	if err := os.Remove(c.layout.NextBrokerKey()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err // a key that nobody endorsed
	}
	next, err := envelope.CreateKeyFile(c.layout.NextBrokerKey(), envelope.RoleBroker)
	if err != nil {
		return nil, err
	}
	defer next.Wipe()
	h := &grant.HandOver{Old: old, New: next.Public(), Head: head, Reason: reason, Time: now}
	if err := c.endorse(h); err != nil {
		return nil, err
	}
	return h, os.Rename(c.layout.NextBrokerKey(), c.layout.BrokerKey())
}

// endorse signs a hand-over and stores it after those before it.
func (c *Config) endorse(h *grant.HandOver) error {
	owner, err := envelope.LoadKeyFile(c.layout.OwnerKey(), envelope.RoleOwner)
	if err != nil {
		return err
	}
	defer owner.Wipe()
	before, err := c.HandOvers()
	if err != nil {
		return err
	}
	if len(before) >= grant.MaxHandOvers {
		return fmt.Errorf("%w: %d hand-overs are the most; publish the packages anew under the present key", ErrConfig, len(before))
	}
	signed, _, err := grant.Sign(h, owner)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.layout.HandOversDir(), 0o700); err != nil {
		return err
	}
	if err := syncDir(c.layout.Dir); err != nil {
		return err
	}
	return writeNew(filepath.Join(c.layout.HandOversDir(), fmt.Sprintf("%04d%s", len(before)+1, signedSuffix)), signed)
}

// writeNew is [WriteFile] for a file that must not be there yet: what is there stays, and that is [ErrExists].
func writeNew(path string, b []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	_, werr := f.Write(b)
	if err := errors.Join(werr, f.Sync(), f.Close()); err != nil {
		return err
	}
	err = os.Link(f.Name(), path)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%w: %s", ErrExists, path)
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// finishHandOver puts a key in place that the last hand-over names, if a rotation was cut off before it did.
func (c *Config) finishHandOver() (*grant.HandOver, error) {
	files, err := c.HandOvers()
	if err != nil || len(files) == 0 {
		return nil, err
	}
	last, err := grant.VerifyHandOver(files[len(files)-1], c.Owner)
	if err != nil {
		return nil, err
	}
	next, err := publicOf(c.layout.NextBrokerKey())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil || !next.Equal(last.Predicate.New) {
		return nil, err
	}
	return &last.Predicate, os.Rename(c.layout.NextBrokerKey(), c.layout.BrokerKey())
}

func publicOf(path string) (envelope.PublicKey, error) {
	s, err := envelope.LoadKeyFile(path, envelope.RoleBroker)
	if err != nil {
		return envelope.PublicKey{}, err
	}
	defer s.Wipe()
	return s.Public(), nil
}
