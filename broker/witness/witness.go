// SPDX-License-Identifier: Apache-2.0

// Package witness cosigns the checkpoints of transparency logs: C2SP tlog-witness, over HTTP.
//
// Trust domain: an owner's, or anybody's whom others believe; it knows nothing of the broker it may run beside, and shares no
// key with it. Its one job: of one log it signs one history. What it signed is on the disk before a signature leaves, so
// neither a crash nor two requests at once make it sign another. docs/spec/log.md is the protocol.
package witness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/glovebox-dev/glovebox/internal/tlog"
)

// Errors of this package.
var (
	ErrConfig  = errors.New("witness: invalid configuration")
	ErrExists  = errors.New("witness: there is a witness already")
	ErrMissing = errors.New("witness: no witness here")
	// ErrState means that the witness does not know what it signed. It must not sign again under this key.
	ErrState  = errors.New("witness: what it signed is lost or damaged")
	ErrLocked = errors.New("witness: another process is this witness")
)

// Answers to a request, besides [tlog.ErrRequest].
var (
	errUnknown   = errors.New("witness: unknown log")
	errSignature = errors.New("witness: not signed by the log")
	errSmaller   = errors.New("witness: the old size is larger than the checkpoint's")
	errProof     = errors.New("witness: not proven consistent with what was signed before")
	errBroken    = errors.New("witness: cannot write its state")
)

// conflict says which size was cosigned last.
type conflict struct{ known int64 }

func (c conflict) Error() string { return fmt.Sprintf("witness: cosigned size %d last", c.known) }

// Witness is an open witness. Its methods are safe for concurrent use.
type Witness struct {
	cosigner *tlog.Cosigner
	policy   *tlog.Witnesses // itself
	dir      string
	lock     *os.File
	now      func() time.Time
	write    func(path string, b []byte) error // a seam for tests of failing disks

	mu     sync.Mutex
	logs   map[string]*log
	others []stateLog // of logs that the configuration no longer names: what was signed is never forgotten
	broken bool       // the disk may hold more than memory: only a restart may go on
}

type log struct {
	*tlog.Log
	text string // last cosigned, with the log's signature and ours; "" before the first
	head tlog.Checkpoint
}

// Open takes up the witness in dir, made by [Create], for these logs. Errors: [ErrMissing], [ErrState], [ErrLocked],
// [ErrConfig].
func Open(dir string, logs []*tlog.Log) (*Witness, error) {
	w := &Witness{dir: dir, now: time.Now, write: writeFile, logs: map[string]*log{}}
	for _, l := range logs {
		if l == nil || w.logs[l.Origin()] != nil {
			return nil, fmt.Errorf("%w: two logs of one origin, or none", ErrConfig)
		}
		w.logs[l.Origin()] = &log{Log: l}
	}
	if len(logs) > maxLogs {
		return nil, fmt.Errorf("%w: %d logs, at most %d", ErrConfig, len(logs), maxLogs)
	}
	var err error
	if w.cosigner, err = readKey(dir); err != nil {
		return nil, err
	}
	for _, l := range logs {
		if slices.Equal(l.Key(), w.cosigner.PublicKey()) {
			return nil, fmt.Errorf("%w: a log cannot be its own witness", ErrConfig)
		}
	}
	if w.policy, err = tlog.NewWitnesses(1, w.cosigner.String()); err != nil {
		return nil, err
	}
	if w.lock, err = lockDir(dir); err != nil {
		return nil, err
	}
	if err := w.load(); err != nil {
		return nil, errors.Join(err, unlock(w.lock))
	}
	return w, nil
}

func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s", ErrLocked, dir)
		}
		return nil, err
	}
	return f, nil
}

// unlock gives the lock up at once. Closing alone would not while a child that is just being started still has the file.
func unlock(f *os.File) error {
	return errors.Join(syscall.Flock(int(f.Fd()), syscall.LOCK_UN), f.Close())
}

// Close lets another process be this witness. Nothing is signed after it.
func (w *Witness) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = true
	return unlock(w.lock)
}

// Key is the verifier key that others believe, of type cosignature/v1.
func (w *Witness) Key() string { return w.cosigner.String() }

// Name is the witness's name.
func (w *Witness) Name() string { return w.cosigner.Name() }

// Add is add-checkpoint: it returns our signature line, durable first.
func (w *Witness) Add(ctx context.Context, r tlog.AddCheckpoint) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.logs[r.Origin()]
	if l == nil {
		return "", errUnknown
	}
	cp, err := l.ParseCheckpoint(r.Checkpoint)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errSignature, err)
	}
	switch {
	case r.Old > cp.Size:
		return "", errSmaller
	case r.Old != l.head.Size:
		return "", conflict{l.head.Size}
	case r.Old == 0 && len(r.Proof) > 0:
		return "", errProof
	case r.Old > 0:
		if err := tlog.VerifyConsistency(l.head, cp, r.Proof); err != nil {
			return "", fmt.Errorf("%w: %w", errProof, err)
		}
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	return w.sign(l, cp, r.Checkpoint)
}

// sign makes the cosignature, keeps it, and only then returns it.
func (w *Witness) sign(l *log, cp tlog.Checkpoint, text string) (string, error) {
	if w.broken {
		return "", errBroken
	}
	line, err := w.cosigner.Cosign(text, w.now().Unix())
	if err != nil {
		return "", err
	}
	next := tlog.OwnSignature(text) + line
	if cp.Size > l.head.Size {
		if err := w.save(l.Origin(), next); err != nil {
			w.broken = true
			return "", fmt.Errorf("%w: %w", errBroken, err)
		}
	}
	l.head, l.text = cp, next
	return line, nil
}

// Latest is the checkpoint of a log that was cosigned last; ok is false if there is none.
func (w *Witness) Latest(origin string) (text string, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.logs[origin]
	if l == nil || l.text == "" {
		return "", false
	}
	return l.text, true
}
