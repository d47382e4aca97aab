// SPDX-License-Identifier: Apache-2.0

// Command external compares Glovebox with implementations that others published, and has their tools check what Glovebox
// writes. Run it by make verify-external.
//
// Trust domain: developers' machines. Its one job: to say, in figures, where Glovebox and they differ, and to fail where that
// is more than it may be, or where a tool accepts what was altered. What cannot be installed is counted as skipped.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
)

func main() {
	cases := flag.Int("cases", 200, "random settings of the privacy accountant")
	seed := flag.Uint64("seed", 1, "of the random settings")
	only := flag.String("only", "", "only this: dp (the privacy accountant) or tools (everything in docs/external.md)")
	keep := flag.String("keep", "", "folder to make for what the tools read; left there")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	if *only != "tools" {
		err = accountants(ctx, os.Stdout, *cases, *seed)
	}
	if *only != "dp" {
		err = errors.Join(err, foreign(ctx, os.Stdout, *keep))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "external:", err)
		os.Exit(1) //nolint:gocritic // nothing is left to stop
	}
}

// errMissing is an implementation that cannot be had here.
var errMissing = errors.New("cannot be installed")

// python is that of a folder in the cache, with the packages of a file of requirements; it is made once.
func python(ctx context.Context, w io.Writer, name, requirements string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("%w: %w", errMissing, err)
	}
	dir := filepath.Join(cache, "glovebox", name)
	bin, done := filepath.Join(dir, "bin", "python"), filepath.Join(dir, "complete")
	want, err := os.ReadFile(requirements)
	if err != nil {
		return "", err
	}
	if have, err := os.ReadFile(done); err == nil && bytes.Equal(have, want) {
		return bin, nil
	}
	fmt.Fprintf(w, "installing %s from PyPI, once\n", name)
	for _, c := range [][]string{{"python3", "-m", "venv", "--clear", dir}, {bin, "-m", "pip", "install", "-q", "--require-hashes", "--only-binary", ":all:", "-r", requirements}} {
		if out, err := exec.CommandContext(ctx, c[0], c[1:]...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("%w: %s: %w: %s", errMissing, strings.Join(c[:3], " "), err, lastLine(out))
		}
	}
	return bin, os.WriteFile(done, want, 0o600)
}

func lastLine(b []byte) string {
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return lines[len(lines)-1]
}
