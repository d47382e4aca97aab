// SPDX-License-Identifier: Apache-2.0

package grant

import (
	"fmt"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Voice says who may speak for a package's broker: the key that the manifest pins, or one that the manifest's owner has
// handed over to since. A broker with another key sends the hand-overs along inside what it signs.
type Voice struct {
	Owner  envelope.PublicKey // signs the manifest and the hand-overs
	Pinned envelope.PublicKey // the broker's key in the manifest
}

// Speaker follows signed hand-overs from the pinned key, oldest first, and returns the key they lead to. Each must be
// the owner's and go on where the one before it ended. None leads to the pinned key.
func (v Voice) Speaker(handOvers [][]byte) (envelope.PublicKey, error) {
	now, last := v.Pinned, int64(0)
	if v.Owner.IsZero() || v.Pinned.IsZero() {
		return envelope.PublicKey{}, invalid("hand-over: no owner or no pinned key")
	}
	if len(handOvers) > MaxHandOvers {
		return envelope.PublicKey{}, invalid("%d hand-overs, at most %d", len(handOvers), MaxHandOvers)
	}
	for i, signed := range handOvers {
		if len(signed) > MaxHandOver {
			return envelope.PublicKey{}, fmt.Errorf("%w: hand-over of %d bytes", envelope.ErrTooLarge, len(signed))
		}
		h, err := VerifyHandOver(signed, v.Owner)
		if err != nil {
			return envelope.PublicKey{}, fmt.Errorf("hand-over %d: %w", i+1, err)
		}
		if !h.Predicate.Old.Equal(now) || h.Predicate.Time <= last {
			return envelope.PublicKey{}, invalid("hand-over %d does not go on where the one before ended", i+1)
		}
		now, last = h.Predicate.New, h.Predicate.Time
	}
	return now, nil
}

// Challenge verifies a challenge as [VerifyChallenge] does, and says which key spoke.
func (v Voice) Challenge(signed []byte) (*envelope.Verified[Challenge], envelope.PublicKey, error) {
	return heard[Challenge](v, signed)
}

// Ticket verifies a run ticket as [VerifyTicket] does, and says which key spoke.
func (v Voice) Ticket(signed []byte) (*envelope.Verified[Ticket], envelope.PublicKey, error) {
	return heard[Ticket](v, signed)
}

// Grant verifies a grant as [VerifyGrant] does, and says which key spoke: everything else about the lease must be by
// the same.
func (v Voice) Grant(signed []byte) (*envelope.Verified[Grant], envelope.PublicKey, error) {
	return heard[Grant](v, signed)
}

// LeaseLost verifies a loss as [VerifyLeaseLost] does, and says which key spoke: it may be a later one than the grant's.
func (v Voice) LeaseLost(signed []byte) (*envelope.Verified[LeaseLost], envelope.PublicKey, error) {
	return heard[LeaseLost](v, signed)
}

// heard reads the hand-overs that a statement brings along, which prove themselves, and then the statement under the key
// they lead to.
func heard[P any, S interface {
	*P
	statement
	handOvers() [][]byte
}](v Voice, signed []byte) (*envelope.Verified[P], envelope.PublicKey, error) {
	var key envelope.PublicKey
	out, err := envelope.VerifyNamed(signed, S(new(P)).predicateType(), func(p *P) (_ envelope.PublicKey, err error) {
		key, err = v.Speaker(S(p).handOvers())
		return key, err
	})
	if err == nil {
		out, err = whole[P, S](out)
	}
	if err != nil {
		return nil, envelope.PublicKey{}, err
	}
	return out, key, nil
}

func (c *Challenge) handOvers() [][]byte { return c.HandOvers }
func (t *Ticket) handOvers() [][]byte    { return t.HandOvers }
func (g *Grant) handOvers() [][]byte     { return g.HandOvers }
func (l *LeaseLost) handOvers() [][]byte { return l.HandOvers }
