// SPDX-License-Identifier: Apache-2.0

package scratch

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"testing"
)

// TestStream: whatever is in memory and whatever in the file, the stream reads as it was written.
func TestStream(t *testing.T) {
	for _, memory := range []int64{0, 3 * chunkBytes, 1 << 30} {
		r := rand.New(rand.NewPCG(1, uint64(memory)))
		s := New(t.TempDir(), memory)
		var want []byte
		for len(want) < 8*chunkBytes {
			p := make([]byte, r.IntN(2*chunkBytes))
			for i := range p {
				p[i] = byte(r.Uint32())
			}
			if _, err := s.Write(p); err != nil {
				t.Fatal(err)
			}
			want = append(want, p...)
		}
		if s.Size() != int64(len(want)) || (s.file != nil) != (memory < 1<<30) {
			t.Fatalf("size %d of %d, file %v", s.Size(), len(want), s.file)
		}
		for range 200 {
			from := r.IntN(len(want))
			p := make([]byte, r.IntN(3*chunkBytes))
			n, err := s.ReadAt(p, int64(from))
			if n != min(len(p), len(want)-from) || (n < len(p)) != errors.Is(err, io.EOF) || !bytes.Equal(p[:n], want[from:from+n]) {
				t.Fatalf("memory %d: %d bytes at %d of %d: %d %v", memory, len(p), from, len(want), n, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if _, err := s.Lend(0); !errors.Is(err, ErrClosed) {
			t.Error("closed scratch lends:", err)
		}
		if _, err := s.Write([]byte{1}); !errors.Is(err, ErrClosed) {
			t.Error("closed scratch takes:", err)
		}
	}
}

// TestNobodyReads: the file has no name, no plaintext, and one who changes or swaps chunks is found out.
func TestNobodyReads(t *testing.T) {
	dir := t.TempDir()
	text := bytes.Repeat([]byte("a secret that must not be on the disk. "), chunkBytes/8)
	for name, attack := range map[string]func(f *os.File) error{
		"changed": func(f *os.File) error { _, err := f.WriteAt([]byte{1}, 5); return err },
		"swapped": func(f *os.File) error {
			b := make([]byte, chunkBytes+tagBytes)
			if _, err := f.ReadAt(b, chunkBytes+tagBytes); err != nil {
				return err
			}
			_, err := f.WriteAt(b, 0)
			return err
		},
		"cut": func(f *os.File) error { return f.Truncate(100) },
	} {
		s := New(dir, 0)
		if _, err := s.Write(text); err != nil {
			t.Fatal(err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
			t.Errorf("left %v, %v", left, err)
		}
		b, err := io.ReadAll(io.NewSectionReader(s.file, 0, 1<<30))
		if err != nil || len(b) < chunkBytes || bytes.Contains(b, text[:20]) {
			t.Errorf("%d bytes on disk, plaintext %v, %v", len(b), bytes.Contains(b, text[:20]), err)
		}
		if err := attack(s.file); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Lend(0); !errors.Is(err, ErrChanged) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := s.Lend(s.Size() - 1); !errors.Is(err, ErrChanged) {
			t.Errorf("%s: it goes on after that: %v", name, err)
		}
		s.Close() //nolint:errcheck // of a test
	}
}
