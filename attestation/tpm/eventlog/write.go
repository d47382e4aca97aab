// SPDX-License-Identifier: Apache-2.0

package eventlog

import (
	"encoding/binary"
	"fmt"
)

// Header is the start of a log with a SHA-256 bank only.
func Header() []byte { return header(0, algSHA256, 32) }

func header(register uint32, alg, size uint16) []byte {
	spec := []byte(signature)
	spec = append(spec, 0, 0, 0, 0) // platform class: client
	spec = append(spec, 0, 2, 2, 2) // version 2.0, errata 2, 64-bit UINTN
	spec = binary.LittleEndian.AppendUint32(spec, 1)
	spec = binary.LittleEndian.AppendUint16(spec, alg)
	spec = binary.LittleEndian.AppendUint16(spec, size)
	spec = append(spec, 0) // no vendor information

	b := binary.LittleEndian.AppendUint32(nil, register)
	b = binary.LittleEndian.AppendUint32(b, NoAction)
	b = append(b, make([]byte, 20)...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(spec)))
	return append(b, spec...)
}

// Append writes one event behind log, which [Header] began.
func Append(log []byte, e Event) ([]byte, error) {
	if e.PCR < 0 || e.PCR >= pcrCount || len(log)+len(e.Data)+64 > MaxLog {
		return nil, fmt.Errorf("%w: PCR %d, %d bytes", ErrFormat, e.PCR, len(e.Data))
	}
	return appendEvent(log, record{e.PCR, e.Type, e.Digest[:], e.Data}, algSHA256), nil
}
