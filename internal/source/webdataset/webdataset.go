// SPDX-License-Identifier: Apache-2.0

// Package webdataset reads shards of WebDataset, tar files in which neighbours of one name are a sample.
//
// Trust domain: the creator's side. Its one job: samples in order, each file below a folder that is called like its shard, as the
// tar stream that package dataset packs as format "samples". An archive that could mean more than files in a folder is refused:
// links, devices, sparse files, paths that lead elsewhere, names that are there twice.
package webdataset

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/source"
)

// Bounds of what is read.
const (
	MaxShards  = 1 << 16
	MaxSamples = 1 << 22 // of one shard
	MaxPaths   = 1 << 24 // of files and folders of one shard; each is remembered
	bombFloor  = 64 << 20
	bombFactor = 200 // times a compressed shard's length, above bombFloor
	piece      = 64 << 10
)

// Shard is the name of a shard without its extension, and whether it is compressed. No shard: the empty string.
func Shard(name string) (stem string, compressed bool) {
	low := strings.ToLower(name)
	for _, ext := range []string{".tar", ".tar.gz", ".tgz"} {
		if strings.HasSuffix(low, ext) && len(name) > len(ext) {
			return name[:len(name)-len(ext)], ext != ".tar"
		}
	}
	return "", false
}

// Reader gives the samples of one shard, or of all shards of a folder in the order of their names, as a tar stream. It is used by
// one goroutine.
type Reader struct {
	dir   string
	names []string // still to come
	cur   *shard
	out   bytes.Buffer
	tar   *tar.Writer
	n     int   // file of its sample
	left  int64 // of the file at hand
	size  int64 // of all shards
	count int64
	err   error
}

// Open opens a shard or a folder of shards. Errors wrap those of package source.
func Open(path string) (*Reader, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	r := &Reader{dir: filepath.Dir(path), names: []string{filepath.Base(path)}, n: -1}
	r.tar = tar.NewWriter(&r.out)
	if st.IsDir() {
		r.dir = path
		if r.names, err = shards(path); err != nil {
			return nil, err
		}
	}
	for _, name := range r.names {
		st, err := os.Stat(filepath.Join(r.dir, name))
		if err != nil {
			return nil, err
		}
		stem, _ := Shard(name)
		if stem == "" || !st.Mode().IsRegular() {
			return nil, fmt.Errorf("%w: %q is no .tar, .tar.gz or .tgz file", source.ErrMixed, name)
		}
		if !dataset.FileName(stem) {
			return nil, fmt.Errorf("%w: shard %q has letters that paths should not have", source.ErrName, name)
		}
		r.size += st.Size()
	}
	return r, nil
}

// shards are the archives of a folder; what is hidden is left out.
func shards(dir string) ([]string, error) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []string
	stems := map[string]bool{}
	for _, e := range list {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		stem, _ := Shard(e.Name())
		if stem == "" || !e.Type().IsRegular() {
			return nil, fmt.Errorf("%w: %s has %q, which is no .tar, .tar.gz or .tgz file", source.ErrMixed, dir, e.Name())
		}
		if stems[stem] {
			return nil, fmt.Errorf("%w: %s has two shards %q, one of them compressed", source.ErrMixed, dir, stem)
		}
		stems[stem] = true
		out = append(out, e.Name())
	}
	if len(out) == 0 || len(out) > MaxShards {
		return nil, fmt.Errorf("%w: %s has %d shards, want 1 to %d", source.ErrMixed, dir, len(out), MaxShards)
	}
	return out, nil
}

// Size is the length of all shards in bytes.
func (r *Reader) Size() int64 { return r.size }

// Samples is how many have begun so far.
func (r *Reader) Samples() int64 { return r.count }

// Read implements [io.Reader].
func (r *Reader) Read(b []byte) (int, error) {
	for r.out.Len() == 0 {
		if r.err != nil {
			return 0, r.err
		}
		r.out.Reset()
		r.err = r.step()
	}
	return r.out.Read(b)
}

