// SPDX-License-Identifier: Apache-2.0

package door

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Client is the enclave's side. It is safe for concurrent use; questions are asked one at a time.
type Client struct {
	mu      sync.Mutex
	w       io.Writer
	answers chan answer
	broken  error
	probes  bool
}

type answer struct {
	reply   reply
	payload []byte
	err     error
}

// NewClient asks on w and reads answers from r until r ends.
func NewClient(r io.Reader, w io.Writer) *Client {
	c := &Client{w: w, answers: make(chan answer)}
	go func() {
		for {
			var a answer
			a.payload, a.err = readFrame(r, &a.reply)
			c.answers <- a
			if a.err != nil {
				return
			}
		}
	}()
	return c
}

func (c *Client) ask(ctx context.Context, q request, payload []byte) (reply, []byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken != nil {
		return reply{}, nil, c.broken
	}
	if err := ctx.Err(); err != nil { // nothing asked yet: the door stays good
		return reply{}, nil, err
	}
	if err := writeFrame(c.w, q, payload); err != nil {
		c.broken = err
		return reply{}, nil, err
	}
	select {
	case a := <-c.answers:
		if a.err != nil {
			c.broken = a.err
			return reply{}, nil, a.err
		}
		if a.reply.Error != "" {
			return reply{}, nil, fmt.Errorf("%w: %s: %.512s", ErrRefused, q.Op, a.reply.Error)
		}
		return a.reply, a.payload, nil
	case <-ctx.Done():
		c.broken = fmt.Errorf("%w: no answer to %s: %w", ErrBroken, q.Op, ctx.Err())
		return reply{}, nil, c.broken
	}
}

// AnswerProbes says that probes are welcome. It is for before the first [Client.Next].
func (c *Client) AnswerProbes() { c.probes = true }

// Next waits for a job or, after [Client.AnswerProbes], a probe. A nil assignment means: nothing yet, ask again.
func (c *Client) Next(ctx context.Context) (*Assignment, error) {
	var able []byte
	if c.probes {
		able = []byte(probes)
	}
	r, p, err := c.ask(ctx, request{Op: opNext}, able)
	if err != nil || r.Token == "" {
		return nil, err
	}
	return &Assignment{r.Token, p, r.Probe}, nil
}

// Probed answers a probe.
func (c *Client) Probed(ctx context.Context, token string, p Probed) error {
	return c.deliver(ctx, opProbed, token, p)
}

// Manifest fetches a signed manifest by the digest of its statement. The bytes are unverified.
func (c *Client) Manifest(ctx context.Context, d envelope.Digest) ([]byte, error) {
	_, p, err := c.ask(ctx, request{Op: opManifest, Digest: &d}, nil)
	return p, err
}

// ReadAt reads len(p) bytes, at most [MaxBlob] at a time, of blob d from off. The bytes are unverified.
func (c *Client) ReadAt(ctx context.Context, d envelope.Digest, p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) {
		want := min(len(p)-n, MaxBlob)
		_, b, err := c.ask(ctx, request{Op: opBlob, Digest: &d, Offset: off + int64(n), Length: int64(want)}, nil)
		if err != nil {
			return n, err
		}
		if len(b) > want {
			return n, fmt.Errorf("%w: more bytes than asked for", ErrProtocol)
		}
		n += copy(p[n:], b)
		if len(b) < want {
			return n, io.EOF
		}
	}
	return n, nil
}

// Relay sends msg to a broker and returns what came back, if it did.
func (c *Client) Relay(ctx context.Context, address string, msg []byte) ([]byte, error) {
	_, p, err := c.ask(ctx, request{Op: opRelay, Address: address}, msg)
	return p, err
}

// RelayAll sends every message at the same time, and returns what came back in their order: nothing where nothing came. Hosts that
// relay one after the other only refuse it with [ErrRefused], as all do with more messages than a job has packages, with two that are
// the same, and with kinds of message that may be large.
func (c *Client) RelayAll(ctx context.Context, posts []Post) ([][]byte, error) {
	b, err := envelope.Canonical(posts)
	if err != nil {
		return nil, err
	}
	if _, b, err = c.ask(ctx, request{Op: opRelayAll}, b); err != nil {
		return nil, err
	}
	var answers [][]byte
	if err := envelope.Decode(b, maxTogether, &answers); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	if len(answers) != len(posts) {
		return nil, fmt.Errorf("%w: %d answers to %d messages", ErrProtocol, len(answers), len(posts))
	}
	return answers, nil
}

// Progress tells the host where the run stands and learns whether the host would rather stop it.
func (c *Client) Progress(ctx context.Context, token string, p Progress) (cancel bool, err error) {
	r, _, err := c.ask(ctx, request{Op: opProgress, Token: token, Progress: &p}, nil)
	return r.Cancel, err
}

// Output appends to the payload of the age file. Without its header it is noise.
func (c *Client) Output(ctx context.Context, token string, p []byte) error {
	for len(p) > 0 {
		n := min(len(p), MaxBlob)
		if _, _, err := c.ask(ctx, request{Op: opOutput, Token: token}, p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// Finish hands over a committed run.
func (c *Client) Finish(ctx context.Context, token string, r Result) error {
	return c.deliver(ctx, opFinish, token, r)
}

// Abandon gives an attempt back.
func (c *Client) Abandon(ctx context.Context, token string, a Abandon) error {
	return c.deliver(ctx, opAbandon, token, a)
}

func (c *Client) deliver(ctx context.Context, op, token string, v any) error {
	b, err := envelope.Canonical(v)
	if err != nil {
		return err
	}
	_, _, err = c.ask(ctx, request{Op: op, Token: token}, b)
	return err
}
