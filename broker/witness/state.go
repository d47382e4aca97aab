// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/tlog"
)

// Names and bounds of a witness's directory.
const (
	keyFile   = "witness.key"
	stateFile = "state.json"
	lockFile  = "witness.lock"

	maxLogs    = 64
	maxKeyFile = 4 << 10
	maxState   = (maxLogs + 1) * 16 << 10
)

// state is state.json: of each log the checkpoint that was cosigned last, with the log's signature and the witness's own.
// The file is there from the witness's first day, so that a lost one is told from a new witness.
type state struct {
	Version int        `json:"version"`
	Logs    []stateLog `json:"logs"`
}

type stateLog struct {
	Origin     string `json:"origin"`
	Checkpoint string `json:"checkpoint"`
}

// Create makes a witness's directory with a fresh key and returns its verifier key. Name should be a URL without its
// scheme. Errors: [ErrExists], [tlog.ErrKey].
func Create(dir, name string) (vkey string, err error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", err
	}
	c, err := tlog.NewCosigner(name, private)
	if err != nil {
		return "", err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	for _, f := range []string{keyFile, stateFile} {
		if _, err := os.Lstat(filepath.Join(dir, f)); err == nil {
			return "", fmt.Errorf("%w: %s", ErrExists, dir)
		}
	}
	b, err := json.Marshal(state{Version: 1, Logs: []stateLog{}})
	if err != nil {
		return "", err
	}
	// The key comes last: there is never a key without the memory of what it signed.
	if err := writeFile(filepath.Join(dir, stateFile), b); err != nil {
		return "", err
	}
	return c.String(), writeFile(filepath.Join(dir, keyFile), []byte(c.Secret()+"\n"))
}

// ReadKey is the verifier key of the witness in dir. Errors: [ErrMissing], [ErrConfig].
func ReadKey(dir string) (string, error) {
	c, err := readKey(dir)
	if err != nil {
		return "", err
	}
	return c.String(), nil
}

func readKey(dir string) (*tlog.Cosigner, error) {
	b, err := envelope.ReadSecretFile(filepath.Join(dir, keyFile), maxKeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrMissing, dir)
	}
	if err != nil {
		return nil, err
	}
	defer clear(b)
	c, err := tlog.ParseCosigner(strings.TrimSuffix(string(b), "\n"))
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrConfig, keyFile, err)
	}
	return c, nil
}

// load reads the state. Every checkpoint in it must be signed by its log, if that is still configured, and by us.
func (w *Witness) load() error {
	b, err := os.ReadFile(filepath.Join(w.dir, stateFile))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrState, err)
	}
	var s state
	if err := envelope.DecodeStrict(b, maxState, &s); err != nil || s.Version != 1 || len(s.Logs) > maxLogs {
		return fmt.Errorf("%w: %s is not in its format", ErrState, stateFile)
	}
	for _, e := range s.Logs {
		l := w.logs[e.Origin]
		if l == nil {
			w.others = append(w.others, e)
			continue
		}
		head, _, err := w.policy.Cosigned(l.Log, e.Checkpoint)
		if err != nil || l.text != "" {
			return fmt.Errorf("%w: %s: the checkpoint kept is not one of this log that this witness signed", ErrState, e.Origin)
		}
		l.head, l.text = head, e.Checkpoint
	}
	return nil
}

// save replaces the state, with one log's checkpoint changed.
func (w *Witness) save(origin, text string) error {
	s := state{Version: 1, Logs: append([]stateLog{{origin, text}}, w.others...)}
	for o, l := range w.logs {
		if o != origin && l.text != "" {
			s.Logs = append(s.Logs, stateLog{o, l.text})
		}
	}
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return w.write(filepath.Join(w.dir, stateFile), b)
}

// writeFile replaces path with b, mode 0600, durable: after a crash there is the old file or the new one.
func writeFile(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name()) //nolint:errcheck // already failing
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
