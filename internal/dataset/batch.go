// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"encoding/binary"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// A batch is three big-endian 32-bit integers (raw length, compressed length, records that begin in it) and one zstd
// frame (RFC 8878).
const batchHeader = 12

// batchInfo is a decoded batch header.
type batchInfo struct {
	raw, packed, records int
}

// packedBound is the most bytes a frame of raw bytes may take: incompressible input grows by a few bytes a block.
func packedBound(raw int) int { return raw + raw>>8 + 64 }

func parseBatchHeader(b []byte) (batchInfo, error) {
	if len(b) < batchHeader {
		return batchInfo{}, fmt.Errorf("%w: header", ErrBatch)
	}
	raw, packed, records := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])
	switch {
	case raw == 0 || raw > MaxBatchBytes:
		return batchInfo{}, fmt.Errorf("%w: %d raw bytes", ErrBatch, raw)
	case packed == 0 || int64(packed) > int64(packedBound(int(raw))):
		return batchInfo{}, fmt.Errorf("%w: %d compressed bytes for %d", ErrBatch, packed, raw)
	case records > raw:
		return batchInfo{}, fmt.Errorf("%w: %d records in %d bytes", ErrBatch, records, raw)
	}
	return batchInfo{int(raw), int(packed), int(records)}, nil
}

// batchEncoder compresses batches into one reused buffer.
type batchEncoder struct {
	z   *zstd.Encoder
	buf []byte
}

func newBatchEncoder(limit int64) (*batchEncoder, error) {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(MaxBatchBytes), zstd.WithEncoderCRC(false), zstd.WithSingleSegment(true))
	if err != nil {
		return nil, fmt.Errorf("zstd: %w", err)
	}
	return &batchEncoder{z, make([]byte, batchHeader, batchHeader+packedBound(int(limit)))}, nil
}

// encode returns a batch, valid until the next call.
func (e *batchEncoder) encode(raw []byte, records int) []byte {
	e.buf = e.z.EncodeAll(raw, e.buf[:batchHeader])
	binary.BigEndian.PutUint32(e.buf, uint32(len(raw)))
	binary.BigEndian.PutUint32(e.buf[4:], uint32(len(e.buf)-batchHeader))
	binary.BigEndian.PutUint32(e.buf[8:], uint32(records))
	return e.buf
}

// wipe clears what the buffer held.
func (e *batchEncoder) wipe() { clear(e.buf[:cap(e.buf)]) }

// batchDecoder expands frames in bounded memory and without goroutines.
type batchDecoder struct{ z *zstd.Decoder }

func newBatchDecoder() (*batchDecoder, error) {
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(MaxBatchBytes), zstd.WithDecoderMaxWindow(MaxBatchBytes))
	if err != nil {
		return nil, fmt.Errorf("zstd: %w", err)
	}
	return &batchDecoder{z}, nil
}

// decode expands a frame into dst's memory. The cause of a failure is not reported: it may describe plaintext.
func (d *batchDecoder) decode(dst []byte, h batchInfo, frame []byte) ([]byte, error) {
	out, err := d.z.DecodeAll(frame, dst[:0])
	if err != nil || len(out) != h.raw {
		return nil, fmt.Errorf("%w: frame does not expand to %d bytes", ErrBatch, h.raw)
	}
	return out, nil
}

func (d *batchDecoder) close() { d.z.Close() }
