// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/glovebox-dev/glovebox/cmd/glovebox-run/localtx"
	"github.com/glovebox-dev/glovebox/enclave/fuel"
	"github.com/glovebox-dev/glovebox/enclave/sandbox"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/tx"
)

// transform serves one step's module to the program that started this one. An error means that there is nobody to serve.
func transform(ctx context.Context, in io.Reader, out io.Writer) error {
	b, err := localtx.ReadFrame(in, localtx.MaxRequest)
	if err != nil {
		return err
	}
	var q localtx.Request
	if err := envelope.DecodeStrict(b, localtx.MaxRequest, &q); err != nil {
		return fmt.Errorf("request: %w", err)
	}
	module, err := localtx.ReadFrame(in, sandbox.MaxModule+1) // refusing one that is too large is the sandbox's to do
	if err != nil {
		return err
	}
	callee := tx.NewCallee(in, out)
	words := &heldWords{to: callee}
	x, spawner, opened := open(ctx, &q, module, callee, words)
	if spawner != nil {
		defer spawner.Close()
	}
	if x != nil {
		defer x.Close()
	}
	opened.Words, words.open = words.held, true
	answer, err := json.Marshal(opened)
	if err != nil {
		return err
	}
	if err := localtx.WriteFrame(out, answer); err != nil || x == nil {
		return err
	}
	return relay(ctx, callee, x, module)
}

// open starts the sandbox and the module in it. Without a session the answer says why.
func open(ctx context.Context, q *localtx.Request, module []byte, callee *tx.Callee, words io.Writer) (*sandbox.TransformSession, *sandbox.Spawner, *localtx.Opened) {
	lent := tx.Lent{Token: q.Token, Epsilon: q.Step.Epsilon, Services: callee}
	if q.Words {
		lent.Words = words
	}
	spec, err := sandbox.StepSpec(&q.Step, module, transforms.Schema{Format: q.Format, Columns: q.Columns}, lent)
	if err != nil {
		return nil, nil, &localtx.Opened{Error: err.Error()}
	}
	spawner, err := sandbox.StartSpawner(sandbox.Config{})
	if err != nil {
		return nil, nil, &localtx.Opened{Error: err.Error()}
	}
	x, err := spawner.Transform(ctx, spec)
	o := &localtx.Opened{Costs: fuel.CostTable}
	switch end, ended := errors.AsType[*sandbox.SessionEnd](err); {
	case ended && end.Reason != sandbox.ReasonNone:
		o.Reason, o.Detail, o.Fuel = end.Reason, nameFrames(end.Detail, module), end.Fuel
	case err != nil:
		o.Error = err.Error()
	default:
		a := x.Opening()
		o.Rewritten, o.Isolation, o.Fuel = &a.Rewritten, a.Isolation, a.Fuel
	}
	return x, spawner, o
}

// relay passes batches on, one after the other, until there are no more.
func relay(ctx context.Context, callee *tx.Callee, x *sandbox.TransformSession, module []byte) error {
	for {
		batch, flush, err := callee.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var r tx.Result
		var answer []byte
		if flush {
			r, answer, err = x.Flush(ctx)
		} else {
			r, answer, err = x.Batch(ctx, batch, tx.Frames(batch))
		}
		if err != nil {
			return err
		}
		r.Detail = nameFrames(r.Detail, module)
		if err := callee.Done(r, answer); err != nil || r.Reason != "" {
			return err
		}
	}
}

// heldWords keeps what the module writes while it starts up, which is said with what came of that.
type heldWords struct {
	to   io.Writer
	held []byte
	open bool
}

// maxHeld bounds what is kept.
const maxHeld = 16 << 10

// Write implements io.Writer.
func (h *heldWords) Write(p []byte) (int, error) {
	if h.open {
		return h.to.Write(p)
	}
	h.held = append(h.held, p[:min(len(p), maxHeld-len(h.held))]...)
	return len(p), nil
}
