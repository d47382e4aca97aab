// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/witness"
	hostconfig "github.com/glovebox-dev/glovebox/host/config"
	"github.com/glovebox-dev/glovebox/internal/tlog"
)

// witnessView is a directory's witness, and which logs it cosigns.
type witnessView struct {
	URL  string   `json:"url"`
	Key  string   `json:"key"`
	Logs []string `json:"logs"`
}

func newWitness() *cobra.Command {
	var dir, name string
	var logs, drop []string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "witness", Short: "Make the broker a witness of transparency logs", Args: noArgs,
		Long: `A witness cosigns a log's checkpoints and thereby vouches that the log shows everybody the same and only ever grows. It keeps
of each log the last checkpoint that it signed, and signs no other history. --log takes a log's key, or the trusted_root.json
of its operator. The first time makes the witness's key; keep the directory: a witness that forgets what it signed must be
replaced. A broker that runs takes the change up when it is started again.

The operator names the witness with: glovebox operator up --witness URL=KEY. A witness alone, without a broker, is
glovebox-broker witness --dir DIR --name NAME --log KEY.`,
		Example: "  glovebox creator witness --dir alice --log op/trusted_root.json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := openOwner(dir, config.Creator)
			if err != nil {
				return err
			}
			v, err := o.witness(name, logs, drop)
			if err != nil {
				return err
			}
			return show(cmd, asJSON, v, func(w io.Writer) {
				rows := [][]string{{"witness", v.URL + "=" + v.Key}}
				for _, l := range v.Logs {
					rows = append(rows, []string{"log", l})
				}
				table(w, rows...)
			})
		},
	}
	f := cmd.Flags()
	dirFlag(cmd, &dir, config.Creator)
	f.StringArrayVar(&logs, "log", nil, "log to cosign: its key, or a trusted_root.json; may be given more than once")
	f.StringArrayVar(&drop, "drop", nil, "name of a log to cosign no longer")
	f.StringVar(&name, "name", "", "name of a new witness, a URL without its scheme (default: the broker's address and /witness)")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// witness adds logs to the directory's witness and drops others, making the witness if there is none.
func (o *owner) witness(name string, add, drop []string) (*witnessView, error) {
	c := o.Witness
	if c == nil {
		c = &config.Witness{Logs: []string{}}
	}
	for _, what := range add {
		l, err := readLog(what)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(c.Logs, l.String()) {
			c.Logs = append(c.Logs, l.String())
		}
	}
	for _, origin := range drop {
		c.Logs = slices.DeleteFunc(c.Logs, func(k string) bool { return strings.HasPrefix(k, origin+"+") })
	}
	if _, err := c.Parse(); err != nil {
		return nil, Errorf(KindUsage, "drop the old one first, with --drop NAME").from(err)
	}
	u, err := url.Parse(o.Address)
	if err != nil {
		return nil, err
	}
	if name == "" {
		name = u.Host + strings.TrimRight(u.Path, "/") + "/witness"
	}
	key, err := witness.ReadKey(o.layout.Witness())
	if errors.Is(err, witness.ErrMissing) {
		key, err = witness.Create(o.layout.Witness(), name)
	}
	if err != nil {
		return nil, err
	}
	o.Witness = c
	if err := config.Write(o.dir, o.Config); err != nil {
		return nil, err
	}
	return &witnessView{URL: strings.TrimRight(o.Address, "/") + "/witness", Key: key, Logs: c.Logs}, nil
}

// readLog takes a log's verifier key, or the file of a trusted root.
func readLog(what string) (*tlog.Log, error) {
	const hint = "give the operator's trusted_root.json, or the log's key"
	if l, err := tlog.NewLog(what); err == nil {
		return l, nil
	}
	b, err := readBounded(what, maxIdentity)
	if errors.Is(err, os.ErrNotExist) {
		return nil, Errorf(KindUsage, hint).because("%.100q is neither a log's key nor a file", what)
	}
	if err != nil {
		return nil, err
	}
	l, err := usage.ParseTrustedRoot(b)
	if err != nil {
		return nil, Errorf(KindUsage, hint).from(fmt.Errorf("%s: %w", what, err))
	}
	return l, nil
}

// parseWitnesses reads --witness URL=KEY flags. Without a threshold more than half must sign.
func parseWitnesses(cmd *cobra.Command, c *hostconfig.Config, flags []string, threshold int) error {
	for _, f := range flags {
		u, key, ok := strings.Cut(f, "=")
		if !ok {
			return Errorf(KindUsage, "give it as --witness URL=KEY; glovebox creator witness prints both").because("%.100q names no witness", f)
		}
		c.Witnesses = append(c.Witnesses, hostconfig.Witness{URL: u, Key: key})
	}
	if c.WitnessThreshold = threshold; threshold != 0 || len(flags) > 0 {
		c.WitnessThreshold = thresholdOf(cmd, "witness-threshold", threshold, len(flags))
	}
	return nil
}
