// SPDX-License-Identifier: Apache-2.0

package transforms

import (
	"crypto/hkdf"
	"crypto/sha512"
	"fmt"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Labels of the keys that steps get. The creator, who has the package's key, can derive them all.
const (
	datasetKeyLabel = "glovebox.dev/transform-key/dataset/v1"
	grantKeyLabel   = "glovebox.dev/transform-key/grant/v1"
)

// PackageKeys are the keys of steps over one package: HKDF-Expand-SHA512 of the package's data key, with a label, the
// grant where there is one, and what the step asks for, each with its length.
type PackageKeys struct {
	secret []byte // lent
	grant  envelope.Digest
}

// NewPackageKeys lends a package's data key, which stays the caller's to wipe. Without a grant, at ingest, keys of a grant
// are those of a grant that nobody has: give a random digest.
func NewPackageKeys(secret []byte, grant envelope.Digest) (*PackageKeys, error) {
	if len(secret) != 32 || [32]byte(secret) == [32]byte{} || grant.IsZero() {
		return nil, fmt.Errorf("%w: keys of a package without its data key or a grant", ErrEnv)
	}
	return &PackageKeys{secret, grant}, nil
}

// Dataset implements [Keys].
func (k *PackageKeys) Dataset(label string) [32]byte {
	return k.derive(envelope.Hash(datasetKeyLabel, []byte(label)))
}

// Grant implements [Keys].
func (k *PackageKeys) Grant(label string) [32]byte {
	return k.derive(envelope.Hash(grantKeyLabel, k.grant[:], []byte(label)))
}

func (k *PackageKeys) derive(info envelope.Digest) (out [32]byte) {
	b, err := hkdf.Expand(sha512.New, k.secret, string(info[:]), len(out))
	if err != nil {
		panic(err) // a length that HKDF-SHA-512 cannot give; 32 is not one
	}
	copy(out[:], b)
	clear(b)
	return out
}
