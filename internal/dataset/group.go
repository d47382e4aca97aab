// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
)

// Bounds of a [grouper] in bytes: of records in memory, of one contributor's, and of what it counts for each contributor.
const (
	groupMemory   = 32 << 20
	groupExtent   = 256 << 10
	extentHeader  = 16
	noExtent      = -1
	recordLenSize = 4
)

// grouper gathers records by contributor in bounded memory. What does not fit goes to one temporary file: without a name
// from the moment it exists, and encrypted under a key that is nowhere else. Each contributor's extents are chained
// backwards, so memory holds one number for each contributor.
//
// An extent is the place of the one before (u64) and the length of its records (u32), padded to 16 bytes, then the records,
// AES-256-GCM, with its own place as nonce and the header as additional data.
type grouper struct {
	dir    string
	memory int // may be held; a field for tests
	file   *os.File
	aead   cipher.AEAD
	end    int64 // of file
	held   int   // bytes in groups' buffers
	groups []*group
	sealed []byte
}

// group is one contributor's records.
type group struct {
	buf  []byte // not yet in the file
	last int64  // place of its last extent
}

func newGrouper(dir string) *grouper { return &grouper{dir: dir, memory: groupMemory} }

// open adds a group.
func (g *grouper) open() *group {
	k := &group{last: noExtent}
	g.groups = append(g.groups, k)
	return k
}

// add appends a record to a group.
func (g *grouper) add(k *group, record []byte) error {
	k.buf = binary.BigEndian.AppendUint32(k.buf, uint32(len(record)))
	k.buf = append(k.buf, record...)
	g.held += recordLenSize + len(record)
	if len(k.buf) >= groupExtent {
		return g.spill(k)
	}
	if g.held < g.memory {
		return nil
	}
	for _, k := range g.groups {
		if err := g.spill(k); err != nil {
			return err
		}
	}
	return nil
}

// spill moves what a group holds in memory to the file. A small dataset never comes here.
func (g *grouper) spill(k *group) error {
	if len(k.buf) == 0 {
		return nil
	}
	if err := g.begin(); err != nil {
		return err
	}
	g.sealed = binary.BigEndian.AppendUint64(g.sealed[:0], uint64(k.last))
	g.sealed = binary.BigEndian.AppendUint32(g.sealed, uint32(len(k.buf)))
	g.sealed = append(g.sealed, 0, 0, 0, 0)
	g.sealed = g.aead.Seal(g.sealed, extentNonce(g.end), k.buf, g.sealed[:extentHeader])
	if _, err := g.file.WriteAt(g.sealed, g.end); err != nil {
		return fmt.Errorf("temporary file: %w", diskError(err))
	}
	k.last = g.end
	g.end += int64(len(g.sealed))
	g.held -= len(k.buf)
	clear(k.buf)
	k.buf = nil // not kept: thousands of contributors would keep thousands of buffers
	return nil
}

// begin makes the file.
func (g *grouper) begin() error {
	if g.file != nil {
		return nil
	}
	f, err := os.CreateTemp(g.dir, ".group-*") // mode 0600
	if err != nil {
		return fmt.Errorf("temporary file: %w", diskError(err))
	}
	if err := os.Remove(f.Name()); err != nil {
		return errors.Join(fmt.Errorf("temporary file: %w", err), f.Close())
	}
	key := make([]byte, KeySize)
	defer clear(key)
	rand.Read(key) //nolint:errcheck // never fails since Go 1.24
	block, err := aes.NewCipher(key)
	if err == nil {
		g.aead, err = cipher.NewGCM(block)
	}
	g.file = f
	return err
}

func extentNonce(at int64) []byte {
	return binary.BigEndian.AppendUint64(make([]byte, nonceSize-8, nonceSize), uint64(at))
}

// each calls f with a group's records in the order they were added, each valid during the call only, and forgets them.
func (g *grouper) each(k *group, f func(record []byte) error) error {
	places, err := g.places(k)
	if err != nil {
		return err
	}
	var plain []byte
	defer func() { clear(plain[:cap(plain)]) }()
	for i := len(places) - 1; i >= 0; i-- {
		if plain, err = g.read(places[i], plain); err != nil {
			return err
		}
		if err := records(plain, f); err != nil {
			return err
		}
	}
	err = records(k.buf, f)
	g.held -= len(k.buf)
	clear(k.buf)
	k.buf = nil
	return err
}

// places lists a group's extents, the last first.
func (g *grouper) places(k *group) (out []int64, err error) {
	for at := k.last; at != noExtent; {
		var head [extentHeader]byte
		if _, err := g.file.ReadAt(head[:], at); err != nil {
			return nil, fmt.Errorf("temporary file: %w", err)
		}
		out = append(out, at)
		before := int64(binary.BigEndian.Uint64(head[:]))
		if before >= at || before < noExtent {
			return nil, fmt.Errorf("%w: temporary file was changed", ErrChunk)
		}
		at = before
	}
	return out, nil
}

// read opens the extent at a place into plain's memory.
func (g *grouper) read(at int64, plain []byte) ([]byte, error) {
	var head [extentHeader]byte
	if _, err := g.file.ReadAt(head[:], at); err != nil {
		return plain, fmt.Errorf("temporary file: %w", err)
	}
	n := int64(binary.BigEndian.Uint32(head[8:])) + tagSize
	if n > g.end-at-extentHeader {
		return plain, fmt.Errorf("%w: temporary file was changed", ErrChunk)
	}
	if int64(cap(g.sealed)) < n {
		g.sealed = make([]byte, n)
	}
	g.sealed = g.sealed[:n]
	if _, err := g.file.ReadAt(g.sealed, at+extentHeader); err != nil {
		return plain, fmt.Errorf("temporary file: %w", err)
	}
	out, err := g.aead.Open(plain[:0], extentNonce(at), g.sealed, head[:])
	if err != nil {
		return plain, fmt.Errorf("%w: temporary file was changed", ErrChunk)
	}
	return out, nil
}

// records calls f with each record in a buffer.
func records(b []byte, f func(record []byte) error) error {
	for len(b) > 0 {
		n := binary.BigEndian.Uint32(b)
		if err := f(b[recordLenSize : recordLenSize+n]); err != nil {
			return err
		}
		b = b[recordLenSize+n:]
	}
	return nil
}

// close wipes what is in memory; the file goes with its descriptor.
func (g *grouper) close() {
	for _, k := range g.groups {
		clear(k.buf)
		k.buf = nil
	}
	if g.file != nil {
		g.file.Close() //nolint:errcheck // nobody reads it again
	}
}
