// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// benchmarks runs a package's own, and makes a table of what they say.
func benchmarks(ctx context.Context, pkg, pattern string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", pattern, pkg)
	cmd.Dir = ".."
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out[max(0, len(out)-300):])
	}
	var b strings.Builder
	b.WriteString("| benchmark | results |\n|---|---|\n")
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) < 4 || !strings.HasPrefix(f[0], "Benchmark") {
			continue
		}
		var results []string
		for i := 2; i+1 < len(f); i += 2 {
			results = append(results, f[i]+" "+f[i+1])
		}
		fmt.Fprintf(&b, "| %s | %s |\n", strings.TrimPrefix(f[0], "Benchmark"), strings.Join(results, ", "))
	}
	return b.String(), nil
}
