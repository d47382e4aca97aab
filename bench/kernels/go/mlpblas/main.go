// SPDX-License-Identifier: Apache-2.0

// Command mlpblas trains the network of mlp.c with the products of the sandbox.
package main

import (
	"github.com/glovebox-dev/glovebox/bench/kernels/go/network"
	"github.com/glovebox-dev/glovebox/sdk/go/glovebox"
)

func main() { network.Train(192, glovebox.Sgemm, glovebox.Sexp) }
