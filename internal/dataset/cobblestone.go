// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"strings"
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
)

// segmentLabel opens the encryption context of a segment.
const segmentLabel = "glovebox.dev/segment/v1"

// segmentContext is the length-prefixed (label, dataset id, creating version, segment index): a segment moved to another
// dataset, version or position does not open.
func segmentContext(id ID, version, index int64) []byte {
	var b []byte
	field := func(f []byte) {
		b = binary.BigEndian.AppendUint64(b, uint64(len(f)))
		b = append(b, f...)
	}
	field([]byte(segmentLabel))
	field(id[:])
	field(binary.BigEndian.AppendUint64(nil, uint64(version)))
	field(binary.BigEndian.AppendUint64(nil, uint64(index)))
	return b
}

// message is the derived state of one Cobblestone-256 message.
type message struct {
	aead       cipher.AEAD
	base       [nonceSize]byte
	commitment [commitmentSize]byte
}

func deriveMessage(k Key, salt, context []byte) (*message, error) {
	if err := k.usable(); err != nil {
		return nil, err
	}
	var info strings.Builder
	info.WriteString(suiteInfo)
	info.Write(salt)
	info.Write(context)
	okm, err := hkdf.Expand(sha512.New, k.secret[:], info.String(), KeySize+nonceSize+commitmentSize)
	if err != nil {
		return nil, fmt.Errorf("derive segment key: %w", err)
	}
	defer clear(okm)
	block, err := aes.NewCipher(okm[:KeySize])
	if err != nil {
		return nil, fmt.Errorf("derive segment key: %w", err)
	}
	m := &message{}
	if m.aead, err = cipher.NewGCM(block); err != nil {
		return nil, fmt.Errorf("derive segment key: %w", err)
	}
	copy(m.base[:], okm[KeySize:])
	copy(m.commitment[:], okm[KeySize+nonceSize:])
	return m, nil
}

// openMessage derives the state of the message that begins with header and checks its commitment, in constant time,
// before anything is decrypted.
func openMessage(k Key, header, context []byte) (*message, error) {
	if len(header) != headerSize {
		return nil, fmt.Errorf("%w: segment header", ErrTruncated)
	}
	m, err := deriveMessage(k, header[:saltSize], context)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(m.commitment[:], header[saltSize:]) != 1 {
		return nil, ErrKey
	}
	return m, nil
}

// nonce is the base nonce XOR the chunk's number, big-endian.
func (m *message) nonce(chunk int64) [nonceSize]byte {
	if chunk < 0 || chunk >= maxChunks {
		panic("dataset: chunk counter out of range")
	}
	n := m.base
	var c [8]byte
	binary.BigEndian.PutUint64(c[:], uint64(chunk))
	subtle.XORBytes(n[nonceSize-8:], n[nonceSize-8:], c[:])
	return n
}

// seal appends the sealed chunk to dst.
func (m *message) seal(dst []byte, chunk int64, plain []byte) []byte {
	n := m.nonce(chunk)
	return m.aead.Seal(dst, n[:], plain, nil)
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
	n := m.nonce(chunk)
	out, err := m.aead.Open(dst, n[:], sealed, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: chunk %d", ErrChunk, chunk)
	}
	return out, nil
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
