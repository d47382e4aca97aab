// SPDX-License-Identifier: Apache-2.0

// Package jwks gets the keys of a marketplace from a file or an https URL, and gives out those alone whose thumbprints the
// terms pin.
//
// Trust domain: the owner's side, when terms are compiled; nothing else needs it, because terms carry the keys
// themselves. Its one job: whoever controls the network, the server or the cache can withhold keys and never add one.
package jwks

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/glovebox-dev/glovebox/internal/jwk"
)

// Errors.
var (
	ErrSource   = errors.New("jwks: neither a file nor an https URL")
	ErrUnpinned = errors.New("jwks: no thumbprint is pinned")
	ErrPins     = errors.New("jwks: none of the keys is pinned")
	ErrAway     = errors.New("jwks: the issuer cannot be reached") // try again
	ErrDocument = errors.New("jwks: not a usable key set")
)

// Config says how to get keys. The zero value keeps no copies and trusts the system's certificate authorities.
type Config struct {
	CacheDir string           // where copies are kept; "" for nowhere
	Roots    *x509.CertPool   // nil: the system's
	Now      func() time.Time // nil: time.Now
}

// Set is what a source has.
type Set struct {
	Keys    []jwk.JWK // in the order of the document
	Fetched time.Time // when the issuer, or the file, last said so
	Away    error     // why the issuer could not be asked, when the keys are from a copy; else nil
}

// Load gets the keys at a path or https URL whose RFC 7638 thumbprints are pinned. A pinned key that the source does not
// have is not an error as long as there is one; no pins are ([ErrUnpinned]). Other errors: [ErrSource], [ErrPins],
// [ErrAway], [ErrDocument], and [jwk.ErrPrivate] if the issuer publishes a private key.
func Load(ctx context.Context, source string, c Config, pins []string) (*Set, error) {
	if len(pins) == 0 || slices.Contains(pins, "") {
		return nil, ErrUnpinned
	}
	s, err := Discover(ctx, source, c)
	if err != nil {
		return nil, err
	}
	var there []string
	pinned := s.Keys[:0:0]
	for _, k := range s.Keys {
		there = append(there, k.Thumbprint())
		if slices.Contains(pins, k.Thumbprint()) {
			pinned = append(pinned, k)
		}
	}
	if len(pinned) == 0 {
		return nil, fmt.Errorf("%w: %s has %s, the terms pin %s", ErrPins, source, strings.Join(there, ", "), strings.Join(pins, ", "))
	}
	s.Keys = pinned
	return s, nil
}

// Discover gets every usable key at a path or https URL, for somebody to compare their thumbprints with what the issuer
// told her elsewhere and to pin them. Nothing may be verified with them before.
func Discover(ctx context.Context, source string, c Config) (*Set, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if !strings.Contains(source, "://") {
		return readFile(source)
	}
	u, err := url.Parse(source)
	if err != nil || len(source) > maxURL || u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "" {
		return nil, fmt.Errorf("%w: %q", ErrSource, source)
	}
	return c.get(ctx, u.String())
}

func readFile(path string) (*Set, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a named pipe must not hang its reader
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSource, err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is not a file", ErrSource, path)
	}
	b, err := readAll(f)
	if err != nil {
		return nil, err
	}
	keys, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &Set{Keys: keys, Fetched: st.ModTime()}, nil
}

// readAll reads at most jwk.MaxSet bytes.
func readAll(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, jwk.MaxSet+1))
	if err == nil && len(b) > jwk.MaxSet {
		err = fmt.Errorf("%w: more than %d bytes", ErrDocument, jwk.MaxSet)
	}
	return b, err
}

func parse(b []byte) ([]jwk.JWK, error) {
	keys, err := jwk.ParseSet(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDocument, err)
	}
	return keys, nil
}
