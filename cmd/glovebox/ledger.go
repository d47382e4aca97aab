// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/ledger/report"
	"github.com/glovebox-dev/glovebox/internal/dataset"
)

const shownJobs = 20

func newLedger() *cobra.Command {
	var dir string
	var days int64
	var asJSON, all bool
	cmd := &cobra.Command{
		Use: "ledger", Short: "Show what was spent, by whom and for what, and what remains", Args: noArgs,
		Long: `Ledger shows what the broker of this directory has counted: uses, money and privacy for each package, buyer and population,
what each job read, and until when the rest lasts at the rate of the last days. It reads beside a running broker.

A commit is marked unwitnessed if it does not prove that witnesses of the log had seen the release (glovebox creator log).
Money that is held belongs to runs that have not ended. Leaves "unheard" went to runs that never reported: that many were
delivered at most. Where the enclave adds noise, each lease is shown with what was done to the data and the ε of that alone. With --all each job has the grant of its last lease, which revoke --grant ends. An ε marked "conditional"
holds only for what raw access before it did not reveal.`,
		Example: "  glovebox creator ledger --dir alice",
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := openOwner(dir, config.Creator)
			if err != nil {
				return err
			}
			var r report.Report
			if err := o.askVerb(cmd.Context(), &r, nil, "ledger", "--days", strconv.FormatInt(days, 10)); err != nil {
				return err
			}
			return show(cmd, asJSON, r, func(w io.Writer) { showReport(w, &r, all) })
		},
	}
	f := cmd.Flags()
	dirFlag(cmd, &dir, config.Creator)
	f.Int64Var(&days, "days", 30, "days that the forecasts rest on")
	f.BoolVar(&all, "all", false, fmt.Sprintf("show every job, not only the last %d, and their grants", shownJobs))
	jsonFlag(cmd, &asJSON)
	return cmd
}

func showReport(w io.Writer, r *report.Report, all bool) {
	fmt.Fprintf(w, "ledger of %d records, as of %s\n", r.Records, when(r.Time))
	showAccounts(w, r)
	showPopulations(w, r)
	showSpends(w, r, all)
	showJobs(w, r, all)
}

func showAccounts(w io.Writer, r *report.Report) {
	rows := [][]string{{"PACKAGE", "VERSION", "USES", "LEFT", "EARNED", "HELD", "RECORDS", "READ", "UNHEARD", "LASTS"}}
	buyers := [][]string{{"PACKAGE", "BUYER", "USES", "LEFT", "EARNED", "HELD", "RECORDS", "READ", "UNHEARD"}}
	for _, p := range r.Packages {
		name := cmp.Or(p.Name, short(p.Manifest.String()))
		rows = append(rows, append([]string{name, fmt.Sprint(p.Version), fmt.Sprintf("%d of %d", p.Uses, p.MaxUses), fmt.Sprint(p.UsesLeft)},
			append(tallyCells(&p.Tally, p.Currency), lasts(p.Forecast, r.Time))...))
		for _, b := range p.Buyers {
			uses := fmt.Sprint(b.Uses)
			if b.MaxUses > 0 {
				uses = fmt.Sprintf("%d of %d", b.Uses, b.MaxUses)
			}
			buyers = append(buyers, append([]string{name, b.Buyer.String(), uses, fmt.Sprint(b.UsesLeft)}, tallyCells(&b.Tally, p.Currency)...))
		}
	}
	fmt.Fprintln(w)
	table(w, rows...)
	if len(buyers) > 1 {
		fmt.Fprintln(w)
		table(w, buyers...)
	}
}

func tallyCells(t *report.Tally, currency string) []string {
	return []string{money(t.Charged, currency), money(t.Reserved, currency), fmt.Sprint(t.Records), byteSize(t.Bytes), fmt.Sprint(t.Unheard)}
}

func showPopulations(w io.Writer, r *report.Report) {
	if len(r.Populations) == 0 {
		return
	}
	rows := [][]string{{"POPULATION", "BUYER", "RELEASES", "WITHOUT DP", "EPSILON", "CAP", "LEFT", "LABEL", "LASTS"}}
	for _, p := range r.Populations {
		label := "unconditional"
		if p.Conditional {
			label = "conditional"
		}
		rows = append(rows, []string{
			fmt.Sprintf("%s (%s, %s, delta %s)", p.Name, p.Unit, p.Adjacency, fraction(p.Delta, 12)), "all", fmt.Sprint(p.Releases),
			fmt.Sprint(p.Unbounded), epsilon(p.Epsilon, p.Unbounded), budget(p.Cap, p.Cap), budget(p.Cap, p.Left), label, lasts(p.Forecast, r.Time),
		})
		for _, b := range p.Buyers {
			rows = append(rows, []string{
				p.Name, b.Buyer.String(), fmt.Sprint(b.Releases), fmt.Sprint(b.Unbounded), epsilon(b.Epsilon, b.Unbounded),
				budget(b.Cap, b.Cap), budget(b.Cap, b.Left), label, "",
			})
		}
	}
	fmt.Fprintln(w)
	table(w, rows...)
}

