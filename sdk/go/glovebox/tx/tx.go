// SPDX-License-Identifier: Apache-2.0

package tx

import (
	"encoding/binary"
	"errors"
	"math"
)

// Transform is a transform that has its configuration.
type Transform interface {
	// Record is called for each record. It calls Put with what becomes of it: once, or never to leave it out, or any number of
	// times where the step's shape is any. An error ends the run: no record passes after it.
	Record(r *Record) error
}

// Ender is a transform with something to do after the last record.
type Ender interface {
	Transform
	// End may call Put where the shape is any.
	End(r *Record) error
}

// Batcher is a transform that wants to know when a batch has ended: it may tell findings then, of its last record.
type Batcher interface {
	Transform
	Batch(r *Record)
}

// Record is the record at hand.
type Record struct {
	text  []byte
	out   []byte
	index uint32
	puts  int
	shape string
}

// Text is the record: a line of JSON, a record of CSV without its line end, or a file. It may be written to, and is valid
// until Record returns.
func (r *Record) Text() []byte { return r.text }

// Put says what becomes of the record. The text is copied.
func (r *Record) Put(text []byte) {
	r.puts++
	r.out = append(binary.LittleEndian.AppendUint32(r.out, uint32(len(text))), text...)
}

// Found tells a finding in the record: its type, in A to Z, 0 to 9 and _, its bytes from start to end, and a score to 1000.
func (r *Record) Found(kind string, start, end, score int) {
	hostFinding(r.index, kind, uint32(start), uint32(end), uint32(score))
}

// Kinds of tokens.
const (
	TokenHash   = 0 // 32 hex digits of a keyed hash
	TokenDigits = 1 // as many decimal digits as the text has
)

// Token makes a token of a text, the same for the same text; false if there is none. Only where the creator's keys are lent.
func Token(kind int, text []byte) ([]byte, bool) { return hostToken(uint32(kind), text) }

// Laplace draws noise for the record at hand, from the discrete Laplace distribution. It spends so many millionths of the
// epsilon that the step has for each record.
func Laplace(r *Record, sensitivity, epsilon int64) int64 {
	return hostLaplace(r.index, sensitivity, epsilon)
}

var (
	errShape  = errors.New("a record became more or fewer than the step's shape allows")
	errFrames = errors.New("the batch does not add up")
)

// one takes a record through t.
func (r *Record) one(t Transform, text []byte) error {
	r.text, r.puts = text, 0
	if err := t.Record(r); err != nil {
		return err
	}
	switch {
	case r.shape == "any":
	case r.puts > 1, r.puts == 0 && r.shape == "map":
		return errShape
	case r.puts == 0:
		r.out = binary.LittleEndian.AppendUint32(r.out, math.MaxUint32)
	}
	return nil
}

// batch takes framed records through t.
func (r *Record) batch(t Transform, frames []byte) error {
	r.out, r.index = r.out[:0], 0
	for len(frames) > 0 {
		if len(frames) < 4 || uint64(binary.LittleEndian.Uint32(frames)) > uint64(len(frames)-4) {
			return errFrames
		}
		n := binary.LittleEndian.Uint32(frames)
		if err := r.one(t, frames[4:4+n:4+n]); err != nil {
			return err
		}
		frames, r.index = frames[4+n:], r.index+1
	}
	if b, ok := t.(Batcher); ok && r.index > 0 {
		r.index--
		b.Batch(r)
	}
	return nil
}

// end ends the records.
func (r *Record) end(t Transform) error {
	r.out, r.text, r.puts = r.out[:0], nil, 0
	if e, ok := t.(Ender); ok {
		if err := e.End(r); err != nil {
			return err
		}
	}
	if r.puts > 0 && r.shape != "any" {
		return errShape
	}
	return nil
}
