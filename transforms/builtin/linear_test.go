// SPDX-License-Identifier: Apache-2.0

package builtin_test

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/builtin"
	"github.com/glovebox-dev/glovebox/transforms/steptest"
)

// cpu is the time that this process has computed: a busy machine does not change it.
func cpu(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Skip(err)
	}
	return time.Duration(u.Utime.Nano())
}

// TestFieldStepsAreLinear takes a megabyte that is made to be dear, in one record, through each step. Linear work takes a third of a
// second of computing; work that grew with the square of its members, or of a number's digits, would take minutes.
func TestFieldStepsAreLinear(t *testing.T) {
	if testing.Short() {
		t.Skip("a megabyte for each step")
	}
	const most = 10 * time.Second
	fill := func(before, part, after string) func(int) string {
		return func(n int) string { return before + strings.Repeat(part, n/len(part)) + after + "\n" }
	}
	inputs := map[string]func(int) string{
		"digits":   fill(`{"a":"`, "1", `"}`),
		"members":  fill(`{`, `"a":1,`, `"a":2}`),
		"objects":  fill(`{`, `"a":{},`, `"a":{}}`),
		"elements": fill(`{"a":[`, `[1]     ,`, `1]}`), // as many as a record may have
	}
	configs := map[string]string{
		"drop": `{"fields":[{"field":"a"}]}`, "keep": `{"fields":[{"field":"a"}]}`, "rename": `{"fields":[{"field":"a","to":"z"}]}`,
		"generalise": `{"fields":[{"field":"a","width":5,"otherwise":"suppress"}]}`, "code": `{"fields":[{"field":"a","top":5,"otherwise":"suppress"}]}`,
		"suppress": `{"fields":[{"field":"a","longer":2000000,"except":["x"]}]}`, "fpe": `{"fields":[{"field":"a"}]}`,
		"tokenise": `{"fields":[{"field":"a","trim":true,"ignoreCase":true}]}`, "kanon": `{"quasi":[{"field":"a"}],"k":2,"maxSuppressed":1}`,
		"k-rr":             `{"fields":[{"field":"a","categories":["x","y"],"default":"x","epsilon":1}]}`,
		"discrete-laplace": `{"fields":[{"field":"a","lower":0,"upper":9,"default":1,"epsilon":1}]}`,
	}
	for step, config := range configs {
		s := pin(t, step, config)
		for name, input := range inputs {
			src, err := transforms.NewSource(strings.NewReader(input(1<<20)), dataset.FormatJSONL)
			if err != nil {
				t.Fatal(err)
			}
			p, err := transforms.New(context.Background(), []dataset.Step{s}, src.Schema(), builtin.New, steptest.Env())
			if err != nil {
				t.Fatal(err)
			}
			start := cpu(t)
			if err := p.Run(context.Background(), src, func(transforms.Item) error { return nil }); err != nil {
				t.Fatalf("%s, %s: %v", step, name, err)
			}
			if took := cpu(t) - start; took > most {
				t.Errorf("%s, %s: %v", step, name, took)
			}
			_ = p.Close()
		}
	}
}
