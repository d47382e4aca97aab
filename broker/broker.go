// SPDX-License-Identifier: Apache-2.0

// Package broker decides, for one owner, who gets the keys of her packages, and keeps the books.
//
// Trust domain: the owner's side; creator and buyer run the same one. Its one job: a data key leaves only sealed to an
// enclave that proved itself, under a decision that is on record before. docs/spec/release.md is the protocol.
package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/broker/ledger"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/policies"
)

// Enroller vouches for attestation keys. The TPM verifier has one.
type Enroller interface {
	Begin(r grant.EnrollRequest, now time.Time) (grant.EnrollReply, error)
	Finish(r grant.ActivateRequest, now time.Time) ([]byte, error)
}

// Config wires a broker. Settings and Formats are required.
type Config struct {
	Settings  *config.Config       // from [config.Load]
	Formats   []attestation.Format // platforms whose evidence is accepted
	Keyholder keyholder.Keyholder  // nil: the directory's key file; the broker closes it if it is an [io.Closer]
	Anchor    ledger.Anchor        // nil: the directory's head file
	Enroller  Enroller             // nil: attestation keys are not enrolled
	Publisher Publisher            // nil: records stay in the ledger
	Prover    Prover               // of the log; required if the settings name one
	Policy    *policies.Engine     // nil: the policy of this build
	Witness   http.Handler         // nil: this broker is no witness; else it answers under /witness/
	Log       *slog.Logger         // nil: no log
	Now       func() time.Time     // nil: time.Now
}

// Broker serves one owner. It is safe for concurrent use.
type Broker struct {
	cfg     Config
	signer  *envelope.Signer
	past    succession
	keys    keyholder.Keyholder
	policy  *policies.Engine
	public  *public // nil: commits do not wait for a log
	ledger  *ledger.Ledger
	log     *slog.Logger
	now     func() time.Time // for durations; what time it is says clock
	clock   clock
	started time.Time

	maxNonces int64 // a field for tests

	serving slots // bounds requests being served
	leased  slots // bounds heartbeats and commits being served
	large   slots // bounds large messages being served
	budget  slots // bounds the memory for messages above the small

	jobs       *cache[*envelope.Verified[job.Job]]
	codes      *cache[*envelope.Verified[dataset.Manifest]]
	spendings  *cache[spending]                             // by signed job
	accounting chan struct{}                                // one for each computation of a spending that is under way
	statements []*watched[struct{}]                         // folders of revocations and cancellations
	versions   *watched[map[dataset.ID]int64]               // the highest of each dataset that was ever here
	reference  *watched[*reference]                         // the owner's reference values
	permits    *watched[[]*envelope.Verified[grant.Permit]] // the owner's

	shredder shredder

	referenceSeen atomic.Int64 // highest version of reference values known to be in the ledger

	mu          sync.Mutex // guards the caches below; what they hold is in the ledger or in files too
	live        map[envelope.Digest]*alive
	unsure      bool // live may lack a lease: an update failed that may be on disk
	packages    map[envelope.Digest]*config.Package
	withdrawn   map[envelope.Digest]bool // files already recorded
	unreadSince time.Time                // since when some withdrawal cannot be read; zero: all can
}

