// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// voice is how a key that no manifest pins came to speak for an owner's broker.
type voice struct {
	owner string
	keys  []string // from the pinned one to the signer's
}

// speaks finds out why a record's signer may log about a package: nil if the manifest pins its key. Otherwise the owner must
// have handed the broker over to it. Grants and losses bring the proof along; for other records the key must have
// brought it before. A key that spoke once may log for good: a log says who signed what, and auditors judge it.
func (h *Host) speaks(ctx context.Context, m *manifestInfo, r *record) (*voice, error) {
	signer := r.signer.String()
	if signer == m.broker {
		return nil, nil
	}
	var handOvers [][]byte
	switch r.typ {
	case envelope.GrantType:
		v, err := envelope.Peek[grant.Grant](r.signed, r.typ)
		if err != nil {
			return nil, err
		}
		handOvers = v.Predicate.HandOvers
	case envelope.LeaseLostType:
		v, err := envelope.Peek[grant.LeaseLost](r.signed, r.typ)
		if err != nil {
			return nil, err
		}
		handOvers = v.Predicate.HandOvers
	default:
		var known bool
		err := h.db.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM voices WHERE owner = ? AND pinned = ? AND key = ?)`, m.owner, m.broker, signer).Scan(&known)
		if err == nil && !known {
			err = fmt.Errorf("%w: %s", ErrSigner, signer)
		}
		return nil, err
	}
	return follow(m, handOvers, signer)
}

// follow goes from the pinned key to the signer's.
func follow(m *manifestInfo, handOvers [][]byte, signer string) (*voice, error) {
	owner, err := envelope.ParsePublicKey(m.owner)
	if err != nil {
		return nil, err
	}
	pinned, err := envelope.ParsePublicKey(m.broker)
	if err != nil {
		return nil, err
	}
	speaker, err := grant.Voice{Owner: owner, Pinned: pinned}.Speaker(handOvers)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrSigner, signer, err)
	}
	if speaker.String() != signer {
		return nil, fmt.Errorf("%w: %s", ErrSigner, signer)
	}
	v := &voice{owner: m.owner, keys: []string{m.broker}}
	for _, signed := range handOvers {
		h, err := envelope.Peek[grant.HandOver](signed, envelope.HandOverType)
		if err != nil {
			return nil, err
		}
		v.keys = append(v.keys, h.Predicate.New.String())
	}
	return v, nil
}

// remember keeps who speaks, for records that do not say it themselves.
func (v *voice) remember(tx *sql.Tx) error {
	_, err := tx.Exec(`INSERT OR IGNORE INTO voices(owner, pinned, key) VALUES(?, ?, ?)`, v.owner, v.keys[0], v.keys[len(v.keys)-1])
	return err
}
