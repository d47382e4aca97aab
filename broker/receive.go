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

// enterFor waits for what serving a message takes. It keeps two kinds of work apart: strangers may ask for challenges and
// releases as much as they like, running leases still get their heartbeats and commits in. Large messages, which take
// many times their size to decode, are few at a time.
func (b *Broker) enterFor(ctx context.Context, msg []byte) (leave func(), ok bool) {
	if grant.KindOf(msg).Leased() {
		return enter(ctx, b.leased)
	}
	serving, ok := enter(ctx, b.serving)
	if !ok || len(msg) <= grant.MaxCommitMessage {
		return serving, ok
	}
	large, ok := enter(ctx, b.large)
	if !ok {
		serving()
		return nil, false
	}
	return func() { large(); serving() }, true
}

// receive reads one message within its kind's size and a short time. The first part is read on trust; every further
// piece needs a part of a common budget, so that strangers cannot fill the memory, and who sends nothing holds nothing.
// done gives it back.
func (b *Broker) receive(w http.ResponseWriter, r *http.Request) (msg []byte, done func(), err error) {
	body := timedBody{http.MaxBytesReader(w, r.Body, grant.MaxMessage), http.NewResponseController(w)}
	if err := body.within(bodyWait); err != nil {
		return nil, nil, err
	}
	msg, err = body.read(nil, grant.MaxSmallMessage+1)
	if err != nil {
		return nil, nil, err
	}
	if len(msg) <= grant.MaxSmallMessage {
		return msg, func() {}, body.within(0)
	}
	limit := grant.KindOf(msg).Limit()
	if limit <= grant.MaxSmallMessage || r.ContentLength > int64(limit) {
		return nil, nil, &http.MaxBytesError{Limit: int64(limit)}
	}
	if err := body.within(largeWait); err != nil {
		return nil, nil, err
	}
	msg, done, err = b.receiveRest(r.Context(), body, msg, limit)
	if err == nil {
		err = body.within(0)
	}
	if err != nil {
		done()
		return nil, nil, err
	}
	return msg, done, nil
}

func (b *Broker) receiveRest(ctx context.Context, body timedBody, first []byte, limit int) (msg []byte, done func(), err error) {
	var held []func()
	done = func() {
		for _, leave := range held {
			leave()
		}
	}
	msg = first
	for {
		leave, ok := enter(ctx, b.budget)
		if !ok {
			return nil, done, errFull
		}
		held = append(held, leave)
		before := len(msg)
		if msg, err = body.read(msg, budgetPiece); err != nil {
			return nil, done, err
		}
		if len(msg) > limit {
			return nil, done, &http.MaxBytesError{Limit: int64(limit)}
		}
		if len(msg) < before+budgetPiece {
			return msg, done, nil
		}
	}
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
func (t timedBody) within(d time.Duration) error {
	var at time.Time
	if d > 0 {
		at = time.Now().Add(d)
	}
	if err := t.c.SetReadDeadline(at); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("broker: read deadline: %w", err)
	}
	return nil
}

// read appends at most n bytes to b, fewer only at the end of the body.
func (t timedBody) read(b []byte, n int) ([]byte, error) {
	buf := bytes.NewBuffer(b)
	_, err := io.CopyN(buf, t, int64(n))
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return buf.Bytes(), err
}
