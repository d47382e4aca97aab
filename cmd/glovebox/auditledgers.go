// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/attestation/usage"
)

func newLedgers() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "ledgers BUNDLE...", Short: "Compare where grants say that their brokers' ledgers were", Args: cobra.ArbitraryArgs,
		Long: `Each grant says where its broker's whole ledger was just before it. Ledgers verifies the grants of all bundles given and
compares those of each broker: a ledger that was put back to an earlier state, or that runs twice, shows as soon as two of
its grants do not go together. It needs no network and no trust file, and prints whose brokers they are; verify each bundle
too.`,
		Example: "  glovebox auditor ledgers */bundle.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return Errorf(KindUsage, "for example: glovebox auditor ledgers */bundle.json").because("give bundles to compare")
			}
			var l usage.Ledgers
			for _, path := range args {
				b, err := readInput(cmd.Context(), path, usage.MaxBundle)
				if err != nil {
					return err
				}
				l.Add(path, b)
			}
			v := l.Verdict()
			if err := show(cmd, asJSON, v, func(w io.Writer) { printLedgers(w, v) }); err != nil {
				return err
			}
			if err := v.Err(); err != nil {
				return Errorf(KindVerify, "keep the bundles named: what their brokers signed shows it to anybody").from(err)
			}
			return nil
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func printLedgers(w io.Writer, v *usage.LedgerVerdict) {
	if v.Verified {
		fmt.Fprintf(w, "VERIFIED %d grants of %d brokers\n\n", v.Grants, len(v.Brokers))
	} else {
		fmt.Fprintf(w, "REFUSED, %d findings\n\n", len(v.Findings))
	}
	for _, f := range v.Findings {
		fmt.Fprintf(w, "finding  %s\n", f)
	}
	for _, b := range v.Brokers {
		table(w, []string{"owner", b.Owner}, []string{"broker", b.Broker},
			[]string{"grants", fmt.Sprintf("%d, after %d to %d records", b.Grants, b.First, b.Last)})
	}
}
