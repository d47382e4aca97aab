// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"

	"github.com/glovebox-dev/glovebox/internal/tlog"
)

const (
	sequenceBatch   = 256
	batchAge        = 50 * time.Millisecond
	publishPoll     = 25 * time.Millisecond
	publishPatience = 30 * time.Second
	sequencerIdle   = 5 * time.Second
	sequencerRetry  = time.Second
	shutdownWait    = 5 * time.Second
	// layoutWidth is how many entries a bundle of C2SP tlog-tiles has.
	layoutWidth = 256
)

// sequencer moves durable records into the Tessera log, one batch at a time, and never inside a job's own steps. The
// database's records table is its outbox: a record without an index is not known to be in the log yet.
type sequencer struct {
	db       *database
	log      *tlog.Log
	vkey     string
	add      tessera.AddFn
	reader   tessera.LogReader
	stop     func(context.Context) error
	cancel   context.CancelFunc
	wake     chan struct{}
	slog     *slog.Logger
	scanned  bool                        // the log holds nothing that the outbox does not know of
	complete func(context.Context) error // finishes jobs whose usage is in the log
	feeder   *feeder                     // asks witnesses
}

func openSequencer(dir string, db *database, signer note.Signer, log *tlog.Log, vkey string, interval time.Duration, l *slog.Logger) (*sequencer, error) {
	ctx, cancel := context.WithCancel(context.Background())
	drv, err := posix.New(ctx, posix.Config{Path: dir})
	if err != nil {
		cancel()
		return nil, err
	}
	opts := tessera.NewAppendOptions().WithCheckpointSigner(signer).WithBatching(sequenceBatch, batchAge).
		WithCheckpointInterval(interval).WithShutdownTimeout(shutdownWait)
	a, stop, reader, err := tessera.NewAppender(ctx, drv, opts)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("open log: %w", err)
	}
	return &sequencer{
		db: db, log: log, vkey: vkey, add: a.Add, reader: reader, stop: stop, cancel: cancel,
		wake: make(chan struct{}, 1), slog: l,
	}, nil
}

func (s *sequencer) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownWait)
	defer cancel()
	err := s.stop(ctx)
	s.cancel()
	return err
}

