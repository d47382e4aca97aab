// SPDX-License-Identifier: Apache-2.0

// Package scratch holds plaintext for a while that may be larger than memory.
//
// Trust domain: the enclave process, and the creator's side at ingest. Its one job: bytes that were appended can be read back at any place
// until Close, and nobody else can read them or change them unseen: what does not fit into memory goes to one file
// without a name, in chunks of AES-256-GCM under a key that is nowhere else, each bound to its place. A chunk is written
// once, so that there is no older one to put back.
package scratch

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// Errors of this package.
var (
	// ErrChanged is a file that is not as it was written.
	ErrChanged = errors.New("scratch: the file was changed")
	// ErrClosed is a scratch that was closed, or failed before.
	ErrClosed = errors.New("scratch: closed")
	// ErrFull is a disk without room.
	ErrFull = errors.New("scratch: no space left")
)

// chunkBytes is how much of the stream is sealed together: large enough for few system calls, small enough to read back one
// record.
const (
	chunkBytes = 128 << 10
	tagBytes   = 16
	nonceBytes = 12
	keyBytes   = 32
)

// Scratch is a stream of bytes that grows at its end and is read at any place. It is for one goroutine.
type Scratch struct {
	dir    string
	memory int64    // of whole chunks that may be held
	chunks [][]byte // the first ones, as they are
	spilt  int64    // chunks in the file
	file   *os.File
	aead   cipher.AEAD
	tail   []byte // of the stream: the chunk that is not yet whole
	sealed []byte
	plain  []byte // the chunk of the file that was read last
	at     int64  // which; -1: none
	err    error  // the first; nothing works after it
}

// New makes a scratch that keeps as many bytes in memory, and the rest in a file in dir; "" is the system's folder for such.
func New(dir string, memory int64) *Scratch {
	return &Scratch{dir: dir, memory: memory, at: -1, tail: make([]byte, 0, chunkBytes)}
}

// Size is the length of the stream.
func (s *Scratch) Size() int64 {
	return (int64(len(s.chunks))+s.spilt)*chunkBytes + int64(len(s.tail))
}

// Write appends to the stream.
func (s *Scratch) Write(p []byte) (n int, err error) {
	for len(p) > 0 && s.err == nil {
		k := copy(s.tail[len(s.tail):chunkBytes], p)
		s.tail, p, n = s.tail[:len(s.tail)+k], p[k:], n+k
		if len(s.tail) == chunkBytes {
			s.err = s.keep()
		}
	}
	return n, s.err
}

// keep puts the tail, which is whole, where it stays.
func (s *Scratch) keep() error {
	if s.spilt == 0 && int64(len(s.chunks)+1)*chunkBytes <= s.memory {
		s.chunks = append(s.chunks, s.tail)
		s.tail = make([]byte, 0, chunkBytes)
		return nil
	}
	if err := s.begin(); err != nil {
		return err
	}
	s.sealed = s.aead.Seal(s.sealed[:0], nonce(s.spilt), s.tail, nil)
	if _, err := s.file.WriteAt(s.sealed, s.spilt*(chunkBytes+tagBytes)); err != nil {
		if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
			return fmt.Errorf("%w: %w", ErrFull, err)
		}
		return fmt.Errorf("scratch: %w", err)
	}
	s.spilt++
	clear(s.tail)
	s.tail = s.tail[:0]
	return nil
}

// begin makes the file and its key.
func (s *Scratch) begin() error {
	if s.file != nil {
		return nil
	}
	f, err := os.CreateTemp(s.dir, ".scratch-*") // mode 0600
	if err != nil {
		return fmt.Errorf("scratch: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return errors.Join(fmt.Errorf("scratch: %w", err), f.Close())
	}
	key := make([]byte, keyBytes)
	defer clear(key)
	rand.Read(key) //nolint:errcheck // never fails since Go 1.24
	block, err := aes.NewCipher(key)
	if err == nil {
		s.aead, err = cipher.NewGCM(block)
	}
	s.file = f
	return err
}

// nonce is the place of a chunk: the key is used for one file, and every place is written once.
func nonce(chunk int64) []byte {
	return binary.BigEndian.AppendUint64(make([]byte, nonceBytes-8, nonceBytes), uint64(chunk))
}

// ReadAt implements [io.ReaderAt] over what was written so far.
func (s *Scratch) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		lent, err := s.Lend(off + int64(n))
		if err != nil {
			return n, err
		}
		n += copy(p[n:], lent)
	}
	return n, nil
}

// Lend gives some bytes of the stream from a place on, at least one, valid until the next call of a method. At the end of the
// stream, and beyond, it is io.EOF.
func (s *Scratch) Lend(off int64) ([]byte, error) {
	switch {
	case s.err != nil:
		return nil, s.err
	case off < 0 || off >= s.Size():
		return nil, io.EOF
	}
	i, in := off/chunkBytes, int(off%chunkBytes)
	if i < int64(len(s.chunks)) {
		return s.chunks[i][in:], nil
	}
	if i -= int64(len(s.chunks)); i == s.spilt {
		return s.tail[in:], nil
	}
	if err := s.load(i); err != nil {
		s.err = err
		return nil, err
	}
	return s.plain[in:], nil
}

// load opens a chunk of the file.
func (s *Scratch) load(i int64) error {
	if s.at == i {
		return nil
	}
	s.at = -1
	s.sealed = append(s.sealed[:0], make([]byte, chunkBytes+tagBytes)...)
	if _, err := s.file.ReadAt(s.sealed, i*(chunkBytes+tagBytes)); err != nil {
		return fmt.Errorf("%w: %w", ErrChanged, err)
	}
	var err error
	if s.plain, err = s.aead.Open(s.plain[:0], nonce(i), s.sealed, nil); err != nil {
		return ErrChanged
	}
	s.at = i
	return nil
}

// Close wipes what is in memory; the file goes with its descriptor. It may be called more than once.
func (s *Scratch) Close() error {
	for _, c := range s.chunks {
		clear(c)
	}
	clear(s.tail[:cap(s.tail)])
	clear(s.plain[:cap(s.plain)])
	s.chunks, s.tail, s.spilt = nil, s.tail[:0], 0
	var err error
	if s.file != nil {
		err = s.file.Close()
		s.file = nil
	}
	if s.err == nil {
		s.err = ErrClosed
	}
	return err
}
