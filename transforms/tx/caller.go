// SPDX-License-Identifier: Apache-2.0

package tx

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/transforms"
)

// Services are what a step may ask its caller for.
type Services interface {
	// Token makes a token of a text; ok is false if there is none of this kind for it.
	Token(kind uint32, text []byte) (token []byte, ok bool, err error)
	// Laplace draws noise for a record of the batch at hand, in the caller's process or behind it. What records may spend is
	// checked before.
	Laplace(record uint32, sensitivity, epsilon int64) (int64, error)
}

// Lent is what a step is lent.
type Lent struct {
	Token    bool
	Epsilon  int64 // that each record's noise may spend, in millionths; 0: there is no noise
	Services Services
	Words    io.Writer // gets what the module writes to stdout and stderr; nil, as in every enclave: a protocol error
}

// Caller is the end that holds records and keys.
type Caller struct {
	to    io.Writer
	from  *bufio.Reader
	lent  Lent
	spent []int64         // of the batch's records
	types map[string]bool // of findings, all there ever were
	buf   []byte
}

// NewCaller makes a caller of two pipes.
func NewCaller(to io.Writer, from *bufio.Reader, lent Lent) *Caller {
	return &Caller{to: to, from: from, lent: lent, types: map[string]bool{}}
}

// Batch gives a batch of n records to the module and returns what it made of them, at most [AnswerLimit] bytes, valid until
// the next call. What the module asks for meanwhile it gets, as far as it may. An error is the end: it wraps ErrProtocol for
// the callee's fault, ErrAsked for the module's, or it is of the pipe or of the services.
func (c *Caller) Batch(frames []byte, n int) (Result, []byte, error) {
	return c.call(kindBatch, frames, n, AnswerLimit(int64(len(frames))))
}

// Flush is the same after the last record.
func (c *Caller) Flush() (Result, []byte, error) { return c.call(kindFlush, nil, 0, FlushBytes) }

func (c *Caller) call(kind byte, payload []byte, n int, limit int64) (r Result, answer []byte, err error) {
	if c.from.Buffered() != 0 {
		return r, nil, fmt.Errorf("%w: an answer before its batch", ErrProtocol)
	}
	if err := send(c.to, kind, payload); err != nil {
		return r, nil, err
	}
	if cap(c.spent) < n {
		c.spent = make([]int64, n)
	}
	c.spent = c.spent[:n]
	clear(c.spent)
	for {
		kind, size, err := receive(c.from)
		if err != nil {
			return r, nil, err
		}
		if kind == kindDone {
			return c.done(size, limit)
		}
		if err := c.serve(kind, size); err != nil {
			return r, nil, err
		}
	}
}

// done reads how a batch ended.
func (c *Caller) done(size, limit int64) (r Result, answer []byte, err error) {
	b, err := take(c.from, nil, size, maxResult)
	if err != nil {
		return r, nil, err
	}
	if err := envelope.Decode(b, maxResult, &r); err != nil {
		return r, nil, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	if len(r.Detail) > maxDetail || r.Fuel < 0 {
		return r, nil, fmt.Errorf("%w: result out of bounds", ErrProtocol)
	}
	if err := c.checkFindings(r.Findings); err != nil || r.Reason != "" {
		return r, nil, err
	}
	kind, size, err := receive(c.from)
	if err != nil {
		return r, nil, err
	}
	if kind != kindMade {
		return r, nil, fmt.Errorf("%w: message of kind %d instead of an answer", ErrProtocol, kind)
	}
	c.buf, err = take(c.from, c.buf, size, limit)
	return r, c.buf, err
}

// Wiper is [Services] that hold keys: they forget them when the conversation is over.
type Wiper interface{ Wipe() }

// Wipe clears the last answer, and what was lent. It is for when there will be no more.
func (c *Caller) Wipe() {
	clear(c.buf[:cap(c.buf)])
	if w, ok := c.lent.Services.(Wiper); ok {
		w.Wipe()
	}
}

// checkFindings refuses names of types that may not go into signed statements, and more types than there may be.
func (c *Caller) checkFindings(all []Count) error {
	for i, f := range all {
		if !dataset.FindingType(f.Type) || f.Count < 1 || i > 0 && all[i-1].Type >= f.Type {
			return fmt.Errorf("%w: findings out of bounds", ErrProtocol)
		}
		c.types[f.Type] = true
	}
	if len(c.types) > transforms.MaxTypes {
		return fmt.Errorf("%w: %d types of findings, at most %d", ErrProtocol, len(c.types), transforms.MaxTypes)
	}
	return nil
}

// serve answers what the module asks for. Whoever could not import a function cannot ask: that is the callee's fault.
func (c *Caller) serve(kind byte, size int64) error {
	switch {
	case kind == kindToken && c.lent.Token && c.lent.Services != nil && size >= 4:
		b, err := take(c.from, nil, size, 4+maxText)
		if err != nil {
			return err
		}
		token, ok, err := c.lent.Services.Token(binary.BigEndian.Uint32(b), b[4:])
		if err != nil {
			return err
		}
		reply := []byte{0}
		if ok {
			reply = append([]byte{1}, token...)
		}
		return send(c.to, kindReply, reply)
	case kind == kindNoise && c.lent.Epsilon > 0 && c.lent.Services != nil && size == noiseBytes:
		return c.draw()
	case kind == kindWords && c.lent.Words != nil:
		b, err := take(c.from, nil, size, maxWords)
		if err == nil {
			_, _ = c.lent.Words.Write(b)
		}
		return err
	}
	return fmt.Errorf("%w: message of kind %d with %d bytes", ErrProtocol, kind, size)
}

// draw answers with noise, once it is debited to the record.
func (c *Caller) draw() error {
	b, err := take(c.from, nil, noiseBytes, noiseBytes)
	if err != nil {
		return err
	}
	record := binary.BigEndian.Uint32(b)
	sensitivity, epsilon := int64(binary.BigEndian.Uint64(b[4:])), int64(binary.BigEndian.Uint64(b[12:]))
	if uint64(record) >= uint64(len(c.spent)) || sensitivity < 1 || epsilon < 1 {
		return fmt.Errorf("%w: noise out of bounds", ErrProtocol)
	}
	if epsilon > c.lent.Epsilon-c.spent[record] {
		return fmt.Errorf("%w: noise for %d millionths, and %d are left of the record's %d", ErrAsked, epsilon,
			c.lent.Epsilon-c.spent[record], c.lent.Epsilon)
	}
	c.spent[record] += epsilon
	noise, err := c.lent.Services.Laplace(record, sensitivity, epsilon)
	if err != nil {
		return err
	}
	return send(c.to, kindReply, binary.BigEndian.AppendUint64(nil, uint64(noise)))
}
