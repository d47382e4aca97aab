// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/policies/input"
	"github.com/glovebox-dev/glovebox/policies/oracle"
	"github.com/glovebox-dev/glovebox/policies/terms"
)

// explainView is what explain prints as JSON.
type explainView struct {
	Words    []string        `json:"words"`
	Steps    []modeView      `json:"steps"` // of modes that have them
	Notes    []string        `json:"notes"`
	Examples []terms.Example `json:"examples"`
}

func newTermsExplain() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "explain FILE", Short: "Say in plain words what terms allow, with jobs that pass and jobs that fail", Args: exactArgs(1, "one file, or - for standard input"),
		Long: `Explain repeats the terms in sentences, then shows jobs: one that asks for all that the terms allow, and others that differ
from it in one thing each. Whether a job passes is decided by the rules that the broker follows, not by this command.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := compileFile(cmd.Context(), args[0])
			if err != nil {
				return termsError(args[0], err)
			}
			examples, err := c.Examples(time.Now(), decideExample)
			if err != nil {
				return err
			}
			v := explainView{c.Words(), []modeView{}, append([]string{}, c.Notes...), examples}
			for _, m := range c.Terms.Steps {
				steps, err := viewSteps(&c.Terms, m.Mode)
				if err != nil {
					return err
				}
				v.Steps = append(v.Steps, modeView{m.Mode, steps})
			}
			return show(cmd, asJSON, v, func(w io.Writer) { writeExplanation(w, v) })
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

// decideExample asks the rules in plain Go, which tests hold to those that brokers follow.
func decideExample(r input.Request) (bool, []grant.Reason, error) {
	allow, reasons, _ := oracle.Decide(r)
	return allow, reasons, nil
}

func writeExplanation(w io.Writer, v explainView) {
	for _, s := range v.Words {
		fmt.Fprintln(w, s)
	}
	for _, m := range v.Steps {
		fmt.Fprintf(w, "\nIn mode %s every record goes through these steps before code sees it:\n", m.Mode)
		printSteps(w, m.Steps)
	}
	for _, n := range v.Notes {
		fmt.Fprintf(w, "Note: %s.\n", strings.TrimSuffix(n, "."))
	}
	for _, allow := range []bool{true, false} {
		fmt.Fprintln(w, map[bool]string{true: "\nJobs that pass:", false: "\nJobs that are refused:"}[allow])
		for _, e := range v.Examples {
			if e.Allow != allow {
				continue
			}
			fmt.Fprintf(w, "  - %s\n", e.Job)
			for _, r := range e.Reasons {
				fmt.Fprintf(w, "      %s: %s; %s\n", r.Rule, r.Message, r.Satisfy)
			}
		}
	}
}
