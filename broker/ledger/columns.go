// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"fmt"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Columns that are NOT NULL hold an empty blob for nothing.

func digestColumn(d envelope.Digest) []byte {
	if d.IsZero() {
		return []byte{}
	}
	return d[:]
}

func datasetColumn(id envelope.PackageID) []byte {
	if id.IsZero() {
		return []byte{}
	}
	return id[:]
}

func optional(d *envelope.Digest) []byte {
	if d == nil {
		return []byte{}
	}
	return d[:]
}

func bytesColumn(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// nullable is NULL for nothing.
func nullable(d *envelope.Digest) any {
	if d == nil {
		return nil
	}
	return d[:]
}

// fill copies a column whose length must be right.
func fill(to, from []byte) bool { return copy(to, from) == len(to) && len(from) == len(to) }

// pointColumn is a key that is read often and never searched for.
func pointColumn(k envelope.PublicKey) ([]byte, error) {
	if k.IsZero() {
		return nil, fmt.Errorf("%w: no key", ErrCorrupt)
	}
	return k.ECDSA().Bytes()
}

func parsePoint(b []byte) (envelope.PublicKey, error) {
	k, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), b)
	if err != nil {
		return envelope.PublicKey{}, err
	}
	return envelope.NewPublicKey(k)
}

// keyCache remembers what did:keys mean: they are few, and slow to parse.
type keyCache struct {
	byText map[string]envelope.PublicKey
	last   envelope.PublicKey
	lastID string
}

const maxKeys = 1024

func (c *keyCache) parse(s string) (envelope.PublicKey, error) {
	if k, ok := c.byText[s]; ok {
		return k, nil
	}
	k, err := envelope.ParsePublicKey(s)
	if err != nil {
		return k, err
	}
	if c.byText == nil || len(c.byText) >= maxKeys {
		c.byText = map[string]envelope.PublicKey{}
	}
	c.byText[s] = k
	return k, nil
}

// text is k's did:key.
func (c *keyCache) text(k envelope.PublicKey) string {
	if !k.Equal(c.last) {
		c.last, c.lastID = k, k.String()
	}
	return c.lastID
}
