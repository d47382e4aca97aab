// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sys/unix"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// What the benchmarks seal and open in one turn, a share at a time, and how much of it is different.
const (
	benchTurn  = 1 << 30
	benchShare = 8 << 20
	benchBytes = 128 << 20
)

// randomBytes does not compress.
func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// cpuTime is what the whole process has used so far, all its threads and the kernel on their behalf.
func cpuTime(t testing.TB) time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &now); err != nil {
		t.Fatal(err)
	}
	return time.Duration(now.Nano())
}

// measured is what work cost.
type measured struct {
	cpu, wall time.Duration
	allocs    uint64
}

// measure adds the cost of some work.
func (m *measured) measure(t testing.TB, work func()) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	wall, cpu := time.Now(), cpuTime(t)
	work()
	m.cpu, m.wall = m.cpu+cpuTime(t)-cpu, m.wall+time.Since(wall)
	runtime.ReadMemStats(&after)
	m.allocs += after.Mallocs - before.Mallocs
}

// against runs share after share of ours, and after each what the standard library's primitives take for as much, so that what
// else the machine does falls on both. It reports the median of the turns' ratios of processor time. GB/s is of processor time too, and the
// best turn's: per core.
func against(b *testing.B, size int, plain, ours func(share int)) {
	var ratios, rates, base, wall, allocs []float64
	for b.Loop() {
		var p, o measured
		for i := range size / benchShare {
			o.measure(b, func() { ours(i) })
			p.measure(b, func() { plain(i) })
		}
		ratios = append(ratios, p.cpu.Seconds()/o.cpu.Seconds())
		rates = append(rates, float64(size)/1e9/o.cpu.Seconds())
		base = append(base, float64(size)/1e9/p.cpu.Seconds())
		wall = append(wall, float64(size)/1e9/o.wall.Seconds())
		allocs = append(allocs, float64(o.allocs)*(1<<30)/float64(size))
	}
	for _, l := range [][]float64{ratios, rates, base, wall, allocs} {
		slices.Sort(l)
	}
	b.ReportMetric(ratios[len(ratios)/2], "of-plain")
	b.ReportMetric(rates[len(rates)-1], "GB/s/core")
	b.ReportMetric(base[len(base)-1], "plain-GB/s/core")
	b.ReportMetric(wall[len(wall)-1], "GB/s")
	b.ReportMetric(allocs[len(allocs)/2], "allocs/GiB")
	b.ReportMetric(0, "ns/op")
}

// share is the piece of so many bytes that a share of a turn works on.
func share(data []byte, i int) []byte {
	at := i * benchShare % len(data)
	return data[at : at+benchShare]
}

// plainGCM is AES-256-GCM of the standard library.
func plainGCM(t testing.TB) cipher.AEAD {
	block, err := aes.NewCipher(randomBytes(32))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	return aead
}

// ring is a store in memory that keeps the end of what it was given.
type ring struct {
	b  []byte
	at int
}

func (r *ring) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := copy(r.b[r.at:], rest)
		rest, r.at = rest[n:], (r.at+n)%len(r.b)
	}
	return len(p), nil
}

func (r *ring) Put(ctx context.Context, from io.Reader) (envelope.Digest, int64, error) {
	return CopyBlob(ctx, r, from)
}

func (*ring) Size(context.Context, envelope.Digest) (int64, error) { return 0, ErrNoBlob }

func (*ring) ReadAt(context.Context, envelope.Digest, []byte, int64) (int, error) {
	return 0, ErrNoBlob
}

// BenchmarkSeal seals batches that are ready, in segments of two sizes, against AES-256-GCM and SHA-256 of the standard library over
// the same batches, into memory as long. Ours has three results where plain has two: sealed data, the leaf hashes in their tree, and
// the blob's digest. A store that throws away shows sealing alone, and a directory what files cost that are flushed to disk.
func BenchmarkSeal(b *testing.B) {
	batches := randomBytes(benchBytes)
	aead := plainGCM(b)
	kept := randomBytes(benchBytes + benchBytes/DefaultBatchBytes*tagSize)
	plain := func(i int) {
		var nonce [nonceSize]byte
		in, out := share(batches, i), kept[i*benchShare%benchBytes:]
		for at := 0; at < len(in); at += DefaultBatchBytes {
			sealed := aead.Seal(out[at:at], nonce[:], in[at:at+DefaultBatchBytes], nil)
			sha256.Sum256(sealed)
		}
	}
	dir, err := NewDirStore(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	memory := &ring{b: randomBytes(benchBytes)}
	for _, c := range []struct {
		name          string
		store         Store
		turn, segment int
	}{
		{"nowhere", &discard{}, benchTurn, benchTurn},
		{"memory", memory, benchTurn, benchTurn},
		{"memory-16MiB", memory, benchTurn, DefaultSegmentBytes},
		{"dir", dir, benchBytes, benchBytes},
		{"dir-16MiB", dir, benchBytes, DefaultSegmentBytes},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := sealing{t: b, store: c.store, key: NewKey(), segment: c.segment, turn: c.turn}
			s.tree.sink, s.with.onLeaf = func(int, tlog.Hash) error { return nil }, s.tree.add
			against(b, c.turn, plain, func(i int) { s.share(i, share(batches, i)) })
		})
	}
}

