// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/cmd/glovebox-run/localrun"
)

// moduleHint is for code that no enclave would run.
const moduleHint = "build it for WASI preview 1, as docs/guests.md says"

// moduleView is what admission makes of a module.
type moduleView struct {
	Admitted bool `json:"admitted"`
	localrun.Admission
}

func newModule() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "module CODE", Short: "Recompute the digests that a usage attestation gives for a module", Args: exactArgs(1, "one .wasm file, or a directory with main.wasm"),
		Long: `Module rewrites a module to count fuel, as an enclave does before it runs one, and prints the digests of both and the table
of costs: what the execution of a usage attestation must say. Nothing of the module is compiled or run. It exits with 1
when no enclave would admit the module, and says why. The engine checks its types later, when it compiles.`,
		Example: "  glovebox auditor module main.wasm",
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := admission(cmd, args[0])
			if err != nil {
				return err
			}
			v := moduleView{a.Refusal == "", *a}
			if err := show(cmd, asJSON, v, v.print); err != nil {
				return err
			}
			return notAdmitted(a)
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (v moduleView) print(w io.Writer) {
	rows := [][]string{{"module", v.Module.String()}}
	if v.Rewritten != nil {
		rows = append(rows, []string{"runs as", v.Rewritten.String()})
	}
	rows = append(rows, []string{"costs", v.Costs}, []string{"admitted", map[bool]string{true: "yes", false: "no"}[v.Admitted]})
	table(w, rows...)
}

// notAdmitted is the error for a module that is not admitted; nil if it is.
func notAdmitted(a *localrun.Admission) error {
	if a.Refusal == "" {
		return nil
	}
	return Errorf(KindError, moduleHint).because("no enclave runs this module: %s", a.Refusal)
}

// admissible refuses code that no enclave would run, before anybody else hears of it. Who has no glovebox-run learns it later.
func admissible(cmd *cobra.Command, code string) error {
	if _, err := companion("glovebox-run"); err != nil {
		say(cmd, "glovebox: warning: whether an enclave admits this code is not known: %v", err)
		return nil
	}
	a, err := admission(cmd, code)
	if err != nil {
		return err
	}
	return notAdmitted(a)
}

// admission has glovebox-run say what an enclave would make of the code's main module.
func admission(cmd *cobra.Command, code string) (*localrun.Admission, error) {
	files, closer, err := openCode(code)
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	f, err := files.Open(mainModule)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	path, err := companion("glovebox-run")
	if err != nil {
		return nil, err
	}
	c := exec.CommandContext(cmd.Context(), path, localrun.ModeAdmit)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	c.WaitDelay = childPatience
	var out bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = f, &out, cmd.ErrOrStderr()
	err = c.Run()
	if cmd.Context().Err() != nil {
		return nil, cmd.Context().Err()
	}
	var a localrun.Admission
	if err == nil {
		err = json.Unmarshal(out.Bytes(), &a)
	}
	if err == nil && (a.Module.IsZero() || a.Costs == "" || (a.Rewritten == nil) != (a.Refusal != "")) {
		err = errors.New("its answer is incomplete")
	}
	if err != nil {
		return nil, Errorf(KindError, "build all programs from one source: make build").because("glovebox-run: %w", err)
	}
	return &a, nil
}

// compareModule holds a module that the auditor has against the execution that a bundle states.
func compareModule(v *usage.Verdict, a *localrun.Admission) {
	if v.Statement == nil {
		return // then there are findings
	}
	find := func(format string, args ...any) {
		v.Verified = false
		v.Findings = append(v.Findings, usage.Finding{Rule: "execution.module", Part: usage.PartUsage, Message: fmt.Sprintf(format, args...)})
	}
	x := v.Statement.Execution
	switch {
	case x == nil:
		find("no module was executed, so none can be compared")
	case a.Module != x.Module:
		find("the module given is %s, the one that ran %s", a.Module, x.Module)
	case a.Rewritten == nil:
		find("the module given could not have run: %s", a.Refusal)
	case a.Costs != x.Costs:
		find("the run was counted by %s, which this program does not have", x.Costs)
	case *a.Rewritten != x.Rewritten:
		find("with the counting in it the module is %s, what ran was %s", *a.Rewritten, x.Rewritten)
	}
}
