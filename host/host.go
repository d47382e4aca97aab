// SPDX-License-Identifier: Apache-2.0

// Package host queues jobs, keeps ciphertext, starts enclaves, carries their messages, and runs the transparency log.
//
// Trust domain: the operator's, trusted with nothing but availability. Its one job: to be a good provider of it. It checks
// sizes, digests and signatures of what it is given so that nobody's time is wasted, but nothing it says is proof.
package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/glovebox-dev/glovebox/host/config"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/internal/tlog"
)

// Defaults of [Config].
const (
	DefaultMaxBlob      = 64 << 30
	DefaultMaxQueued    = 10_000
	DefaultMaxDeaths    = 10
	DefaultMaxWaits     = 500
	DefaultRetryMin     = time.Second
	DefaultRetryMax     = time.Minute
	DefaultRelayTimeout = config.MaxRelayTimeout
	DefaultCheckpoint   = 200 * time.Millisecond
	DefaultBundleWait   = 2 * time.Minute
)

// Config is all a host needs. Zero values take the defaults above; Dir and Origin have none.
type Config struct {
	Dir      string   // state directory, made if need be, mode 0700
	Origin   string   // of the log: a bare host name
	Launcher Launcher // starts enclaves; required when Enclaves is positive
	Enclaves int      // how many to keep running

	Blobs        dataset.Store // where sealed blobs are; nil is a folder in Dir
	MaxBlob      int64         // bytes of one blob
	MaxQueued    int           // jobs that wait
	MaxDeaths    int           // attempts of a job that end with a dead enclave, before it fails
	MaxWaits     int           // attempts that end with "try again", before it fails
	RetryMin     time.Duration // backoff between attempts
	RetryMax     time.Duration
	RelayTimeout time.Duration // for one answer of a broker, at most the default
	RelayProxy   *url.URL      // HTTP proxy on the way to brokers; nil is none. It must refuse what the relay would
	Checkpoint   time.Duration // between checkpoints of the log, at least 100 ms

	Witnesses        []Witness // who cosigns checkpoints; none: nobody does
	WitnessThreshold int       // how many of them make a checkpoint count as cosigned

	BundleWait time.Duration // a run's bundle waits for witnesses, before it is made without

	Now  func() time.Time // wall clock; nil is the system's
	Slog *slog.Logger     // nil discards
}

// Host is an open state directory. Its methods are safe for concurrent use.
type Host struct {
	cfg     Config
	lock    *os.File
	db      *database
	queue   *queue
	blobs   dataset.Store
	results results
	relay   *relay
	seq     *sequencer
	trees   *trees
	hub     hub
	rate    rateLimit
	slots   []*slot
	probes  chan *probe  // from whoever asks to an idle enclave
	asking  atomic.Int64 // how many ask
	logRoot *os.Root
	stopped chan struct{} // closed by Close, ends every Watch
	closing sync.Once
	slog    *slog.Logger

	mu   sync.Mutex
	wake chan struct{} // closed and replaced when there may be work
}

