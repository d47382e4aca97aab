// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/receipt"
)

// receiptView is what a receipt says, and whether a dataset's terms accept it.
type receiptView struct {
	Claims   *receipt.Claims  `json:"claims"` // null if they cannot be read
	Kid      string           `json:"kid"`
	Sale     *envelope.Digest `json:"sale"`     // what its uses are counted by
	Manifest *envelope.Digest `json:"manifest"` // whose terms it was compared with; null: nothing was verified
	Verified bool             `json:"verified"`
	Reasons  []grant.Reason   `json:"reasons"` // why not, all of them
}

func newReceipt() *cobra.Command {
	cmd := &cobra.Command{
		Use: "receipt", Short: "Look at licence receipts from a marketplace", Args: noArgs, RunE: needVerb,
	}
	cmd.AddCommand(newReceiptInspect())
	return cmd
}

func newReceiptInspect() *cobra.Command {
	var dir, host, data, manifest, buyer string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "inspect FILE", Short: "Say what a receipt says, and whether a dataset's broker will take it", Args: exactArgs(1, "one file, or - for standard input"),
		Long: `Inspect prints the claims of a receipt. With --data it fetches the dataset's manifest, or with --manifest it reads one, and
verifies the receipt against the keys and terms there, for the buyer of --dir, exactly as the dataset's broker will; every reason
against it is shown. Without either, nothing is verified.`,
		Example: "  glovebox buyer receipt inspect receipt.jwt --data MANIFEST --dir bob",
		RunE: func(cmd *cobra.Command, args []string) error {
			list, err := readReceipts(args)
			if err != nil {
				return err
			}
			var id *envelope.Digest
			var m *dataset.Manifest
			var key envelope.PublicKey
			if data != "" || manifest != "" {
				if key, err = buyerKey(dir, buyer); err != nil {
					return err
				}
				if id, m, err = receiptManifest(cmd.Context(), dir, host, data, manifest); err != nil {
					return err
				}
			}
			v, err := inspect(list[0], id, m, key, time.Now())
			if err != nil {
				return err
			}
			if err := show(cmd, asJSON, v, func(w io.Writer) { v.print(w) }); err != nil {
				return err
			}
			return v.err()
		},
	}
	f := cmd.Flags()
	dirFlag(cmd, &dir, config.Buyer)
	hostFlag(cmd, &host)
	f.StringVar(&data, "data", "", "manifest of the dataset it is for, as \"creator ls\" prints it; fetched from the host")
	f.StringVar(&manifest, "manifest", "", "file with the signed manifest; nothing is fetched")
	f.StringVar(&buyer, "buyer", "", "buyer it should be for, as did:key (default: that of --dir)")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// buyerKey is who submits the job.
func buyerKey(dir, flag string) (envelope.PublicKey, error) {
	if flag != "" {
		k, err := envelope.ParsePublicKey(flag)
		if err != nil {
			return k, usageError(err)
		}
		return k, nil
	}
	o, err := openOwner(dir, config.Buyer)
	if err != nil {
		return envelope.PublicKey{}, err
	}
	return *o.Buyer, nil
}

// receiptManifest is the manifest to compare with, verified.
func receiptManifest(ctx context.Context, dir, host, data, file string) (*envelope.Digest, *dataset.Manifest, error) {
	if data != "" && file != "" {
		return nil, nil, Errorf(KindUsage, "give one of them").because("--data and --manifest name two manifests")
	}
	if file != "" {
		b, err := readBounded(file, envelope.MaxEnvelope)
		if err != nil {
			return nil, nil, err
		}
		v, err := dataset.Verify(b)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", file, err)
		}
		return &v.ID, &v.Predicate, nil
	}
	o, err := openOwner(dir, config.Buyer)
	if err != nil {
		return nil, nil, err
	}
	h, err := o.host(host)
	if err != nil {
		return nil, nil, err
	}
	id, err := h.resolve(ctx, data)
	if err != nil {
		return nil, nil, err
	}
	_, m, err := h.manifest(ctx, id)
	return &id, m, err
}