// step writes the next header, or the next piece of a file.
func (r *Reader) step() error {
	if r.left > 0 {
		n, err := io.CopyN(r.tar, r.cur.tar, min(r.left, piece))
		if r.left -= n; err != nil {
			return r.cur.wrong(err)
		}
		if r.left > 0 {
			return nil
		}
		return r.tar.Flush()
	}
	if r.cur == nil {
		if len(r.names) == 0 {
			return io.EOF
		}
		s, err := openShard(r.dir, r.names[0])
		if err != nil {
			return err
		}
		r.cur, r.names = s, r.names[1:]
	}
	h, begins, err := r.cur.next()
	if errors.Is(err, io.EOF) {
		return r.Close()
	}
	if err != nil {
		return err
	}
	if r.n++; begins {
		r.n = 0
		r.count++
	}
	if err := r.tar.WriteHeader(dataset.SampleHeader(path.Join(r.cur.stem, h.Name), h.Size, r.n)); err != nil {
		return fmt.Errorf("%w: %s: %q", source.ErrName, r.cur.name, h.Name)
	}
	r.left = h.Size
	return nil
}

// Close lets go of the shard at hand.
func (r *Reader) Close() error {
	s := r.cur
	r.cur = nil
	if s == nil {
		return nil
	}
	return s.f.Close()
}

// shard is one archive.
type shard struct {
	name, stem string
	f          *os.File
	in         *counter
	tar        *tar.Reader
	key        string          // of the sample at hand
	files      map[string]bool // of it, by extension
	size       int64           // of it
	seen       map[uint64]bool // keys of samples, hashed
	paths      map[uint64]bool // of files and the folders above them, hashed: whether it is a folder
	seed       maphash.Seed
}

func openShard(dir, name string) (*shard, error) {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	s := &shard{name: name, f: f, seen: map[uint64]bool{}, paths: map[uint64]bool{}, seed: maphash.MakeSeed()}
	var in io.Reader = bufio.NewReaderSize(f, 256<<10)
	stem, compressed := Shard(name)
	if s.stem = stem; compressed {
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%w: %s: no gzip file", source.ErrCorrupt, name), f.Close())
		}
		in = &meter{in: z, left: max(bombFloor, bombFactor*st.Size())}
	}
	s.in = &counter{in: in}
	s.tar = tar.NewReader(s.in)
	return s, nil
}

// meter ends a stream that expands too much.
type meter struct {
	in   io.Reader
	left int64
}

func (m *meter) Read(b []byte) (int, error) {
	n, err := m.in.Read(b)
	if m.left -= int64(n); m.left < 0 {
		return 0, fmt.Errorf("%w: it expands to more than %d times its length; if that is meant, decompress it and pack the .tar", source.ErrLimit, bombFactor)
	}
	return n, err
}

// counter counts what is read.
type counter struct {
	in io.Reader
	n  int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.in.Read(b)
	c.n += int64(n)
	return n, err
}

// block is the unit of tar.
const block = 512

// wrong says which shard an error is of.
func (s *shard) wrong(err error) error {
	switch {
	case errors.Is(err, source.ErrLimit), errors.Is(err, source.ErrName):
		return fmt.Errorf("%s: %w", s.name, err)
	case errors.Is(err, os.ErrClosed), errors.Is(err, os.ErrPermission):
		return err
	}
	return fmt.Errorf("%w: %s is no tar file, or was cut off", source.ErrCorrupt, s.name)
}

// next gives the next file, and whether a sample begins with it.
func (s *shard) next() (*tar.Header, bool, error) {
	for {
		at := (s.in.n + block - 1) / block * block // behind the entry before
		h, err := s.tar.Next()
		switch {
		case errors.Is(err, io.EOF) && s.in.n < at+block: // the library takes it for the end
			return nil, false, fmt.Errorf("%w: %s has no end: it was cut off", source.ErrCorrupt, s.name)
		case errors.Is(err, io.EOF):
			return nil, false, s.end()
		case err != nil:
			return nil, false, s.wrong(err)
		}
		switch h.Typeflag {
		case tar.TypeDir, tar.TypeXGlobalHeader:
			continue
		case tar.TypeReg:
		default:
			return nil, false, s.wrong(fmt.Errorf("%w: %q is a link, a device or a sparse file; copy what it stands for", source.ErrName, h.Name))
		}
		begins, err := s.enter(h)
		if err != nil {
			return nil, false, s.wrong(err)
		}
		return h, begins, nil
	}
}

