// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"

	"github.com/glovebox-dev/glovebox/broker"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/ledger"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// affected prints the runs that one of the owner's revocations concerns, beside a running broker or without one.
func affected(ctx context.Context, args []string) error {
	var which string
	s, err := settings("affected", args, func(f *flag.FlagSet) {
		f.StringVar(&which, "revocation", "", "digest of a revocation in the owner's directory")
	})
	if err != nil {
		return err
	}
	r, err := revocation(s, which)
	if err != nil {
		return err
	}
	anchor, err := anchorOf(ctx, s)
	if err != nil {
		return err
	}
	runs, l := []broker.Affected{}, s.Layout()
	err = ledger.Read(ctx, ledger.Config{Path: l.Ledger(), Head: l.Head(), Anchor: anchor}, func(t *ledger.Tx) (err error) {
		runs, err = broker.AffectedBy(t, s, r)
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // a broker that never ran has released nothing
		return err
	}
	return printJSON(runs)
}

func revocation(s *config.Config, which string) (*grant.Revocation, error) {
	files, err := config.SignedFiles(s.Layout().Revocations()) // those that can be read, beside others that cannot
	for _, signed := range files {
		if id, err := envelope.ID(signed); err != nil || id.String() != which {
			continue
		}
		v, err := grant.VerifyRevocation(signed, s.Owner)
		if err != nil {
			return nil, err
		}
		return &v.Predicate, nil
	}
	if err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%w: no revocation %q", errUsage, which)
}
