// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/enclave/fuel"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// TestSessionHostileWorker: a worker that lies about anything ends its session, and never gets an answer through that no
// guest can give.
func TestSessionHostileWorker(t *testing.T) {
	spec := sessionSpec([]byte("module"))
	frame := func(kind byte, b ...[]byte) []byte {
		var w bytes.Buffer
		_ = writeKind(&w, kind, b...)
		return w.Bytes()
	}
	resultOf := func(r result) []byte {
		b, err := envelope.Canonical(r)
		if err != nil {
			t.Fatal(err)
		}
		return frame(kindResult, b)
	}
	var w bytes.Buffer
	if err := (admission{envelope.Sum(spec.Module), envelope.Sum([]byte("x")), fuel.CostTable}).write(&w); err != nil {
		t.Fatal(err)
	}
	opening := append(w.Bytes(), resultOf(result{Fuel: 1})...)
	good, answer := resultOf(result{Fuel: 5}), frame(kindOutput, []byte("answer"))
	for name, c := range map[string]struct {
		opening, said []byte
		after         bool // also to a second record
	}{
		"no fuel":              {said: append(resultOf(result{}), answer...)},
		"too much fuel":        {said: append(resultOf(result{Fuel: spec.RecordFuel + 1}), answer...)},
		"less than all fuel":   {said: append(resultOf(result{Fuel: 5, Reason: ReasonFuel}), frame(kindOutput)...)},
		"the module's fault":   {said: append(resultOf(result{Reason: ReasonModule}), frame(kindOutput)...)},
		"the wall":             {said: append(resultOf(result{Reason: ReasonWall}), frame(kindOutput)...)},
		"an unknown reason":    {said: append(resultOf(result{Reason: "x"}), frame(kindOutput)...)},
		"undeclared files":     {said: append(resultOf(result{Fuel: 5, Undeclared: 1}), answer...)},
		"a failure's answer":   {said: append(resultOf(result{Fuel: 5, Reason: ReasonTrap}), answer...)},
		"too long":             {said: append(bytes.Clone(good), frame(kindOutput, make([]byte, spec.OutputBytes+1))...)},
		"no result":            {said: answer},
		"another frame":        {said: append(bytes.Clone(good), frame(kindLogs)...)},
		"a huge result":        {said: []byte{kindResult, 255, 255, 255, 255}},
		"not canonical":        {said: frame(kindResult, []byte("{ }"))},
		"an answer too many":   {said: bytes.Repeat(append(bytes.Clone(good), answer...), 2), after: true},
		"an early answer":      {opening: append(bytes.Clone(opening), good...)},
		"another module":       {opening: bytes.Replace(opening, []byte(`"original":"`), []byte(`"original":"0`), 1)},
		"started without fuel": {opening: append(w.Bytes()[:w.Len():w.Len()], resultOf(result{})...)},
	} {
		t.Run(name, func(t *testing.T) {
			p := fakeWorker(t, func(down io.Reader, _, out io.Writer) {
				for _, most := range []int{maxHeader, MaxModule} {
					if _, err := readFrame(down, most); err != nil {
						return
					}
				}
				first := c.opening
				if first == nil {
					first = opening
				}
				_, _ = out.Write(first)
				if _, err := io.ReadFull(down, make([]byte, countBytes)); err == nil {
					_, _ = out.Write(c.said)
				}
			})
			x, err := newSession(t.Context(), p, spec, time.Now())
			if err == nil {
				defer x.Close()
				_, err = x.Record(t.Context(), []byte("record"))
				if c.after && err == nil {
					_, err = x.Record(t.Context(), []byte("record"))
				}
			}
			if end := wantEnd(t, err, ReasonWorker); !errors.Is(err, ErrProtocol) || end.Detail == "" {
				t.Errorf("err = %v", err)
			}
		})
	}
}
