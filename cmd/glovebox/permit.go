// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/ledger/report"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// permitView is a permit as `creator permit ls` shows it.
type permitView struct {
	ID       envelope.Digest     `json:"id"`
	State    string              `json:"state"` // "standing", "expired" or "revoked"
	Dataset  envelope.PackageID  `json:"dataset"`
	Package  string              `json:"package"` // name of its latest version here; "" if there is none
	Code     *envelope.Digest    `json:"code"`
	Buyer    *envelope.PublicKey `json:"buyer"`
	MinPrice int64               `json:"minPrice"`
	Currency string              `json:"currency"`
	Count    int64               `json:"count"`
	NotAfter int64               `json:"notAfter"`
	Used     *int64              `json:"used"` // jobs so far; null where the ledger cannot be read
}

func newPermit() *cobra.Command {
	cmd := &cobra.Command{
		Use: "permit", Short: "Give counted permission to use a dataset", Args: noArgs, RunE: needVerb,
		Long: `A permit lets a buyer use a dataset whose terms say access "permit": so many jobs, by that buyer and with that code if it
names them, until it expires. It narrows the terms and never widens them.`,
	}
	cmd.AddCommand(newPermitAdd(), newPermitList(), newPermitRevoke())
	return cmd
}

func newPermitAdd() *cobra.Command {
	var dir, data, code, buyer, price string
	var count int64
	var valid time.Duration
	var asJSON bool
	cmd := &cobra.Command{
		Use: "add", Short: "Sign a permit for so many jobs", Args: noArgs,
		Long: `Add signs a permit and stores it for the broker. Leave out --buyer or --code to say: any that the terms allow. --min-price is
the least that a job must be ready to pay for this dataset, where that is more than the terms ask.`,
		Example: "  glovebox creator permit add --dataset scans --buyer did:key:z... --count 3 --valid 720h --dir alice",
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := openOwner(dir, config.Creator)
			if err != nil {
				return err
			}
			p, err := o.permit(data, code, buyer, price, count, time.Now().Add(valid))
			if err != nil {
				return err
			}
			id, err := config.AddPermit(o.dir, p)
			if errors.Is(err, grant.ErrInvalid) {
				return Errorf(KindUsage, "give a --count of 1 or more and a --valid that ends in the future").from(err)
			}
			if err != nil {
				return err
			}
			say(cmd, "permitted; take it back with: glovebox creator permit revoke %s --dir %s", short(id.String()), dir)
			return show(cmd, asJSON, map[string]any{"permit": id}, func(w io.Writer) { fmt.Fprintln(w, id) })
		},
	}
	f := cmd.Flags()
	dirFlag(cmd, &dir, config.Creator)
	f.StringVar(&data, "dataset", "", "package that may be used, in all versions: name, or digest of one of its manifests (required)")
	f.StringVar(&code, "code", "", "code package that may run, by its manifest's digest (default: any that the terms allow)")
	f.StringVar(&buyer, "buyer", "", "who may submit the job, as did:key (default: any that the terms allow)")
	f.StringVar(&price, "min-price", "0", "least that a job must be ready to pay for the dataset, in its currency")
	f.Int64Var(&count, "count", 1, "how many jobs")
	f.DurationVar(&valid, "valid", 30*24*time.Hour, "for how long")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// permit is what the flags say, for a dataset that asks for permits.
