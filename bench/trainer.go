// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"
)

// trainerFlags are the ways to build mlp.c for the comparison, all for the same number of steps. The first is the module of
// a job; the others are native.
var trainerFlags = []struct {
	name  string
	flags []string
}{
	{"native -O2, the same source (products of glovebox.h as loops)", []string{"-O2", "-DBLAS"}},
	{"native -O2, plain loops", []string{"-O2"}},
	{"native -O2, vectors of four by hand", []string{"-O2", "-DLANES"}},
	{"native -O3 -march=native, vectors of four by hand", []string{"-O3", "-march=native", "-DLANES"}},
}

// trainer compares the MLP trainer with blas in the sandbox with native builds of it.
func trainer(ctx context.Context, dir string, rounds int) (string, error) {
	const steps = "-DSTEPS=192"
	k := kernel{"trainer", "C", "mlp.c", []string{"-DBLAS", steps}, nil, true}
	b, err := k.build(ctx, dir)
	if err != nil {
		return "", err
	}
	module, err := os.ReadFile(b.original)
	if err != nil {
		return "", err
	}
	sandboxed, _, err := newEngine(ctx, module)
	if err != nil {
		return "", err
	}
	defer sandboxed.close()
	names, programs := []string{"**WebAssembly in the sandbox, with blas**"}, []program{sandboxed}
	for i, t := range trainerFlags {
		path := fmt.Sprintf("%s/trainer-%d", dir, i)
		args := append([]string{"-ffp-contract=off", "-I../sdk/c", "kernels/mlp.c", steps, "-o", path}, t.flags...)
		if err := command(ctx, nil, "clang", append(args, "-lm")...); err != nil {
			return "", err
		}
		names, programs = append(names, t.name), append(programs, native{path})
	}
	best, output := make([]time.Duration, len(programs)), ""
	for range rounds {
		for i, p := range programs {
			got, err := p.run(ctx)
			if err != nil {
				return "", err
			}
			if output == "" {
				output = got.Output
			}
			if got.Output != output {
				return "", fmt.Errorf("%s: other weights", names[i])
			}
			if d := time.Duration(got.Nanos); best[i] == 0 || d < best[i] {
				best[i] = d
			}
		}
	}
	var s strings.Builder
	s.WriteString("| program | ms | sandbox / this |\n|---|---|---|\n")
	for i, name := range names {
		fmt.Fprintf(&s, "| %s | %.1f | %s |\n", name, ms(best[i]), ratio(best[0], best[i]))
	}
	return s.String(), nil
}
