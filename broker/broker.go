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
	"sync"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/broker/ledger"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
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
	Policy    *policies.Engine     // nil: the policy of this build
	Log       *slog.Logger         // nil: no log
	Now       func() time.Time     // nil: time.Now
}

// Broker serves one owner. It is safe for concurrent use.
type Broker struct {
	cfg     Config
	signer  *envelope.Signer
	keys    keyholder.Keyholder
	policy  *policies.Engine
	ledger  *ledger.Ledger
	log     *slog.Logger
	now     func() time.Time
	started time.Time
	past    succession

	maxNonces int64 // a field for tests

	serving slots // bounds requests being served
	leased  slots // bounds heartbeats and commits being served
	large   slots // bounds large messages being served
	budget  slots // bounds the memory for messages above the small

	releasing sync.Mutex // one decision at a time, so that two jobs cannot take the last use

	mu        sync.Mutex // guards the caches below; what they hold is in the ledger or in files too
	nonces    map[envelope.Nonce]time.Time
	swept     time.Time                     // when nonces was last pruned
	seen      map[envelope.Digest]time.Time // live leases: last sign of life
	packages  map[envelope.Digest]*config.Package
	withdrawn map[envelope.Digest]bool // files already recorded
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
		nonces: map[envelope.Nonce]time.Time{}, seen: map[envelope.Digest]time.Time{},
		packages: map[envelope.Digest]*config.Package{}, withdrawn: map[envelope.Digest]bool{},
	}
	if b.log == nil {
		b.log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if b.now == nil {
		b.now = time.Now
	}
	b.started = b.now()
	if err := b.open(ctx); err != nil {
		return nil, err
	}
	return b, nil
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
	if b.policy = b.cfg.Policy; b.policy == nil {
		if b.policy, err = policies.Load(ctx); err != nil {
			return err
		}
	}
	if b.ledger, err = ledger.Open(ctx, ledger.Config{Path: l.Ledger(), Head: l.Head(), Lock: l.Lock(), Anchor: b.cfg.Anchor}); err != nil {
		return err
	}
	if err := errors.Join(b.succeed(ctx), b.scan(ctx)); err != nil {
		return errors.Join(err, b.ledger.Close())
	}
	return nil
}

// Key is the broker's public key, which manifests pin.
func (b *Broker) Key() envelope.PublicKey { return b.signer.Public() }

// Close gives ledger and keyholder up. Requests that come later fail.
func (b *Broker) Close() error {
	err := b.ledger.Close()
	if c, ok := b.keys.(io.Closer); ok {
		err = errors.Join(err, c.Close())
	}
	return err
}

// millis is a time as statements carry it.
func millis(t time.Time) int64 { return t.UnixMilli() }
