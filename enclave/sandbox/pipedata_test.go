// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"testing"
)

// batchData lends its files batch by batch, as the enclave does, and counts what it delivers anew.
type batchData struct {
	files [][]byte
	batch int
	calls int
	last  map[int]int64 // file → batch
	sent  int           // batches
}

func (b *batchData) Range(_ context.Context, file int, off int64, _ int) ([]byte, int, error) {
	b.calls++
	n := off / int64(b.batch)
	if at, ok := b.last[file]; !ok || at != n {
		b.sent++
		b.last[file] = n
	}
	all := b.files[file]
	from := n * int64(b.batch)
	return all[from:min(int64(len(all)), from+int64(b.batch))], int(off - from), nil
}

// connect joins a worker's view of d to the enclave's side of it, without processes.
func connect(t *testing.T, d *batchData) *pipeData {
	t.Helper()
	d.last = map[int]int64{}
	var files []File
	for range d.files {
		files = append(files, File{Name: string(rune('a' + len(files))), Size: int64(len(d.files[len(files)]))})
	}
	down, up, window := pipe(t), pipe(t), make([]byte, windowBytes)
	r := &run{process: &process{down: down[1], up: up[0], window: window}, spec: &Spec{Files: files}, data: d}
	served := make(chan error, 1)
	go func() {
		served <- r.answer(context.Background())
	}()
	t.Cleanup(func() {
		up[1].Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
		for _, f := range []*os.File{down[0], down[1], up[0]} {
			f.Close()
		}
	})
	return newPipeData(down[0], up[1], window, files)
}

func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n)}).Read(b)
	return b
}

// TestReadsAreExact: whatever is read, in whatever order and size, is what the files hold.
func TestReadsAreExact(t *testing.T) {
	for files := 1; files <= 6; files++ {
		d := &batchData{batch: 100_000}
		for i := range files {
			d.files = append(d.files, noise(i*777_777))
		}
		p := connect(t, d)
		r := rand.New(rand.NewPCG(1, uint64(files)))
		for range 300 {
			i := r.IntN(files)
			want := d.files[i]
			off := r.IntN(len(want) + 100)
			b := make([]byte, r.IntN(1<<r.IntN(21)))
			n, err := p.ReadAt(i, b, int64(off))
			want = want[min(off, len(want)):]
			want = want[:min(len(want), len(b))]
			if err != nil || !bytes.Equal(b[:n], want) {
				t.Fatalf("%d files: %d bytes of file %d at %d: got %d, %v", files, len(b), i, off, n, err)
			}
		}
	}
}

// TestSmallReadsAskOnceABatch: one after the other or in turns over several files, and nothing is delivered twice.
func TestSmallReadsAskOnceABatch(t *testing.T) {
	for files := 1; files <= parts; files++ {
		const batches = 9
		d := &batchData{batch: 100_000}
		for range files {
			d.files = append(d.files, noise(batches*100_000))
		}
		p := connect(t, d)
		b := make([]byte, 1000)
		for off := 0; off < batches*100_000; off += len(b) {
			for i := range files {
				if n, err := p.ReadAt(i, b, int64(off)); n != len(b) || err != nil {
					t.Fatal(n, err)
				}
			}
		}
		if want := files * batches; d.calls != want || d.sent != want {
			t.Errorf("%d files: %d requests for %d deliveries, want %d of each", files, d.calls, d.sent, want)
		}
	}
}

// TestStepsBackwards: a guest that reads a batch from its end finds it in the window, so that the enclave copies it once.
func TestStepsBackwards(t *testing.T) {
	const batch, batches = 100_000, 3
	d := &batchData{batch: batch, files: [][]byte{noise(batches * batch)}}
	p := connect(t, d)
	for off := batches*batch - 1; off >= 0; off -= 7 {
		b := make([]byte, 1)
		if n, err := p.ReadAt(0, b, int64(off)); n != 1 || err != nil || b[0] != d.files[0][off] {
			t.Fatal(off, n, err)
		}
	}
	if d.calls != batches || d.sent != batches {
		t.Errorf("%d requests for %d deliveries, want %d of each", d.calls, d.sent, batches)
	}
}

// TestFilesThatShareAPart: a guest that goes to and fro between files for which there is one part of the window soon gets
// little more than it reads, so that the enclave does not copy batches all the time.
func TestFilesThatShareAPart(t *testing.T) {
	d := &batchData{batch: 100_000}
	for range parts + 1 {
		d.files = append(d.files, noise(100_000))
	}
	p := connect(t, d)
	for n := range 100 {
		for _, file := range []int{0, parts} {
			b, off := make([]byte, 3), 99_990-n*11
			if _, err := p.ReadAt(file, b, int64(off)); err != nil || !bytes.Equal(b, d.files[file][off:off+3]) {
				t.Fatal(file, off, err)
			}
			if held := p.held[0]; n > maxLendings && held.n > len(b)+lendAhead {
				t.Fatalf("%d bytes in the window for the %d. read of %d", held.n, n, len(b))
			}
		}
	}
	if d.sent != 2 {
		t.Errorf("%d deliveries, want 2", d.sent)
	}
}

// TestNoBatchBeyondTheRead: a read that ends within a batch, or just at its end, never brings the next one.
func TestNoBatchBeyondTheRead(t *testing.T) {
	for _, c := range []struct{ off, n, batches int }{
		{0, 1, 1},
		{0, 1000, 1},
		{999, 1, 1},
		{999, 2, 2},
		{0, 1001, 2},
		{500, 2500, 3},
		{500, 2501, 4},
		{9999, 5000, 1},
	} {
		d := &batchData{batch: 1000, files: [][]byte{noise(10_000)}}
		if _, err := connect(t, d).ReadAt(0, make([]byte, c.n), int64(c.off)); err != nil {
			t.Fatal(err)
		}
		if d.sent != c.batches {
			t.Errorf("%d bytes at %d: %d batches delivered, want %d", c.n, c.off, d.sent, c.batches)
		}
	}
}

// TestReadOutside: what is not in a file is never asked for.
func TestReadOutside(t *testing.T) {
	p := newPipeData(nil, nil, nil, []File{{"a", 10}})
	for _, c := range []struct {
		file int
		off  int64
	}{{-1, 0}, {1, 0}, {0, -1}} {
		if _, err := p.ReadAt(c.file, make([]byte, 1), c.off); !errors.Is(err, errRange) {
			t.Errorf("file %d at %d: %v", c.file, c.off, err)
		}
	}
	if n, err := p.ReadAt(0, make([]byte, 1), 10); n != 0 || err != nil {
		t.Errorf("at the end: %d, %v", n, err)
	}
}

// TestBadCounts: the worker does not go beyond its part of the window, whatever it is told.
func TestBadCounts(t *testing.T) {
	for name, counts := range map[string][]uint32{
		"none": {0, 0}, "too many": {0, windowBytes/parts + 1}, "too many in two": {0, 5, 0, windowBytes/parts - 4},
		"huge": {0, 1<<32 - 1}, "all early": {10, 10}, "before the file": {11, 200}, "much too early": {1<<32 - 1, 200},
	} {
		var down bytes.Buffer
		for _, c := range counts {
			_ = binary.Write(&down, binary.BigEndian, c)
		}
		p := newPipeData(&down, io.Discard, make([]byte, windowBytes), []File{{"a", 1 << 20}, {"b", 1 << 20}})
		if _, err := p.ReadAt(0, make([]byte, 100), 10); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
