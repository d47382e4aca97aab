// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// explanation is evidence as a person reads it.
type explanation struct {
	Evidence envelope.Digest `json:"evidence"`
	Time     int64           `json:"time"` // as of which, Unix seconds
	Bound    bool            `json:"bound"`
	Parts    []explained     `json:"parts"` // the machine, then what is nested in it
}

// explained is the evidence of one platform.
type explained struct {
	Platform     attestation.Platform  `json:"platform"`
	Authentic    bool                  `json:"authentic"` // false: everything below is claimed, not verified
	Why          string                `json:"why"`       // it is not authentic; "" if it is
	Assurance    attestation.Assurance `json:"assurance"` // it would earn; "" if it is not authentic
	Chip         string                `json:"chip"`
	Measurements map[string]string     `json:"measurements"`
	TCB          *attestation.TCB      `json:"tcb"`
	Facts        []attestation.Fact    `json:"facts"`
	Weak         []string              `json:"weak"`
	Checks       []attestation.Check   `json:"checks"`
}

func newEvidenceExplain() *cobra.Command {
	var f evidenceFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use: "explain ENVELOPE", Short: "Say in words who signed evidence, what ran and what is weak", Args: exactArgs(1, "one evidence envelope or bundle, or - for standard input"),
		Long: `Explain reads evidence as a person would. It does not ask whether what ran is what anybody wanted: verify does, with
reference values. Where evidence is not authentic, everything shown of it is what somebody claims. It ends with 0 if the
evidence could be read at all.`,
		Example: "  glovebox auditor evidence explain tdx.json\n  glovebox auditor evidence explain bundle.json --broker alice.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			e, v, err := f.inspect(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			x := explain(e, v)
			for i := range x.Parts {
				if p := &x.Parts[i]; !p.Authentic && f.unanchored(p.Platform) != "" {
					p.Why += "; " + f.unanchored(p.Platform)
				}
			}
			return show(cmd, asJSON, x, func(w io.Writer) { x.print(w, args[0]) })
		},
	}
	f.registerAnchors(cmd)
	jsonFlag(cmd, &asJSON)
	return cmd
}

func explain(e *attestation.Evidence, v *attestation.Verdict) *explanation {
	out := &explanation{Evidence: v.Evidence, Time: v.Time, Bound: e.Bound()}
	for i := range v.Parts {
		p := &v.Parts[i]
		x := explained{
			Platform: p.Platform, Authentic: p.Assurance != "", Assurance: p.Assurance, Chip: p.Chip, Measurements: p.Measurements,
			TCB: p.TCB, Facts: p.Facts, Checks: p.Checks, Weak: []string{},
		}
		for _, c := range p.Checks {
			if c.Outcome != attestation.Fail && c.Outcome != "" {
				continue
			}
			if !x.Authentic && c.Step != attestation.StepAppraise && x.Why == "" {
				x.Why = c.Name + ": " + c.Note
			}
			if c.Name != checkReferenceValues { // none were given, which says nothing of the evidence
				x.Weak = append(x.Weak, failure(&c))
			}
		}
		out.Parts = append(out.Parts, x)
	}
	return out
}

// failure is a failed check in one line.
func failure(c *attestation.Check) string {
	text := c.Name
	if c.Seen != "" || c.Want != "" {
		text += fmt.Sprintf(": seen %q, wanted %q", c.Seen, c.Want)
	}
	if c.Note != "" {
		text += ": " + c.Note
	}
	return text
}

func (x *explanation) print(w io.Writer, path string) {
	bound := "a job's binding, which is in it"
	if !x.Bound {
		bound = "nothing: imported evidence, which vouches for no job"
	}
	table(w, []string{"evidence", x.Evidence.String()}, []string{"as of", stamp(x.Time)}, []string{"bound to", bound})
	for i := range x.Parts {
		x.Parts[i].print(w, i > 0)
	}
	if p := &x.Parts[0]; p.Authentic && len(p.Measurements) > 0 {
		fmt.Fprintf(w, "\nto accept what is measured so, once you know from elsewhere that it is what you want:\n  glovebox operator reference sign --from %s\n", path)
	}
}

func (p *explained) print(w io.Writer, nested bool) {
	claimed := ""
	rows := [][]string{{"platform", plain(string(p.Platform))}}
	if nested {
		rows[0][1] += ", nested"
	}
	if p.Authentic {
		earned := string(p.Assurance)
		if len(p.Weak) > 0 { // debug mode, for one, undoes what the assurance is worth
			earned = "would be " + earned + ", were it accepted"
		}
		rows = append(rows, []string{"authentic", "yes, by the vendor's pinned root"}, []string{"assurance", earned + ": " + worth(p.Assurance)})
		if p.Assurance == attestation.AssuranceSimulated || p.Platform == attestation.PlatformTPM {
			rows[1][1] = "yes, by the key or broker you named"
		}
	} else {
		claimed = " (claimed, not verified)"
		rows = append(rows, []string{"authentic", "NO: " + plain(p.Why)})
	}
	if p.Chip != "" {
		rows = append(rows, []string{"machine", plain(p.Chip)})
	}
	fmt.Fprintln(w)
	table(w, rows...)
	lines(w, "\nwho signed it"+claimed, p.facts(attestation.AboutSigner))
	lines(w, "\nwhat ran"+claimed, append(p.facts(attestation.AboutRunning), p.measured()...))
	weak := p.facts(attestation.AboutWeakness)
	for _, t := range p.Weak {
		weak = append(weak, []string{plain(t)})
	}
	if len(weak) == 0 {
		weak = [][]string{{"nothing that these checks found"}}
	}
	lines(w, "\nwhat is weak", weak)
	p.printChecks(w)
}

func (p *explained) facts(about string) [][]string {
	var rows [][]string
	for _, f := range p.Facts {
		if f.About == about {
			rows = append(rows, []string{plain(f.Name), plain(f.Value)})
		}
	}
	return rows
}

// measured are the measurements that no fact says already.
func (p *explained) measured() [][]string {
	var rows [][]string
	for _, m := range slices.Sorted(maps.Keys(p.Measurements)) {
		if !slices.ContainsFunc(p.Facts, func(f attestation.Fact) bool { return strings.Contains(f.Value, p.Measurements[m]) }) {
			rows = append(rows, []string{plain(m), p.Measurements[m]})
		}
	}
	return rows
}

func (p *explained) printChecks(w io.Writer) {
	by := map[string][]string{}
	for _, c := range p.Checks {
		if c.Name != checkReferenceValues {
			row := checkRow(&c)
			by[row[0]] = append(by[row[0]], row[1])
		}
	}
	var rows [][]string
	for _, o := range []string{"pass", "FAIL", "n/a"} {
		if len(by[o]) > 0 {
			rows = append(rows, []string{o, strings.Join(by[o], ", ")})
		}
	}
	lines(w, "\nwhich checks could be made", rows)
}

// worth says what an assurance lets one conclude.
func worth(a attestation.Assurance) string {
	switch a {
	case attestation.AssuranceTEE:
		return "known code, and memory that the host cannot read"
	case attestation.AssuranceTPM:
		return "known code was booted; the host can read its memory"
	case attestation.AssuranceSoftwareTPM:
		return "a TPM in software: whoever runs it could forge this"
	}
	return "a key in a file: nothing"
}
