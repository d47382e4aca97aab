// SPDX-License-Identifier: Apache-2.0

package jwks

import (
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/jwk"
)

// entry is a copy of a key document. Nothing in it is trusted more than the network is: pins decide.
type entry struct {
	URL     string `json:"url"`
	ETag    string `json:"etag"`
	Fetched int64  `json:"fetched"` // Unix seconds
	Fresh   int64  `json:"fresh"`   // until when the issuer need not be asked
	Body    []byte `json:"body"`

	keys    []jwk.JWK
	dropped bool // the issuer does not want it kept
}

func (e *entry) fetched() time.Time { return time.Unix(e.Fetched, 0) }
func (e *entry) fresh() time.Time {
	return time.Unix(min(e.Fresh, e.Fetched+int64(MaxFresh/time.Second)), 0)
}

func (c Config) path(url string) string {
	return filepath.Join(c.CacheDir, "jwks-"+envelope.Sum([]byte(url)).Hex()[:32]+".json")
}

// load is the copy of a URL, or nil if there is none that can be used: a damaged one, or one from the future, is none.
func (c Config) load(url string, now time.Time) *entry {
	if c.CacheDir == "" {
		return nil
	}
	b, err := envelope.ReadSecretFile(c.path(url), 2*jwk.MaxSet)
	if err != nil {
		return nil
	}
	var e entry
	if err := envelope.DecodeStrict(b, 2*jwk.MaxSet, &e); err != nil || e.URL != url || len(e.ETag) > maxETag || e.fetched().After(now.Add(skew)) {
		return nil
	}
	if e.keys, err = parse(e.Body); err != nil {
		return nil
	}
	return &e
}

// store keeps a copy. That it cannot is no error: the next call asks the issuer again.
func (c Config) store(e *entry) {
	if c.CacheDir == "" {
		return
	}
	path := c.path(e.URL)
	if e.dropped {
		os.Remove(path) //nolint:errcheck // as above
		return
	}
	if len(e.ETag) > maxETag {
		e.ETag = ""
	}
	b, err := json.Marshal(e)
	if err != nil || os.MkdirAll(c.CacheDir, 0o700) != nil {
		return
	}
	f, err := os.CreateTemp(c.CacheDir, ".jwks-*") // mode 0600
	if err != nil {
		return
	}
	_, err = f.Write(b)
	if cerr := f.Close(); err != nil || cerr != nil || os.Rename(f.Name(), path) != nil {
		os.Remove(f.Name()) //nolint:errcheck // as above
	}
}
