// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// Package is one package an owner's broker can release.
type Package struct {
	ID       envelope.Digest
	Manifest *dataset.Manifest
	Signed   []byte // the manifest's envelope
}

// AddPackage stores a signed manifest and its data key, wrapped by the directory's keyholder with
// [keyholder.Context] of the manifest's ID. The package appears whole or not at all, and a running broker finds it
// without a restart. Storing the same bytes again does nothing; other bytes for the same manifest are [ErrExists].
func AddPackage(dir string, signedManifest, wrapped []byte) (envelope.Digest, error) {
	c, err := Load(Layout{dir}.Config())
	if err != nil {
		return envelope.Digest{}, err
	}
	v, err := c.verifyPackage(signedManifest)
	if err != nil {
		return envelope.Digest{}, err
	}
	if err := c.verifyBroker(&v.Predicate); err != nil {
		return v.ID, err
	}
	if len(wrapped) == 0 || len(wrapped) > keyholder.MaxWrapped {
		return v.ID, fmt.Errorf("%w: wrapped key of %d bytes", ErrPackage, len(wrapped))
	}
	dst := c.layout.Package(v.ID)
	if _, err := os.Stat(dst); err == nil {
		return v.ID, samePackage(dst, signedManifest, wrapped)
	}
	return v.ID, installPackage(c.layout, dst, signedManifest, wrapped)
}

func installPackage(l Layout, dst string, signedManifest, wrapped []byte) error {
	tmp, err := os.MkdirTemp(l.Packages(), ".tmp-*")
	if err != nil {
		return err
	}
	err = errors.Join(
		WriteFile(filepath.Join(tmp, manifestFile), signedManifest),
		WriteFile(filepath.Join(tmp, wrapFile), wrapped),
	)
	if err == nil {
		err = os.Rename(tmp, dst)
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(tmp))
	}
	return syncDir(l.Packages())
}

func samePackage(dir string, signedManifest, wrapped []byte) error {
	m, err1 := readFile(filepath.Join(dir, manifestFile), envelope.MaxEnvelope)
	w, err2 := readFile(filepath.Join(dir, wrapFile), keyholder.MaxWrapped)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if !bytes.Equal(m, signedManifest) || !bytes.Equal(w, wrapped) {
		return fmt.Errorf("%w: %s holds this package with another signature or key", ErrExists, dir)
	}
	return nil
}

// verifyPackage checks that a manifest is this owner's.
func (c *Config) verifyPackage(signed []byte) (*envelope.Verified[dataset.Manifest], error) {
	v, err := dataset.Verify(signed)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPackage, err)
	}
	if !v.Predicate.Owner.Equal(c.Owner) {
		return nil, fmt.Errorf("%w: the manifest's owner is %s, this directory's is %s", ErrPackage, v.Predicate.Owner, c.Owner)
	}
	return v, nil
}

// verifyBroker checks that a manifest names the broker whose key is in this directory: no other could release it.
func (c *Config) verifyBroker(m *dataset.Manifest) error {
	s, err := envelope.LoadKeyFile(c.layout.BrokerKey(), envelope.RoleBroker)
	if err != nil {
		return err
	}
	defer s.Wipe()
	if !m.Broker.Key.Equal(s.Public()) {
		return fmt.Errorf("%w: the manifest names another broker's key", ErrPackage)
	}
	return nil
}

// LoadPackage reads and verifies one package's manifest; [ErrUnknown] when there is none.
func (c *Config) LoadPackage(manifest envelope.Digest) (*Package, error) {
	signed, err := readFile(filepath.Join(c.layout.Package(manifest), manifestFile), envelope.MaxEnvelope)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrUnknown, manifest)
	}
	if err != nil {
		return nil, err
	}
	v, err := c.verifyPackage(signed)
	if err != nil {
		return nil, err
	}
	if v.ID != manifest {
		return nil, fmt.Errorf("%w: folder %s holds manifest %s", ErrPackage, manifest.Hex(), v.ID)
	}
	return &Package{v.ID, &v.Predicate, signed}, nil
}

