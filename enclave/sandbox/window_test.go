// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// windowsHere are second views, read-only, of every window that this process has mapped now.
func windowsHere(t *testing.T) (views [][]byte) {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(maps)) {
		if !strings.Contains(line, " rw-s ") || !strings.Contains(line, "/memfd:glovebox") { // a view of this test is read-only
			continue
		}
		var from, to uint64
		if _, err := fmt.Sscanf(line, "%x-%x ", &from, &to); err != nil || to-from != windowBytes {
			t.Fatalf("%q: %v", line, err)
		}
		f, err := os.Open(fmt.Sprintf("/proc/self/map_files/%x-%x", from, to))
		if err != nil {
			t.Skipf("windows cannot be looked at from here: %v", err)
		}
		b, err := unix.Mmap(int(f.Fd()), 0, windowBytes, unix.PROT_READ, unix.MAP_SHARED)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Munmap(b) })
		views = append(views, b)
	}
	return views
}

var zeros [windowBytes]byte

// TestWindowIsWiped: after a run, however it ends, its window holds nothing and is not mapped; the next worker's window
// is another one, and holds nothing before its first answer.
func TestWindowIsWiped(t *testing.T) {
	secret := []byte("a record that nobody else may see")
	s := newSpawner(t)
	var views [][]byte
	for _, ends := range []string{"well", "by the provider", "by the wall"} {
		sp := readerSpec()
		sp.Fuel = 1 << 20
		if ends == "by the wall" {
			sp.Wall, sp.Fuel = time.Second, 1<<40
		}
		asked := 0
		_, _ = s.Run(t.Context(), sp, hookData(func(_ context.Context, p []byte) (int, error) {
			asked++
			switch now := windowsHere(t); {
			case asked == 1:
				for _, b := range now {
					if !bytes.Equal(b, zeros[:]) {
						t.Errorf("ends %s: something is in a window before its first answer", ends)
					}
				}
			case asked == 2:
				found := 0
				for _, b := range now {
					found += bytes.Count(b, secret)
				}
				if found == 0 {
					t.Error("the secret is in no window: this test looks in the wrong place")
				}
				views = append(views, now...)
			case asked == 3 && ends == "by the provider":
				return 0, io.ErrUnexpectedEOF
			}
			copy(p, secret)
			return len(p), nil
		}))
		if asked < 3 {
			t.Fatalf("ends %s: %d requests", ends, asked)
		}
	}
	for _, b := range views {
		if !bytes.Equal(b, zeros[:]) {
			t.Error("plaintext stays in a window after its run")
		}
	}
	if left := windowsHere(t); len(left) != 0 {
		t.Errorf("%d windows still mapped", len(left))
	}
}

// TestWindowIsOnlyWritten: whatever stands in the window, the enclave takes no notice. A worker could not write there; if it
// could, then this.
func TestWindowIsOnlyWritten(t *testing.T) {
	data := noise(3 * windowBytes)
	kept := bytes.Clone(data)
	sp := spec(hostileModule)
	sp.Files = []File{{"f", int64(len(data))}}
	var window []byte
	counts := make(chan uint32, 1000)
	p := fakeWorker(t, func(down io.Reader, up, _ io.Writer) {
		defer close(counts)
		if _, err := readFrame(down, maxHeader); err != nil {
			return
		}
		if _, err := readFrame(down, MaxModule); err != nil {
			return
		}
		for off := uint64(0); off < uint64(len(data)); off += 1000 * 1000 {
			clear(window) // also while the enclave writes: it begins as soon as it is asked
			n := min(1000*1000, uint64(len(data))-off)
			_, _ = up.Write(request{want: uint32(n), offset: off, space: uint32(n)}.append(nil))
			var b [pieceBytes]byte
			if _, err := io.ReadFull(down, b[:]); err != nil {
				return
			}
			counts <- binary.BigEndian.Uint32(b[4:])
		}
	})
	window = p.window
	defer p.close()
	r := &run{process: p, spec: &sp, data: memData{data}}
	if _, err := r.do(t.Context(), time.Now().Add(2*time.Second)); err != nil || r.hostile != nil {
		t.Fatal(err, r.hostile)
	}
	total := 0
	for n := range counts {
		total += int(n)
	}
	if total != len(data) || !bytes.Equal(data, kept) {
		t.Errorf("%d of %d bytes counted; the provider's bytes are the same: %v", total, len(data), bytes.Equal(data, kept))
	}
}
