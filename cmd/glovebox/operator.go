// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/attestation"
	brokerconfig "github.com/glovebox-dev/glovebox/broker/config"
	hostconfig "github.com/glovebox-dev/glovebox/host/config"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

func newOperator() *cobra.Command {
	cmd := &cobra.Command{
		Use: "operator", Short: "Run the machines, trusted with nothing but availability", Args: noArgs, RunE: needVerb,
	}
	cmd.AddCommand(newUp(), newStatus(), newMeasure(), newSelfTest(), newRelay(), newEndorsements(), newReference())
	return cmd
}

// The files this side adds to the host's.
const (
	enclaveConfigFile = "enclave.json"
	measurementFile   = "measurement.json"
	trustedRootFile   = "trusted_root.json"
	simulatedKeyFile  = "simulated.key"
	tpmDir            = "tpm"
	upLockFile        = "up.lock"
	hostStart         = 30 * time.Second
)

func newUp() *cobra.Command {
	var dir string
	var witnesses []string
	var threshold int
	var p platformFlags
	c := hostconfig.Config{Enclave: hostconfig.Enclave{Config: enclaveConfigFile, Count: 1}}
	cmd := &cobra.Command{
		Use: "up", Short: "Run host, enclave and log in the foreground", Args: noArgs,
		Long: `Up makes the operator's directory at its first start, measures the enclave's binary, and runs glovebox-host, which starts
the enclave. Platforms other than tpm and simulated measure the enclave themselves: up asks it for evidence once it runs, and
takes that. With --platform tpm and no --device it uses swtpm, a TPM in software: good for development, and stamped so. A
real TPM is used only when named, and its boot measures what runs, not this command.

Witnesses cosign the log's checkpoints, so that others need not take the operator's word for it that everybody sees the same
log. All of them are asked. One that is away delays only what waits for its word.`,
		Example: "  glovebox operator up --dir op\n  glovebox operator up --dir op --platform tpm --device /dev/tpmrm0 --ek-cert ek.der --ek-root maker.pem --event-log /sys/kernel/security/tpm0/binary_bios_measurements",
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := openOperator(dir)
			if err != nil {
				return err
			}
			if err := parseWitnesses(cmd, &c, witnesses, threshold); err != nil {
				return err
			}
			return o.up(cmd, p, c)
		},
	}
	f := cmd.Flags()
	operatorFlag(cmd, &dir)
	f.StringVar(&c.Listen, "listen", "127.0.0.1:7300", "address the host listens on")
	f.StringVar(&c.Store, "store", "", "bucket for the sealed blobs, as s3://bucket/prefix?endpoint=https://s3.example.org (default: a folder in --dir); credentials as AWS's tools take them")
	f.StringVar(&c.Origin, "origin", defaultOrigin(), "name of the log, fixed at the first start")
	f.StringArrayVar(&witnesses, "witness", nil, "who cosigns the log, as URL=KEY (glovebox creator witness prints it); may be given more than once")
	f.IntVar(&threshold, "witness-threshold", 0, "how many witnesses make a checkpoint count as cosigned (default: more than half)")
	f.IntVar(&c.Enclave.Count, "enclaves", 1, "enclaves to keep running")
	p.register(cmd)
	return cmd
}

func operatorFlag(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "dir", filepath.Join(".", "operator"), "directory of the operator")
}

// defaultOrigin is the machine's name, in the letters a log's name may have.
func defaultOrigin() string {
	name, err := os.Hostname()
	if err != nil {
		name = ""
	}
	var out []rune
	for _, r := range name {
		switch {
		case r >= 'A' && r <= 'Z':
			out = append(out, r+'a'-'A')
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '.':
			out = append(out, r)
		}
	}
	return "glovebox-log." + string(out[:min(60, len(out))]) + ".internal"
}

