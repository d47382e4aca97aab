// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"errors"
	"fmt"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/ledger"
	"github.com/glovebox-dev/glovebox/policies"
)

// LoadPolicy compiles the rules of this build together with the owner's own, as her broker.json says.
func LoadPolicy(ctx context.Context, c *config.Config) (*policies.Engine, error) {
	o := policies.Options{}
	var err error
	if o.Creator, err = c.PolicyFolder(); err != nil {
		return nil, err
	}
	if p := c.Policy; p != nil && p.Bundle != "" {
		o.Bundle = &policies.Bundle{Scope: p.Scope, MinRevision: p.MinRevision}
		if o.Bundle.Content, o.Bundle.Key, err = c.PolicyBundle(policies.MaxBundle); err != nil {
			return nil, err
		}
	}
	return policies.Load(ctx, o)
}

// keepRevision refuses a bundle older than one that this broker has run with, and remembers a newer one. No bundle is older
// than any: whoever edits broker.json must not thereby lift the rules that the fleet signed.
func (b *Broker) keepRevision(ctx context.Context) error {
	revision := b.policy.Revision()
	return b.ledger.Update(ctx, func(t *ledger.Tx) error {
		highest, err := t.Meta(ledger.MetaPolicy)
		switch {
		case err != nil && !errors.Is(err, ledger.ErrNotFound):
			return err
		case revision == 0 && highest == 0:
			return nil
		case revision == 0:
			return fmt.Errorf("%w: none is named, and this broker ran with revision %d before; name one of at least that revision in broker.json; "+
				"to run without rules, sign a later one whose rules deny nothing", policies.ErrBundle, highest)
		case revision < highest:
			return fmt.Errorf("%w: revision %d, this broker ran with %d before", policies.ErrBundle, revision, highest)
		case revision == highest:
			return nil
		}
		return t.SetMeta(ledger.MetaPolicy, revision)
	})
}