func (o *owner) permit(data, code, buyer, price string, count int64, until time.Time) (*grant.Permit, error) {
	if data == "" {
		return nil, Errorf(KindUsage, "see what there is with: %s", o.listCommand()).because("say which --dataset may be used")
	}
	id, err := o.datasetNamed(data)
	if err != nil {
		return nil, err
	}
	latest, err := o.latestOf(*id)
	if err != nil {
		return nil, err
	}
	if latest.Terms.Access != dataset.AccessPermit {
		return nil, Errorf(KindUsage, "say access: permit in its terms, and pack a new version").
			because("the terms of %s say access %q: a permit would change nothing", latest.Name, latest.Terms.Access)
	}
	p := &grant.Permit{ID: envelope.NewNonce(), Dataset: *id, Count: count, NotAfter: until.Unix()}
	if !until.After(time.Now()) {
		return nil, Errorf(KindUsage, "write it like --valid 720h").because("a permit that ended before it began")
	}
	if p.MinPrice, err = parseMoney(price); err != nil {
		return nil, err
	}
	if code != "" {
		d, err := parseDigest(code)
		if err != nil {
			return nil, err
		}
		p.Code = &d
	}
	if buyer != "" {
		k, err := envelope.ParsePublicKey(buyer)
		if err != nil {
			return nil, usageError(err)
		}
		p.Buyer = &k
	}
	return p, nil
}

// latestOf is the latest version of a dataset in the directory.
func (o *owner) latestOf(id envelope.PackageID) (*dataset.Manifest, error) {
	list, err := config.ListPackages(o.dir)
	if err != nil {
		return nil, err
	}
	var latest *dataset.Manifest
	for _, p := range list {
		if p.Manifest.Dataset == id && (latest == nil || p.Manifest.Version > latest.Version) {
			latest = p.Manifest
		}
	}
	return latest, nil
}

func newPermitList() *cobra.Command {
	var dir string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "ls", Short: "List the permits that were signed", Args: noArgs,
		Long: "Ls shows every permit that this directory's owner signed, how often each was used, and how often it still can be.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := openOwner(dir, config.Creator)
			if err != nil {
				return err
			}
			list, err := o.permits(time.Now())
			if err != nil {
				return err
			}
			var r report.Report
			if err := o.askVerb(cmd.Context(), &r, nil, "ledger"); err != nil {
				say(cmd, "how often they were used is not known: %v", err)
			} else {
				usedIn(list, &r)
			}
			return show(cmd, asJSON, list, func(w io.Writer) { printPermits(w, list) })
		},
	}
	dirFlag(cmd, &dir, config.Creator)
	jsonFlag(cmd, &asJSON)
	return cmd
}

// usedIn tells permits how often they were used.
func usedIn(list []permitView, r *report.Report) {
	used := map[envelope.Digest]int64{}
	for _, p := range r.Permits {
		used[p.ID] = p.Used
	}
	for i := range list {
		list[i].Used = new(used[list[i].ID])
	}
}

// permits lists the directory's permits, those that end last first.
func (o *owner) permits(now time.Time) ([]permitView, error) {
	list, err := config.ListPermits(o.dir, o.Owner)
	if err != nil {
		return nil, err
	}
	revoked, err := o.revokedPermits()
	if err != nil {
		return nil, err
	}
	out := []permitView{}
	for _, v := range list {
		p := &v.Predicate
		view := permitView{v.ID, "standing", p.Dataset, "", p.Code, p.Buyer, p.MinPrice, "", p.Count, p.NotAfter, nil}
		switch {
		case revoked[v.ID]:
			view.State = "revoked"
		case now.Unix() > p.NotAfter:
			view.State = "expired"
		}
		m, err := o.latestOf(p.Dataset)
		if err != nil {
			return nil, err
		}
		if m != nil {
			view.Package, view.Currency = m.Name, m.Terms.Price.Currency
		}
		out = append(out, view)
	}
	slices.SortStableFunc(out, func(a, b permitView) int { return int(min(1, max(-1, b.NotAfter-a.NotAfter))) })
	return out, nil
}

// revokedPermits are the permits that the directory's revocations end.
func (o *owner) revokedPermits() (map[envelope.Digest]bool, error) {
	files, err := config.SignedFiles(o.layout.Revocations())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	out := map[envelope.Digest]bool{}
	for _, signed := range files {
		r, err := grant.VerifyRevocation(signed, o.Owner)
		if err != nil {
			return nil, fmt.Errorf("revocation: %w", err)
		}
		if r.Predicate.Permit != nil {
			out[*r.Predicate.Permit] = true
		}
	}
	return out, nil
}

