// SPDX-License-Identifier: Apache-2.0

package door

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Handler is the host's side: what an enclave may ask. Errors reach the enclave as text.
type Handler interface {
	// Next returns a job or, to an enclave that answers them, a probe; nil after waiting a while.
	Next(ctx context.Context, probes bool) (*Assignment, error)
	Manifest(ctx context.Context, d envelope.Digest) ([]byte, error)
	// ReadAt reads up to len(p) bytes of a blob; a short read means the blob ended.
	ReadAt(ctx context.Context, d envelope.Digest, p []byte, off int64) (int, error)
	Relay(ctx context.Context, address string, msg []byte) ([]byte, error)
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
		out, err = h.Relay(ctx, q.Address, payload)
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
