// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"errors"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/tx"
)

// StepSpec is the session of a pinned step, with the limits that every step has. A module that is not the one the step names
// is refused.
func StepSpec(s *dataset.Step, module []byte, in transforms.Schema, lent tx.Lent) (TransformSpec, error) {
	if err := errors.Join(s.Validate(), tx.Pinned(s, module)); err != nil {
		return TransformSpec{}, err
	}
	config, err := tx.NewConfig(s, in)
	if err != nil {
		return TransformSpec{}, err
	}
	return TransformSpec{
		Module: module, ABI: s.ABI, Config: config, MemoryBytes: tx.MemoryBytes, Wall: tx.Wall,
		Fuel: tx.StartFuel, BatchFuel: tx.BatchFuel, ByteFuel: tx.ByteFuel, Lent: lent,
	}, nil
}

// Module starts a pinned step's module for records of a schema. It is what a pipeline's Env asks for.
func (s *Spawner) Module(ctx context.Context, step *dataset.Step, module []byte, in transforms.Schema, lent tx.Lent) (transforms.Module, error) {
	spec, err := StepSpec(step, module, in, lent)
	if err != nil {
		return nil, err
	}
	x, err := s.Transform(ctx, spec)
	if end, ok := errors.AsType[*SessionEnd](err); ok && end.Reason != ReasonNone {
		return nil, &tx.ModuleError{Reason: end.Reason, Detail: end.Detail}
	}
	if err != nil {
		return nil, err
	}
	m, err := tx.NewModule(step, in, x)
	if err != nil {
		return nil, errors.Join(err, x.Close())
	}
	return m, nil
}
