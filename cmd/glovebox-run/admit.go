// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/glovebox-dev/glovebox/cmd/glovebox-run/localrun"
	"github.com/glovebox-dev/glovebox/enclave/fuel"
	"github.com/glovebox-dev/glovebox/enclave/sandbox"
	"github.com/glovebox-dev/glovebox/enclave/wasm"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// admit says what a worker would make of a module before compiling it. Of one that is too large only the digest is taken.
func admit(ctx context.Context, in io.Reader, out io.Writer) error {
	h := sha256.New()
	in = io.TeeReader(in, h)
	var module bytes.Buffer
	if _, err := io.Copy(&module, io.LimitReader(in, sandbox.MaxModule+1)); err != nil {
		return err
	}
	rest, err := io.Copy(io.Discard, in)
	if err != nil {
		return err
	}
	a := localrun.Admission{Module: envelope.Digest(h.Sum(nil)), Costs: fuel.CostTable}
	if n := int64(module.Len()) + rest; n > sandbox.MaxModule {
		a.Refusal = fmt.Sprintf("%v: %d bytes, at most %d", wasm.ErrModule, n, sandbox.MaxModule)
		return json.NewEncoder(out).Encode(a)
	}
	admitted, err := wasm.Admit(ctx, module.Bytes())
	switch {
	case errors.Is(err, wasm.ErrModule):
		a.Refusal = err.Error()
	case err != nil:
		return err
	default:
		a.Rewritten = &admitted.Rewritten
	}
	return json.NewEncoder(out).Encode(a)
}
