// SPDX-License-Identifier: Apache-2.0

//go:build !cgo || nowasmtime

package main

import (
	"context"
	"errors"
	"time"
)

// wasmtimeVersion is empty where wasmtime is not linked.
const wasmtimeVersion = ""

func newWasmtime(context.Context, []byte) (program, time.Duration, error) {
	return nil, 0, errors.New("not linked: it needs cgo and a C compiler")
}
