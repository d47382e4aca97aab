// SPDX-License-Identifier: Apache-2.0

// Package tx is what a transform written in Go needs: its configuration, the records one at a time, and a place for what
// becomes of them. docs/spec/transform-abi.md of Glovebox defines the rest.
//
// Trust domain: none; it is part of the creator's module, and nothing relies on it. It imports nothing that needs an operating
// system, which keeps a module small.
//
// Built for GOOS=wasip1 with -buildmode=c-shared it talks to the sandbox. Built for anything else, [Run] is a stand-in, so that
// code is tested with go test.
//
//	var _ = tx.Serve(open)
//
//	func open(c *tx.Config) (tx.Transform, error) { return &mask{word: c.Text("word", "secret")}, nil }
//
//	func (m *mask) Record(r *tx.Record) error {
//		if bytes.Contains(r.Text(), m.word) {
//			return nil // nothing is put: it is left out
//		}
//		r.Put(r.Text())
//		return nil
//	}
//
//	func main() {}
package tx