// inspect reads a receipt, and verifies it where there is a manifest.
func inspect(compact string, id *envelope.Digest, m *dataset.Manifest, buyer envelope.PublicKey, now time.Time) (*receiptView, error) {
	v := &receiptView{Manifest: id, Reasons: []grant.Reason{}}
	r, err := receipt.Peek(compact)
	if err == nil {
		v.Claims, v.Kid, v.Sale = &r.Claims, r.Kid, &r.Sale
	}
	if m != nil {
		var want receipt.Expect
		if want, err = receipt.For(m, buyer); err != nil {
			return nil, Errorf(KindUsage, "submit without it").because("the terms of %s say access %q: they ask for no receipt", m.Name, m.Terms.Access)
		}
		_, err = receipt.Verify(compact, want, now)
		v.Verified = err == nil
	}
	if err != nil && len(receipt.Refusals(err)) == 0 {
		return nil, err
	}
	v.Reasons = append(v.Reasons, reasons(err)...)
	return v, nil
}

// reasons are the refusals in an error, as brokers write them.
func reasons(err error) []grant.Reason {
	var out []grant.Reason
	for _, r := range receipt.Refusals(err) {
		out = append(out, grant.Reason{Rule: r.Rule(), Message: r.Error(), Satisfy: r.Satisfy})
	}
	return out
}

func (v *receiptView) err() error {
	switch {
	case len(v.Reasons) > 0:
		return Errorf(KindVerify, "what would satisfy each reason is printed with it").because("this receipt would be refused")
	case v.Manifest == nil:
		return nil
	case !v.Verified:
		return errors.New("not verified")
	}
	return nil
}

func (v *receiptView) print(w io.Writer) {
	switch {
	case v.Verified:
		fmt.Fprintf(w, "VERIFIED against the terms of %s\n\n", v.Manifest)
	case len(v.Reasons) > 0:
		fmt.Fprintf(w, "REFUSED, %d reasons\n\n", len(v.Reasons))
	default:
		fmt.Fprintf(w, "NOT VERIFIED: this is what it claims; give --data or --manifest to verify it\n\n")
	}
	for _, r := range v.Reasons {
		fmt.Fprintf(w, "refused  %s (%s)\n  to satisfy it: %s\n", r.Message, r.Rule, r.Satisfy)
	}
	if len(v.Reasons) > 0 {
		fmt.Fprintln(w)
	}
	c := v.Claims
	if c == nil {
		return
	}
	rows := [][]string{
		{"issuer", c.Issuer + ", key " + v.Kid},
		{"audience", c.Audience},
		{"sale", c.ID + ", counted as " + v.Sale.String()},
		{"buyer", c.Buyer.String()},
		{"dataset", fmt.Sprintf("%s, version %d", c.Dataset, c.Version)},
		{"offer", c.Offer.String()},
		{"paid", fmt.Sprintf("%s to %s, payment %s", money(c.Amount, c.Currency), c.Payee, c.Payment)},
		{"for", fmt.Sprintf("%s, %d jobs", strings.Join(c.Scopes, ", "), c.MaxUses())},
	}
	if c.Epochs != 0 {
		rows = append(rows, []string{"epochs", fmt.Sprintf("at most %d in a job", c.Epochs)})
	}
	if c.Chunks != nil {
		rows = append(rows, []string{"chunks", fmt.Sprintf("leaves %d to %d only", c.Chunks.First, c.Chunks.First+c.Chunks.Count-1)})
	}
	for _, name := range slices.Sorted(maps.Keys(c.Attributes)) {
		rows = append(rows, []string{"states", fmt.Sprintf("%s: %s", name, strings.Join(c.Attributes[name], ", "))})
	}
	table(w, append(rows, []string{"valid", when(1000*c.NotBefore) + " to " + when(1000*c.Expires)})...)
}
