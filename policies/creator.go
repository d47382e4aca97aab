// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"context"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

type Options struct{}

type creator struct{ digest envelope.Digest }

func (o Options) load(ctx context.Context) (*creator, error) { return nil, nil }

func (c *creator) narrow(ctx context.Context, doc ast.Value, o grant.Obligations) (Decision, error) {
	return Decision{}, nil
}
