// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// affectedRun is one run that a revocation concerns, as glovebox-broker tells it.
type affectedRun struct {
	Manifest envelope.Digest    `json:"manifest"`
	Package  string             `json:"package"`
	Job      envelope.Digest    `json:"job"`
	Grant    envelope.Digest    `json:"grant"`
	Buyer    envelope.PublicKey `json:"buyer"`
	Code     envelope.Digest    `json:"code"`
	Attempt  int                `json:"attempt"`
	State    string             `json:"state"`
	Usage    *envelope.Digest   `json:"usage"`
	Result   *envelope.Digest   `json:"result"`
	Outputs  []string           `json:"outputs"`
	Records  int64              `json:"records"`
	Time     int64              `json:"time"`
}

type affectedReport struct {
	Revocation envelope.Digest `json:"revocation"`
	Reason     string          `json:"reason"`
	Runs       []affectedRun   `json:"runs"`
	Notices    []string        `json:"notices,omitempty"` // files written
}

func newAffected() *cobra.Command {
	var dir, notices, action string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "affected [REVOCATION]", Short: "List the jobs and models that a revocation concerns", Args: atMostOne("one revocation"),
		Long: `Affected lists the runs that had leave to read what was revoked: what still runs, what finished and what left with it, from
the usage attestations that this creator's broker committed. REVOCATION is the digest that revoke printed, or its
beginning; without it, the last one.

With --notices DIR it signs a notice for each result that left, to be sent to its buyer, who verifies it with: glovebox buyer notice`,
		Example: "  glovebox creator affected --dir alice --notices letters --action retrain",
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := openOwner(dir, config.Creator)
			if err != nil {
				return err
			}
			id, r, err := o.findRevocation(strings.Join(args, ""))
			if err != nil {
				return err
			}
			report := affectedReport{Revocation: id, Reason: r.Reason}
			if err := o.askVerb(cmd.Context(), &report.Runs, nil, "affected", "--revocation", id.String()); err != nil {
				return err
			}
			if notices != "" {
				if report.Notices, err = o.notify(&report, notices, action); err != nil {
					return err
				}
			}
			return show(cmd, asJSON, &report, report.write)
		},
	}
	dirFlag(cmd, &dir, config.Creator)
	cmd.Flags().StringVar(&notices, "notices", "", "folder to write a signed notice into for each result")
	cmd.Flags().StringVar(&action, "action", grant.NoticeStop, "what a notice asks for: stop-using, delete or retrain")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// findRevocation reads the one that begins with prefix, else the last. One that is named is found beside others that cannot
// be read; which was the last, nobody knows then.
func (o *owner) findRevocation(prefix string) (id envelope.Digest, r *grant.Revocation, err error) {
	files, err := config.SignedFiles(o.layout.Revocations())
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	prefix = strings.TrimPrefix(prefix, "sha256:")
	found := 0
	for _, signed := range files {
		v, verr := grant.VerifyRevocation(signed, o.Owner)
		if verr != nil {
			err = errors.Join(err, verr)
			continue
		}
		if !strings.HasPrefix(v.ID.Hex(), prefix) {
			continue
		}
		found++
		if r == nil || v.Predicate.Time > r.Time {
			id, r = v.ID, &v.Predicate
		}
	}
	switch {
	case err != nil && (found != 1 || prefix == ""):
		return id, nil, err
	case found == 0:
		return id, nil, Errorf(KindUsage, "revoke something first: glovebox creator revoke --dir %s", o.dir).because("no revocation %s in %s", prefix, o.dir)
	case found > 1 && prefix != "":
		return id, nil, Errorf(KindUsage, "give more of its digest").because("%d revocations begin with %s", found, prefix)
	}
	return id, r, nil
}

// notify signs a notice for every result that left, each into a file of its own. What is there already is left alone.
func (o *owner) notify(report *affectedReport, dir, action string) ([]string, error) {
	key, err := o.signer(o.layout.OwnerKey(), envelope.RoleOwner)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	var out []string
	for _, run := range report.Runs {
		if run.Usage == nil || run.Result == nil {
			continue
		}
		path := filepath.Join(dir, run.Usage.Hex()[:16]+"-"+run.Manifest.Hex()[:8]+"-"+action+".dsse")
		if _, err := os.Stat(path); err == nil {
			out = append(out, path)
			continue
		}
		signed, _, err := grant.Sign(&grant.Notice{
			Revocation: report.Revocation, Job: run.Job, Manifest: run.Manifest, Buyer: run.Buyer, Usage: *run.Usage, Result: *run.Result,
			Action: action, Reason: report.Reason, Time: time.Now().UnixMilli(),
		}, key)
		if errors.Is(err, grant.ErrInvalid) {
			return nil, Errorf(KindUsage, "use --action stop-using, delete or retrain").from(err)
		}
		if err == nil {
			err = config.WriteFile(path, signed)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, path)
	}
	return out, nil
}

func (r *affectedReport) write(w io.Writer) {
	fmt.Fprintf(w, "revocation %s: %s\n", r.Revocation, r.Reason)
	if len(r.Runs) == 0 {
		fmt.Fprintln(w, "no run had leave to read what was revoked")
		return
	}
	rows := [][]string{{"STATE", "PACKAGE", "JOB", "BUYER", "RECORDS", "RESULT", "FILES"}}
	for _, a := range r.Runs {
		result := "none"
		if a.Result != nil {
			result = a.Result.Hex()[:16]
		}
		rows = append(rows, []string{a.State, a.Package, a.Job.Hex()[:16], a.Buyer.String(), strconv.FormatInt(a.Records, 10), result, strings.Join(a.Outputs, " ")})
	}
	table(w, rows...)
	for _, n := range r.Notices {
		fmt.Fprintln(w, "notice:", n)
	}
}

// newNotice is the buyer's side: what an owner asks of her, and whether it is that owner who asks.
func newNotice() *cobra.Command {
	var owner string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "notice FILE", Short: "Verify and show an owner's notice about a result", Args: exactArgs(1, "a notice"),
		Example: "  glovebox buyer notice 0a1b2c3d-retrain.dsse --owner did:key:z...",
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := envelope.ParsePublicKey(owner)
			if err != nil {
				return Errorf(KindUsage, "give the key of the manifest's owner as --owner did:key:z...").from(err)
			}
			signed, err := readSmall(args[0])
			if err != nil {
				return err
			}
			v, err := grant.VerifyNotice(signed, key)
			if err != nil {
				return err
			}
			n := &v.Predicate
			return show(cmd, asJSON, n, func(w io.Writer) {
				fmt.Fprintf(w, "VERIFIED  the owner of %s asks to %s\n", n.Manifest, n.Action)
				table(w, []string{"reason", n.Reason}, []string{"job", n.Job.String()}, []string{"usage", n.Usage.String()}, []string{"result", n.Result.String()},
					[]string{"time", time.UnixMilli(n.Time).UTC().Format(time.RFC3339)})
			})
		},
	}
	cmd.Flags().StringVar(&owner, "owner", "", "key of the dataset's owner, as did:key (required)")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// readSmall reads a signed statement that is small.
func readSmall(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, grant.MaxSmallMessage+1))
	if err == nil && len(b) > grant.MaxSmallMessage {
		err = fmt.Errorf("%w: %s", envelope.ErrTooLarge, path)
	}
	return b, err
}