// discard is a store that keeps nothing.
type discard struct{ ring }

func (*discard) Put(ctx context.Context, from io.Reader) (envelope.Digest, int64, error) {
	return CopyBlob(ctx, onlyWriter{io.Discard}, from)
}

// sealing seals batches into segments of one length.
type sealing struct {
	t       testing.TB
	store   Store
	key     Key
	segment int
	tree    treeBuilder
	with    sealer
	salt    [saltSize]byte
	w       *segmentWriter
	before  *segmentWriter // ended; waited for as Pack does, when the next one has ended
	turn    int            // bytes
}

// share seals a turn's share i.
func (s *sealing) share(i int, batches []byte) {
	from := i * benchShare
	for at := 0; at < len(batches); at += DefaultBatchBytes {
		var err error
		if (from+at)%s.segment == 0 {
			s.w, err = newSegmentWriter(context.Background(), s.store, &s.with, s.key, s.salt[:], ID{}, Segment{Version: 1})
		}
		if err == nil {
			_, err = s.w.Write(batches[at : at+DefaultBatchBytes])
		}
		if err == nil && (from+at+DefaultBatchBytes)%s.segment == 0 {
			if err = s.w.End(); err == nil && s.before != nil {
				_, err = s.before.Wait()
			}
			if s.before = s.w; err == nil && from+at+DefaultBatchBytes == s.turn {
				_, err = s.before.Wait()
			}
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
}

// memoryStore is a store in memory that keeps everything.
type memoryStore struct {
	lock  sync.RWMutex
	blobs map[envelope.Digest][]byte
	room  int // for a blob
}

func newMemoryStore() *memoryStore { return &memoryStore{blobs: map[envelope.Digest][]byte{}} }

func (s *memoryStore) Put(ctx context.Context, r io.Reader) (envelope.Digest, int64, error) {
	var b bytes.Buffer
	b.Grow(s.room)
	d, n, err := CopyBlob(ctx, &b, r)
	if err != nil {
		return envelope.Digest{}, 0, err
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.blobs[d] = b.Bytes(); n < int64(s.room/2) {
		s.blobs[d] = bytes.Clone(b.Bytes())
	}
	return d, n, nil
}

func (s *memoryStore) get(d envelope.Digest) []byte {
	s.lock.RLock()
	defer s.lock.RUnlock()
	return s.blobs[d]
}

func (s *memoryStore) Size(_ context.Context, d envelope.Digest) (int64, error) {
	return int64(len(s.get(d))), nil
}

func (s *memoryStore) ReadAt(_ context.Context, d envelope.Digest, p []byte, off int64) (int, error) {
	b := s.get(d)
	n := copy(p, b[min(off, int64(len(b))):])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// BenchmarkOpen proves, decrypts and decodes a package of random bytes, which no compressor touches, against opening with
// AES-256-GCM and hashing with SHA-256 of the standard library what was sealed in batches.
func BenchmarkOpen(b *testing.B) {
	data := randomBytes(benchBytes)
	aead := plainGCM(b)
	var nonce [nonceSize]byte
	var sealed [][]byte
	for at := 0; at < len(data); at += DefaultBatchBytes {
		sealed = append(sealed, aead.Seal(nil, nonce[:], data[at:at+DefaultBatchBytes], nil))
	}
	out := make([]byte, 0, DefaultBatchBytes)
	plain := func(i int) {
		for j := range benchShare / DefaultBatchBytes {
			s := sealed[(i*benchShare/DefaultBatchBytes+j)%len(sealed)]
			sha256.Sum256(s)
			if _, err := aead.Open(out, nonce[:], s, nil); err != nil {
				b.Fatal(err)
			}
		}
	}
	f := newFixture(b)
	for _, c := range []struct {
		name    string
		store   Store
		turn    int
		segment int64
	}{
		{"memory", &memoryStore{blobs: map[envelope.Digest][]byte{}, room: benchTurn + benchTurn/64}, benchTurn, MaxSegmentBytes},
		{"memory-16MiB", newMemoryStore(), benchTurn, DefaultSegmentBytes},
		{"dir", f.store, benchBytes, MaxSegmentBytes},
		{"dir-16MiB", f.store, benchBytes, DefaultSegmentBytes},
	} {
		b.Run(c.name, func(b *testing.B) {
			cfg := f.config(FormatFiles, "")
			files := fstest.MapFS{}
			for i := range c.turn / benchBytes {
				files[fmt.Sprintf("noise%d", i)] = &fstest.MapFile{Data: data}
			}
			cfg.Store, cfg.Source, cfg.Files = c.store, nil, files
			cfg.SegmentBytes, cfg.BatchBytes = c.segment, DefaultBatchBytes
			p := f.pack(cfg)
			o := opening{t: b, m: p.Manifest, store: c.store, key: f.key}
			against(b, c.turn, plain, func(i int) { o.share(i, c.turn) })
		})
	}
}

// opening streams a package.
type opening struct {
	t     testing.TB
	m     *Manifest
	store BlobReader
	key   Key
	s     *Stream
	off   int64
}

// share reads on to the end of a turn's share i.
func (o *opening) share(i, turn int) {
	var err error
	if i == 0 {
		o.off = 0
		if o.s, err = OpenStream(context.Background(), o.m, o.store, o.key, o.m.AllLeaves()); err != nil {
			o.t.Fatal(err)
		}
	}
	end := int64((i + 1) * benchShare)
	if end == int64(turn) {
		end = o.s.Size()
		defer o.s.Close()
	}
	for o.off < end {
		b, err := o.s.Batch(context.Background(), o.off)
		if err != nil {
			o.t.Fatal(err)
		}
		o.off += int64(len(b.Raw))
	}
}

// BenchmarkPack packs text, a table of small numbers as MNIST is, lines of JSON, and random bytes into a directory, all with
// compression. GB/s/core is of the source in processor time.
func BenchmarkPack(b *testing.B) {
	const size = 32 << 20
	f := newFixture(b)
	for _, c := range []struct {
		name   string
		format Format
		source string
	}{
		{"text", FormatCSV, benchText(size)},
		{"digits", FormatCSV, benchDigits(size)},
		{"jsonl", FormatJSONL, benchJSON(size)},
		{"random", FormatFiles, string(randomBytes(size))},
	} {
		b.Run(c.name, func(b *testing.B) {
			var rates, wall, allocs []float64
			for b.Loop() {
				cfg := f.config(c.format, c.source)
				cfg.SegmentBytes, cfg.BatchBytes = 0, 0
				if c.format == FormatFiles {
					cfg.Source, cfg.Files = nil, fstest.MapFS{"noise": {Data: []byte(c.source)}}
				}
				var m measured
				m.measure(b, func() { f.pack(cfg) })
				rates = append(rates, float64(len(c.source))/1e9/m.cpu.Seconds())
				wall = append(wall, float64(len(c.source))/1e9/m.wall.Seconds())
				allocs = append(allocs, float64(m.allocs)*(1<<30)/float64(len(c.source)))
			}
			slices.Sort(rates)
			slices.Sort(wall)
			slices.Sort(allocs)
			b.ReportMetric(rates[len(rates)-1], "GB/s/core")
			b.ReportMetric(wall[len(wall)-1], "GB/s")
			b.ReportMetric(allocs[len(allocs)/2], "allocs/GiB")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// benchWords are what the made-up texts consist of, the first ones more often.
var benchWords = strings.Fields(`the of and to in a is that for it was with as on be at by this had not are but from or have an they which one you were
	her all she there would their we him been has when who will more no if out so said what up its about into than them can only other new some could time
	these two may then do first any my now such like our over man me even most made after also did many before must through back years where much your way
	well down should because each just those people too little state good very make world still own see men work long here get both between life being under`)

func benchText(n int) string {
	var b strings.Builder
	b.WriteString("id,title,text\n")
	for r, id := rand.New(rand.NewPCG(1, 2)), 0; b.Len() < n; id++ {
		fmt.Fprintf(&b, "%d,%s,\"", id, benchWords[r.IntN(len(benchWords))])
		for range 40 + r.IntN(200) {
			b.WriteString(benchWords[min(r.IntN(len(benchWords)), r.IntN(len(benchWords)))])
			b.WriteByte(' ')
		}
		b.WriteString("\"\n")
	}
	return b.String()
}

// benchDigits has rows of 784 pixels, of which four in five are 0.
func benchDigits(n int) string {
	var b strings.Builder
	b.WriteString("label")
	for i := range 784 {
		fmt.Fprintf(&b, ",pixel%d", i)
	}
	b.WriteByte('\n')
	for r := rand.New(rand.NewPCG(1, 2)); b.Len() < n; {
		fmt.Fprint(&b, r.IntN(10))
		for i := range 784 {
			if x := i % 28; x < 8 || x > 20 || i < 112 || i > 672 || r.IntN(2) == 0 {
				b.WriteString(",0")
			} else {
				fmt.Fprintf(&b, ",%d", r.IntN(256))
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func benchJSON(n int) string {
	var b strings.Builder
	for r, id := rand.New(rand.NewPCG(1, 2)), 0; b.Len() < n; id++ {
		fmt.Fprintf(&b, `{"id":%d,"score":%d.%02d,"tags":["%s","%s"],"text":"`, id, r.IntN(100), r.IntN(100), benchWords[r.IntN(50)], benchWords[r.IntN(50)])
		for range 20 + r.IntN(100) {
			b.WriteString(benchWords[min(r.IntN(len(benchWords)), r.IntN(len(benchWords)))])
			b.WriteByte(' ')
		}
		b.WriteString("\"}\n")
	}
	return b.String()
}
