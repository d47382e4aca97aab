// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/redact"
)

// maxRevealed bounds a text that is read whole.
const maxRevealed = 256 << 20

func newReveal() *cobra.Command {
	var dir, input, format string
	cmd := &cobra.Command{
		Use: "reveal PACKAGE", Short: "Put back what the step \"redact\" encrypted in a text", Args: exactArgs(1, "one package"),
		Long: `Reveal reads a text that has tokens of the operator "encrypt" in it, from a job's result or from the dataset, and writes it with
what they stand for; with a token that is not of this dataset, or was changed, it does the rest and exits with 4. Only who holds the package's data key can: it is unwrapped from the creator's directory for this. What other operators
did cannot be undone.`,
		Example: "  glovebox creator transform reveal letters --dir alice --format jsonl < result.jsonl",
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := openOwner(dir, config.Creator)
			if err != nil {
				return err
			}
			p, err := o.find(args[0])
			if err != nil {
				return err
			}
			keys, wipe, err := o.transformKeys(cmd.Context(), p)
			if err != nil {
				return err
			}
			defer wipe()
			v, err := redact.NewRevealer(keys)
			if err != nil {
				return err
			}
			if err := reveal(cmd, v, input, format); err != nil {
				return err
			}
			say(cmd, "%d put back", v.Revealed)
			if v.Unread > 0 {
				return Errorf(KindVerify, "they stay in the output as they are; name the package whose records they were made of").
					because("%d tokens are not of this dataset, or were changed", v.Unread)
			}
			return nil
		},
	}
	dirFlag(cmd, &dir, config.Creator)
	cmd.Flags().StringVar(&input, "input", "-", "file to read; - is standard input")
	cmd.Flags().StringVar(&format, "format", "text", "text, csv or jsonl: in the last two, what is put back is quoted as it must be")
	return cmd
}

// reveal writes the input with what was sealed in it.
func reveal(cmd *cobra.Command, v *redact.Revealer, input, format string) error {
	switch f := dataset.Format(format); f {
	case formatText:
		text, err := readBounded(input, maxRevealed)
		if err != nil {
			return err
		}
		_, err = cmd.OutOrStdout().Write(v.Text(nil, text))
		return err
	case dataset.FormatCSV, dataset.FormatJSONL:
		in := os.Stdin
		if input != "-" {
			file, err := os.Open(input)
			if err != nil {
				return Errorf(KindUsage, "check the path").from(err)
			}
			defer file.Close()
			in = file
		}
		return revealRecords(cmd, v, in, f)
	}
	return Errorf(KindUsage, "use --format text, csv or jsonl").because("unknown format %q", format)
}

func revealRecords(cmd *cobra.Command, v *redact.Revealer, in io.Reader, f dataset.Format) error {
	src, err := transforms.NewSource(in, f)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(cmd.OutOrStdout())
	w := transforms.NewWriter(out, src.Schema())
	codec, rec := transforms.NewCodec(src.Schema()), transforms.Record{}
	for {
		it, err := src.Next()
		if errors.Is(err, io.EOF) {
			return errors.Join(w.Begin(), out.Flush())
		}
		if err == nil {
			err = codec.Parse(&rec, it.Name, it.Raw)
		}
		if err == nil {
			v.Record(&rec)
			it.Raw = rec.Append(nil)
			err = w.Write(it)
		}
		if err != nil {
			return errors.Join(err, out.Flush())
		}
	}
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
	keys, err = keysOutsideGrants(secret)
	return keys, func() { clear(secret) }, err
}

// keysOutsideGrants are a package's keys where there is no grant: those of a grant are keys that nobody else ever has.
func keysOutsideGrants(secret []byte) (*transforms.PackageKeys, error) {
	var grant envelope.Digest
	rand.Read(grant[:]) //nolint:errcheck // never fails since Go 1.24
	return transforms.NewPackageKeys(secret, grant)
}
