// SPDX-License-Identifier: Apache-2.0

package grant

import (
	"fmt"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// Reasons an allowance stops a job and a lease is lost.
const (
	StopRevoked   = "revoked"
	StopCancelled = "cancelled"
	StopExpired   = "expired"
	LostSilent    = "silent"
)

// Outcomes a commit may state; the usage statement has the same words.
const (
	outcomeCompleted = "completed"
	outcomeFailed    = "failed"
)

func invalid(f string, a ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(f, a...))
}

func anyZero(ds ...envelope.Digest) bool {
	for _, d := range ds {
		if d.IsZero() {
			return true
		}
	}
	return false
}

// validLink checks a record's place in its package's chain: the first has no predecessor, every other one has.
func validLink(sequence int64, previous *envelope.Digest) error {
	if sequence < 1 || (sequence > 1) != (previous != nil) || (previous != nil && previous.IsZero()) {
		return invalid("sequence or previous record")
	}
	return nil
}

// Validate refuses an incomplete challenge and one that lives longer than [MaxNonceLife].
func (c *Challenge) Validate() error {
	switch {
	case c.Nonce.IsZero() || c.Audience.IsZero() || anyZero(c.Manifest, c.Job):
		return invalid("challenge without nonce, audience, manifest or job")
	case c.Issued <= 0 || c.Expires <= c.Issued || c.Expires-c.Issued > MaxNonceLife.Milliseconds():
		return invalid("challenge times")
	}
	return nil
}

// Validate refuses an incomplete ticket.
func (t *Ticket) Validate() error {
	switch {
	case anyZero(t.Job, t.Binding) || t.Attempt < 1:
		return invalid("ticket without job, binding or attempt")
	case t.Issued <= 0 || t.Expires <= t.Issued || t.Expires-t.Issued > MaxLease.Milliseconds():
		return invalid("ticket times")
	}
	return nil
}

// Validate refuses an incomplete heartbeat.
func (h *Heartbeat) Validate() error {
	if anyZero(h.Binding, h.Grant) || h.Sequence < 1 || h.Delivered < 0 || h.Steps < 0 {
		return invalid("heartbeat without binding, grant or sequence, or with negative progress")
	}
	return nil
}

// Validate refuses an incomplete allowance.
func (a *Allowance) Validate() error {
	switch {
	case anyZero(a.Binding, a.Grant) || a.Sequence < 1 || a.Leaves < 0 || a.Steps < 0 || a.Time <= 0:
		return invalid("allowance without binding, grant, sequence or time")
	case a.Stop != "" && a.Stop != StopRevoked && a.Stop != StopCancelled && a.Stop != StopExpired:
		return invalid("stop %q", a.Stop)
	}
	return nil
}

// Validate refuses an incomplete commit.
func (c *Commit) Validate() error {
	switch {
	case anyZero(c.Binding, c.Grant, c.Job, c.Manifest, c.Usage):
		return invalid("commit without binding, grant, job, manifest or usage")
	case c.Outcome != outcomeCompleted && c.Outcome != outcomeFailed:
		return invalid("outcome %q", c.Outcome)
	case c.Outcome == outcomeFailed && (c.Amount != 0 || c.Records != 0):
		return invalid("a failed run is billed")
	case c.Records < 0 || c.Amount < 0 || c.Amount > job.MaxAmount || c.Currency == "" || c.Time <= 0:
		return invalid("records, amount, currency or time")
	}
	if c.Witnessed != nil {
		if err := c.Witnessed.Validate(); err != nil {
			return invalid("proof of the grant: %v", err)
		}
	}
	return validLink(c.Sequence, c.Previous)
}

// Validate refuses an incomplete statement.
func (l *LeaseLost) Validate() error {
	switch {
	case anyZero(l.Binding, l.Grant, l.Job, l.Manifest) || l.Attempt < 1 || l.LastHeartbeat < 0 || l.Time <= 0:
		return invalid("lease-lost without binding, grant, job, manifest, attempt or time")
	case l.Reason != LostSilent && l.Reason != StopExpired && l.Reason != StopRevoked && l.Reason != StopCancelled:
		return invalid("reason %q", l.Reason)
	}
	return validLink(l.Sequence, l.Previous)
}

// Validate refuses a denial that does not say why.
func (d *Denial) Validate() error {
	if anyZero(d.Job, d.Manifest) || d.Time <= 0 || len(d.Reasons) == 0 || len(d.Reasons) > MaxReasons {
		return invalid("denial without job, manifest, time or reasons")
	}
	for _, r := range d.Reasons {
		if r.Rule == "" || r.Message == "" || r.Satisfy == "" {
			return invalid("reason without rule, message or remedy")
		}
	}
	return validLink(d.Sequence, d.Previous)
}

// Validate refuses a revocation that names nothing or several things.
func (r *Revocation) Validate() error {
	switch {
	case count(r.Dataset != nil, r.Manifest != nil, r.Unit != nil, r.Job != nil, r.Buyer != nil, r.Grant != nil, r.Code != nil, r.Permit != nil) != 1:
		return invalid("a revocation names exactly one dataset, manifest, unit, job, buyer, grant, code or permit")
	case zero(r.Dataset) || zero(r.Manifest) || zero(r.Job) || zero(r.Buyer) || zero(r.Grant) || zero(r.Code) || zero(r.Permit):
		return invalid("revocation of nothing")
	case r.Unit != nil && (r.Unit.Dataset.IsZero() || r.Unit.ID.IsZero()):
		return invalid("revocation of nothing")
	case r.Reason == "" || len(r.Reason) > MaxReasonText || r.Time <= 0:
		return invalid("revocation without reason or time")
	}
	return nil
}

// zero reports whether something is named that is nothing.
func zero[T interface{ IsZero() bool }](p *T) bool { return p != nil && (*p).IsZero() }

// Validate refuses an incomplete or unbounded permit.
func (p *Permit) Validate() error {
	switch {
	case p.ID.IsZero() || p.Dataset.IsZero() || zero(p.Code) || zero(p.Buyer):
		return invalid("permit without id or dataset, or for no code or no buyer")
	case p.Count < 1 || p.Count > job.MaxAmount || p.MinPrice < 0 || p.MinPrice > job.MaxAmount || p.NotAfter < 1 || p.NotAfter > job.MaxAmount:
		return invalid("permit: count, price or expiry")
	}
	return nil
}

// Validate refuses an incomplete hand-over.
func (h *HandOver) Validate() error {
	switch {
	case h.Old.IsZero() || h.New.IsZero() || h.Old.Equal(h.New):
		return invalid("hand-over without two keys")
	case h.Reason == "" || len(h.Reason) > MaxReasonText || h.Time <= 0:
		return invalid("hand-over without reason or time")
	}
	return h.Head.validate()
}

func (h *Head) validate() error {
	if h.Records < 0 || h.Revision < 0 || (h.Records == 0) != (h.Digest == nil) || zero(h.Digest) {
		return invalid("ledger head")
	}
	return nil
}

// Validate refuses an incomplete notice.
func (n *Notice) Validate() error {
	switch {
	case anyZero(n.Revocation, n.Job, n.Manifest, n.Usage, n.Result) || n.Buyer.IsZero():
		return invalid("notice without revocation, job, manifest, usage, result or buyer")
	case n.Action != NoticeStop && n.Action != NoticeDelete && n.Action != NoticeRetrain:
		return invalid("notice: action %q", n.Action)
	case n.Reason == "" || len(n.Reason) > MaxReasonText || n.Time <= 0:
		return invalid("notice without reason or time")
	}
	return nil
}
