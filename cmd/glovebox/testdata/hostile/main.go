// SPDX-License-Identifier: Apache-2.0

// Command hostile is a guest that misbehaves as $MODE says, for the end-to-end tests.
//
// Trust domain: none. It stands for a buyer who wants out.
package main

import (
	"io/fs"
	"os"
	"strings"
)

func main() {
	switch os.Getenv("MODE") {
	case "trap":
		var p *int
		*p = 1
	case "loop":
		for n := 0; ; n++ {
			sink(n)
		}
	case "allocate":
		var kept [][]byte
		for {
			b := make([]byte, 16<<20)
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			kept = append(kept, b)
			sink(len(kept))
		}
	case "write":
		write("/out/model.safetensors", strings.Repeat("x", 4<<20))
	case "escape":
		for i, path := range []string{"/etc/passwd", "/data/small/records.csv", "/data/new", "../elsewhere", "/out/../elsewhere"} {
			if os.WriteFile(path, []byte("out"), 0o600) == nil {
				os.Exit(90 + i) // it must not work
			}
		}
		write("/out/undeclared.txt", "dropped")
		write("/out/model.safetensors", "stayed inside")
	case "copy": // everything it sees, to its buyer
		var all []byte
		check(fs.WalkDir(os.DirFS("/data"), ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile("/data/" + path)
			all = append(all, b...)
			return err
		}))
		write("/out/copy.txt", string(all))
	case "slow":
		for n := range 1_500_000_000 { // about a second
			if n&0xfffffff == 0xfffffff {
				sink(n)
			}
		}
		fallthrough
	case "read":
		b, err := os.ReadFile("/data/small/records.csv")
		if err != nil {
			os.Exit(2)
		}
		write("/out/model.safetensors", strings.ToUpper(string(b)))
	}
}

func check(err error) {
	if err != nil {
		os.Exit(4)
	}
}

func write(path, text string) {
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		os.Exit(3)
	}
}

//go:noinline
func sink(int) {}
