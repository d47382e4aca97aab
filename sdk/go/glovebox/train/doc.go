// SPDX-License-Identifier: Apache-2.0

// Package train is what a model written in Go needs to be trained with differential privacy: its configuration, its parameters,
// and one record at a time. docs/spec/train-abi.md of Glovebox defines the rest.
//
// Trust domain: none; it is part of the buyer's module, and nothing relies on it. Its one job: hide the ABI. It imports nothing
// that needs an operating system, which keeps a module small.
//
// Built for GOOS=wasip1 with -buildmode=c-shared it talks to the enclave, which samples, clips, sums, adds noise and steps. Built
// for anything else, [Run] is a stand-in without privacy, so that code is tested with go test.
//
//	var _ = train.Serve(open)
//
//	func open(c *train.Config) (train.Model, error) { return &model{weights: make([]float32, c.Int("inputs", 4))}, nil }
//
//	func (m *model) Params() []float32 { return m.weights }
//
//	func (m *model) Gradient(record []byte, gradient []float32) bool { … }
//
//	func main() {}
//
// Whatever a call with a record leaves in memory is gone before the next: only parameters change. So allocate in open, and
// nothing later: a record then costs no collection of garbage.
package train
