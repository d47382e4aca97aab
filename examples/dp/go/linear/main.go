// SPDX-License-Identifier: Apache-2.0

// Command linear is a guest of train/1: package nn says what the model is.
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -trimpath -ldflags='-s -w' -o linear.wasm ./examples/dp/go/linear
package main

import (
	"github.com/glovebox-dev/glovebox/examples/dp/nn"
	"github.com/glovebox-dev/glovebox/sdk/go/glovebox/train"
)

var _ = train.Serve(func(c *train.Config) (train.Model, error) { return nn.Linear(c) })

func main() {}
