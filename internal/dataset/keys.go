// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Keys are what a broker releases of a package: the key of what belongs to no contributor, and those of the contributors
// whose units are granted, in the order of [Selection.IDs]. The zero Keys open nothing.
type Keys struct {
	Package Key
	Units   []UnitKey
}

// UnitKey is one contributor's key.
type UnitKey struct {
	ID  envelope.Digest
	Key Key
}

// The form of keys of a package with units: version, count of units, package key, then each unit's identity and key.
const (
	keysVersion = 1
	keysHeader  = 1 + 4 + KeySize
	unitKeySize = sha256.Size + KeySize
)

// KeysSize is how long the keys of so many units are, in a package packed by contributor or not.
func KeysSize(byContributor bool, units int) int {
	if !byContributor {
		return KeySize
	}
	return keysHeader + units*unitKeySize
}

// Append writes the keys of a package to b; the caller wipes it. A package that is not packed by contributor has its one
// key, as it is.
func (k *Keys) Append(b []byte, byContributor bool) []byte {
	if !byContributor {
		return append(b, k.Package.Bytes()...)
	}
	b = append(b, keysVersion)
	b = binary.BigEndian.AppendUint32(b, uint32(len(k.Units)))
	b = append(b, k.Package.Bytes()...)
	for _, u := range k.Units {
		b = append(append(b, u.ID[:]...), u.Key.Bytes()...)
	}
	return b
}

// ParseKeys reads what Append wrote for a package packed by contributor or not. It refuses keys of other units than want,
// or in another order.
func ParseKeys(b []byte, byContributor bool, want []envelope.Digest) (k Keys, err error) {
	if len(b) != KeysSize(byContributor, len(want)) {
		return k, fmt.Errorf("%w: %d bytes of keys for %d units", ErrConfig, len(b), len(want))
	}
	if !byContributor {
		k.Package, err = KeyFromBytes(b)
		return k, err
	}
	if b[0] != keysVersion || int64(binary.BigEndian.Uint32(b[1:])) != int64(len(want)) {
		return k, fmt.Errorf("%w: keys of another form or of other units", ErrConfig)
	}
	if k.Package, err = KeyFromBytes(b[5:keysHeader]); err != nil {
		return k, err
	}
	for b = b[keysHeader:]; len(b) > 0; b = b[unitKeySize:] {
		u := UnitKey{ID: envelope.Digest(b[:sha256.Size])}
		if u.ID != want[len(k.Units)] {
			err = fmt.Errorf("%w: the key of another unit than %s", ErrConfig, want[len(k.Units)])
		} else {
			u.Key, err = KeyFromBytes(b[sha256.Size:unitKeySize])
		}
		if err != nil {
			k.Wipe()
			return Keys{}, err
		}
		k.Units = append(k.Units, u)
	}
	return k, nil
}

// ByID is how [StreamOptions] want unit keys.
func (k *Keys) ByID() map[envelope.Digest]Key {
	out := make(map[envelope.Digest]Key, len(k.Units))
	for _, u := range k.Units {
		out[u.ID] = u.Key
	}
	return out
}

// Wipe overwrites all of them.
func (k *Keys) Wipe() {
	k.Package.Wipe()
	for _, u := range k.Units {
		u.Key.Wipe()
	}
}
