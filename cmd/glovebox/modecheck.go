// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/builtin"
)

// checkModes makes the steps of every mode for the source's columns, as they are after the steps before packing: a column that
// is misspelt would else be found by the first job, which pays for it.
func checkModes(ctx context.Context, m *dataset.Manifest, path string, before []dataset.Step) (err error) {
	if len(m.Terms.Steps) == 0 {
		return nil
	}
	in := transforms.Schema{Format: m.Format}
	if m.Format == dataset.FormatCSV {
		f, err := openText(path, m.Format)
		if err != nil {
			return err
		}
		defer f.Close()
		src, err := transforms.NewSource(f, m.Format)
		if err != nil {
			return Errorf(KindUsage, "the first line of CSV names its columns").from(err)
		}
		in = src.Schema()
	}
	env, err := idleEnv()
	if err != nil {
		return err
	}
	if in, err = outOf(ctx, before, in, env); err != nil {
		return fmt.Errorf("--transform: %w", err)
	}
	for _, p := range m.Terms.Steps {
		if _, err := outOf(ctx, p.Steps, in, env); err != nil {
			return Errorf(KindUsage, "docs/transforms.md says how steps are configured").from(fmt.Errorf("mode %s: %w", p.Mode, err))
		}
	}
	return nil
}

// outOf is what records look like after steps.
func outOf(ctx context.Context, steps []dataset.Step, in transforms.Schema, env *transforms.Env) (out transforms.Schema, err error) {
	p, err := transforms.New(ctx, steps, in, builtin.New, env)
	if err != nil {
		return in, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	return p.Out(), nil
}

// idleEnv is enough to make steps, which are never given a record.
func idleEnv() (*transforms.Env, error) {
	var secret [dataset.KeySize]byte
	rand.Read(secret[:]) //nolint:errcheck // never fails since Go 1.24
	keys, err := keysOutsideGrants(secret[:])
	if err != nil {
		return nil, err
	}
	return &transforms.Env{
		Keys: keys, Noise: rand.Reader,
		Module: func(context.Context, *dataset.Step, transforms.Schema) (transforms.Module, error) {
			return idleModule{}, nil
		},
	}, nil
}

// idleModule stands for a module that is not started.
type idleModule struct{}

func (idleModule) Batch(context.Context, [][]byte) ([][]byte, transforms.ModuleReport, error) {
	return nil, transforms.ModuleReport{}, transforms.ErrModule
}

func (idleModule) Flush(context.Context) ([][]byte, transforms.ModuleReport, error) {
	return nil, transforms.ModuleReport{}, transforms.ErrModule
}

func (idleModule) Close() error { return nil }

// warnUnreadable says how many records the steps of modes will leave out because they cannot be taken apart; packing takes them.
func warnUnreadable(cmd *cobra.Command, m *dataset.Manifest, path string) error {
	if len(m.Terms.Steps) == 0 || m.Format == dataset.FormatFiles {
		return nil
	}
	f, err := openText(path, m.Format)
	if err != nil {
		return err
	}
	defer f.Close()
	src, err := transforms.NewSource(f, m.Format)
	if err != nil {
		return nil // packing says what is wrong
	}
	codec, record, all, bad := transforms.NewCodec(src.Schema()), transforms.Record{}, 0, 0
	for {
		it, err := src.Next()
		switch {
		case errors.Is(err, io.EOF) && bad > 0:
			say(cmd, "warning: %d of %d records are nested too deep, or have too many values, for steps to take apart: modes with steps leave them out, or show an empty record where they draw noise", bad, all)
			return nil
		case err != nil:
			return nil //nolint:nilerr // the end, or packing says what is wrong
		case cmd.Context().Err() != nil:
			return cmd.Context().Err()
		}
		all++
		if codec.Parse(&record, it.Name, it.Raw) != nil {
			bad++
		}
		record.Free()
	}
}