// showSpends tells of each lease in a mode with noise of the enclave's what was done to the data, and what that reveals alone.
// Together they reveal less than the sum: the account composes them.
func showSpends(w io.Writer, r *report.Report, all bool) {
	for i := range r.Populations {
		p := &r.Populations[i]
		list, left := p.Spends, 0
		if !all && len(list) > shownJobs {
			left = len(list) - shownJobs
			list = list[left:]
		}
		if len(list) == 0 {
			continue
		}
		fmt.Fprintf(w, "\nspent on %s, each lease by itself:\n", p.Name)
		for k := range list {
			showSpend(w, &list[k])
		}
		if left > 0 {
			fmt.Fprintf(w, "%d earlier ones; all of them with --all\n", left)
		}
	}
}

func showSpend(w io.Writer, s *report.Spend) {
	fmt.Fprintf(w, "  %s job %s, %s, %s: ", when(s.Time), short(s.Job.String()), s.Mode, s.State)
	if len(s.Mechanisms) == 0 {
		fmt.Fprintln(w, "nothing")
		return
	}
	fmt.Fprintf(w, "epsilon %s at delta %s (%s), of one %s, %s\n", fraction(s.Epsilon, 6), fraction(s.Delta, 12), s.Accountant, s.Unit, s.Adjacency)
	for i := range s.Mechanisms {
		fmt.Fprintf(w, "    %s\n", usage.Words(&s.Mechanisms[i]))
	}
	if s.Unit == dataset.UnitContributor {
		fmt.Fprintf(w, "    at most %d records of one contributor counted\n", s.Contributions)
	}
	fmt.Fprintf(w, "    rests on %s: %s\n", s.Isolation, usage.RestsOn(s.Isolation))
}

func showJobs(w io.Writer, r *report.Report, all bool) {
	jobs, left := r.Jobs, 0
	if !all && len(jobs) > shownJobs {
		left = len(jobs) - shownJobs
		jobs = jobs[left:]
	}
	if len(jobs) == 0 {
		return
	}
	rows := [][]string{{"SINCE", "PACKAGE", "JOB", "BUYER", "PURPOSE", "STATE", "ATTEMPTS", "COUNTS", "EARNED", "RECORDS", "COMMIT"}}
	if all {
		rows[0] = append(rows[0], "GRANT") // whole, as revoke --grant wants it
	}
	for _, j := range jobs {
		counts := "no"
		if j.Used || j.Live {
			counts = "yes"
		}
		row := []string{
			when(j.First), cmp.Or(j.Name, short(j.Manifest.String())), short(j.Job.String()), shortKey(j.Buyer.String()), cmp.Or(j.Purpose, "-"), j.State,
			fmt.Sprint(j.Attempts), counts, money(j.Charged, j.Currency), fmt.Sprint(j.Records), committed(&j),
		}
		if all {
			row = append(row, j.Grant.String())
		}
		rows = append(rows, row)
	}
	fmt.Fprintln(w)
	table(w, rows...)
	if left > 0 {
		fmt.Fprintf(w, "%d earlier jobs; all of them with --all\n", left)
	}
}

// committed says whether a job's commits prove that witnesses had seen the release.
func committed(j *report.Job) string {
	switch {
	case j.Commits == 0:
		return "-"
	case j.Unwitnessed == 0:
		return "witnessed"
	case j.Unwitnessed == j.Commits:
		return "unwitnessed"
	}
	return fmt.Sprintf("unwitnessed: %d of %d", j.Unwitnessed, j.Commits)
}

// shortKey is the end of a did:key, where keys differ.
func shortKey(k string) string { return "…" + k[max(0, len(k)-8):] }

// lasts is the day until which something lasts, or why there is none.
func lasts(f report.Forecast, now int64) string {
	if !f.Known || f.Until <= now {
		return f.Why
	}
	return "until " + when(f.Until)[:len("2006-01-02")]
}

// epsilon is what all releases together may have told, without bound where one of them had none, and then what the others
// told.
func epsilon(e *int64, unbounded int64) string {
	holds := "none holds"
	if e != nil {
		holds = fraction(*e, 6)
	}
	switch {
	case unbounded == 0:
		return holds
	case e != nil && *e == 0:
		return "∞"
	}
	return "∞ (others: " + holds + ")"
}

// budget is v where there is a cap. Caps are of releases with an ε only.
func budget(limit, v int64) string {
	if limit == 0 {
		return "none"
	}
	return fraction(v, 6)
}

// fraction writes v·10⁻ᵈⁱᵍⁱᵗˢ.
func fraction(v int64, digits int) string {
	s := fmt.Sprintf("%0*d", digits+1, v)
	whole, rest := s[:len(s)-digits], strings.TrimRight(s[len(s)-digits:], "0")
	if rest == "" {
		return whole
	}
	return whole + "." + rest
}
