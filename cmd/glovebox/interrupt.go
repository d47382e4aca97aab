// SPDX-License-Identifier: Apache-2.0

package main

import "context"

// untilInterrupted is what read returns, unless ctx ends first: opening or reading a pipe waits for whoever writes to it, and
// no signal ends that by itself. Then read goes on until the process ends; nothing that it shares may be used any more.
func untilInterrupted[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type answer struct {
		v   T
		err error
	}
	done := make(chan answer, 1)
	go func() {
		v, err := read()
		done <- answer{v, err}
	}()
	select {
	case a := <-done:
		return a.v, a.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// readInput is readBounded that gives way to ctx.
func readInput(ctx context.Context, path string, limit int64) ([]byte, error) {
	return untilInterrupted(ctx, func() ([]byte, error) { return readBounded(path, limit) })
}