func printPermits(w io.Writer, list []permitView) {
	if len(list) == 0 {
		fmt.Fprintln(w, "no permits; sign one with: glovebox creator permit add --dataset NAME --count 1")
		return
	}
	rows := [][]string{{"PERMIT", "STATE", "DATASET", "JOBS", "USED", "LEFT", "BUYER", "CODE", "PAYS AT LEAST", "UNTIL"}}
	for _, p := range list {
		buyer, code, price, name := "any", "any", "as the terms say", p.Package
		used, left := "?", "?"
		if p.Used != nil {
			used, left = fmt.Sprint(*p.Used), fmt.Sprint(max(0, p.Count-*p.Used))
		}
		if p.State != "standing" {
			left = "0"
		}
		if p.Buyer != nil {
			buyer = p.Buyer.String()
		}
		if p.Code != nil {
			code = short(p.Code.String())
		}
		if p.MinPrice > 0 {
			price = money(p.MinPrice, p.Currency)
		}
		if name == "" {
			name = p.Dataset.String()
		}
		rows = append(rows, []string{short(p.ID.String()), p.State, name, fmt.Sprint(p.Count), used, left, buyer, code, price, when(1000 * p.NotAfter)})
	}
	table(w, rows...)
}

func newPermitRevoke() *cobra.Command {
	var dir, reason string
	var all bool
	cmd := &cobra.Command{
		Use: "revoke [PERMIT]", Short: "End one permit, or all of them", Args: atMostOne("one permit"),
		Long: `Revoke ends a permit, given by its digest or the beginning of it, or with --all every one that stands. A job that runs on it
stops. It is not undone: sign another permit instead.`,
		Example: "  glovebox creator permit revoke --all --reason 'end of the trial' --dir alice",
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := openOwner(dir, config.Creator)
			if err != nil {
				return err
			}
			ids, err := o.permitsToEnd(args, all)
			if err != nil {
				return err
			}
			for _, id := range ids {
				if _, err := config.AddRevocation(o.dir, &grant.Revocation{Permit: &id, Reason: reason, Time: time.Now().UnixMilli()}); err != nil {
					return err
				}
				fmt.Fprintln(cmd.OutOrStdout(), id)
			}
			say(cmd, "revoked %d; a running broker stops what they concern within a second", len(ids))
			return nil
		},
	}
	dirFlag(cmd, &dir, config.Creator)
	cmd.Flags().BoolVar(&all, "all", false, "every permit that stands")
	cmd.Flags().StringVar(&reason, "reason", "withdrawn by the owner", "why, for the record")
	return cmd
}

// permitsToEnd are the standing permits that are meant: one by its digest, or all.
func (o *owner) permitsToEnd(args []string, all bool) ([]envelope.Digest, error) {
	if (len(args) == 1) == all {
		return nil, Errorf(KindUsage, "see them with: glovebox creator permit ls --dir %s", o.dir).because("give one permit, or --all")
	}
	list, err := o.permits(time.Now())
	if err != nil {
		return nil, err
	}
	var out []envelope.Digest
	for _, p := range list {
		if p.State == "standing" && (all || len(args[0]) >= 4 && strings.HasPrefix(p.ID.Hex(), strings.TrimPrefix(args[0], "sha256:"))) {
			out = append(out, p.ID)
		}
	}
	switch {
	case !all && len(out) == 0:
		return nil, Errorf(KindUsage, "see them with: glovebox creator permit ls --dir %s", o.dir).because("no standing permit %q", args[0])
	case !all && len(out) > 1:
		return nil, Errorf(KindUsage, "give more of its digest").because("%d permits match %q", len(out), args[0])
	}
	return out, nil
}
