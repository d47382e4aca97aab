// SPDX-License-Identifier: Apache-2.0

package snp

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// ErrTable is a certificate table that is not one.
var ErrTable = errors.New("snp: malformed certificate table")

// Entries of a certificate table that hold certificates (AMD 56421, GHCB specification, SNP extended guest request).
const (
	guidVCEK  = "63da758d-e664-4564-adc5-f4b93be8accd"
	guidVLEK  = "a8074bc2-a25a-483e-aae6-39c045a0b8a1"
	guidASK   = "4ab7b379-bbac-4fe4-a02f-05aef327c782"
	guidARK   = "c0b406a4-a803-4952-9743-3fb6014cd0ae"
	entrySize = 24 // GUID, offset, length
)

// ParseTable returns the certificates in a table that a host made, DER or whatever the host put there, in the table's
// order. Entries of other kinds are passed over. Everything after the host's zero entry is where the certificates are; no
// certificate may lie in the list itself, be empty, or share bytes with another. Errors: [ErrTable].
func ParseTable(b []byte) ([][]byte, error) {
	if len(b) > maxTable {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTable, len(b), maxTable)
	}
	n, err := countEntries(b)
	if err != nil {
		return nil, err
	}
	var out [][]byte
	used := make([][2]uint64, 0, n)
	for i := range n {
		e := b[i*entrySize:]
		from, size := uint64(binary.LittleEndian.Uint32(e[16:])), uint64(binary.LittleEndian.Uint32(e[20:]))
		to := from + size
		if from < uint64((n+1)*entrySize) || size == 0 || to > uint64(len(b)) {
			return nil, fmt.Errorf("%w: entry %d is at %d to %d of %d bytes", ErrTable, i, from, to, len(b))
		}
		for _, u := range used {
			if from < u[1] && u[0] < to {
				return nil, fmt.Errorf("%w: entry %d shares bytes with another", ErrTable, i)
			}
		}
		used = append(used, [2]uint64{from, to})
		if !isCertificate(e[:16]) {
			continue
		}
		if size > maxCertificate {
			return nil, fmt.Errorf("%w: certificate of %d bytes, at most %d", ErrTable, size, maxCertificate)
		}
		out = append(out, b[from:to:to])
	}
	return out, nil
}

// countEntries finds the zero entry that ends the list.
func countEntries(b []byte) (int, error) {
	for n := range maxEntries + 1 {
		if len(b) < (n+1)*entrySize {
			return 0, fmt.Errorf("%w: the list of entries does not end", ErrTable)
		}
		if [entrySize]byte(b[n*entrySize:]) == [entrySize]byte{} {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%w: more than %d entries", ErrTable, maxEntries)
}

func isCertificate(guid []byte) bool {
	for _, g := range []string{guidVCEK, guidVLEK, guidASK, guidARK} {
		if hex.EncodeToString(guid) == strings.ReplaceAll(g, "-", "") {
			return true
		}
	}
	return false
}
