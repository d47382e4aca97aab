// SPDX-License-Identifier: Apache-2.0

package envelope

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// PackageID names a package across its versions: 16 random bytes, written as hexadecimal. The zero value names nothing
// and is refused when read.
type PackageID [16]byte

func (id PackageID) String() string { return hex.EncodeToString(id[:]) }

// IsZero reports whether id was never drawn.
func (id PackageID) IsZero() bool { return id == PackageID{} }

// MarshalText implements encoding.TextMarshaler.
func (id PackageID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *PackageID) UnmarshalText(b []byte) error {
	var v PackageID
	if len(b) != 2*len(v) || strings.ToLower(string(b)) != string(b) {
		return fmt.Errorf("%w: package id must be 32 lower-case hex digits", ErrMalformed)
	}
	if _, err := hex.Decode(v[:], b); err != nil {
		return fmt.Errorf("%w: package id: %v", ErrMalformed, err)
	}
	if v.IsZero() {
		return fmt.Errorf("%w: package id is all zero", ErrMalformed)
	}
	*id = v
	return nil
}
