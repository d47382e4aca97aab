// SPDX-License-Identifier: Apache-2.0

package endorsements

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

const (
	maxEntry    = 4 << 20 // a body in base64, with its headers
	entrySuffix = ".json"
	tempPrefix  = ".tmp-"
	tempAge     = time.Hour // a temporary file older than this is of a process that was killed
)

// Entry is one answer of a service as the cache keeps it: a file of its own, named by the SHA-256 of its key, replaced in
// one step. Nothing in it is trusted: verifiers judge endorsements wherever they come from.
type Entry struct {
	Version int               `json:"version"` // 1
	Name    string            `json:"name"`    // what was asked for, e.g. "tcb-info"
	URL     string            `json:"url"`
	Key     string            `json:"key"`     // the URL, and the digest of what was posted to it
	Fetched int64             `json:"fetched"` // Unix seconds
	Expires int64             `json:"expires"` // Unix seconds; from then on it is fetched again
	Digest  envelope.Digest   `json:"digest"`  // SHA-256 of Body, against a damaged disk
	Header  map[string]string `json:"header"`
	Body    []byte            `json:"body"`
}

// Host is who answered.
func (e *Entry) Host() string { return host(e.URL) }

// Cache is a directory of entries. Several processes may use it at once.
type Cache struct{ dir string }

// DefaultDir is where the cache is when nobody says otherwise.
func DefaultDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return filepath.Join(dir, "glovebox", "endorsements"), nil
}

// OpenCache makes the directory if it is not there, for its user alone. One that others can write to, or that is another's,
// is refused: entries are judged by verifiers, but whoever can replace them decides what is fetched, and with what it fails.
func OpenCache(dir string) (*Cache, error) {
	if dir == "" {
		return nil, fmt.Errorf("%w: no directory for the cache", ErrConfig)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	st, err := os.Stat(dir)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	case st.Mode().Perm()&0o022 != 0:
		return nil, fmt.Errorf("%w: others can write to %s: chmod go-w, or another directory", ErrConfig, dir)
	case !own(st):
		return nil, fmt.Errorf("%w: %s belongs to another user", ErrConfig, dir)
	}
	return &Cache{dir}, nil
}

func (c *Cache) path(key string) string {
	return filepath.Join(c.dir, envelope.Sum([]byte(key)).Hex()+entrySuffix)
}

// get returns nil without an error when there is no entry, and [ErrCorrupt] when there is one that cannot be used. That an
// entry has another key shows in its file's name, which is the key's digest.
func (c *Cache) get(key string) (*Entry, error) {
	e, err := readEntry(c.path(key))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return e, nil
}

func readEntry(path string) (*Entry, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxEntry+1))
	if err != nil {
		return nil, err
	}
	var e Entry
	if err := envelope.DecodeStrict(b, maxEntry, &e); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	name, _ := strings.CutSuffix(filepath.Base(path), entrySuffix)
	switch {
	case e.Version != 1 || e.Name == "" || e.Fetched <= 0 || e.Expires <= 0 || len(e.Body) == 0:
		return nil, fmt.Errorf("%w: it is incomplete", ErrCorrupt)
	case envelope.Sum(e.Body) != e.Digest:
		return nil, fmt.Errorf("%w: its content is not what was fetched", ErrCorrupt)
	case envelope.Sum([]byte(e.Key)).Hex() != name:
		return nil, fmt.Errorf("%w: it is under another entry's name", ErrCorrupt)
	}
	return &e, nil
}

// put replaces an entry in one step, so that a reader, or a process that is killed, never sees or leaves half of one.
func (c *Cache) put(e *Entry) (err error) {
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(c.dir, tempPrefix+"*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name()) //nolint:errcheck // already failing; sweep removes what is left
		}
	}()
	_, werr := f.Write(append(b, '\n'))
	if err := errors.Join(werr, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), c.path(e.Key))
}

// sweep removes what killed processes left.
func (c *Cache) sweep(now time.Time) {
	names, err := filepath.Glob(filepath.Join(c.dir, tempPrefix+"*"))
	if err != nil {
		return
	}
	for _, n := range names {
		if st, err := os.Lstat(n); err == nil && now.Sub(st.ModTime()) > tempAge {
			os.Remove(n) //nolint:errcheck // another process may have done it
		}
	}
}

// Entries lists what is there, by name and then URL, and the files that cannot be used with the reason.
func (c *Cache) Entries() (ok []Entry, bad map[string]error, err error) {
	names, err := os.ReadDir(c.dir)
	if err != nil {
		return nil, nil, err
	}
	bad = map[string]error{}
	for _, n := range names {
		if name, ours := strings.CutSuffix(n.Name(), entrySuffix); !ours || !isDigest(name) {
			continue
		}
		e, err := readEntry(filepath.Join(c.dir, n.Name()))
		switch {
		case errors.Is(err, fs.ErrNotExist): // removed meanwhile
		case err != nil:
			bad[n.Name()] = err
		default:
			ok = append(ok, *e)
		}
	}
	slices.SortFunc(ok, func(a, b Entry) int { return strings.Compare(a.Name+"\x00"+a.Key, b.Name+"\x00"+b.Key) })
	return ok, bad, nil
}

func isDigest(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 32
}
