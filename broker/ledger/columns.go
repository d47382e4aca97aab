// SPDX-License-Identifier: Apache-2.0

package ledger

import "github.com/glovebox-dev/glovebox/internal/envelope"

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