// poke says that there is a new record or a job to complete.
func (s *sequencer) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run works until ctx ends. What it did not finish, the next run finishes.
func (s *sequencer) run(ctx context.Context) {
	for ctx.Err() == nil {
		wait := sequencerIdle
		if more, err := s.round(ctx); err != nil {
			s.scanned = false
			if ctx.Err() == nil {
				s.slog.Error("log", "error", diskError(err))
			}
			wait = sequencerRetry
		} else if more {
			continue
		}
		select {
		case <-s.wake:
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// round sequences one batch and completes what it published.
func (s *sequencer) round(ctx context.Context) (more bool, err error) {
	if !s.scanned {
		if err := s.scan(ctx); err != nil {
			return false, err
		}
		s.scanned = true
	}
	batch, err := s.pending(ctx)
	if err != nil {
		return false, err
	}
	if len(batch) > 0 {
		if err := s.sequence(ctx, batch); err != nil {
			return false, err
		}
	}
	return len(batch) == sequenceBatch, s.complete(ctx)
}

type pendingRecord struct {
	leaf  []byte
	body  []byte
	index int64
}

func (s *sequencer) pending(ctx context.Context) ([]pendingRecord, error) {
	rows, err := s.db.read.QueryContext(ctx, `SELECT leaf, body FROM records WHERE idx IS NULL ORDER BY seq LIMIT ?`, sequenceBatch)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []pendingRecord
	for rows.Next() {
		var p pendingRecord
		if err := rows.Scan(&p.leaf, &p.body); err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, rows.Err()
}

func (s *sequencer) sequence(ctx context.Context, batch []pendingRecord) error {
	futures := make([]tessera.IndexFuture, len(batch))
	for i, p := range batch {
		futures[i] = s.add(ctx, tessera.NewEntry(p.body))
	}
	last := int64(-1)
	for i, f := range futures {
		idx, err := f()
		if err != nil {
			return fmt.Errorf("append: %w", err)
		}
		batch[i].index = int64(idx.Index)
		last = max(last, batch[i].index)
	}
	if err := s.awaitCheckpoint(ctx, last+1); err != nil {
		return err
	}
	return s.record(ctx, batch)
}

// record notes where entries are. Only published ones get here.
func (s *sequencer) record(ctx context.Context, batch []pendingRecord) error {
	return s.db.update(ctx, func(tx *sql.Tx) error {
		for _, p := range batch {
			if _, err := tx.Exec(`UPDATE records SET idx = ? WHERE leaf = ? AND idx IS NULL`, p.index, p.leaf); err != nil {
				return err
			}
		}
		return nil
	})
}

// scan finds entries that went into the log before a crash kept their index from being noted, so that none is appended
// twice.
func (s *sequencer) scan(ctx context.Context) error {
	var next int64
	if err := s.db.read.QueryRowContext(ctx, `SELECT coalesce(max(idx)+1, 0) FROM records`).Scan(&next); err != nil {
		return err
	}
	size, err := s.reader.IntegratedSize(ctx)
	if err != nil || next >= int64(size) {
		return err
	}
	if err := s.awaitCheckpoint(ctx, int64(size)); err != nil {
		return err
	}
	for next < int64(size) {
		bodies, err := s.bodies(ctx, next, layoutWidth, int64(size))
		if err != nil {
			return err
		}
		var found []pendingRecord
		for i, b := range bodies {
			leaf := tlog.LeafHash(b)
			found = append(found, pendingRecord{leaf: leaf[:], index: next + int64(i)})
		}
		if err := s.record(ctx, found); err != nil {
			return err
		}
		next += int64(len(bodies))
	}
	return nil
}

// bodies reads up to n entries from first, of a tree of the given size.
func (s *sequencer) bodies(ctx context.Context, first int64, n int, size int64) ([][]byte, error) {
	var out [][]byte
	for len(out) < n && first < size {
		b, err := client.GetEntryBundle(ctx, s.reader.ReadEntryBundle, uint64(first/layoutWidth), uint64(size))
		if err != nil {
			return nil, fmt.Errorf("read log: %w", err)
		}
		from := int(first % layoutWidth)
		if from >= len(b.Entries) {
			return nil, fmt.Errorf("read log: entry %d is missing", first)
		}
		for _, e := range b.Entries[from:] {
			if len(out) == n || first == size {
				break
			}
			out, first = append(out, e), first+1
		}
	}
	return out, nil
}

// checkpoint is the latest published one. An empty log has size 0.
func (s *sequencer) checkpoint(ctx context.Context) (text []byte, size int64, err error) {
	text, err = s.reader.ReadCheckpoint(ctx)
	if errors.Is(err, os.ErrNotExist) {
		return nil, 0, fmt.Errorf("%w: no checkpoint yet", ErrNotReady)
	}
	if err != nil {
		return nil, 0, err
	}
	cp, err := s.log.ParseCheckpoint(string(text))
	if err != nil {
		// Nobody can prove anything in an empty tree, so tlog refuses its checkpoint. It may be there for a moment after the
		// first entry was integrated.
		if lines := strings.SplitN(string(text), "\n", 3); len(lines) == 3 && lines[1] == "0" {
			return text, 0, nil
		}
		return nil, 0, err
	}
	return text, cp.Size, nil
}

func (s *sequencer) awaitCheckpoint(ctx context.Context, size int64) error {
	ctx, cancel := context.WithTimeout(ctx, publishPatience)
	defer cancel()
	for {
		if _, n, err := s.checkpoint(ctx); err == nil && n >= size {
			return nil
		}
		select {
		case <-time.After(publishPoll):
		case <-ctx.Done():
			return fmt.Errorf("%w: checkpoint of size %d: %w", ErrNotReady, size, ctx.Err())
		}
	}
}

// unpublished counts the outbox.
func (s *sequencer) unpublished(ctx context.Context) (n int64, err error) {
	err = s.db.read.QueryRowContext(ctx, `SELECT count(*) FROM records WHERE idx IS NULL`).Scan(&n)
	return n, err
}
