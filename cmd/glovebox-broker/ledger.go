// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"flag"
	"fmt"
	"time"

	"github.com/glovebox-dev/glovebox/broker"
)

const (
	defaultForecastDays = 30
	maxForecastDays     = 3650
)

// showLedger prints what the ledger says, beside a running broker or without one.
func showLedger(ctx context.Context, args []string) error {
	days := int64(defaultForecastDays)
	s, err := settings("ledger", args, func(f *flag.FlagSet) {
		f.Int64Var(&days, "days", defaultForecastDays, "days that the forecast rests on")
		f.Bool("json", true, "print JSON, as always")
	})
	if err != nil {
		return err
	}
	if days < 1 || days > maxForecastDays {
		return fmt.Errorf("%w: --days 1 to %d", errUsage, maxForecastDays)
	}
	anchor, err := anchorOf(ctx, s)
	if err != nil {
		return err
	}
	r, err := broker.Report(ctx, s, anchor, time.Now().UnixMilli(), days)
	if err != nil {
		return err
	}
	return printJSON(r)
}
