// SPDX-License-Identifier: Apache-2.0

package tx

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Callee is the end that runs the module. It believes its caller.
type Callee struct {
	in  io.Reader
	out *bufio.Writer
	buf []byte
}

// NewCallee makes a callee of two pipes.
func NewCallee(in io.Reader, out io.Writer) *Callee {
	return &Callee{in: in, out: bufio.NewWriterSize(out, BatchBytes)}
}

// Next waits for a batch, which is valid until the next; flush says that there are no more records. io.EOF is the caller's end.
func (c *Callee) Next() (batch []byte, flush bool, err error) {
	kind, size, err := receive(c.in)
	if err != nil {
		return nil, false, err
	}
	if kind != kindBatch && kind != kindFlush {
		return nil, false, fmt.Errorf("%w: message of kind %d", ErrProtocol, kind)
	}
	c.buf, err = take(c.in, c.buf, size, maxBatch)
	return c.buf, kind == kindFlush, err
}

// Done ends a batch. Without a reason the answer goes with it.
func (c *Callee) Done(r Result, answer []byte) error {
	if r.Findings == nil {
		r.Findings = []Count{}
	}
	r.Detail = strings.ToValidUTF8(r.Detail[:min(len(r.Detail), maxDetail-3)], "") // a canonical encoding holds valid UTF-8 only
	b, err := envelope.Canonical(r)
	if err != nil {
		return err
	}
	if err := send(c.out, kindDone, b); err != nil {
		return err
	}
	if r.Reason == "" {
		if err := send(c.out, kindMade, answer); err != nil {
			return err
		}
	}
	return c.out.Flush()
}

// Counts are findings by type, sorted.
func Counts(findings map[string]int64) []Count {
	out := []Count{}
	for _, kind := range slices.Sorted(maps.Keys(findings)) {
		out = append(out, Count{kind, findings[kind]})
	}
	return out
}

// Token asks the caller for a token.
func (c *Callee) Token(kind uint32, text []byte) (token []byte, ok bool, err error) {
	b, err := c.ask(kindToken, append(binary.BigEndian.AppendUint32(nil, kind), text...), 1+maxToken)
	switch {
	case err != nil:
		return nil, false, err
	case len(b) == 0 || b[0] > 1:
		return nil, false, fmt.Errorf("%w: reply to a token", ErrProtocol)
	}
	return b[1:], b[0] == 1, nil
}

// Laplace asks the caller for noise.
func (c *Callee) Laplace(record uint32, sensitivity, epsilon int64) (int64, error) {
	q := binary.BigEndian.AppendUint32(nil, record)
	q = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(q, uint64(sensitivity)), uint64(epsilon))
	b, err := c.ask(kindNoise, q, 8)
	if err == nil && len(b) != 8 {
		err = fmt.Errorf("%w: reply to noise", ErrProtocol)
	}
	if err != nil {
		return 0, err
	}
	return int64(binary.BigEndian.Uint64(b)), nil
}

// ask sends a request in the middle of a batch and waits for the reply.
func (c *Callee) ask(kind byte, q []byte, limit int64) ([]byte, error) {
	if err := send(c.out, kind, q); err != nil {
		return nil, err
	}
	if err := c.out.Flush(); err != nil {
		return nil, err
	}
	got, size, err := receive(c.in)
	if err != nil {
		return nil, err
	}
	if got != kindReply {
		return nil, fmt.Errorf("%w: message of kind %d instead of a reply", ErrProtocol, got)
	}
	return take(c.in, nil, size, limit)
}

// Write hands on words of the module's.
func (c *Callee) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := min(len(rest), maxWords)
		if err := send(c.out, kindWords, rest[:n]); err != nil {
			return 0, err
		}
		rest = rest[n:]
	}
	return len(p), c.out.Flush()
}
