// SPDX-License-Identifier: Apache-2.0

// Command evaluate prints how many of the images in a CSV table a trained model recognises.
//
//	go run ./examples/mnist/evaluate model.safetensors mnist_test.csv
//
// Trust domain: the buyer's. It runs after `glovebox buyer open`, on her machine.
package main

import (
	"fmt"
	"os"

	"github.com/glovebox-dev/glovebox/examples/mnist"
)

// maxModel bounds the model file; this network takes a tenth of it.
const maxModel = 1 << 20

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: evaluate MODEL CSV")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "evaluate: error:", err)
		os.Exit(1)
	}
}

func run(modelPath, csvPath string) error {
	info, err := os.Stat(modelPath)
	if err != nil {
		return err
	}
	if info.Size() > maxModel {
		return fmt.Errorf("%w: %d bytes", mnist.ErrModel, info.Size())
	}
	model, err := os.ReadFile(modelPath)
	if err != nil {
		return err
	}
	f, err := os.Open(csvPath)
	if err != nil {
		return err
	}
	defer f.Close()
	accuracy, n, err := mnist.Evaluate(model, f)
	if err != nil {
		return err
	}
	fmt.Printf("accuracy %.3f on %d images\n", accuracy, n)
	return nil
}
