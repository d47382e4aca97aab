// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/transforms/dp"
)

// streams are fixed: a test with them does the same whenever it runs.
func streams() func() io.Reader {
	n := uint64(0)
	return func() io.Reader {
		n++
		return rand.NewChaCha8([32]byte(binary.LittleEndian.AppendUint64(make([]byte, 24), n)))
	}
}

// TestTrainerHoldsAndMutantsAreCaught is `make audit-dp` with fewer trials.
func TestTrainerHoldsAndMutantsAreCaught(t *testing.T) {
	var out strings.Builder
	ok, err := report(t.Context(), &out, attacks(), streams(), 1)
	if err != nil || !ok {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{"without noise", "without clipping", "shuffled batches", "state kept between records", "half the noise"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s was not tried", want)
		}
	}
}

// TestReportSaysWhatIsWrong: an attack that comes out as it must not, fails the report.
func TestReportSaysWhatIsWrong(t *testing.T) {
	p := plan{dp.ReplaceOne, dp.Mechanism{Kind: dp.Gaussian, Noise: dp.Micro, Sampling: dp.NoSampling, Rate: dp.One, Count: 1}, 0.1, 8}
	for name, a := range map[string]attack{
		"a broken one that is taken for correct": {broken: false, breaks: withoutNoise, run: p.replace(1)},
		"a correct one that is taken for broken": {broken: true, run: p.replace(1)},
	} {
		var out strings.Builder
		ok, err := report(t.Context(), &out, []attack{a}, streams(), 1)
		if err != nil || ok || !strings.Contains(out.String(), "WRONG") {
			t.Errorf("%s: %t, %v\n%s", name, ok, err, out.String())
		}
	}
	if _, err := report(t.Context(), io.Discard, nil, streams(), 0); err == nil {
		t.Error("a report of no trials")
	}
	if _, err := report(t.Context(), io.Discard, attacks(), func() io.Reader { return strings.NewReader("") }, 1); err == nil {
		t.Error("a report without random bytes")
	}
}
