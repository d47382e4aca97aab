// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// kernel is a program that is built natively and for WASI from the same source.
type kernel struct {
	name     string
	language string
	source   string   // below kernels: a C file, or a Go package
	flags    []string // of the C compiler, for both
	wasm     []string // for WASI only
	blas     bool     // imports the products of the sandbox
}

var simd = []string{"-msimd128"}

// kernels are the rows of the first table.
func kernels() []kernel {
	return []kernel{
		{"sha256", "C", "sha256.c", nil, nil, false},
		{"sieve", "C", "sieve.c", nil, nil, false},
		{"nbody", "C", "nbody.c", nil, nil, false},
		{"parser", "C", "parser.c", nil, nil, false},
		{"mlp", "C", "mlp.c", []string{"-DSTEPS=24"}, nil, false},
		{"dot", "C SIMD", "dot.c", nil, simd, false},
		{"mlp", "C SIMD", "mlp.c", []string{"-DLANES", "-DSTEPS=96"}, simd, false},
		{"mlp", "C blas", "mlp.c", []string{"-DBLAS", "-DSTEPS=192"}, nil, true},
		{"document", "Go", "go/document", nil, nil, false},
		{"tables", "Go", "go/tables", nil, nil, false},
		{"mlp", "Go", "go/mlp", nil, nil, false},
		{"mlp", "Go blas", "go/mlpblas", nil, nil, true},
	}
}

func (k kernel) String() string { return k.language + " " + k.name }

// built is where the files of a kernel are.
type built struct{ native, original, rewritten string }

// build compiles a kernel and rewrites its module.
func (k kernel) build(ctx context.Context, dir string) (built, error) {
	stem := filepath.Join(dir, strings.NewReplacer(" ", "-", "/", "-").Replace(k.String()))
	b := built{stem, stem + ".wasm", stem + ".fuel.wasm"}
	compile := k.compileC
	if strings.HasPrefix(k.language, "Go") {
		compile = k.compileGo
	}
	if err := compile(ctx, b); err != nil {
		return b, err
	}
	module, err := os.ReadFile(b.original)
	if err != nil {
		return b, err
	}
	admitted, err := admit(ctx, module)
	if err != nil {
		return b, err
	}
	return b, os.WriteFile(b.rewritten, admitted.Module, 0o600)
}

func (k kernel) compileC(ctx context.Context, b built) error {
	common := slices.Concat([]string{"-O2", "-ffp-contract=off", "-I../sdk/c", "kernels/" + k.source}, k.flags)
	if err := command(ctx, nil, "clang", append(common, "-o", b.native, "-lm")...); err != nil {
		return err
	}
	return command(ctx, nil, "clang", slices.Concat(common, k.wasm, []string{"--target=wasm32-wasi", "-o", b.original, "-lm"})...)
}

func (k kernel) compileGo(ctx context.Context, b built) error {
	args := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o"}
	if err := command(ctx, []string{"CGO_ENABLED=0"}, "go", append(args, b.native, "./kernels/"+k.source)...); err != nil {
		return err
	}
	return command(ctx, []string{"GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0"}, "go", append(args, b.original, "./kernels/"+k.source)...)
}

func command(ctx context.Context, env []string, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %.300s", name, err, out)
	}
	return nil
}
