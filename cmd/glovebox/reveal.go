// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/rand"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/redact"
)

// maxRevealed bounds a text that is read whole.
const maxRevealed = 256 << 20

func newReveal() *cobra.Command {
	var dir, input string
	cmd := &cobra.Command{
		Use: "reveal PACKAGE", Short: "Put back what the step \"redact\" encrypted in a text", Args: exactArgs(1, "one package"),
		Long: `Reveal reads a text that has tokens of the operator "encrypt" in it, from a job's result or from the dataset, and writes it with
what they stand for. Only who holds the package's data key can: it is unwrapped from the creator's directory for this. What other operators
did cannot be undone.`,
		Example: "  glovebox creator transform reveal letters --dir alice < result.jsonl",
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := openOwner(dir, config.Creator)
			if err != nil {
				return err
			}
			p, err := o.find(args[0])
			if err != nil {
				return err
			}
			text, err := readBounded(input, maxRevealed)
			if err != nil {
				return err
			}
			keys, wipe, err := o.transformKeys(cmd.Context(), p)
			if err != nil {
				return err
			}
			defer wipe()
			out, revealed, unread, err := redact.Reveal(keys, text)
			if err != nil {
				return err
			}
			if _, err := cmd.OutOrStdout().Write(out); err != nil {
				return err
			}
			say(cmd, "%d put back", revealed)
			if unread > 0 {
				say(cmd, "%d tokens are not of this dataset, or were changed", unread)
			}
			return nil
		},
	}
	dirFlag(cmd, &dir, config.Creator)
	cmd.Flags().StringVar(&input, "input", "-", "file to read; - is standard input")
	return cmd
}

// transformKeys are the keys of a package's steps, until wipe.
func (o *owner) transformKeys(ctx context.Context, p *config.Package) (keys transforms.Keys, wipe func(), err error) {
	kh, closeIt, err := o.keyholder(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer closeIt()
	wrapped, err := o.WrappedKey(p.ID)
	if err != nil {
		return nil, nil, err
	}
	secret, err := kh.Unwrap(ctx, keyholder.Context(p.ID), wrapped)
	if err != nil {
		return nil, nil, err
	}
	var grant envelope.Digest
	rand.Read(grant[:]) //nolint:errcheck // never fails since Go 1.24
	k, err := transforms.NewPackageKeys(secret, grant)
	return k, func() { clear(secret) }, err
}