func (c *Config) fill() error {
	setDefault(&c.MaxBlob, DefaultMaxBlob)
	setDefault(&c.MaxQueued, DefaultMaxQueued)
	setDefault(&c.MaxDeaths, DefaultMaxDeaths)
	setDefault(&c.MaxWaits, DefaultMaxWaits)
	setDefault(&c.RetryMin, DefaultRetryMin)
	setDefault(&c.RetryMax, DefaultRetryMax)
	setDefault(&c.RelayTimeout, DefaultRelayTimeout)
	setDefault(&c.Checkpoint, DefaultCheckpoint)
	setDefault(&c.BundleWait, DefaultBundleWait)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Slog == nil {
		c.Slog = slog.New(slog.DiscardHandler)
	}
	switch {
	case c.Dir == "":
		return fmt.Errorf("%w: no state directory", ErrConfig)
	case c.Origin == "":
		return fmt.Errorf("%w: no log origin", ErrConfig)
	case c.Enclaves < 0 || (c.Enclaves > 0 && c.Launcher == nil):
		return fmt.Errorf("%w: enclaves without a launcher", ErrConfig)
	case min(c.MaxBlob, int64(c.MaxQueued), int64(c.MaxDeaths), int64(c.MaxWaits)) < 1:
		return fmt.Errorf("%w: limits must be positive", ErrConfig)
	case c.RelayTimeout > DefaultRelayTimeout:
		return fmt.Errorf("%w: a broker has at most %s to answer", ErrConfig, DefaultRelayTimeout)
	case min(c.RetryMin, c.RelayTimeout, c.BundleWait) <= 0 || c.RetryMax < c.RetryMin || c.Checkpoint < 100*time.Millisecond:
		return fmt.Errorf("%w: times must be positive, retryMax not below retryMin, checkpoints 100 ms apart", ErrConfig)
	}
	return nil
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// New opens a state directory, making what is missing, and picks up what an earlier host left. Errors: [ErrConfig],
// [ErrLocked], and those of the file system.
func New(ctx context.Context, cfg Config) (*Host, error) {
	if err := cfg.fill(); err != nil {
		return nil, err
	}
	for _, d := range []string{"", blobsDir, logDir, bundlesDir, resultsDir} {
		if err := os.MkdirAll(filepath.Join(cfg.Dir, d), 0o700); err != nil {
			return nil, diskError(err)
		}
	}
	lock, err := lockDir(cfg.Dir)
	if err != nil {
		return nil, err
	}
	h := &Host{
		cfg: cfg, lock: lock, slog: cfg.Slog, wake: make(chan struct{}), stopped: make(chan struct{}),
		results: results{filepath.Join(cfg.Dir, resultsDir)},
		rate:    rateLimit{perSecond: 200, burst: 2000},
		probes:  make(chan *probe),
		trees:   newTrees(),
	}
	if err := h.open(ctx); err != nil {
		return nil, errors.Join(diskError(err), h.Close())
	}
	return h, nil
}

func (h *Host) open(ctx context.Context) (err error) {
	if h.blobs = h.cfg.Blobs; h.blobs == nil {
		if h.blobs, err = dataset.NewDirStore(filepath.Join(h.cfg.Dir, blobsDir)); err != nil {
			return err
		}
	}
	if h.db, err = openDatabase(ctx, filepath.Join(h.cfg.Dir, databaseFile)); err != nil {
		return err
	}
	h.queue = &queue{
		db: h.db, now: h.cfg.Now, backoff: backoff{h.cfg.RetryMin, h.cfg.RetryMax},
		deaths: h.cfg.MaxDeaths, waits: h.cfg.MaxWaits, changed: h.changed,
	}
	h.relay = newRelay(h.cfg.RelayTimeout, h.cfg.RelayProxy)
	signer, log, vkey, err := openLogKey(h.cfg.Dir, h.cfg.Origin, h.cfg.Now())
	if err != nil {
		return err
	}
	if h.seq, err = openSequencer(filepath.Join(h.cfg.Dir, logDir), h.db, signer, log, vkey, h.cfg.Checkpoint, h.slog); err != nil {
		return err
	}
	h.seq.complete = h.complete
	if err := h.witness(log); err != nil {
		return err
	}
	if h.logRoot, err = os.OpenRoot(filepath.Join(h.cfg.Dir, logDir)); err != nil {
		return err
	}
	for range h.cfg.Enclaves {
		h.slots = append(h.slots, &slot{state: slotDown})
	}
	if err := h.adopt(ctx); err != nil {
		return err
	}
	return h.queue.recover(ctx)
}

// witness connects the log with its witnesses.
func (h *Host) witness(log *tlog.Log) error {
	f, err := newFeeder(&h.cfg, log)
	if err != nil {
		return err
	}
	f.latest, f.prove, f.news = h.seq.checkpoint, h.seq.consistency, h.seq.poke
	h.seq.feeder = f
	return f.load(filepath.Join(h.cfg.Dir, cosignedFile))
}

// Run publishes records and keeps enclaves running until ctx ends, then stops them. The host may be run again.
func (h *Host) Run(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { h.seq.run(ctx) })
	wg.Go(func() { h.seq.feeder.run(ctx) })
	for i, s := range h.slots {
		wg.Go(func() { h.keep(ctx, i, s) })
	}
	wg.Wait()
}

// Drain ends every Watch, so that the server can shut down.
func (h *Host) Drain() { h.closing.Do(func() { close(h.stopped) }) }

// Close releases the directory. Run must have returned.
func (h *Host) Close() error {
	h.Drain()
	var errs []error
	if h.logRoot != nil {
		errs = append(errs, h.logRoot.Close())
	}
	if h.seq != nil {
		errs = append(errs, h.seq.close())
	}
	if h.relay != nil {
		h.relay.close()
	}
	if h.db != nil {
		errs = append(errs, h.db.close())
	}
	return errors.Join(append(errs, unlock(h.lock))...)
}

// changed tells watchers about a job, and idle enclaves that there may be work.
func (h *Host) changed(id envelope.Digest) {
	h.hub.notify(id)
	h.mu.Lock()
	close(h.wake)
	h.wake = make(chan struct{})
	h.mu.Unlock()
}

// work is closed when the queue may have changed.
func (h *Host) work() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.wake
}

func verifiedJob(signed []byte) (*envelope.Verified[job.Job], error) {
	if len(signed) > maxJob {
		return nil, fmt.Errorf("%w: job of %d bytes, at most %d", ErrTooLarge, len(signed), maxJob)
	}
	return job.Verify(signed)
}

// version is the module's, for operators.
func version() string {
	if b, ok := debug.ReadBuildInfo(); ok && b.Main.Version != "" {
		return b.Main.Version
	}
	return "(devel)"
}
