// SPDX-License-Identifier: Apache-2.0

package host

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/tlog"
)

// openLogKey reads the log's key, or makes it for a log that does not exist yet, and writes trusted_root.json beside it.
func openLogKey(dir, origin string, now time.Time) (note.Signer, *tlog.Log, string, error) {
	path := filepath.Join(dir, logKeyFile)
	b, err := envelope.ReadSecretFile(path, maxKeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(dir, logDir, "checkpoint")); err == nil {
			return nil, nil, "", fmt.Errorf("%w: there is a log but no %s; restore the key", ErrConfig, logKeyFile)
		}
		b, err = createLogKey(path, origin)
	}
	if err != nil {
		return nil, nil, "", err
	}
	defer clear(b)
	signer, vkey, err := parseLogKey(strings.TrimSpace(string(b)))
	if err != nil {
		return nil, nil, "", fmt.Errorf("%s: %w", logKeyFile, err)
	}
	if signer.Name() != origin {
		return nil, nil, "", fmt.Errorf("%w: origin is %q, but %s was made for %q", ErrConfig, origin, logKeyFile, signer.Name())
	}
	log, err := tlog.NewLog(vkey)
	if err != nil {
		return nil, nil, "", fmt.Errorf("%w: origin %q: %w", ErrConfig, origin, err)
	}
	if err := writeTrustedRoot(filepath.Join(dir, rootFile), log, now); err != nil {
		return nil, nil, "", err
	}
	return signer, log, vkey, nil
}

func createLogKey(path, origin string) ([]byte, error) {
	skey, vkey, err := note.GenerateKey(rand.Reader, origin)
	if err != nil {
		return nil, fmt.Errorf("%w: origin %q: %w", ErrConfig, origin, err)
	}
	if _, err := tlog.NewLog(vkey); err != nil {
		return nil, fmt.Errorf("%w: origin %q: %w", ErrConfig, origin, err)
	}
	b := []byte(skey + "\n")
	return b, writeFile(path, b) // os.CreateTemp makes it 0600
}

// parseLogKey reads "PRIVATE+KEY+name+hash+base64" and derives the verifier key.
func parseLogKey(skey string) (note.Signer, string, error) {
	signer, err := note.NewSigner(skey)
	if err != nil {
		return nil, "", fmt.Errorf("%w: not a note signer key", ErrConfig)
	}
	fields := strings.SplitN(skey, "+", 5) // base64 may hold a plus sign
	b, err := base64.StdEncoding.DecodeString(fields[len(fields)-1])
	if err != nil || len(b) != 1+ed25519.SeedSize {
		return nil, "", fmt.Errorf("%w: not an Ed25519 key", ErrConfig)
	}
	defer clear(b)
	pub := ed25519.NewKeyFromSeed(b[1:]).Public().(ed25519.PublicKey)
	vkey, err := note.NewEd25519VerifierKey(signer.Name(), pub)
	return signer, vkey, err
}

// writeTrustedRoot keeps an existing file if it is for this log: its start of validity must not move.
func writeTrustedRoot(path string, log *tlog.Log, now time.Time) error {
	if b, err := os.ReadFile(path); err == nil {
		if l, err := usage.ParseTrustedRoot(b); err == nil && l.ID() == log.ID() {
			return nil
		}
		return fmt.Errorf("%w: %s is for another log; move it away", ErrConfig, rootFile)
	}
	b, err := usage.WriteTrustedRoot(log, now)
	if err != nil {
		return err
	}
	return writeFile(path, b)
}
