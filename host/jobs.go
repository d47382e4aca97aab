// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"

	pb "github.com/glovebox-dev/glovebox/host/api/glovebox/v1"
	"github.com/glovebox-dev/glovebox/internal/door"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

const jobColumns = `id, seq, buyer, state, epoch, ready, leaves, total, cancel, reason, message, hint, denial, result, result_bytes,
	usage, submitted, updated`

type scanner interface{ Scan(...any) error }

func scanJob(r scanner) (j *pb.Job, seq int64, err error) {
	var id, result, usage []byte
	j = new(pb.Job)
	if err := r.Scan(&id, &seq, &j.Buyer, &j.State, &j.Attempts, &j.RetryAt, &j.Leaves, &j.Total, &j.CancelRequested, &j.Reason,
		&j.Message, &j.Hint, &j.Denial, &result, &j.ResultBytes, &usage, &j.Submitted, &j.Updated); err != nil {
		return nil, 0, err
	}
	if j.State != StateRetrying {
		j.RetryAt = 0
	}
	j.Id, j.Result, j.Usage = digestText(id), digestText(result), digestText(usage)
	return j, seq, nil
}

// digestText is the text of a stored digest, or "" for none.
func digestText(b []byte) string {
	if d, err := toDigest(b); err == nil {
		return d.String()
	}
	return ""
}

// job is one job as the API shows it, with the progress its enclave last reported.
func (h *Host) job(ctx context.Context, id envelope.Digest) (*pb.Job, error) {
	j, _, err := scanJob(h.db.read.QueryRowContext(ctx, `SELECT `+jobColumns+` FROM jobs WHERE id = ?`, id[:]))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("%w: job %s", ErrUnknown, id)
	}
	if err != nil {
		return nil, err
	}
	h.addProgress(id, j)
	return j, nil
}

func (h *Host) addProgress(id envelope.Digest, j *pb.Job) {
	switch j.State {
	case door.StateAttesting, door.StateReleasing, door.StateRunning, door.StateCommitting:
		j.Leaves = h.hub.leaves(id)
	}
}

func (h *Host) signedJob(ctx context.Context, id envelope.Digest) (signed []byte, err error) {
	err = h.db.read.QueryRowContext(ctx, `SELECT signed FROM jobs WHERE id = ?`, id[:]).Scan(&signed)
	if errors.Is(err, sql.ErrNoRows) {
		err = fmt.Errorf("%w: job %s", ErrUnknown, id)
	}
	return signed, err
}

func (h *Host) listJobs(ctx context.Context, q *pb.ListRequest) ([]*pb.Job, string, error) {
	limit, before, err := page(q.Limit, q.Page)
	if err != nil {
		return nil, "", err
	}
	rows, err := h.db.read.QueryContext(ctx, `SELECT `+jobColumns+` FROM jobs WHERE (? = '' OR buyer = ?) AND (? = '' OR state = ?)
		AND (? = 0 OR seq < ?) ORDER BY seq DESC LIMIT ?`, q.Buyer, q.Buyer, q.State, q.State, before, before, limit+1)
	if err != nil {
		return nil, "", err
	}
	defer rows.Close()
	var out []*pb.Job
	var last int64
	for rows.Next() {
		if len(out) == limit {
			return out, strconv.FormatInt(last, 10), nil
		}
		j, seq, err := scanJob(rows)
		if err != nil {
			return nil, "", err
		}
		if id, err := envelope.ParseDigest(j.Id); err == nil {
			h.addProgress(id, j)
		}
		out, last = append(out, j), seq
	}
	return out, "", rows.Err()
}

func (h *Host) countJobs(ctx context.Context) (map[string]int64, error) {
	rows, err := h.db.read.QueryContext(ctx, `SELECT state, count(*) FROM jobs GROUP BY state`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[string]int64{}
	for rows.Next() {
		var state string
		var n int64
		if err := rows.Scan(&state, &n); err != nil {
			return nil, err
		}
		out[state] = n
	}
	return out, rows.Err()
}

// page reads the limit and the continuation of a list request.
func page(limit int32, token string) (n int, from int64, err error) {
	switch {
	case limit < 0 || limit > maxPage:
		return 0, 0, fmt.Errorf("%w: a page has 1 to %d items", ErrInvalid, maxPage)
	case limit == 0:
		limit = defaultPage
	}
	if token != "" {
		if from, err = strconv.ParseInt(token, 10, 64); err != nil || from < 1 {
			return 0, 0, fmt.Errorf("%w: page token", ErrInvalid)
		}
	}
	return int(limit), from, nil
}

func ended(state string) bool {
	return state == StateCompleted || state == StateFailed || state == StateCancelled
}
