// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"errors"
	"fmt"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/ledger"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// ErrHandOver means that keys, hand-overs and ledger do not belong together: this broker does not speak for its owner.
var ErrHandOver = errors.New("broker: the hand-overs do not lead to this broker")

// succession is the owner's hand-overs from broker key to broker key, oldest first.
type succession struct {
	olds   []envelope.PublicKey
	signed [][]byte
}

// since are the hand-overs from a pinned key on, and whether that key ever spoke for this broker.
func (s *succession) since(pinned, now envelope.PublicKey) ([][]byte, bool) {
	for i, old := range s.olds {
		if old.Equal(pinned) {
			return s.signed[i:], true
		}
	}
	return nil, pinned.Equal(now)
}

// succeed reads the hand-overs and checks that they are the owner's, lead to this broker's key, and that the ledger has
// every head they name. State made up by somebody else has other heads or other keys; a ledger from before a hand-over
// lacks its head.
func (b *Broker) succeed(ctx context.Context) error {
	signed, err := b.cfg.Settings.HandOvers()
	if err != nil {
		return err
	}
	if len(signed) > grant.MaxHandOvers {
		return fmt.Errorf("%w: %d of them, at most %d", ErrHandOver, len(signed), grant.MaxHandOvers)
	}
	var s succession
	for i, raw := range signed {
		h, err := grant.VerifyHandOver(raw, b.cfg.Settings.Owner)
		if err != nil {
			return fmt.Errorf("%w: %d: %w", ErrHandOver, i+1, err)
		}
		if err := b.hasHead(ctx, &h.Predicate.Head); err != nil {
			return err
		}
		s.olds, s.signed = append(s.olds, h.Predicate.Old), append(s.signed, raw)
	}
	if len(s.olds) > 0 {
		last, err := grant.Voice{Owner: b.cfg.Settings.Owner, Pinned: s.olds[0]}.Speaker(s.signed)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrHandOver, err)
		}
		if !last.Equal(b.signer.Public()) {
			return fmt.Errorf("%w: the last is to %s, broker.key is %s", ErrHandOver, last, b.signer.Public())
		}
	}
	b.past = s
	return nil
}

// hasHead checks that the ledger goes on from where a hand-over says that it was.
func (b *Broker) hasHead(ctx context.Context, h *grant.Head) error {
	return b.ledger.Update(ctx, func(t *ledger.Tx) error {
		if h.Digest == nil {
			return nil
		}
		at, err := t.HeadAt(h.Records)
		if errors.Is(err, ledger.ErrNotFound) {
			return fmt.Errorf("%w: the ledger has no record %d, which a hand-over names", ledger.ErrRolledBack, h.Records)
		}
		if err != nil {
			return err
		}
		if at != *h.Digest {
			return fmt.Errorf("%w: at record %d, which a hand-over names", ledger.ErrForked, h.Records)
		}
		return nil
	})
}

// handOvers are what this broker sends along when it speaks for a package.
func (b *Broker) handOvers(m *dataset.Manifest) [][]byte {
	chain, _ := b.past.since(m.Broker.Key, b.signer.Public())
	return chain
}

// speaksFor reports whether this broker may speak for a package of its owner.
func (b *Broker) speaksFor(m *dataset.Manifest) bool {
	_, ok := b.past.since(m.Broker.Key, b.signer.Public())
	return ok
}

// Head is where a stopped broker's ledger is. It takes the ledger's lock and verifies it whole, against anchor or, where
// that is nil, the head file.
func Head(ctx context.Context, s *config.Config, anchor ledger.Anchor) (h grant.Head, err error) {
	l := s.Layout()
	books, err := ledger.Open(ctx, ledger.Config{Path: l.Ledger(), Head: l.Head(), Lock: l.Lock(), Anchor: anchor})
	if err != nil {
		return h, err
	}
	err = books.Update(ctx, func(t *ledger.Tx) (err error) {
		h.Records, h.Digest, h.Revision, err = t.Head()
		return err
	})
	return h, errors.Join(err, books.Close())
}