// New opens the owner's directory: keys, policy and ledger. It refuses a ledger that another broker uses, that is behind
// its anchor or that is not whole (see package ledger).
func New(ctx context.Context, cfg Config) (*Broker, error) {
	if cfg.Settings == nil || len(cfg.Formats) == 0 {
		return nil, fmt.Errorf("%w: settings and at least one evidence format are required", config.ErrConfig)
	}
	if err := cfg.Settings.Validate(); err != nil {
		return nil, err
	}
	b := &Broker{
		cfg: cfg, log: cfg.Log, now: cfg.Now, serving: make(slots, maxServing),
		leased: make(slots, maxLeased), large: make(slots, maxLarge), budget: make(slots, maxBudget), maxNonces: maxNonces,
		jobs:  newCache[*envelope.Verified[job.Job]](maxCached),
		codes: newCache[*envelope.Verified[dataset.Manifest]](maxCached), spendings: newCache[spending](maxCached), accounting: make(chan struct{}, maxAccounting),
		live: map[envelope.Digest]*alive{}, unsure: true,
		packages: map[envelope.Digest]*config.Package{}, withdrawn: map[envelope.Digest]bool{},
	}
	if b.log == nil {
		b.log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if b.now == nil {
		b.now = time.Now
	}
	b.started = b.now()
	b.clock.wall = b.now
	b.shredder.wake = make(chan struct{}, 1)
	b.watch()
	if err := b.open(ctx); err != nil {
		return nil, err
	}
	return b, nil
}

// watch names the files that are read again when they change.
func (b *Broker) watch() {
	s := b.cfg.Settings
	l := s.Layout()
	folder := func(dir string, record func(context.Context, []byte) error) {
		b.statements = append(b.statements, &watched[struct{}]{path: dir, read: func() (struct{}, error) {
			return struct{}{}, b.scanFolder(dir, record)
		}})
	}
	folder(l.Revocations(), b.revoke)
	if s.Buyer != nil {
		folder(l.Cancellations(), b.cancel)
	}
	b.versions = &watched[map[dataset.ID]int64]{path: l.Packages(), read: b.readVersions}
	b.reference = &watched[*reference]{path: s.Path(s.Reference), read: b.readReference}
	b.permits = &watched[[]*envelope.Verified[grant.Permit]]{path: l.Permits(), read: b.readPermits}
}

func (b *Broker) open(ctx context.Context) (err error) {
	l := b.cfg.Settings.Layout()
	if b.signer, err = envelope.LoadKeyFile(l.BrokerKey(), envelope.RoleBroker); err != nil {
		return fmt.Errorf("broker key: %w", err)
	}
	if err := envelope.Distinct(b.signer.Public(), b.cfg.Settings.Owner, b.cfg.Settings.ReferenceKey); err != nil {
		return err
	}
	if b.keys = b.cfg.Keyholder; b.keys == nil {
		if b.keys, err = b.cfg.Settings.OpenFileKeyholder(nil); err != nil {
			return fmt.Errorf("keyholder: %w", err)
		}
	}
	if b.public, err = openLog(b.cfg.Settings, b.cfg.Prover); err != nil {
		return err
	}
	if b.policy = b.cfg.Policy; b.policy == nil {
		if b.policy, err = LoadPolicy(ctx, b.cfg.Settings); err != nil {
			return err
		}
	}
	b.ledger, err = ledger.Open(ctx, ledger.Config{Path: l.Ledger(), Head: l.Head(), Lock: l.Lock(), Anchor: b.cfg.Anchor})
	if err != nil {
		return err
	}
	if err := errors.Join(b.keepRevision(ctx), b.succeed(ctx), b.startClock(ctx), b.startPackages(ctx), b.scan(ctx)); err != nil {
		return errors.Join(err, b.ledger.Close())
	}
	b.startShredding()
	return nil
}

// startClock begins at the highest time that the ledger has seen.
func (b *Broker) startClock(ctx context.Context) error {
	var at int64
	err := b.ledger.View(ctx, func(t *ledger.Tx) (err error) {
		at, err = highest(t)
		return err
	})
	if err != nil {
		return err
	}
	if b.clock.start(at); b.clock.behind() {
		b.log.Error("the clock was set back; times go on from the highest seen", "seen", at, "clock", millis(b.now()))
	}
	return nil
}

// update runs f in one transaction, which is on disk when it returns nil. now is the time inside it.
func (b *Broker) update(ctx context.Context, f func(t *ledger.Tx, now int64) error) error {
	var now int64
	err := b.ledger.Update(ctx, func(t *ledger.Tx) error {
		now = millis(b.clock.read())
		if err := f(t, now); err != nil {
			return err
		}
		return b.clock.keep(t, now)
	})
	if err == nil {
		b.clock.kept(now)
	}
	return err
}

// Key is the broker's public key, which manifests pin.
func (b *Broker) Key() envelope.PublicKey { return b.signer.Public() }

// Close gives ledger and keyholder up. Requests that come later fail.
func (b *Broker) Close() error {
	b.stopShredding()
	err := b.ledger.Close()
	if c, ok := b.keys.(io.Closer); ok {
		err = errors.Join(err, c.Close())
	}
	return err
}

// millis is a time as statements carry it.
func millis(t time.Time) int64 { return t.UnixMilli() }
