// SPDX-License-Identifier: Apache-2.0

// Package tiles reads a log's static files (C2SP tlog-tiles) from a URL or a directory.
//
// Trust domain: the reader's; whoever serves the files is trusted with nothing. Its one job: no hash and no entry is passed
// on before a signed root proves it.
package tiles

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	xtlog "golang.org/x/mod/sumdb/tlog"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/tlog"
)

// Errors of this package.
var (
	ErrSource = errors.New("tiles: not a place that files can be read from")
	ErrGone   = errors.New("tiles: cannot be read")
	// ErrTile means that a file is not what the signed root demands.
	ErrTile = errors.New("tiles: a file does not belong to the signed tree")
)

const (
	height     = 8
	width      = 1 << height
	maxBundle  = width * (2 + 1<<16)
	fetchLimit = 30 * time.Second
)

// client goes nowhere but where it is told: whoever serves the files could send it to what only this machine reaches.
var client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// Source is a place with a log's files. It is safe for concurrent use.
type Source struct {
	name string
	get  func(ctx context.Context, path string, limit int64) ([]byte, error)
}

// Open names a source: an http or https URL below which the files are, or a directory. Nothing is read yet.
func Open(where string) (*Source, error) {
	u, err := url.Parse(where)
	if err != nil || where == "" {
		return nil, fmt.Errorf("%w: %q", ErrSource, where)
	}
	switch u.Scheme {
	case "http", "https":
		if u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
			return nil, fmt.Errorf("%w: %q", ErrSource, where)
		}
		base := strings.TrimRight(where, "/")
		return &Source{base, func(ctx context.Context, path string, limit int64) ([]byte, error) {
			return fetch(ctx, base+"/"+path, limit)
		}}, nil
	}
	return &Source{where, func(_ context.Context, path string, limit int64) ([]byte, error) {
		return readFile(filepath.Join(where, filepath.FromSlash(path)), limit)
	}}, nil
}

// Name is what the source was opened with.
func (s *Source) Name() string { return s.name }

func fetch(ctx context.Context, url string, limit int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrGone, err)
	}
	r, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrGone, err)
	}
	defer r.Body.Close()
	if r.StatusCode == http.StatusNotFound {
		return nil, fmt.Errorf("%w: %s: %w", ErrGone, url, fs.ErrNotExist)
	}
	if r.StatusCode >= 300 && r.StatusCode < 400 {
		return nil, fmt.Errorf("%w: %s leads elsewhere (%s): give the address where the files are", ErrGone, url, r.Status)
	}
	if r.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: %s: %s", ErrGone, url, r.Status)
	}
	return bounded(r.Body, limit, url)
}

func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrGone, err)
	}
	defer f.Close()
	return bounded(f, limit, path)
}

func bounded(r io.Reader, limit int64, what string) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrGone, what, err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%w: %s is larger than %d bytes", ErrTile, what, limit)
	}
	return b, nil
}

// File reads a file below the source, of at most limit bytes. It is unverified. Error: [ErrGone], [ErrTile] if it is larger.
func (s *Source) File(ctx context.Context, path string, limit int64) ([]byte, error) {
	return s.get(ctx, path, limit)
}

// Checkpoint is the source's latest one, unverified.
func (s *Source) Checkpoint(ctx context.Context) (string, error) {
	b, err := s.get(ctx, "checkpoint", tlog.MaxCheckpoint)
	return string(b), err
}

// Prefix computes, from the source's tiles and proven under cp, the root of the first n entries of cp's tree and the
// consistency proof from there. Errors: [ErrGone], [ErrTile].
func (s *Source) Prefix(ctx context.Context, cp tlog.Checkpoint, n int64) (root envelope.Digest, proof []envelope.Digest, err error) {
	if n < 1 || n > cp.Size {
		return root, nil, fmt.Errorf("%w: %d of %d entries", ErrTile, n, cp.Size)
	}
	if n == cp.Size {
		return cp.Root, []envelope.Digest{}, nil
	}
	hashes := proven(cp, &reader{ctx: ctx, sources: []*Source{s}})
	h, err := xtlog.TreeHash(n, hashes)
	if err != nil {
		return root, nil, classify(err)
	}
	path, err := xtlog.ProveTree(cp.Size, n, hashes)
	if err != nil {
		return root, nil, classify(err)
	}
	for _, p := range path {
		proof = append(proof, envelope.Digest(p))
	}
	return envelope.Digest(h), proof, nil
}

func classify(err error) error {
	if errors.Is(err, ErrGone) || errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrTile, err)
}

// proven reads hashes of cp's tree; each is checked against the root.
func proven(cp tlog.Checkpoint, r *reader) xtlog.HashReader {
	return xtlog.TileHashReader(xtlog.Tree{N: cp.Size, Hash: xtlog.Hash(cp.Root)}, r)
}

// reader fetches tiles for the prover, from the first source that has them.
type reader struct {
	ctx     context.Context // of the one proof it lives for
	sources []*Source
	keep    func(t xtlog.Tile, data []byte) // called with what is proven
}

// Height implements tlog.TileReader.
func (r *reader) Height() int { return height }

// ReadTiles implements tlog.TileReader.
func (r *reader) ReadTiles(tiles []xtlog.Tile) ([][]byte, error) {
	var out [][]byte
	for _, t := range tiles {
		b, err := r.tile(t)
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}

func (r *reader) tile(t xtlog.Tile) (b []byte, err error) {
	for _, s := range r.sources {
		if b, err = s.part(r.ctx, tilePath(t, true), tilePath(t, false), width*xtlog.HashSize); err != nil {
			continue
		}
		if len(b) >= t.W*xtlog.HashSize {
			return b[:t.W*xtlog.HashSize], nil
		}
		err = fmt.Errorf("%w: %s of %s is %d bytes long", ErrTile, tilePath(t, true), s.name, len(b))
	}
	return nil, err
}

// part reads a partial file, or the full one that has taken its place.
func (s *Source) part(ctx context.Context, partial, full string, limit int64) ([]byte, error) {
	b, err := s.get(ctx, partial, limit)
	if errors.Is(err, fs.ErrNotExist) && full != partial {
		return s.get(ctx, full, limit)
	}
	return b, err
}

// SaveTiles implements tlog.TileReader.
func (r *reader) SaveTiles(tiles []xtlog.Tile, data [][]byte) {
	for i, t := range tiles {
		if r.keep != nil {
			r.keep(t, data[i])
		}
	}
}

// tilePath is tile/<L>/<N>[.p/<W>]; without partial that of the full tile.
func tilePath(t xtlog.Tile, partial bool) string {
	return numbered(fmt.Sprintf("tile/%d/", t.L), t.N, t.W, partial)
}

// bundlePath is tile/entries/<N>[.p/<W>].
func bundlePath(n int64, w int, partial bool) string { return numbered("tile/entries/", n, w, partial) }

func numbered(prefix string, n int64, w int, partial bool) string {
	name := fmt.Sprintf("%03d", n%1000)
	for n /= 1000; n > 0; n /= 1000 {
		name = fmt.Sprintf("x%03d/%s", n%1000, name)
	}
	if partial && w < width {
		name += fmt.Sprintf(".p/%d", w)
	}
	return prefix + name
}
