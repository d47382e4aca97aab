// SPDX-License-Identifier: Apache-2.0

// Package steptest runs one step over a small dataset, for tests of steps.
//
// Trust domain: none, tests only. Its one job: a step is tested as it is used, in a pipeline.
package steptest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/transforms"
)

// Constructor makes a built-in step.
type Constructor func(config json.RawMessage, in transforms.Schema, env *transforms.Env) (transforms.Step, error)

// Keys are keys for tests.
type Keys string

// Dataset is a key of the label.
func (k Keys) Dataset(label string) [32]byte {
	return sha256.Sum256([]byte("dataset " + string(k) + label))
}

// Grant is another.
func (k Keys) Grant(label string) [32]byte {
	return sha256.Sum256([]byte("grant " + string(k) + label))
}

// Env lends keys and noise that are the same in every test.
func Env() *transforms.Env {
	return &transforms.Env{Keys: Keys("a"), Noise: rand.NewChaCha8([32]byte{1})}
}

// Result is what a step made of a dataset.
type Result struct {
	Out     string
	Report  transforms.Report
	Figures map[string]int64
}

// Lines are the records that came out, as text.
func (r Result) Lines() []string { return strings.Split(strings.TrimSuffix(r.Out, "\n"), "\n") }

// Run takes a dataset through a step.
func Run(t testing.TB, c Constructor, config string, f dataset.Format, in string, env *transforms.Env) (Result, error) {
	t.Helper()
	canonical, err := envelope.Canonical(json.RawMessage(config))
	if err != nil {
		t.Fatalf("configuration of the test: %v", err)
	}
	src, err := transforms.NewSource(strings.NewReader(in), f)
	if err != nil {
		t.Fatalf("input of the test: %v", err)
	}
	maker := func(s *dataset.Step, in transforms.Schema, env *transforms.Env) (transforms.Step, error) {
		return c(s.Config, in, env)
	}
	step := dataset.Step{Name: "step", Digest: envelope.Sum([]byte("step")), Config: canonical}
	p, err := transforms.New(context.Background(), []dataset.Step{step}, src.Schema(), maker, env)
	if err != nil {
		return Result{}, err
	}
	defer func() { _ = p.Close() }()
	var b bytes.Buffer
	w := transforms.NewWriter(&b, p.Out())
	if err := p.Run(context.Background(), src, w.Write); err != nil {
		return Result{}, err
	}
	if err := w.Begin(); err != nil {
		t.Fatal(err)
	}
	return Result{b.String(), p.Reports()[0], p.Figures()}, nil
}