// end reads what follows the archive's end: zeros. What else is there would be lost, and a compressed shard's checksum is looked at.
func (s *shard) end() error {
	if len(s.seen) == 0 {
		return fmt.Errorf("%w: %s has no files", source.ErrCorrupt, s.name)
	}
	buf := make([]byte, piece)
	for {
		n, err := s.in.Read(buf)
		if len(bytes.Trim(buf[:n], "\x00")) > 0 {
			return fmt.Errorf("%w: %s goes on behind its end: join archives with tar --concatenate", source.ErrCorrupt, s.name)
		}
		switch {
		case errors.Is(err, io.EOF):
			return io.EOF
		case err != nil:
			return s.wrong(err)
		}
	}
}

// enter checks a file's name and finds its sample.
func (s *shard) enter(h *tar.Header) (begins bool, err error) {
	h.Name = strings.TrimPrefix(h.Name, "./")
	base := path.Base(h.Name)
	stem, ext, ok := strings.Cut(base, ".")
	switch {
	case !dataset.FileName(h.Name):
		return false, fmt.Errorf("%w: %q leads elsewhere, or has letters that paths should not have", source.ErrName, h.Name)
	case !ok || stem == "" || ext == "":
		return false, fmt.Errorf("%w: %q is no file of a sample: those are called KEY.EXTENSION", source.ErrName, h.Name)
	case sparse(h):
		return false, fmt.Errorf("%w: %q is a sparse file; make the archive without --sparse", source.ErrName, h.Name)
	}
	if err := s.place(h.Name); err != nil {
		return false, err
	}
	key := path.Join(path.Dir(h.Name), stem)
	if begins = key != s.key || len(s.seen) == 0; begins {
		sum := maphash.String(s.seed, key)
		if s.seen[sum] {
			return false, fmt.Errorf("%w: files of %q do not lie together, or it is there twice; sort the archive: tar --sort=name", source.ErrName, key)
		}
		s.seen[sum] = true
		s.key, s.files, s.size = key, map[string]bool{}, 0
	}
	low := strings.ToLower(ext)
	if s.files[low] {
		return false, fmt.Errorf("%w: sample %q has two files .%s", source.ErrName, key, low)
	}
	s.files[low] = true
	if s.size += h.Size; len(s.files) > dataset.MaxSampleFiles || s.size > dataset.MaxSampleBytes || len(s.seen) > MaxSamples {
		return false, fmt.Errorf("%w: sample %q has more than %d files or %d bytes, or is one of more than %d in its shard", source.ErrLimit, key, dataset.MaxSampleFiles, dataset.MaxSampleBytes, MaxSamples)
	}
	return begins, nil
}

// place remembers where a file is, and refuses what is a file and a folder at once: nobody can unpack that.
func (s *shard) place(name string) error {
	at := maphash.String(s.seed, name)
	if s.paths[at] {
		return fmt.Errorf("%w: %q is a file, and a folder with files in it", source.ErrName, name)
	}
	s.paths[at] = false
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		at := maphash.String(s.seed, dir)
		folder, known := s.paths[at]
		switch {
		case known && !folder:
			return fmt.Errorf("%w: %q is a file, and a folder with files in it", source.ErrName, dir)
		case known:
			return nil // and so are those above it
		}
		s.paths[at] = true
	}
	if len(s.paths) > MaxPaths {
		return fmt.Errorf("%w: more than %d files and folders in a shard", source.ErrLimit, MaxPaths)
	}
	return nil
}

// sparse reports whether a file has holes: what it expands to is not in the archive.
func sparse(h *tar.Header) bool {
	for k := range h.PAXRecords {
		if strings.HasPrefix(k, "GNU.sparse.") {
			return true
		}
	}
	return false
}
