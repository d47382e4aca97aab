// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"unsafe"
)

// What an enclave asks of a worker that trains. The bytes of records and of parameters are in the window; those of gradients,
// sums, and prepared records are in the results. Every call has one answer on out, whose length both sides know beforehand, or
// for gradients one a chunk.
const (
	askParams   = 'p' // count parameters from at on; the answer is one byte
	askPrepare  = 'r' // of count records; the answer is a length for each, or notPrepared
	askGradient = 'g' // of count records; the answer is a byte for each, trainOK or trainFailed
	askSum      = 's' // as well, in sums of bounded units; the answer is one byte
	askTotal    = 't' // of the units since it was last asked; the answer is one byte
	askScore    = 'c' // of count records; the answer is the bits of a float32 for each
	askTrial    = 'y' // of one record, a call that at names; the answer is a result and what came of it. Enclaves never ask it
)

const (
	trainFailed byte = iota
	trainOK
)

const (
	notPrepared = math.MaxUint32 // instead of a length
	endOfUnit   = 1 << 31        // in a record's length, where the worker sums
	askBytes    = 9
	readyBytes  = 5    // count of parameters, and flags
	flagPrepare = 1    // the guest has this function
	flagPredict = 2    // and this
	maxAsked    = 4096 // records at once
	maxChunk    = 256
	// ringBytes is what gradients take that are on their way: little enough to be in a cache when they are read.
	ringBytes = 4 << 20
)

// ask is a call: what, how many, from where. The lengths of records follow it.
type ask struct {
	what  byte
	count uint32
	at    uint32
}

func (a ask) append(b []byte) []byte {
	b = append(b, a.what)
	b = binary.BigEndian.AppendUint32(b, a.count)
	return binary.BigEndian.AppendUint32(b, a.at)
}

// readAsk reads a call. The end of the file is the end of the session.
func readAsk(r io.Reader) (a ask, err error) {
	var b [askBytes]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return a, err
	}
	return ask{b[0], binary.BigEndian.Uint32(b[1:]), binary.BigEndian.Uint32(b[5:])}, nil
}

// readLengths reads the lengths of count records, which must fit the window one after the other.
func readLengths(r io.Reader, count uint32, most int64) ([]uint32, error) {
	if count < 1 || count > maxAsked {
		return nil, fmt.Errorf("%w: %d records at once", ErrProtocol, count)
	}
	b := make([]byte, 4*count)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	lengths, sum := make([]uint32, count), int64(0)
	for i := range lengths {
		lengths[i] = binary.BigEndian.Uint32(b[4*i:])
		n := int64(lengths[i] &^ endOfUnit)
		if sum += n; n > most || sum > windowBytes {
			return nil, fmt.Errorf("%w: record of %d bytes, at most %d", ErrProtocol, n, most)
		}
	}
	return lengths, nil
}

// ring is how gradients lie in the results: two chunks of slots. The enclave reads one while the worker fills the other.
type ring struct {
	count int // numbers of a gradient
	slot  int // bytes
	chunk int // slots
}

func newRing(params int) ring {
	const line = 64
	slot := (4*params + line - 1) / line * line
	return ring{params, slot, min(max(ringBytes/2/slot, 1), maxChunk)}
}

// gradient is the slot of a batch's nth record.
func (r ring) gradient(results []byte, n int) []float32 {
	return numbers[float32](results[n%(2*r.chunk)*r.slot:], r.count)
}

// numbers are memory read as numbers.
func numbers[T float32 | int64](b []byte, n int) []T {
	b = b[:n*int(unsafe.Sizeof(T(0)))]
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), n)
}
