// SPDX-License-Identifier: Apache-2.0

package door

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// Handler is the host's side: what an enclave may ask. Errors reach the enclave as text.
type Handler interface {
	// Next returns a job or, to an enclave that answers them, a probe; nil after waiting a while.
	Next(ctx context.Context, probes bool) (*Assignment, error)
	Manifest(ctx context.Context, d envelope.Digest) ([]byte, error)
	// ReadAt reads up to len(p) bytes of a blob; a short read means the blob ended.
	ReadAt(ctx context.Context, d envelope.Digest, p []byte, off int64) (int, error)
	// Relay sends msg to a broker. An answer of more than most bytes is an error, and is not read to its end.
	Relay(ctx context.Context, address string, msg []byte, most int) ([]byte, error)
	Progress(ctx context.Context, token string, p Progress) (cancel bool, err error)
	Output(ctx context.Context, token string, p []byte) error
	Finish(ctx context.Context, token string, r Result) error
	Abandon(ctx context.Context, token string, a Abandon) error
	Probed(ctx context.Context, token string, p Probed) error
}

// Serve answers one enclave until its stream ends (nil) or breaks the protocol.
func Serve(ctx context.Context, r io.Reader, w io.Writer, h Handler) error {
	for ctx.Err() == nil {
		var q request
		payload, err := readFrame(r, &q)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		rep, out, err := answerOne(ctx, q, payload, h)
		if err != nil {
			rep, out = reply{Error: err.Error()}, nil
		}
		if err := writeFrame(w, rep, out); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func answerOne(ctx context.Context, q request, payload []byte, h Handler) (rep reply, out []byte, err error) {
	switch q.Op {
	case opNext:
		a, err := h.Next(ctx, string(payload) == probes)
		if err != nil || a == nil {
			return rep, nil, err
		}
		return reply{Token: a.Token, Probe: a.Probe}, a.Job, nil
	case opManifest:
		if q.Digest == nil {
			return rep, nil, fmt.Errorf("%w: no digest", ErrProtocol)
		}
		out, err = h.Manifest(ctx, *q.Digest)
	case opBlob:
		if q.Digest == nil || q.Offset < 0 || q.Length < 1 || q.Length > MaxBlob {
			return rep, nil, fmt.Errorf("%w: blob range", ErrProtocol)
		}
		out = make([]byte, q.Length)
		n, err := h.ReadAt(ctx, *q.Digest, out, q.Offset)
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return rep, out[:max(n, 0)], err
	case opRelay:
		out, err = h.Relay(ctx, q.Address, payload, MaxPayload)
	case opRelayAll:
		var posts []Post
		if err = envelope.Decode(payload, maxTogether, &posts); err == nil {
			out, err = relayAll(ctx, h, posts)
		}
	case opProgress:
		if q.Progress == nil {
			return rep, nil, fmt.Errorf("%w: no progress", ErrProtocol)
		}
		rep.Cancel, err = h.Progress(ctx, q.Token, *q.Progress)
	case opOutput:
		err = h.Output(ctx, q.Token, payload)
	case opFinish:
		var r Result
		if err = envelope.Decode(payload, MaxPayload, &r); err == nil {
			err = h.Finish(ctx, q.Token, r)
		}
	case opAbandon:
		var a Abandon
		if err = envelope.Decode(payload, MaxPayload, &a); err == nil {
			err = h.Abandon(ctx, q.Token, a)
		}
	case opProbed:
		var p Probed
		if err = envelope.Decode(payload, MaxPayload, &p); err == nil {
			err = h.Probed(ctx, q.Token, p)
		}
	default:
		err = fmt.Errorf("%w: unknown question %.32q", ErrProtocol, q.Op)
	}
	return rep, out, err
}

// relayAll relays small messages at the same time. One that is not answered, or not shortly, has an empty answer: its enclave asks
// again, alone. What one question makes the host hold is bounded by that, and no answer takes another's room.
func relayAll(ctx context.Context, h Handler, posts []Post) ([]byte, error) {
	if err := relayable(posts); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, relayTogether)
	defer cancel()
	answers := make([][]byte, len(posts))
	var wg sync.WaitGroup
	for i, p := range posts {
		answers[i] = []byte{}
		wg.Go(func() {
			b, err := h.Relay(ctx, p.Address, p.Message, grant.MaxSmallMessage)
			if err == nil && b != nil && len(b) <= grant.MaxSmallMessage {
				answers[i] = b
			}
		})
	}
	wg.Wait()
	return envelope.Canonical(answers)
}

// relayable refuses messages that are not for relaying together.
func relayable(posts []Post) error {
	if len(posts) > maxPosts {
		return fmt.Errorf("%w: %d messages, at most %d together", ErrProtocol, len(posts), maxPosts)
	}
	for i, p := range posts {
		if len(p.Message) > grant.MaxSmallMessage || grant.KindOf(p.Message).Limit() > grant.MaxSmallMessage {
			return fmt.Errorf("%w: message %d may be large, and goes alone", ErrProtocol, i)
		}
		if slices.ContainsFunc(posts[:i], func(q Post) bool { return q.Address == p.Address && bytes.Equal(q.Message, p.Message) }) {
			return fmt.Errorf("%w: message %d is there twice", ErrProtocol, i)
		}
	}
	return nil
}
