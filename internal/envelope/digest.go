// SPDX-License-Identifier: Apache-2.0

package envelope

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
)

// digestPrefix is the only hash Glovebox names: SHA-256 (FIPS 180-4).
const digestPrefix = "sha256:"

// Digest is a SHA-256 hash. Its zero value means "no digest" and is refused wherever a digest is required.
type Digest [sha256.Size]byte

// Sum is the SHA-256 of raw bytes received from elsewhere (a payload, a blob). Hashes over structured input use [Hash].
func Sum(b []byte) Digest { return sha256.Sum256(b) }

// Hash is SHA-256 over a versioned label and fields, each preceded by its length as eight big-endian bytes, so that no
// two different inputs share an encoding.
func Hash(label string, fields ...[]byte) Digest {
	h := sha256.New()
	write := func(b []byte) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(b)))
		h.Write(n[:])
		h.Write(b)
	}
	write([]byte(label))
	for _, f := range fields {
		write(f)
	}
	return Digest(h.Sum(nil))
}

// ParseDigest reads "sha256:" and 64 lower-case hexadecimal digits.
func ParseDigest(s string) (Digest, error) {
	var d Digest
	h, ok := strings.CutPrefix(s, digestPrefix)
	if !ok || len(h) != 2*len(d) || strings.ToLower(h) != h {
		return d, fmt.Errorf("%w: want sha256: and 64 lower-case hex digits", ErrDigest)
	}
	if _, err := hex.Decode(d[:], []byte(h)); err != nil {
		return Digest{}, fmt.Errorf("%w: %v", ErrDigest, err)
	}
	return d, nil
}

// IsZero reports whether d is the zero value, which names nothing.
func (d Digest) IsZero() bool { return d == Digest{} }

// Hex is the digest without its prefix, as in-toto subjects and file names carry it.
func (d Digest) Hex() string { return hex.EncodeToString(d[:]) }

func (d Digest) String() string { return digestPrefix + d.Hex() }

// MarshalText implements encoding.TextMarshaler.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. It refuses the all-zero digest: a field that names nothing is an
// error, never a wildcard. A field that may be absent is a pointer.
func (d *Digest) UnmarshalText(b []byte) error {
	v, err := ParseDigest(string(b))
	if err != nil {
		return err
	}
	if v.IsZero() {
		return fmt.Errorf("%w: all zero", ErrDigest)
	}
	*d = v
	return nil
}
