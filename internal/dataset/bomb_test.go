// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"encoding/binary"
	"errors"
	"runtime"
	"testing"
)

// runs is a zstd frame (RFC 8878) of n blocks that each repeat one byte 128 KiB times: four bytes a block.
func runs(n int, head ...byte) []byte {
	b := append([]byte{0x28, 0xb5, 0x2f, 0xfd}, head...)
	for i := range n {
		block := uint32(128<<10)<<3 | 1<<1
		if i == n-1 {
			block |= 1
		}
		b = append(b, byte(block), byte(block>>8), byte(block>>16), 'x')
	}
	return b
}

// TestZipBomb: a frame expands to what its batch's header says or is refused, in memory bounded by the largest batch; whatever the
// frame says of itself, and however much it expands to.
func TestZipBomb(t *testing.T) {
	dec, err := newBatchDecoder()
	if err != nil {
		t.Fatal(err)
	}
	defer dec.close()
	size := func(n uint64) []byte { return append([]byte{0xe0}, binary.LittleEndian.AppendUint64(nil, n)...) } // one segment, its length in 8 bytes
	const window2GiB = 21 << 3                                                                                 // 2^(10+21)
	const window1MiB = 10 << 3
	for name, frame := range map[string][]byte{
		"gigabytes, length unsaid":      runs(32<<10, 0x00, window1MiB),
		"gigabytes, and says so":        runs(32<<10, size(4<<30)...),
		"gigabytes, said to be a batch": runs(32<<10, size(MaxBatchBytes)...),
		"less than said":                runs(1, size(MaxBatchBytes)...),
		"2^64-1 said":                   runs(1, size(1<<64-1)...),
		"window of 2 GiB":               runs(1, 0x00, window2GiB),
		"largest window there is":       runs(1, 0x00, 0xff),
		"one byte more than said":       runs(9, 0x00, window1MiB),
	} {
		h := batchInfo{raw: MaxBatchBytes, packed: len(frame), records: 1}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		out, err := dec.decode(nil, h, frame)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, ErrBatch) || out != nil {
			t.Errorf("%s: %d bytes, %v; want ErrBatch", name, len(out), err)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 16*MaxBatchBytes {
			t.Errorf("%s: %d bytes were allocated", name, used)
		}
	}
	frame := runs(8, 0x00, window1MiB)
	if out, err := dec.decode(nil, batchInfo{MaxBatchBytes, len(frame), 1}, frame); err != nil || len(out) != MaxBatchBytes {
		t.Fatalf("a frame of exactly a batch: %d bytes, %v", len(out), err)
	}
}
