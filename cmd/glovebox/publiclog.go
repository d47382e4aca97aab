// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/internal/tlog"
)

// newPublicLog is `creator log` and `buyer log`.
func newPublicLog(role config.Role) *cobra.Command {
	var dir, root string
	var witnesses []string
	var threshold int
	var none, asJSON bool
	cmd := &cobra.Command{
		Use: "log", Short: "Let the broker commit only what witnesses have seen in the log", Args: noArgs,
		Long: `With this the broker signs a commit, without which no result opens, only when the log of its host proves that the release is
in it, under a checkpoint that enough of the witnesses cosigned. While too few of them answer, jobs wait at their end; no
data is lost, and nothing is charged. Whoever trusts the same witnesses verifies that from the bundle alone. Without
witnesses commits are marked unwitnessed. Restart a broker that runs.`,
		Example: fmt.Sprintf("  glovebox %s log --dir %s --log trusted_root.json --witness KEY --witness KEY --threshold 2", role, defaultDir(role)),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := openOwner(dir, role)
			if err != nil {
				return err
			}
			switch {
			case none && (root != "" || len(witnesses) > 0):
				return Errorf(KindUsage, "give --none alone").because("--none with a log or witnesses")
			case none:
				o.Log = nil
			case root != "":
				if o.Log, err = readPublicLog(cmd, root, witnesses, thresholdOf(cmd, "threshold", threshold, len(witnesses))); err != nil {
					return err
				}
			case len(witnesses) > 0 || cmd.Flags().Changed("threshold"):
				return Errorf(KindUsage, "give --log with the operator's trusted_root.json").because("witnesses of no log")
			}
			if none || root != "" {
				if err := config.Write(o.dir, o.Config); err != nil {
					return err
				}
				say(cmd, "restart the broker if it runs")
			}
			return show(cmd, asJSON, o.Log, func(w io.Writer) { showPublicLog(w, o.Log) })
		},
	}
	f := cmd.Flags()
	dirFlag(cmd, &dir, role)
	f.StringVar(&root, "log", "", "the operator's trusted_root.json")
	f.StringArrayVar(&witnesses, "witness", nil, "verifier key of a witness; may be given more than once")
	f.IntVar(&threshold, "threshold", 0, "how many of the witnesses must have cosigned (default: more than half)")
	f.BoolVar(&none, "none", false, "commit without witnesses again")
	jsonFlag(cmd, &asJSON)
	return cmd
}

func readPublicLog(cmd *cobra.Command, path string, witnesses []string, threshold int) (*config.Log, error) {
	b, err := readInput(cmd.Context(), path, maxIdentity)
	if err != nil {
		return nil, err
	}
	log, err := usage.ParseTrustedRoot(b)
	if err != nil {
		return nil, Errorf(KindUsage, "give the operator's trusted_root.json").from(err)
	}
	l := &config.Log{Witnesses: witnesses, Threshold: threshold}
	if l.Key, err = note.NewEd25519VerifierKey(log.Origin(), log.Key()); err != nil {
		return nil, err
	}
	if _, _, err := l.Open(); err != nil {
		return nil, witnessError(err)
	}
	return l, nil
}

// thresholdOf is how many of n witnesses must sign: more than half, unless the user said another number. Of one that leaves
// room for split views she is told.
func thresholdOf(cmd *cobra.Command, flag string, given, n int) int {
	if !cmd.Flags().Changed(flag) {
		return tlog.Majority(n)
	}
	if given > 0 && given < tlog.Majority(n) {
		say(cmd, "note: %d of %d witnesses is not more than half: honest witnesses can cosign two histories of one log, and each would do here", given, n)
	}
	return given
}

// witnessError says how to name witnesses.
func witnessError(err error) error {
	return Errorf(KindUsage, "give each witness's own key once, as --witness NAME+HASH+BASE64 (glovebox creator witness shows it), and a --threshold of 1 to as many, best more than half").from(err)
}

func showPublicLog(w io.Writer, l *config.Log) {
	if l == nil {
		fmt.Fprintln(w, "no log is asked for: commits are unwitnessed")
		return
	}
	by := fmt.Sprintf("%d of %d", l.Threshold, len(l.Witnesses))
	if l.Threshold < tlog.Majority(len(l.Witnesses)) {
		by += ", not more than half"
	}
	rows := [][]string{{"log", l.Key}, {"cosigned by", by}}
	for _, k := range l.Witnesses {
		rows = append(rows, []string{"witness", k})
	}
	table(w, rows...)
}
