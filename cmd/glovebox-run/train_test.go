// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"testing"

	"github.com/glovebox-dev/glovebox/cmd/glovebox-run/localrun"
	"github.com/glovebox-dev/glovebox/enclave/sandbox"
)

// exporting is the header and export section of a module.
func exporting(names ...string) []byte {
	body := string(rune(len(names)))
	for _, n := range names {
		body += string(rune(len(n))) + n + "\x00\x00"
	}
	return []byte("\x00asm\x01\x00\x00\x00" + "\x00\x02\x01x" + "\x07" + string(rune(len(body))) + body)
}

func TestTrainsIsToldByExports(t *testing.T) {
	for _, c := range []struct {
		module []byte
		want   bool
	}{
		{exporting("memory", "train_open", "train_gradient"), true},
		{exporting("train_gradient"), true},
		{exporting("memory", "_start"), false},
		{exporting("train_gradient", "_start"), false},
		{exporting("memory", "training"), false},
		{exporting(), false},
		{nil, false},
	} {
		if got := trains(c.module); got != c.want {
			t.Errorf("%q: %t", c.module, got)
		}
	}
	whole := exporting("memory", "train_open")
	for i := range whole { // one that is cut short is a worker's to refuse
		if trains(whole[:i]) {
			t.Errorf("cut at %d", i)
		}
	}
}

// TestTrialFigures: what is no gradient counts as none, and what there is gives medians, and flags with room.
func TestTrialFigures(t *testing.T) {
	tr := &trial{out: &localrun.Training{Params: 2, Predicts: true}, deliver: &localrun.Delivered{Name: "a"}}
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for i, g := range [][]float32{{3, 4}, {0, 0}, {nan, 0}, {-inf, 0}, {0.6, 0.8}, {math.MaxFloat32, math.MaxFloat32}, {6, 8}} {
		tr.out.Records, tr.deliver.Records = int64(i+1), int64(i+1)
		tr.gradient(sandbox.Trial{Gradient: g})
	}
	tr.out.Records++
	tr.gradient(sandbox.Trial{Reason: sandbox.ReasonTrap, Detail: "unreachable"})
	tr.fuel, tr.raw, tr.prepared, tr.predicted = []int64{100, 40, 60}, []int64{10, 900}, []int64{4000, 4}, 2
	tr.sum()
	o := tr.out
	if o.Gradients != 5 || o.Zeros != 1 || o.Without != 3 || len(o.Failures) != 2 || o.Failures[0].Count != 2 || o.Failures[0].Record != 3 {
		t.Errorf("%+v", o)
	}
	if *o.Fuel != (localrun.Spread{Median: 60, Most: 100}) || o.Norms.Median != 5 || o.Norms.P90 != o.Norms.Most || !(o.Norms.Most > 4e38) || *o.Mean != 0.25 {
		t.Errorf("%+v, %+v, %v", o.Fuel, o.Norms, *o.Mean)
	}
	if want := (localrun.Suggest{Params: 2, RecordFuel: 125, RecordBytes: 5 << 10, Clip: "5.0"}); *o.Suggest != want {
		t.Errorf("%+v, want %+v", *o.Suggest, want)
	}
	for i := range 2 * localrun.MaxFailures {
		tr.without("train_gradient", sandbox.ReasonTrap, string(rune('a'+i)))
	}
	if len(o.Failures) != localrun.MaxFailures || o.Without != 3+2*localrun.MaxFailures {
		t.Errorf("%d kinds of %d", len(o.Failures), o.Without)
	}
	none := &trial{out: &localrun.Training{}}
	if none.sum(); none.out.Norms != nil || none.out.Fuel != nil || none.out.Mean != nil || none.out.Suggest.Clip != "" {
		t.Errorf("%+v", none.out)
	}
}

func TestClipText(t *testing.T) {
	for norm, want := range map[float64]string{1234: "1234", 12.34: "12", 1.234: "1.2", 0.01234: "0.012", 0.0000012: "0.000001"} {
		if got := clipText(norm); got != want {
			t.Errorf("%v: %s, want %s", norm, got, want)
		}
	}
}
