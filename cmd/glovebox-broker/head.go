// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	"github.com/glovebox-dev/glovebox/broker"
)

// head prints where a stopped broker's ledger is: what a hand-over names.
func head(ctx context.Context, args []string) error {
	s, err := settings("head", args, nil)
	if err != nil {
		return err
	}
	anchor, err := anchorOf(ctx, s)
	if err != nil {
		return err
	}
	h, err := broker.Head(ctx, s, anchor)
	if err != nil {
		return err
	}
	return printJSON(h)
}
