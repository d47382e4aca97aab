// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// Permits holds the owner's signed counted permits.
func (l Layout) Permits() string { return l.at("permits") }

// AddPermit signs p with the directory's owner key and stores it for the broker.
func AddPermit(dir string, p *grant.Permit) (envelope.Digest, error) {
	l := Layout{dir}
	owner, err := envelope.LoadKeyFile(l.OwnerKey(), envelope.RoleOwner)
	if err != nil {
		return envelope.Digest{}, err
	}
	signed, id, err := grant.Sign(p, owner)
	if err != nil {
		return id, err
	}
	if err := os.MkdirAll(l.Permits(), 0o700); err != nil {
		return id, err
	}
	return id, WriteFile(filepath.Join(l.Permits(), id.Hex()+signedSuffix), signed)
}

// ListPermits reads the permits in a directory, ordered by digest, and verifies each by the owner's key. One that does not
// verify is an error: whoever put it there wants something. A directory without any has none.
func ListPermits(dir string, owner envelope.PublicKey) ([]*envelope.Verified[grant.Permit], error) {
	files, err := SignedFiles(Layout{dir}.Permits())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []*envelope.Verified[grant.Permit]
	for _, signed := range files {
		p, err := grant.VerifyPermit(signed, owner)
		if err != nil {
			return nil, fmt.Errorf("%w: permit: %w", ErrPackage, err)
		}
		out = append(out, p)
	}
	return out, nil
}
