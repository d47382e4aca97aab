// SPDX-License-Identifier: Apache-2.0

package tx_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/transforms/tx"
)

var shapes = []string{dataset.ShapeMap, dataset.ShapeFilter, dataset.ShapeAny}

func TestParseAnswer(t *testing.T) {
	one, two := tx.AppendFrame(nil, []byte("one")), tx.AppendFrame(nil, nil)
	out := appendLeftOut(nil)
	many := bytes.Repeat([]byte{0, 0, 0, 0}, tx.MaxAnswer+1)
	for what, c := range map[string]struct {
		answer []byte
		n      int
		good   string // the shapes that allow it
	}{
		"nothing of nothing":      {nil, 0, "map filter any"},
		"one of one":              {one, 1, "map filter any"},
		"an empty one of one":     {two, 1, "map filter any"},
		"two of one":              {append(bytes.Clone(one), two...), 1, "any"},
		"none of one":             {nil, 1, "any"},
		"one left out":            {out, 1, "filter"},
		"one and one left out":    {append(bytes.Clone(one), out...), 2, "filter"},
		"left out of nothing":     {out, 0, ""},
		"half a length":           {[]byte{0, 0}, 1, ""},
		"a length that lies":      {one[:len(one)-1], 1, ""},
		"a length beyond":         {[]byte{0xfe, 0xff, 0xff, 0xff, 1}, 1, ""},
		"more than there may be":  {many, 1, ""},
		"as many as there may be": {many[4:], 1, "any"},
	} {
		for _, shape := range shapes {
			got, err := tx.ParseAnswer(c.answer, c.n, shape)
			if good := strings.Contains(c.good, shape); good != (err == nil) || !good && !errors.Is(err, tx.ErrAnswer) {
				t.Errorf("%s, shape %s: %d records, %v", what, shape, len(got), err)
			}
		}
	}
}

func TestFrames(t *testing.T) {
	b := tx.AppendFrame(tx.AppendFrame(nil, []byte("one")), nil)
	for n, c := range [][]byte{nil, b[:7], b} {
		if got := tx.Frames(c); got != n {
			t.Errorf("%d frames in %q, want %d", got, c, n)
		}
	}
	if got := tx.Frames([]byte{9, 9}); got != 1 {
		t.Errorf("%d frames", got)
	}
}

// FuzzParseAnswer: what is accepted is what the shape allows, and made of exactly these bytes.
func FuzzParseAnswer(f *testing.F) {
	seeds := [][]byte{{}, {0, 0, 0, 0}, {1, 0, 0, 0, 'x'}, {0xff, 0xff, 0xff, 0xff}, {5, 0, 0, 0, 'x'}, {0, 0}}
	for _, s := range seeds {
		for shape := range shapes {
			f.Add(s, uint16(1), uint8(shape))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, n uint16, which uint8) {
		shape := shapes[int(which)%len(shapes)]
		out, err := tx.ParseAnswer(b, int(n), shape)
		if err != nil {
			if !errors.Is(err, tx.ErrAnswer) || out != nil {
				t.Fatal(out, err)
			}
			return
		}
		var again []byte
		for _, r := range out {
			if r == nil {
				if shape != dataset.ShapeFilter {
					t.Fatalf("left out in shape %s", shape)
				}
				again = appendLeftOut(again)
				continue
			}
			again = tx.AppendFrame(again, r)
		}
		if !bytes.Equal(again, b) || shape != dataset.ShapeAny && len(out) != int(n) {
			t.Fatalf("%d records of %d in %d bytes, %d again", len(out), n, len(b), len(again))
		}
		if tx.Frames(b) != len(out) && shape != dataset.ShapeFilter {
			t.Fatalf("%d frames, %d records", tx.Frames(b), len(out))
		}
	})
}

// appendLeftOut appends a record that is left out to an answer, as guests do.
func appendLeftOut(b []byte) []byte { return append(b, 0xff, 0xff, 0xff, 0xff) }