// up checks everything that can be checked before anything is made, and then runs until the context or the host ends.
func (o operator) up(cmd *cobra.Command, f platformFlags, c hostconfig.Config) (err error) {
	s := start{o: o, cmd: cmd, config: c}
	if s.binary, err = companion("glovebox-enclave"); err != nil {
		return err
	}
	if s.host, err = companion("glovebox-host"); err != nil {
		return err
	}
	s.config.Enclave.Binary = s.binary
	if err := s.config.Validate(); err != nil {
		return Errorf(KindUsage, "see: glovebox operator up --help").from(err)
	}
	if c.Store != "" {
		if _, err := openBlobs(cmd.Context(), c.Store, ""); err != nil {
			return err
		}
	}
	if f.platform, err = f.choose(cmd); err != nil {
		return err
	}
	if s.config.Listen, err = freeAddress(c.Listen); err != nil {
		return err
	}
	release, err := o.claim()
	if err != nil {
		return err
	}
	defer func() { release(s.started) }()
	return s.run(cmd.Context(), f)
}

// start is one start of an operator.
type start struct {
	o            operator
	cmd          *cobra.Command
	config       hostconfig.Config
	binary, host string
	started      bool // the host answered
}

func (s *start) run(ctx context.Context, f platformFlags) error {
	p, err := f.start(ctx, s.o, s.binary)
	if err != nil {
		return err
	}
	defer p.stop()
	b, err := json.MarshalIndent(p.enclave, "", "  ")
	if err != nil {
		return err
	}
	if err := brokerconfig.WriteFile(s.o.at(enclaveConfigFile), b); err != nil {
		return err
	}
	if err := hostconfig.Write(s.o.dir, &s.config); err != nil {
		return err
	}
	h, err := startChild("glovebox-host", s.cmd.ErrOrStderr(), "", s.host, "--config", s.o.at(hostconfig.FileName))
	if err != nil {
		return err
	}
	defer h.stop()
	return s.serve(ctx, h, p)
}

// serve waits until this host answers, publishes the measurement, and then for the end.
func (s *start) serve(ctx context.Context, h *child, p *platform) error {
	url := "http://" + s.config.Listen
	client, err := dialHost(url)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := h.ready(ctx, hostStart, func(ctx context.Context) bool { return s.o.ours(ctx, client) }); err != nil {
		return err
	}
	if err := s.prove(ctx, client, p); err != nil {
		return err
	}
	if err := s.o.writeMeasurement(p.measurement); err != nil {
		return err
	}
	s.started = true
	say(s.cmd, "up: %s, platform %s, assurance %s", url, p.measurement.Platform, p.assurance)
	if n := len(s.config.Witnesses); n > 0 {
		say(s.cmd, "log: %s, %d of %d witnesses make a checkpoint count", s.config.Origin, s.config.WitnessThreshold, n)
	}
	say(s.cmd, "measurement: %s", s.o.at(measurementFile))
	select {
	case <-ctx.Done():
		return nil
	case <-h.done:
		return Errorf(KindError, "its words are above").because("glovebox-host ended: %v", h.err)
	}
}

func newStatus() *cobra.Command {
	var host, dir string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "status", Short: "Show jobs, enclaves, log and disk of a host", Args: noArgs,
		Example: "  glovebox operator status --dir op\n  glovebox operator status --host http://127.0.0.1:7300",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir != "" && cmd.Flags().Changed("host") {
				return Errorf(KindUsage, "give one of them").because("--host and --dir both name the host")
			}
			if dir != "" {
				o, err := openOperator(dir)
				if err != nil {
					return err
				}
				if host, err = o.url(); err != nil {
					return err
				}
			}
			h, err := dialHost(host)
			if err != nil {
				return err
			}
			s, err := h.Status(cmd.Context())
			if err != nil {
				return h.explain(err)
			}
			v := viewStatus(s)
			return show(cmd, asJSON, v, func(w io.Writer) { v.print(w) })
		},
	}
	cmd.Flags().StringVar(&host, "host", defaultHost, "host, by URL")
	cmd.Flags().StringVar(&dir, "dir", "", "directory of the operator, which says where its host listens")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// enclaveDigest is the measured binary's SHA-256.
func enclaveDigest(path string) (envelope.Digest, error) {
	f, err := os.Open(path)
	if err != nil {
		return envelope.Digest{}, err
	}
	defer f.Close()
	return hashOf(f)
}

// measured names a build by its digest.
func measured(p attestation.Platform, d envelope.Digest, m map[string]string) *measurement {
	return &measurement{Version: 1, Name: fmt.Sprintf("glovebox-enclave %s", d.Hex()[:16]), Platform: p, Enclave: d, Measurements: m}
}
