// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// TestTrial: a trial tells of each record what training keeps quiet, and changes nothing for the next.
func TestTrial(t *testing.T) {
	x := newTrain(t, newSpawner(t), smallTrain(16, 0))
	try := func(what Call, record []byte) Trial {
		t.Helper()
		got, err := x.Try(t.Context(), what, record)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	good := order('c', 3)
	for range 2 {
		if g := try(CallGradient, good); g.Reason != ReasonNone || !slices.Equal(g.Gradient, gradientOf(3, 0.5)) || g.Fuel < int64(len(good)) || g.Fuel > 1000 {
			t.Errorf("%+v", g)
		}
		for order0, want := range map[byte]string{'t': "unreachable", 'e': "exit code 0", 'r': "no gradient: 1"} {
			if g := try(CallGradient, order(order0, 3)); g.Reason != ReasonTrap || !strings.Contains(g.Detail, want) || g.Gradient != nil {
				t.Errorf("%c: %+v", order0, g)
			}
		}
		if g := try(CallGradient, order('f', 3)); g.Reason != ReasonFuel || g.Fuel != x.limits.RecordFuel {
			t.Errorf("for ever: %+v", g)
		}
	}
	if p := try(CallPrepare, good); !bytes.Equal(p.Prepared, good) || p.Fuel == 0 {
		t.Errorf("%+v", p)
	}
	if p := try(CallPrepare, []byte{}); p.Prepared == nil || len(p.Prepared) != 0 {
		t.Errorf("%+v", p)
	}
	if p := try(CallPredict, order('c', -2)); p.Score != -2 {
		t.Errorf("%+v", p)
	}
	if p := try(CallPredict, order('t', 1)); p.Reason != ReasonTrap || p.Score != 0 {
		t.Errorf("%+v", p)
	}
	for _, err := range []error{
		func() error { _, err := x.Try(t.Context(), CallGradient, make([]byte, 65)); return err }(),
		func() error { _, err := x.Try(t.Context(), askSum, good); return err }(),
	} {
		if !errors.Is(err, ErrSpec) {
			t.Error(err)
		}
	}
	into := newSum(t, 16, testNorm)
	if err := x.Sum(t.Context(), each(good), into); err != nil {
		t.Fatal(err)
	}
	wantTotal(t, into, [][]float32{gradientOf(3, 0.5)})
}

// TestTrialHostileWorker: an answer that is none ends the session.
func TestTrialHostileWorker(t *testing.T) {
	answer := func(q result, out []byte) []byte {
		var b bytes.Buffer
		r := recorder{out: bufio.NewWriter(&b)}
		if err := r.say(q, out); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	for name, c := range map[string]struct {
		what   Call
		answer []byte
	}{
		"more fuel than there is":   {CallGradient, answer(result{Fuel: 1<<22 + 1}, nil)},
		"bytes beside a gradient":   {CallGradient, answer(result{}, []byte{1})},
		"a failure with an answer":  {CallPrepare, answer(result{Reason: ReasonTrap}, []byte{1})},
		"a prediction of two bytes": {CallPredict, answer(result{}, []byte{1, 2})},
		"too long a preparation":    {CallPrepare, answer(result{}, make([]byte, 65))},
		"no result":                 {CallPrepare, []byte("nothing of the kind, and more of it")},
	} {
		x, err := hostileTrainer(t, smallTrain(16, 0), 16, flagPrepare|flagPredict, func(down io.Reader, out io.Writer, _ []byte) {
			if down == nil {
				return
			}
			if _, err := io.ReadFull(down, make([]byte, askBytes+4)); err == nil {
				_, _ = out.Write(c.answer)
			}
			_, _ = io.Copy(io.Discard, down)
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = x.Try(t.Context(), c.what, []byte{1})
		if end, ok := errors.AsType[*SessionEnd](err); !ok || end.Reason != ReasonWorker {
			t.Errorf("%s: %v", name, err)
		}
	}
}
