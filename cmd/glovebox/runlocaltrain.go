// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/cmd/glovebox-run/localrun"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// recordFlags bound what a guest of train/1 gets and uses for one record.
type recordFlags struct {
	fuel  int64
	bytes string
}

func (f *recordFlags) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.Int64Var(&f.fuel, "record-fuel", localrun.DefaultRecordFuel, "of a module of train/1: most units of fuel for one record")
	fl.StringVar(&f.bytes, "record-bytes", "64KiB", "of a module of train/1: longest record, as the code gets it")
}

// take checks the flags as those of a job are checked.
func (f *recordFlags) take(q *localrun.Request) (err error) {
	if q.RecordBytes, err = parseSize(f.bytes); err != nil {
		return err
	}
	if q.RecordBytes < 1 || q.RecordBytes > job.MaxRecordBytes {
		return Errorf(KindUsage, "at least one byte, at most %s", byteSize(job.MaxRecordBytes)).because("--record-bytes %s", f.bytes)
	}
	if f.fuel < 1 || f.fuel > job.MaxAmount {
		return Errorf(KindUsage, "a number from 1 to %d", int64(job.MaxAmount)).because("--record-fuel %d", f.fuel)
	}
	q.RecordFuel = f.fuel
	return nil
}

// trainingRows are what a table says of a guest that was tried on records.
func (v *localView) trainingRows() [][]string {
	t := v.Training
	if t == nil {
		return nil
	}
	config := "train.json, beside the module; the code package of a job needs both: give submit a directory with them"
	if t.Config == "" {
		config = "none: there is no train.json beside the module"
	}
	rows := [][]string{{"configuration", config}}
	if t.Params == 0 {
		return rows
	}
	rows = append(rows, []string{"parameters", strconv.FormatInt(t.Params, 10)},
		[]string{"gradients", fmt.Sprintf("of %d records %d gave one, %d of these nothing but zeros; %d gave none, and count as zeros", t.Records, t.Gradients, t.Zeros, t.Without)})
	for _, f := range t.Failures {
		rows = append(rows, []string{"without", fmt.Sprintf("%d: %s (the first is record %d of %s)", f.Count, failureText(&f), f.Record, f.Data)})
	}
	if t.Norms != nil {
		rows = append(rows, []string{"norms", fmt.Sprintf("L2, at the initial parameters: median %.3g, 90 %% up to %.3g, most %.3g", t.Norms.Median, t.Norms.P90, t.Norms.Most)})
	}
	if t.Fuel != nil {
		rows = append(rows, []string{"fuel of a record", fmt.Sprintf("median %d, most %d, in the dearest call", t.Fuel.Median, t.Fuel.Most)})
	}
	if t.Raw != nil {
		rows = append(rows, []string{"record", spreadText(t.Raw)})
	}
	if t.Prepared != nil {
		rows = append(rows, []string{"prepared", spreadText(t.Prepared)})
	}
	switch {
	case t.Mean != nil:
		rows = append(rows, []string{"predictions", fmt.Sprintf("mean %.4g, at the initial parameters", *t.Mean)})
	case !t.Predicts:
		rows = append(rows, []string{"predictions", "none: a job cannot declare a --score"})
	}
	if text := suggestText(t.Suggest); text != "" {
		rows = append(rows, []string{"suggestion", text})
	}
	return rows
}

func spreadText(s *localrun.Spread) string {
	return fmt.Sprintf("median %s, longest %s", byteSize(s.Median), byteSize(s.Most))
}

// failureText says in one line why records gave no gradient.
func failureText(f *localrun.Failure) string {
	what, _, _ := strings.Cut(f.Detail, "\n")
	if f.Call != "" {
		what = f.Call + ": " + f.Reason + ": " + what
	}
	return what
}

// suggestText is flags for plan and submit.
func suggestText(s *localrun.Suggest) string {
	if s == nil || s.RecordFuel == 0 {
		return ""
	}
	text := fmt.Sprintf("--params %d --record-fuel %d --record-bytes %dKiB", s.Params, s.RecordFuel, s.RecordBytes>>10)
	if s.Clip != "" {
		text += " --clip " + s.Clip
	}
	return text
}

// trainingWarnings are what did not keep the guest from being tried and may surprise in a job.
func (v *localView) trainingWarnings(q *localrun.Request) []string {
	out, t := []string{}, v.Training
	if q.Out != "" {
		out = append(out, "nothing is written to --out: the model is the enclave's to make")
	}
	short := map[string]bool{}
	for _, f := range t.Failures {
		short[f.Reason] = true
	}
	if short["fuel-limit"] {
		out = append(out, fmt.Sprintf("records need more than --record-fuel %d", q.RecordFuel))
	}
	if short["output-limit"] {
		out = append(out, "records, or what train_prepare makes of them, have more than --record-bytes "+byteSize(q.RecordBytes))
	}
	return out
}

// trainingVerdict is nil for a guest that a job could train.
func (v *localView) trainingVerdict() error {
	switch t := v.Training; {
	case t.Records == 0:
		return Errorf(KindError, "give it some with --data NAME=PATH").because("the guest starts, and was tried on no records")
	case t.Gradients == 0:
		return Errorf(KindError, "the reasons are above; each record is given without the end of its line, and of CSV without the header").
			because("a job would learn nothing: no record gave a gradient")
	case t.Zeros == t.Gradients:
		return Errorf(KindError, "write the gradient to where train_gradient_buffer says; parameters that are all zeros may give none either").
			because("a job would learn nothing: all gradients are zeros")
	}
	return nil
}

// trainingHint is what would make a guest of train/1 start, or get through all records; empty: what holds for any code.
func (v *localView) trainingHint() string {
	started := v.Training.Params > 0
	switch {
	case v.Reason == "module":
		return "docs/spec/train-abi.md lists what it must export: build Go with -buildmode=c-shared, C with -mexec-model=reactor, Rust as a cdylib"
	case v.Reason == "wall-limit" && started:
		return "give it longer with --wall, or fewer records: what is above is of those before"
	case v.Reason == "fuel-limit":
		return fmt.Sprintf("it needs more than --fuel %d to start; do less before the first record", v.Limits.Fuel)
	case v.Reason == "trap" && !started:
		return "it must accept train.json before the first record: a name in it that the code does not ask for, or a number out of range, refuses it; " +
			"otherwise docs/spec/train-abi.md says what a guest does when it starts, and docs/guests.md how to test it outside"
	}
	return ""
}
