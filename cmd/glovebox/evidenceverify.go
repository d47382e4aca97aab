// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/simulated"
)

func newEvidenceVerify() *cobra.Command {
	var f evidenceFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use: "verify ENVELOPE", Short: "Put every check to an evidence envelope, and say each outcome", Args: exactArgs(1, "one evidence envelope or bundle, or - for standard input"),
		Long: `Verify authenticates evidence, compares what it is bound to, and appraises it, by the code that brokers run. Every check is
printed with what was seen and what was wanted. It ends with 0 only if none failed. Without reference values nothing can pass:
that the evidence is authentic does not make it the enclave you want.`,
		Example: "  glovebox auditor evidence verify tdx.json --reference reference.json --reference-key alice.json\n  glovebox auditor evidence verify snp.json --reference mine.json --at 2026-01-31T12:00:00Z --json",
		RunE: func(cmd *cobra.Command, args []string) error {
			e, v, err := f.inspect(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if err := show(cmd, asJSON, v.EAR(version()), func(w io.Writer) { printEvidence(w, e, v) }); err != nil {
				return err
			}
			if err := v.Err(); err != nil {
				return Errorf(KindVerify, "%s", f.hint(args[0], v)).because("%s", plain(err.Error()))
			}
			return nil
		},
	}
	f.register(cmd)
	jsonFlag(cmd, &asJSON)
	return cmd
}

// hint says what to do about the first failed check.
func (f *evidenceFlags) hint(path string, v *attestation.Verdict) string {
	for _, p := range v.Parts {
		for _, c := range p.Checks {
			switch {
			case c.Outcome == attestation.Pass || c.Outcome == attestation.NotApplicable:
				continue
			case c.Name == checkReferenceValues && f.reference == "" && f.referenceKey == "":
				return fmt.Sprintf("give --reference; once you know from elsewhere that this is the enclave you want, make a list of it: glovebox operator reference sign --from %s", path)
			case c.Name == checkReferenceValues && v.Reference == 0:
				return "a list without values accepts nothing; once you know from elsewhere what you want, write it there: docs/spec/reference.md"
			case c.Step == attestation.StepAuthenticate && f.unanchored(p.Platform) != "":
				return f.unanchored(p.Platform)
			case c.Step == attestation.StepAppraise:
				return "the check says what would have been good enough; see docs/spec/appraisal.md"
			}
			return "do not rely on this evidence; glovebox auditor evidence explain shows what it claims"
		}
	}
	return "do not rely on this evidence"
}

// unanchored says which flag names the root of a platform that no vendor vouches for, if it was not given.
func (f *evidenceFlags) unanchored(p attestation.Platform) string {
	switch {
	case p == attestation.PlatformTPM && len(f.brokers) == 0:
		return "say whose word on this TPM's key counts: --broker CARD, of the owner whose broker endorsed it"
	case p == attestation.PlatformSimulated && simulated.Enabled && f.simulatedRoot == "":
		return "name the simulated platform's root: --simulated-root, as in the operator's measurement"
	}
	return ""
}

// checkReferenceValues is the check that fails without reference values.
const checkReferenceValues = "reference-values"

// columnWidth is of what was seen and wanted; --json has both whole.
const columnWidth = 56

func printEvidence(w io.Writer, e *attestation.Evidence, v *attestation.Verdict) {
	list := "none"
	if v.Reference > 0 {
		list = fmt.Sprintf("list version %d", v.Reference)
	}
	table(w, []string{"evidence", v.Evidence.String()}, []string{"as of", stamp(v.Time)}, []string{"policy", v.Policy.String()}, []string{"reference values", list})
	for i := range v.Parts {
		printPart(w, &v.Parts[i], i > 0)
	}
	fmt.Fprintf(w, "\n%s\n", verdictLine(e, v))
}

func printPart(w io.Writer, p *attestation.PartVerdict, nested bool) {
	what := plain(string(p.Platform))
	if nested {
		what += ", nested"
	}
	for _, s := range []attestation.Step{attestation.StepAuthenticate, attestation.StepBind, attestation.StepAppraise} {
		var rows [][]string
		for _, c := range p.Checks {
			if c.Step == s {
				rows = append(rows, checkRow(&c))
			}
		}
		if len(rows) > 0 {
			fmt.Fprintln(w)
			lines(w, fmt.Sprintf("%s: %s", s, what), append([][]string{{"", "CHECK", "SEEN", "WANTED", "NOTE"}}, rows...))
		}
	}
}

func checkRow(c *attestation.Check) []string {
	outcome := "FAIL"
	switch c.Outcome {
	case attestation.Pass:
		outcome = "pass"
	case attestation.NotApplicable:
		outcome = "n/a"
	}
	return []string{outcome, plain(c.Name), clip(c.Seen, columnWidth), clip(c.Want, columnWidth), plain(c.Note)}
}

// verdictLine is the last line: what it comes to.
func verdictLine(e *attestation.Evidence, v *attestation.Verdict) string {
	if !v.Accepted() {
		n := 0
		for _, p := range v.Parts {
			for _, c := range p.Checks {
				if c.Outcome != attestation.Pass && c.Outcome != attestation.NotApplicable {
					n++
				}
			}
		}
		if n == 1 {
			return "REFUSED, 1 check failed"
		}
		return fmt.Sprintf("REFUSED, %d checks failed", n)
	}
	p := &v.Parts[0]
	text := fmt.Sprintf("VERIFIED, assurance %s, measured as %q", p.Assurance, plain(p.Matched))
	if !e.Bound() {
		text += "; imported evidence: it vouches for no job"
	}
	return text
}
