// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	"github.com/glovebox-dev/glovebox/cmd/glovebox-run/localtx"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/tx"
)

// maxModuleFile bounds a module that is read from a file; the engine's own limit is lower.
const maxModuleFile = 64 << 20

// readModules reads modules by the digests that steps name them by.
func readModules(paths []string) (map[envelope.Digest][]byte, error) {
	out := map[envelope.Digest][]byte{}
	for _, p := range paths {
		b, err := readBounded(p, maxModuleFile)
		if err != nil {
			return nil, err
		}
		out[envelope.Sum(b)] = b
	}
	return out, nil
}

// startModule runs modules of steps at ingest: in glovebox-run, in the same sandbox as in an enclave.
func startModule(modules map[envelope.Digest][]byte, env *transforms.Env) func(context.Context, *dataset.Step, transforms.Schema) (transforms.Module, error) {
	return func(ctx context.Context, s *dataset.Step, in transforms.Schema) (transforms.Module, error) {
		module, ok := modules[s.Digest]
		if !ok {
			return nil, Errorf(KindUsage, "give the module's file with --module").because("no module with digest %s", s.Digest)
		}
		path, err := companion("glovebox-run")
		if err != nil {
			return nil, err
		}
		lent, err := tx.Lend(s, env.Keys, env.Noise)
		if err != nil {
			return nil, err
		}
		return localtx.Module(ctx, path, s, module, in, lent)
	}
}