// WrappedKey reads one package's wrapped data key.
func (c *Config) WrappedKey(manifest envelope.Digest) ([]byte, error) {
	return readFile(filepath.Join(c.layout.Package(manifest), wrapFile), keyholder.MaxWrapped)
}

// PackageIDs lists the packages in the directory by name, without reading them.
func (c *Config) PackageIDs() ([]envelope.Digest, error) {
	entries, err := os.ReadDir(c.layout.Packages())
	if err != nil {
		return nil, err
	}
	var out []envelope.Digest
	for _, e := range entries {
		b, err := hex.DecodeString(e.Name())
		if err != nil || len(b) != len(envelope.Digest{}) || !e.IsDir() {
			continue
		}
		out = append(out, envelope.Digest(b))
	}
	return out, nil
}

// ListPackages reads and verifies every package in dir, ordered by digest.
func ListPackages(dir string) ([]Package, error) {
	c, err := Load(Layout{dir}.Config())
	if err != nil {
		return nil, err
	}
	ids, err := c.PackageIDs()
	if err != nil {
		return nil, err
	}
	var out []Package
	for _, id := range ids {
		p, err := c.LoadPackage(id)
		if err != nil {
			return nil, err
		}
		out = append(out, *p)
	}
	return out, nil
}

// AddRevocation signs r with the directory's owner key and stores it; a running broker acts on it within a second.
func AddRevocation(dir string, r *grant.Revocation) (envelope.Digest, error) {
	l := Layout{dir}
	owner, err := envelope.LoadKeyFile(l.OwnerKey(), envelope.RoleOwner)
	if err != nil {
		return envelope.Digest{}, err
	}
	signed, id, err := grant.Sign(r, owner)
	if err != nil {
		return id, err
	}
	return id, WriteFile(filepath.Join(l.Revocations(), id.Hex()+signedSuffix), signed)
}

// AddCancellation signs c with the directory's buyer key and stores it for the buyer's broker.
func AddCancellation(dir string, c *job.Cancel) (envelope.Digest, error) {
	l := Layout{dir}
	buyer, err := envelope.LoadKeyFile(l.BuyerKey(), envelope.RoleBuyer)
	if err != nil {
		return envelope.Digest{}, err
	}
	signed, id, err := job.SignCancel(c, buyer)
	if err != nil {
		return id, err
	}
	return id, WriteFile(filepath.Join(l.Cancellations(), id.Hex()+signedSuffix), signed)
}

// ErrSigned means that a signed file in a folder cannot be read. It is never [os.ErrNotExist]: a name that leads nowhere is
// not an empty folder.
var ErrSigned = errors.New("broker/config: a signed file cannot be read")

// SignedFiles reads every signed file in a folder, ordered by name. Files that are still being written are not seen. It is
// [os.ErrNotExist] only if there is no folder. When some files cannot be read ([ErrSigned]) it returns the others all the
// same: what they forbid must not be forgotten because of a damaged one beside them.
func SignedFiles(dir string) ([][]byte, error) {
	names, err := signedNames(dir)
	if err != nil {
		return nil, err
	}
	var out [][]byte
	var errs []error
	for _, name := range names {
		b, err := readFile(filepath.Join(dir, name), maxConfig)
		switch {
		case err == nil:
			out = append(out, b)
		case !vanished(dir, name, err):
			errs = append(errs, fmt.Errorf("%w: %v", ErrSigned, err)) //nolint:errorlint // its cause may be os.ErrNotExist
		}
	}
	return out, errors.Join(errs...)
}

// signedNames lists the signed files in a folder.
func signedNames(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		if _, lerr := os.Lstat(dir); !errors.Is(lerr, os.ErrNotExist) {
			return nil, fmt.Errorf("%w: %v", ErrSigned, err) //nolint:errorlint // the folder's name is there and leads nowhere
		}
	}
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if filepath.Ext(e.Name()) == signedSuffix && !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// vanished reports whether a file could not be read because somebody removed it after the folder was listed: it is listed
// no more. A name that is still listed leads nowhere, which is something else.
func vanished(dir, name string, err error) bool {
	if !errors.Is(err, os.ErrNotExist) {
		return false
	}
	names, err := signedNames(dir)
	return err == nil && !slices.Contains(names, name)
}
