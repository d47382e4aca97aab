// SPDX-License-Identifier: Apache-2.0

package parquet

import (
	"fmt"

	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"

	"github.com/glovebox-dev/glovebox/internal/source"
)

// readable reports whether pages that are compressed so can be read.
func readable(c compress.Compression) bool {
	switch c {
	case compress.Codecs.Uncompressed, compress.Codecs.Snappy, compress.Codecs.Zstd, compress.Codecs.Gzip, compress.Codecs.Brotli, compress.Codecs.Lz4Raw:
		return true
	}
	return false
}

// unpacker decompresses pages, never to more than their headers say. The library's own codecs for Zstandard and Snappy believe what
// they are given instead and make room for it; those for gzip, Brotli and LZ4 keep to the room that they get.
type unpacker struct{ zstd *zstd.Decoder }

func (u *unpacker) unpack(c compress.Compression, dst, src []byte) error {
	room := dst
	switch {
	case c == compress.Codecs.Brotli && len(dst) == 0:
		room = make([]byte, 1) // without any it sees no end
	case dst == nil:
		room = []byte{} // nil tells gzip's to make as much as it takes
	}
	n, err := len(src), error(nil)
	switch {
	case len(dst) == 0 && len(src) == 0: // some writers do not even compress nothing
	case c == compress.Codecs.Uncompressed:
		copy(dst, src)
	case c == compress.Codecs.Snappy:
		if n, err = snappy.DecodedLen(src); err == nil && n == len(dst) {
			_, err = snappy.Decode(dst, src)
		}
	case c == compress.Codecs.Zstd:
		n, err = u.unpackZstd(dst, src)
	case readable(c):
		var codec compress.Codec
		if codec, err = compress.GetCodec(c); err == nil {
			var out []byte
			out, err = compress.Decode(codec, room, src)
			n = len(out)
		}
	default:
		return fmt.Errorf("%w: compressed by %s", source.ErrType, c)
	}
	switch {
	case err != nil:
		return fmt.Errorf("%w: a page cannot be decompressed: %w", source.ErrCorrupt, err)
	case n != len(dst):
		return damaged("a page is longer or shorter than it says")
	}
	return nil
}

func (u *unpacker) unpackZstd(dst, src []byte) (int, error) {
	if u.zstd == nil {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxPage), zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			return 0, err
		}
		u.zstd = d
	}
	out, err := u.zstd.DecodeAll(src, dst[:0:len(dst)])
	return len(out), err
}

func (u *unpacker) close() {
	if u.zstd != nil {
		u.zstd.Close()
		u.zstd = nil
	}
}
