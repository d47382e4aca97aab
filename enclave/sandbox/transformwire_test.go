// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/enclave/fuel"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/tx"
)

// TestTransformHostileWorker: a worker that lies about anything ends its session, and gets no record through that no module can
// make.
func TestTransformHostileWorker(t *testing.T) {
	step := moduleStep(dataset.ShapeMap)
	spec := transformSpec(t, []byte("module"), step, jsonLines)
	var w bytes.Buffer
	if err := (admission{envelope.Sum(spec.Module), envelope.Sum([]byte("x")), fuel.CostTable}).write(&w); err != nil {
		t.Fatal(err)
	}
	ready, err := envelope.Canonical(result{Fuel: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := writeKind(&w, kindResult, ready); err != nil {
		t.Fatal(err)
	}
	opening := w.Bytes()
	done := func(r tx.Result, answer []byte) []byte {
		var b bytes.Buffer
		if err := tx.NewCallee(nil, &b).Done(r, answer); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	answer := tx.AppendFrame(nil, []byte("one"))
	good := done(tx.Result{Fuel: 5}, answer)
	most := spec.batchFuel(len(answer))
	for name, c := range map[string]struct {
		opening, said []byte
		after         bool // also to a second batch
	}{
		"no fuel":            {said: done(tx.Result{}, answer)},
		"too much fuel":      {said: done(tx.Result{Fuel: most + 1}, answer)},
		"less than all fuel": {said: done(tx.Result{Fuel: 5, Reason: ReasonFuel}, nil)},
		"the module's fault": {said: done(tx.Result{Reason: ReasonModule}, nil)},
		"the wall":           {said: done(tx.Result{Fuel: 5, Reason: ReasonWall}, nil)},
		"an unknown reason":  {said: done(tx.Result{Fuel: 5, Reason: "x"}, nil)},
		"a token":            {said: []byte{'T', 0, 0, 0, 5, 0, 0, 0, 0, 'x'}},
		"noise":              {said: append([]byte{'N', 0, 0, 0, 20}, make([]byte, 20)...)},
		"words":              {said: []byte{'W', 0, 0, 0, 1, 'x'}},
		"an answer too long": {said: done(tx.Result{Fuel: 5}, make([]byte, tx.AnswerLimit(int64(len(answer)))+1))},
		"another frame":      {said: []byte{kindLogs, 0, 0, 0, 0}},
		"a huge result":      {said: []byte{'D', 255, 255, 255, 255}},
		"an answer too many": {said: bytes.Repeat(good, 2), after: true},
		"an early answer":    {opening: append(bytes.Clone(opening), good...)},
		"another module":     {opening: bytes.Replace(opening, []byte(`"original":"`), []byte(`"original":"0`), 1)},
		"a refusal later":    {opening: append(bytes.Clone(opening[:5]), 0)},
	} {
		t.Run(name, func(t *testing.T) {
			p := fakeWorker(t, func(down io.Reader, _, out io.Writer) {
				for _, limit := range []int{maxHeader, MaxModule, tx.MaxConfig} {
					if _, err := readFrame(down, limit); err != nil {
						return
					}
				}
				first := c.opening
				if first == nil {
					first = opening
				}
				_, _ = out.Write(first)
				var h [5]byte
				for {
					if _, err := io.ReadFull(down, h[:]); err != nil {
						return
					}
					if _, err := io.CopyN(io.Discard, down, int64(binary.BigEndian.Uint32(h[1:]))); err != nil {
						return
					}
					_, _ = out.Write(c.said)
				}
			})
			s := spec
			s.Wall = 3 * time.Second
			x, err := newTransformSession(t.Context(), p, s, time.Now())
			if err == nil {
				defer x.Close()
				var m transforms.Module
				if m, err = tx.NewModule(step, jsonLines, x); err != nil {
					t.Fatal(err)
				}
				_, _, err = m.Batch(t.Context(), texts("one"))
				if c.after && err == nil {
					_, _, err = m.Batch(t.Context(), texts("one"))
				}
			}
			if end, ok := errors.AsType[*SessionEnd](err); ok && end.Reason != ReasonWorker && end.Reason != ReasonWall {
				t.Errorf("reason %q: %v", end.Reason, err)
			} else if !ok {
				t.Errorf("err = %v", err)
			}
		})
	}
}
