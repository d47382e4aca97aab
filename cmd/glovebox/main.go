// SPDX-License-Identifier: Apache-2.0

// Command glovebox is what people run: creators seal datasets and say what may be done with them, buyers send code to
// the data, auditors check what was done, operators run the machines.
//
// Trust domain: the person who runs it, with that person's keys. Its one job: turn a role and a verb into calls of the
// packages that do the work. Data goes to standard output, words to standard error, and the exit code says what kind of
// failure it was (see [ExitCode]).
package main

import (
	"context"
	"io"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"charm.land/fang/v2"
	"github.com/spf13/cobra"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is main with its surroundings handed in.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the second signal ends what does not give way to the first
	log.SetOutput(io.Discard)    // net/http writes there what servers send unasked; what goes wrong is in errors
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := fang.Execute(ctx, root,
		fang.WithVersion(version()),
		fang.WithErrorHandler(func(w io.Writer, _ fang.Styles, err error) { printError(w, err) }),
	)
	return ExitCode(err)
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "glovebox",
		Short: "Send code to data that never leaves, and prove what was used",
		Long: `Glovebox runs a buyer's code beside a creator's data. Neither sees the other's, the machine's operator sees nothing,
and an auditor can check afterwards, offline, what was used.

Exit codes: 0 done, 1 error, 2 usage, 3 denied by policy, 4 verification failed, 5 try again.`,
		Example: "  glovebox demo\n  glovebox auditor verify bundle.json --trust trust.json",
		Args:    noArgs,
		RunE:    needVerb,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError(err) })
	root.AddCommand(newCreator(), newBuyer(), newAuditor(), newOperator(), newDemo(), newVersion())
	unwrap(root)
	return root
}

// unwrap joins the lines of each paragraph of help, which are wrapped again to the width of the terminal. Lines that are
// indented stay as they are.
func unwrap(cmd *cobra.Command) {
	var b strings.Builder
	lines := strings.Split(cmd.Long, "\n")
	for i, line := range lines {
		b.WriteString(line)
		switch {
		case i == len(lines)-1:
		case line == "" || lines[i+1] == "" || strings.HasPrefix(line, " ") || strings.HasPrefix(lines[i+1], " "):
			b.WriteByte('\n')
		default:
			b.WriteByte(' ')
		}
	}
	cmd.Long = b.String()
	for _, c := range cmd.Commands() {
		unwrap(c)
	}
}

// needVerb is what a command without a verb does: it shows its help when asked for nothing and refuses an unknown verb.
func needVerb(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// noArgs refuses positional arguments, naming what is available.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.HasAvailableSubCommands() {
		return Errorf(KindUsage, "run %q to see what there is", cmd.CommandPath()+" --help").because("%s has no command %q", cmd.CommandPath(), args[0])
	}
	return Errorf(KindUsage, "run %q", cmd.CommandPath()+" --help").because("%s takes no argument, got %q", cmd.CommandPath(), args[0])
}

// atMostOne wants what is described, or nothing.
func atMostOne(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) <= 1 {
			return nil
		}
		return exactArgs(1, what+" at most")(cmd, args)
	}
}

// exactArgs wants n positional arguments, described by what.
func exactArgs(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == n {
			return nil
		}
		return Errorf(KindUsage, "run %q", cmd.CommandPath()+" --help").because("%s takes %s, got %d arguments", cmd.CommandPath(), what, len(args))
	}
}
