// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// small is a module of 160 bytes that opens its data, reads the first byte and ends.
const small = "\x00asm\x01\x00\x00\x00" +
	"\x01\x12\x03" + // types
	"\x60\x02\x7f\x7f\x01\x7f" + // 0: (i32 i32) -> i32
	"\x60\x04\x7f\x7e\x7f\x7f\x01\x7f" + // 1: (i32 i64 i32 i32) -> i32
	"\x60\x00\x00" + // 2: () -> ()
	"\x02\x21\x02" + // imports
	"\x08glovebox\x04open\x00\x00" +
	"\x08glovebox\x04read\x00\x01" +
	"\x03\x02\x01\x02" + // a function of type 2
	"\x05\x03\x01\x00\x01" + // a memory of a page
	"\x07\x13\x02\x06memory\x02\x00\x06_start\x00\x02" +
	"\x0a\x13\x01\x11\x00" + // its body
	"\x41\x00\x41\x13\x10\x00" + // open(0, 19)
	"\x42\x00\x41\x20\x41\x01" + // offset 0, to 32, 1 byte
	"\x10\x01\x1a\x0b" + // read; drop
	"\x0b\x19\x01\x00\x41\x00\x0b\x13numbers/records.csv"

// modules are what is measured, by name.
func modules(ctx context.Context, dir string) (map[string][]byte, error) {
	path := filepath.Join(dir, "guest.wasm")
	if err := build(ctx, []string{"GOOS=wasip1", "GOARCH=wasm"}, path, "-ldflags=-s -w", "./latency/guest"); err != nil {
		return nil, err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return map[string][]byte{"small": []byte(small), "Go": b}, nil
}

// build builds a command of this module.
func build(ctx context.Context, env []string, out string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{"build", "-buildvcs=false", "-trimpath", "-o", out}, args...)...)
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0"), env...)
	if b, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w: %s", args[len(args)-1], err, b)
	}
	return nil
}
