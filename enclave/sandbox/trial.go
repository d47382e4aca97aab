// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
)

// Call is a function of train/1 that is given a record.
type Call byte

// The calls of a trial.
const (
	CallPrepare  Call = askPrepare
	CallGradient Call = askGradient
	CallPredict  Call = askScore
)

// Trial is what a guest of train/1 made of one record. A call that ends badly has a reason and nothing else but fuel; the next
// one finds the guest as this one did. Detail may hold plaintext.
type Trial struct {
	Reason   string // ReasonNone, ReasonTrap, ReasonFuel, ReasonMemory or ReasonOutput
	Detail   string
	Fuel     int64     // units used for this call
	Prepared []byte    // of CallPrepare
	Gradient []float32 // of CallGradient, as the guest gave it
	Score    float32   // of CallPredict, as the guest gave it
}

// Try calls the guest with one record and tells everything of it. It is for people who try a guest on data of their own:
// training never asks, for it says nothing of a record. Errors are those of [TrainSession.Sum].
func (x *TrainSession) Try(ctx context.Context, what Call, record []byte) (t Trial, err error) {
	switch {
	case what == CallGradient, what == CallPrepare && x.Prepares(), what == CallPredict && x.Predicts():
	default:
		return t, fmt.Errorf("%w: the guest has no function for %q", ErrSpec, what)
	}
	if err := x.check(record); err != nil {
		return t, err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	err = x.deal(ctx, func() error {
		copy(x.window, record)
		if err := x.ask(ask{askTrial, 1, uint32(what)}, binary.BigEndian.AppendUint32(nil, uint32(len(record)))); err != nil {
			return err
		}
		t, err = x.tried(what)
		return err
	})
	return t, err
}

// tried reads what a hostile worker sends as the answer to a trial.
func (x *TrainSession) tried(what Call) (t Trial, err error) {
	r, err := readResult(x.out, x.limits.RecordFuel, true)
	if err != nil {
		return t, err
	}
	kind, size, err := readKind(x.out)
	if err != nil {
		return t, err
	}
	most := map[Call]int64{CallPrepare: x.limits.PreparedBytes, CallPredict: 4}[what]
	if kind != kindOutput || r.Undeclared != 0 || r.Reason != ReasonNone && size != 0 {
		return t, fmt.Errorf("%w: no answer to a trial", ErrProtocol)
	}
	b, err := readBytes(x.out, size, most)
	if err != nil {
		return t, err
	}
	t = Trial{Reason: r.Reason, Detail: r.Detail, Fuel: r.Fuel}
	switch {
	case r.Reason != ReasonNone:
	case what == CallPrepare:
		t.Prepared = append([]byte{}, b...)
	case what == CallGradient:
		t.Gradient = slices.Clone(x.ring.gradient(x.results, 0))
	case len(b) != 4:
		return Trial{}, fmt.Errorf("%w: a prediction of %d bytes", ErrProtocol, len(b))
	default:
		t.Score = math.Float32frombits(binary.BigEndian.Uint32(b))
	}
	return t, nil
}

// trial does one call with one record, and says all that came of it.
func (t *trainer) trial(ctx context.Context, q ask) error {
	lengths, err := readLengths(t.data.down, q.count, t.RecordBytes)
	if err != nil {
		return err
	}
	if len(lengths) != 1 || lengths[0]&endOfUnit != 0 {
		return fmt.Errorf("%w: a trial of %d records", ErrProtocol, len(lengths))
	}
	out, err := t.call(ctx, q.at, t.data.window[:lengths[0]])
	if fatal(err) != nil {
		return err
	}
	r := result{Fuel: t.trainee.Used()}
	if err != nil {
		r.Reason, r.Detail, out = reasonOf(err), clipped(err.Error()), nil
	}
	return errors.Join(t.say(r, out), t.trainee.Restore())
}

// call gives the answer to one call of a trial. A gradient's is in the results.
func (t *trainer) call(ctx context.Context, what uint32, in []byte) ([]byte, error) {
	switch what {
	case askPrepare:
		out, err := t.trainee.Prepare(ctx, in, int(t.PreparedBytes))
		return bytes.Clone(out), err
	case askGradient:
		g, err := t.trainee.Gradient(ctx, in)
		if err == nil {
			copy(t.ring.gradient(t.results, 0), g)
		}
		return nil, err
	default:
		p, err := t.trainee.Predict(ctx, in)
		return binary.BigEndian.AppendUint32(nil, math.Float32bits(p)), err
	}
}
