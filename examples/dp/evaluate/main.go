// SPDX-License-Identifier: Apache-2.0

// Command evaluate says how often a model is right that was trained with differential privacy: the mean of what the guest predicts
// for each line of a table.
//
//	evaluate main.wasm train.json model.safetensors test.csv
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"

	"github.com/glovebox-dev/glovebox/examples/dp"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "evaluate: error:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 4 {
		return fmt.Errorf("want main.wasm train.json model.safetensors test.csv")
	}
	var files [4][]byte
	for i, name := range args {
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		files[i] = b
	}
	params, err := dp.Params(files[2])
	if err != nil {
		return err
	}
	score, n, err := dp.Evaluate(context.Background(), files[0], files[1], params, bytes.Split(bytes.TrimSpace(files[3]), []byte("\n")))
	if err != nil {
		return err
	}
	_, err = fmt.Printf("%.4f on %d records\n", score, n)
	return err
}
