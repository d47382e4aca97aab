// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// newRotate is `creator rotate` and `buyer rotate`.
func newRotate(role config.Role) *cobra.Command {
	var dir, reason string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "rotate", Short: "Give the broker a fresh key that the owner endorses", Args: noArgs,
		Long: `Rotate makes a new key for the broker and signs, with the owner's key, that it speaks for the packages from now on: they
need not be packed again, and a pack that was interrupted goes on. Stop the broker first. Leases that run end as lost.

After a broker was restored from a copy, ledger and anchor together, it does the same: the signature names the ledger's head,
and says that the owner accepts this state. A rotation that was cut off is finished by asking again.`,
		Example: fmt.Sprintf("  glovebox %s rotate --dir %s --reason 'yearly rotation'", role, defaultDir(role)),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := openOwner(dir, role)
			if err != nil {
				return err
			}
			var head grant.Head
			if err := o.askVerb(cmd.Context(), &head, nil, "head"); err != nil {
				return err
			}
			h, err := config.HandOver(o.dir, head, reason, time.Now().UnixMilli())
			if err != nil {
				return err
			}
			say(cmd, "the broker has a new key; start it again. New packages name the new key, those there are go on")
			return show(cmd, asJSON, h, func(w io.Writer) {
				table(w, []string{"old", h.Old.String()}, []string{"new", h.New.String()}, []string{"from record", fmt.Sprint(h.Head.Records)})
			})
		},
	}
	dirFlag(cmd, &dir, role)
	cmd.Flags().StringVar(&reason, "reason", "rotation", "why, for the record")
	jsonFlag(cmd, &asJSON)
	return cmd
}
