// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// selfTest is what glovebox-enclave prints of its sandbox.
type selfTest struct {
	Isolation string `json:"isolation"`
	Attempts  []struct {
		Try     string `json:"try"`
		Result  string `json:"result"`
		Refused bool   `json:"refused"`
	} `json:"attempts"`
	SelfTest *envelope.Digest `json:"selfTest"` // of the result, as evidence carries it
}

// selfTestView is a self-test as people see it.
type selfTestView struct {
	Passed bool            `json:"passed"`
	Binary string          `json:"binary"`
	Digest envelope.Digest `json:"digest"` // of the binary
	selfTest
	Hints []string `json:"hints"` // what this machine could have and has not
	error string
}

func newSelfTest() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "selftest", Short: "Try every way out of the sandbox on this machine, and print what came of each", Args: noArgs,
		Long: `Selftest has glovebox-enclave start one worker that tries to break out, as the enclave does each time before it serves. An
enclave refuses to serve when one attempt succeeds or the jail cannot be built. Its evidence carries the digest of what was
tried and came of it; what confined the worker of one run is in that run's usage attestation.`,
		Example: "  glovebox operator selftest\n  glovebox operator selftest --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, err := testSandbox(cmd)
			if err != nil {
				return err
			}
			if err := show(cmd, asJSON, v, v.print); err != nil {
				return err
			}
			return v.verdict()
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func testSandbox(cmd *cobra.Command) (*selfTestView, error) {
	path, err := companion("glovebox-enclave")
	if err != nil {
		return nil, err
	}
	v := &selfTestView{Binary: path, Hints: []string{}}
	if v.Digest, err = enclaveDigest(path); err != nil {
		return nil, err
	}
	c := exec.CommandContext(cmd.Context(), path, "--self-test")
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	c.WaitDelay = childPatience
	var out, words bytes.Buffer
	c.Stdout, c.Stderr = &out, &words
	err = c.Run()
	if cmd.Context().Err() != nil {
		return nil, cmd.Context().Err()
	}
	v.Passed = err == nil
	v.error = strings.TrimPrefix(strings.TrimSpace(words.String()), "glovebox-enclave: error: ")
	if out.Len() > 0 {
		if err := json.Unmarshal(out.Bytes(), &v.selfTest); err != nil {
			return nil, Errorf(KindError, "build all programs from one source: make build").because("%s prints what this program does not read: %w", path, err)
		}
	}
	v.Passed = v.Passed && len(v.Attempts) > 0
	v.Hints = append(v.Hints, isolationHints(v.Isolation)...)
	return v, nil
}

func (v *selfTestView) print(w io.Writer) {
	rows := [][]string{{"TRIED", "RESULT", "HELD BACK"}}
	for _, a := range v.Attempts {
		held := "yes"
		if !a.Refused {
			held = "NO"
		}
		rows = append(rows, []string{a.Try, a.Result, held})
	}
	if len(v.Attempts) > 0 {
		table(w, rows...)
		fmt.Fprintln(w)
	}
	rows = [][]string{{"binary", v.Binary}, {"digest", v.Digest.String()}}
	if v.Isolation != "" {
		rows = append(rows, []string{"isolation", v.Isolation})
	}
	if v.SelfTest != nil {
		rows = append(rows, []string{"self-test", v.SelfTest.String()})
	}
	for _, h := range v.Hints {
		rows = append(rows, []string{"hint", h})
	}
	table(w, rows...)
}

// verdict is nil when every attempt was held back.
func (v *selfTestView) verdict() error {
	if v.Passed {
		return nil
	}
	if len(v.Attempts) == 0 {
		return Errorf(KindError, "%s", sandboxHint(v.error)).because("the jail cannot be built here: %s", v.error)
	}
	return Errorf(KindError, "no enclave serves on this machine; report this with the lines above and the kernel's version").because("a worker got out: %s", v.error)
}

// isolationHints say what would confine workers more tightly.
func isolationHints(stamp string) []string {
	var out []string
	if strings.Contains(stamp, "no-landlock") {
		out = append(out, "this kernel has no Landlock: Linux 5.13 or newer, with landlock among the lsm= of the boot command line, adds it")
	}
	if strings.Contains(stamp, "rlimit") {
		out = append(out, "no control group is writable, so limits are per process: run the operator under systemd with Delegate=yes, or as root with cgroup v2")
	}
	return out
}

// sandboxHint is what may stand in the way of the jail on this machine.
func sandboxHint(cause string) string {
	if setting("kernel/apparmor_restrict_unprivileged_userns") == "1" && os.Geteuid() != 0 {
		return "AppArmor keeps programs from making user namespaces: sysctl kernel.apparmor_restrict_unprivileged_userns=0, or a profile that allows userns"
	}
	if setting("kernel/unprivileged_userns_clone") == "0" && os.Geteuid() != 0 {
		return "allow user namespaces: sysctl kernel.unprivileged_userns_clone=1"
	}
	for _, kind := range []string{"user", "pid", "net", "mnt", "ipc", "uts"} {
		if setting("user/max_"+kind+"_namespaces") == "0" {
			return fmt.Sprintf("allow namespaces: sysctl user.max_%s_namespaces=10000", kind)
		}
	}
	if strings.Contains(cause, "isolation refused") || strings.Contains(cause, "operation not permitted") {
		return "inside a container, let it make namespaces: with docker, --security-opt seccomp=unconfined --security-opt apparmor=unconfined, or --privileged"
	}
	return "see docs/limitations.md for what a machine must have"
}

// setting reads one of the kernel's; it is empty where there is none.
func setting(name string) string {
	b, err := os.ReadFile("/proc/sys/" + name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
