// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/door"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/tlog"
)

// commitRecords are the records of a run's commits, to be logged with its usage: brokers publish them too, in their own
// time, or not at all. One that is not by the broker of a package here is left out; whether a run is true is not for a
// host to say.
func (h *Host) commitRecords(ctx context.Context, r *door.Result) []*record {
	var out []*record
	for i, signed := range r.Commits {
		if i >= len(r.Grants) || len(signed) == 0 {
			continue
		}
		rec, err := h.commitRecord(ctx, signed, r.Grants[i])
		if err != nil {
			h.slog.Warn("commit not logged", "error", err)
			continue
		}
		out = append(out, rec)
	}
	return out
}

func (h *Host) commitRecord(ctx context.Context, signed, signedGrant []byte) (*record, error) {
	c, err := envelope.Peek[grant.Commit](signed, envelope.CommitType)
	if err != nil {
		return nil, err
	}
	raw, err := h.signedManifest(ctx, c.Predicate.Manifest)
	if err != nil {
		return nil, err
	}
	m, err := dataset.Verify(raw)
	if err != nil {
		return nil, err
	}
	_, speaker, err := grant.Voice{Owner: m.Predicate.Owner, Pinned: m.Predicate.Broker.Key}.Grant(signedGrant)
	if err != nil {
		return nil, err
	}
	return parseRecord(signed, speaker)
}

// errUnproven means that a bundle would be better later: something in it is not yet in the log, or not cosigned.
var errUnproven = fmt.Errorf("%w: not yet proven", ErrNotReady)

// publicly proves an entry for a bundle, under a cosigned checkpoint where there are witnesses. Once a bundle is overdue, what there is must do: a
// witness that is away must not keep a result from its buyer for ever.
func (h *Host) publicly(ctx context.Context, index int64, overdue bool) (tlog.Proof, error) {
	if h.seq.feeder.on() {
		p, _, err := h.seq.cosignedInclusion(ctx, index)
		if !errors.Is(err, ErrNotReady) {
			return p, err
		}
		if !overdue {
			return p, errUnproven
		}
	}
	p, _, err := h.seq.inclusion(ctx, index)
	return p, err
}

// proofs proves a run's commits, in their order; nil where one is not in the log as the run has it.
func (h *Host) proofs(ctx context.Context, commits [][]byte, overdue bool) ([]*tlog.Proof, error) {
	out := make([]*tlog.Proof, len(commits))
	for i, signed := range commits {
		id, err := envelope.ID(signed)
		if err != nil {
			continue // no commit
		}
		var idx sql.NullInt64
		err = h.db.read.QueryRowContext(ctx, `SELECT idx FROM records WHERE statement = ? AND signed = ? ORDER BY seq LIMIT 1`, id[:], signed).Scan(&idx)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			continue
		case err != nil:
			return nil, err
		case !idx.Valid && !overdue:
			return nil, errUnproven
		case !idx.Valid:
			continue
		}
		p, err := h.publicly(ctx, idx.Int64, overdue)
		if err != nil {
			return nil, err
		}
		out[i] = &p
	}
	return out, nil
}
