// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"hash"
	"slices"
)

// Cobblestone-256 of C2SP chunked-encryption v1: SHA-512 and AES-256-GCM. A message is salt ‖ commitment ‖ chunks; every
// chunk but the last holds 16 KiB and the last one less, perhaps nothing.
const (
	suiteInfo      = "c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\x00"
	saltSize       = 24
	commitmentSize = 32
	headerSize     = saltSize + commitmentSize
	nonceSize      = 12
	tagSize        = 16
	chunkSize      = 16 << 10
	sealedChunk    = chunkSize + tagSize
	maxChunks      = 1 << 38
)

// A leaf is four sealed chunks; leaf 0 of a segment begins with the header.
const (
	leafChunks = 4
	leafSize   = leafChunks * sealedChunk
	maxLeaf    = headerSize + leafSize
	leafPlain  = leafChunks * chunkSize // of plaintext
)

// segmentLabel opens the encryption context of a segment.
const segmentLabel = "glovebox.dev/segment/v1"

// segmentContext is the length-prefixed (label, dataset id, creating version, segment index): a segment moved to another
// dataset, version or position does not open.
func segmentContext(id ID, version, index int64) []byte {
	return appendSegmentContext(nil, id, version, index)
}

// appendSegmentContext appends it to b.
func appendSegmentContext(b []byte, id ID, version, index int64) []byte {
	return appendContext(b, segmentLabel, id, version, index)
}

// appendContext appends a message's label, the dataset's id, and numbers, each with its length before it.
func appendContext(b []byte, label string, id ID, numbers ...int64) []byte {
	b = slices.Grow(b, 16+len(label)+len(id)+16*len(numbers))
	b = append(binary.BigEndian.AppendUint64(b, uint64(len(label))), label...)
	b = append(binary.BigEndian.AppendUint64(b, uint64(len(id))), id[:]...)
	for _, n := range numbers {
		b = binary.BigEndian.AppendUint64(b, 8)
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	return b
}

// message is the derived state of one Cobblestone-256 message. It is for one goroutine.
type message struct {
	aead       cipher.AEAD
	base       [nonceSize]byte
	used       [nonceSize]byte // the last nonce, kept here so that making one allocates nothing
	commitment [commitmentSize]byte
}

// deriver derives the keys of one message after another, and allocates for a new data key only. It is for one goroutine.
type deriver struct {
	of   *[KeySize]byte // the data key that mac has
	mac  hash.Hash
	info []byte
	okm  [2 * sha512.Size]byte
}

// derive makes m the message of a data key, a salt and a context: HKDF-Expand with SHA-512 (RFC 5869 section 2.3).
func (d *deriver) derive(m *message, k Key, salt, context []byte) error {
	if err := k.usable(); err != nil {
		return err
	}
	if d.of != k.secret {
		d.of, d.mac = k.secret, hmac.New(sha512.New, k.secret[:])
	}
	defer clear(d.okm[:])
	d.info = append(append(append(append(d.info[:0], suiteInfo...), salt...), context...), 0)
	for at := 0; at < len(d.okm); at += sha512.Size {
		d.mac.Reset()
		d.mac.Write(d.okm[max(0, at-sha512.Size):at])
		d.info[len(d.info)-1]++
		d.mac.Write(d.info)
		d.mac.Sum(d.okm[:at])
	}
	block, err := aes.NewCipher(d.okm[:KeySize])
	if err != nil {
		return fmt.Errorf("derive segment key: %w", err)
	}
	if m.aead, err = cipher.NewGCM(block); err != nil {
		return fmt.Errorf("derive segment key: %w", err)
	}
	copy(m.base[:], d.okm[KeySize:])
	copy(m.commitment[:], d.okm[KeySize+nonceSize:])
	return nil
}

// open makes m the message that begins with header, and checks its commitment, in constant time, before anything is decrypted.
func (d *deriver) open(m *message, k Key, header, context []byte) error {
	if len(header) != headerSize {
		return fmt.Errorf("%w: segment header", ErrTruncated)
	}
	if err := d.derive(m, k, header[:saltSize], context); err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(m.commitment[:], header[saltSize:]) != 1 {
		return ErrKey
	}
	return nil
}

// nonce is the base nonce XOR the chunk's number, big-endian. It is valid until the next call.
func (m *message) nonce(chunk int64) []byte {
	if chunk < 0 || chunk >= maxChunks {
		panic("dataset: chunk counter out of range")
	}
	m.used = m.base
	low := m.used[nonceSize-8:]
	binary.BigEndian.PutUint64(low, binary.BigEndian.Uint64(low)^uint64(chunk))
	return m.used[:]
}

// seal appends the sealed chunk to dst.
func (m *message) seal(dst []byte, chunk int64, plain []byte) []byte {
	return m.aead.Seal(dst, m.nonce(chunk), plain, nil)
}

// open appends the plaintext of one chunk to dst. Only the last chunk of a message is short, and it always is.
func (m *message) open(dst []byte, chunk int64, sealed []byte, last bool) ([]byte, error) {
	switch {
	case chunk < 0 || chunk >= maxChunks:
		return nil, fmt.Errorf("%w: chunk %d", ErrChunk, chunk)
	case last && len(sealed) >= sealedChunk, !last && len(sealed) < sealedChunk:
		return nil, fmt.Errorf("%w: chunk %d has %d bytes", ErrTruncated, chunk, len(sealed))
	case len(sealed) > sealedChunk || len(sealed) < tagSize:
		return nil, fmt.Errorf("%w: chunk %d has %d bytes", ErrChunk, chunk, len(sealed))
	}
	out, err := m.aead.Open(dst, m.nonce(chunk), sealed, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: chunk %d", ErrChunk, chunk)
	}
	return out, nil
}

// openLeaf appends the plaintext of a leaf to dst: its chunks, without the header before the first of all.
func (m *message) openLeaf(dst []byte, leaf int64, sealed []byte, last bool) (_ []byte, err error) {
	for chunk := leaf * leafChunks; ; chunk++ {
		n := min(len(sealed), sealedChunk)
		ends := n == len(sealed)
		if dst, err = m.open(dst, chunk, sealed[:n], last && ends); err != nil || ends {
			return dst, err
		}
		sealed = sealed[n:]
	}
}

// sealedSize is how long a message of n bytes of plaintext is.
func sealedSize(n int64) int64 { return headerSize + n + (n/chunkSize+1)*tagSize }

// plainSize is how much plaintext a message of n bytes has, where a message can have as many.
func plainSize(n int64) int64 {
	body := n - headerSize
	return body - (body/sealedChunk+1)*tagSize
}

// segmentLeaves is how many leaves a message of n bytes has. Lengths that no message has are refused.
func segmentLeaves(n int64) (int64, error) {
	body := n - headerSize
	if body < tagSize || body%sealedChunk < tagSize {
		return 0, fmt.Errorf("%w: no segment has %d bytes", ErrTruncated, n)
	}
	chunks := body/sealedChunk + 1
	if chunks > maxChunks {
		return 0, fmt.Errorf("%w: segment of %d bytes", ErrTooLarge, n)
	}
	return (chunks + leafChunks - 1) / leafChunks, nil
}

// leafSpan is where leaf i of a segment of n bytes lies in its blob.
func leafSpan(n, i int64) (off int64, length int) {
	end := headerSize + (i+1)*leafSize
	if i > 0 {
		off = headerSize + i*leafSize
	}
	return off, int(min(end, n) - off)
}
