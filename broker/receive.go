// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/glovebox-dev/glovebox/internal/grant"
)

// slots bounds what is done at a time.
type slots chan struct{}

// errFull means that no slot came free in time.
var errFull = errors.New("broker: busy")

// enter waits a little for a slot. The caller must call leave if ok.
func enter(ctx context.Context, s slots) (leave func(), ok bool) {
	wait := time.NewTimer(slotWait)
	defer wait.Stop()
	select {
	case s <- struct{}{}:
		return func() { <-s }, true
	case <-wait.C:
	case <-ctx.Done():
	}
	return nil, false
}

// slotsFor keeps two kinds of work apart: strangers may ask for challenges and releases as much as they like, running
// leases still get their heartbeats and commits in.
func (b *Broker) slotsFor(msg []byte) slots {
	if grant.KindOf(msg).Leased() {
		return b.leased
	}
	return b.serving
}

// receive reads one message within its kind's size and a short time. The first part is read on trust. For the rest,
// which only large messages have, one of few places is taken, so that strangers cannot fill the memory; done gives it
// back.
func (b *Broker) receive(w http.ResponseWriter, r *http.Request) (msg []byte, done func(), err error) {
	body := timedBody{http.MaxBytesReader(w, r.Body, grant.MaxMessage), http.NewResponseController(w)}
	defer func() {
		if err == nil {
			err = body.within(0)
		}
	}()
	first, err := body.read(grant.MaxSmallMessage+1, bodyWait)
	if err != nil || len(first) <= grant.MaxSmallMessage {
		return first, func() {}, err
	}
	limit := grant.KindOf(first).Limit()
	if limit <= grant.MaxSmallMessage || r.ContentLength > int64(limit) {
		return nil, nil, &http.MaxBytesError{Limit: int64(limit)}
	}
	done, ok := enter(r.Context(), b.large)
	if !ok {
		return nil, nil, errFull
	}
	rest, err := body.read(limit-len(first)+1, largeWait)
	if err == nil && len(first)+len(rest) > limit {
		err = &http.MaxBytesError{Limit: int64(limit)}
	}
	if err != nil {
		done()
		return nil, nil, err
	}
	return append(first, rest...), done, nil
}

func statusOf(err error) int {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return http.StatusRequestEntityTooLarge
	}
	if errors.Is(err, errFull) {
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}

// timedBody is a request body that is read by a deadline.
type timedBody struct {
	io.Reader
	c *http.ResponseController
}

// within sets the deadline, or with 0 lifts it: it would cut off the work on the message. After an error it stays, since
// the server would else wait for the rest.
func (b timedBody) within(d time.Duration) error {
	var at time.Time
	if d > 0 {
		at = time.Now().Add(d)
	}
	if err := b.c.SetReadDeadline(at); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("broker: read deadline: %w", err)
	}
	return nil
}

// read takes at most n bytes, all within d.
func (b timedBody) read(n int, d time.Duration) ([]byte, error) {
	if err := b.within(d); err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	_, err := io.CopyN(&buf, b, int64(n))
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return buf.Bytes(), err
}
