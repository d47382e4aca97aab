// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/attestation/verifiers"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/tlog"
)

func newAuditor() *cobra.Command {
	cmd := &cobra.Command{
		Use: "auditor", Short: "Check what was used, trusting nobody who took part", Args: noArgs, RunE: needVerb,
	}
	cmd.AddCommand(newVerify(), newAuditorTrust(), newLog(), newData(), newModule(), newLedgers(), newEvidence(), newAuditorExport())
	return cmd
}

func newVerify() *cobra.Command {
	var trust, module string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "verify BUNDLE", Short: "Verify a bundle offline and say every finding", Args: exactArgs(1, "one bundle, or - for standard input"),
		Long: `Verify needs no network and no daemon. What it believes before reading the bundle is in the trust file: the log's key, the
owners' keys, whose reference values count, and the least assurance. Without one there is nothing to verify against.
With --module it also rewrites a module that you have, and says whether that is what ran.`,
		Example: "  glovebox auditor verify bundle.json --trust trust.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := untilInterrupted(cmd.Context(), func() (*usage.Trust, error) { return loadTrust(trust) })
			if err != nil {
				return err
			}
			b, err := readInput(cmd.Context(), args[0], usage.MaxBundle)
			if err != nil {
				return err
			}
			v, err := audit(cmd.Context(), b, t)
			if err != nil {
				return err
			}
			if module != "" {
				a, err := admission(cmd, module)
				if err != nil {
					return err
				}
				compareModule(v, a)
			}
			if err := show(cmd, asJSON, v, func(w io.Writer) { printVerdict(w, v) }); err != nil {
				return err
			}
			return refuse(v)
		},
	}
	cmd.Flags().StringVar(&trust, "trust", "", "trust file (required); make one with: glovebox auditor trust")
	cmd.Flags().StringVar(&module, "module", "", "the .wasm file that should have run: its digests are recomputed and compared")
	jsonFlag(cmd, &asJSON)
	return cmd
}

func loadTrust(path string) (*usage.Trust, error) {
	if path == "" {
		return nil, Errorf(KindUsage, "make one with: glovebox auditor trust CARD... --log trusted_root.json > trust.json").because("no trust file: a bundle cannot vouch for itself")
	}
	b, err := readBounded(path, usage.MaxTrust)
	if err != nil {
		return nil, err
	}
	t, err := usage.ParseTrust(b)
	if err == nil {
		return t, nil
	}
	var id identity
	if envelope.DecodeStrict(b, usage.MaxTrust, &id) == nil && id.Role != "" {
		return nil, Errorf(KindUsage, "make a trust file of it: glovebox auditor trust %s --log trusted_root.json > trust.json; see auditor trust --help", path).
			because("%s: this is a card, not a trust file", path)
	}
	return nil, Errorf(KindUsage, "make one with: glovebox auditor trust").from(fmt.Errorf("%s: %w", path, err))
}

// audit verifies a bundle with every platform this build has.
func audit(ctx context.Context, bundle []byte, t *usage.Trust) (*usage.Verdict, error) {
	return usage.Audit(ctx, bundle, *t, func(brokers []envelope.PublicKey) []attestation.Format {
		return verifiers.New(brokers, t.SimulatedRoot)
	})
}

// refuse turns findings into the error that ends the command.
func refuse(v *usage.Verdict) error {
	if err := v.Err(); err != nil {
		return Errorf(KindVerify, "do not rely on this bundle; the findings say what is wrong with it").from(err)
	}
	return nil
}

func printVerdict(w io.Writer, v *usage.Verdict) {
	if v.OK() {
		public := "unwitnessed"
		if v.Witnessed {
			public = "witnessed"
		}
		fmt.Fprintf(w, "VERIFIED, assurance %s, %s\n\n", v.Assurance, public)
	} else {
		fmt.Fprintf(w, "REFUSED, %d findings\n\n", len(v.Findings))
	}
	for _, f := range v.Findings {
		fmt.Fprintf(w, "finding  %s\n", f)
	}
	for _, f := range v.Facts {
		fmt.Fprintf(w, "note     %s: %s (%s)\n", f.Part, f.Message, f.Rule)
	}
	if v.Statement == nil {
		return
	}
	s := v.Statement
	fmt.Fprintln(w)
	rows := [][]string{
		{"usage statement", v.Usage.String()},
		{"job", s.Job.String()},
		{"outcome", strings.TrimSpace(s.Outcome + " " + s.Reason)},
		{"runtime", s.Runtime + ", isolated by " + s.Isolation},
		{"attempt", fmt.Sprint(s.Attempt)},
		{"broker time", when(s.Time.Broker)},
	}
	if v.Result != nil {
		rows = append(rows, []string{"result", v.Result.String()})
	}
	for i, p := range s.Packages {
		what := "dataset"
		if i == 0 {
			what = "code"
		}
		rows = append(rows, []string{what, fmt.Sprintf("%s: %d records delivered in %d epochs, %d billable, %s read", p.Manifest, p.Records, p.Epochs, p.Billable, byteSize(p.Bytes))})
	}
	for _, p := range v.Paid {
		rows = append(rows, []string{"paid", fmt.Sprintf("%s to %s, payment %s, receipt %s of %s, for %s", money(p.Amount, p.Currency), p.Payee, p.Payment, p.Receipt, p.Issuer, p.Manifest)})
	}
	for _, o := range s.Outputs {
		rows = append(rows, []string{"output", fmt.Sprintf("%s (%s), %s", o.Name, o.Class, byteSize(o.Bytes))})
	}
	if e := v.Enclave; e != nil {
		rows = append(rows, []string{"configuration", e.Configuration.String()}, []string{"self-test", e.SelfTest.String()}, []string{"engine", e.Engine.String()})
	}
	if x := s.Execution; x != nil {
		rows = append(rows, []string{"module", x.Module.String()}, []string{"ran as", x.Rewritten.String()})
		if x.Fuel > 0 { // a mode that lets out no figures states none
			rows = append(rows, []string{"fuel", fmt.Sprintf("%d units by %s", x.Fuel, x.Costs)})
		}
	}
	rows = append(rows, spentRows(s)...)
	if len(s.Spent) > 0 {
		table(w, append(rows, []string{"measured", "nothing that the mode lets out"})...)
		return
	}
	rows = append(rows, []string{"measured", fmt.Sprintf("%d ms CPU, %d ms wall, %s peak memory: the kernel's word, not a proof", s.Measured.CPUMillis, s.Measured.WallMillis, byteSize(s.Measured.PeakMemory))})
	table(w, rows...)
}

func newAuditorTrust() *cobra.Command {
	var log, least string
	var witnesses []string
	var threshold int
	cmd := &cobra.Command{
		Use: "trust CARD...", Short: "Make a trust file from the cards of those you trust", Args: cobra.ArbitraryArgs,
		Long: `A card is what "glovebox creator card --json" and "glovebox buyer card --json" print. Get each from its owner, not from the
operator or out of a bundle: whoever is in the trust file is believed.

With --witness, releases, usage and commits count only under checkpoints of the log that enough of these witnesses cosigned;
without, a verdict says "unwitnessed". Get their keys from those who run them.`,
		Example: "  glovebox auditor trust alice.json bob.json --log trusted_root.json --min-assurance tpm --witness KEY --threshold 1 > trust.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 || log == "" {
				return Errorf(KindUsage, "give the cards of creator and buyer, and --log with the operator's trusted_root.json").because("a trust file needs owners and a log")
			}
			root, err := readInput(cmd.Context(), log, maxIdentity)
			if err != nil {
				return err
			}
			var ids []*identity
			for _, path := range args {
				id, err := untilInterrupted(cmd.Context(), func() (*identity, error) { return readIdentity(path) })
				if err != nil {
					return err
				}
				ids = append(ids, id)
			}
			var trusted *usage.TrustedWitnesses
			if len(witnesses) > 0 || cmd.Flags().Changed("threshold") {
				trusted = &usage.TrustedWitnesses{Threshold: thresholdOf(cmd, "threshold", threshold, len(witnesses)), Keys: witnesses}
				if _, err := tlog.NewWitnesses(trusted.Threshold, witnesses...); err != nil {
					return witnessError(err)
				}
			}
			b, err := trustOf(root, attestation.Assurance(least), trusted, ids...)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", b)
			return err
		},
	}
	cmd.Flags().StringVar(&log, "log", "", "the operator's trusted_root.json (required)")
	cmd.Flags().StringVar(&least, "min-assurance", string(attestation.AssuranceTPM), "least assurance: tee, tpm, software-tpm or simulated")
	cmd.Flags().StringArrayVar(&witnesses, "witness", nil, "verifier key of a witness of the log; may be given more than once")
	cmd.Flags().IntVar(&threshold, "threshold", 0, "how many of the witnesses must have cosigned (default: more than half)")
	return cmd
}

func readIdentity(path string) (*identity, error) {
	b, err := readBounded(path, maxIdentity)
	if err != nil {
		return nil, err
	}
	var id identity
	if err := errors.Join(envelope.DecodeStrict(b, maxIdentity, &id), versionError(id.Version)); err != nil {
		return nil, Errorf(KindUsage, "an owner prints one with: glovebox creator card --json").from(fmt.Errorf("%s is not a card: %w", path, err))
	}
	// Printing indents what was signed; its canonical form is what the signature was made for.
	if id.Reference, err = canonical(id.Reference); err != nil {
		return nil, err
	}
	id.Log, err = canonical(id.Log)
	return &id, err
}

// canonical undoes indentation; null and nothing are nothing.
func canonical(raw json.RawMessage) (json.RawMessage, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	return envelope.Canonical(raw)
}

// trustOf believes the given owners, their reference values and one log.
func trustOf(log json.RawMessage, least attestation.Assurance, witnesses *usage.TrustedWitnesses, ids ...*identity) ([]byte, error) {
	if _, err := usage.ParseTrustedRoot(log); err != nil {
		return nil, err
	}
	if !least.AtLeast(least) {
		return nil, Errorf(KindUsage, "use tee, tpm, software-tpm or simulated").because("unknown assurance %q", least)
	}
	t := &usage.Trust{Log: log, MinAssurance: least, Witnesses: witnesses}
	for _, id := range ids {
		t.Owners = append(t.Owners, id.Owner)
		if len(id.Reference) > 0 {
			if _, _, err := attestation.VerifyReference(id.Reference, id.ReferenceKey); err != nil {
				return nil, Errorf(KindVerify, "get the card again from its owner").from(err)
			}
			t.References = append(t.References, usage.TrustedReference{Key: id.ReferenceKey, Signed: id.Reference})
		}
		if id.SimulatedRoot == nil || least != attestation.AssuranceSimulated {
			continue
		}
		if t.SimulatedRoot != nil && !t.SimulatedRoot.Equal(*id.SimulatedRoot) {
			return nil, Errorf(KindUsage, "make one trust file for each").because("the cards name two simulated platforms")
		}
		t.SimulatedRoot = id.SimulatedRoot
	}
	if len(t.References) == 0 {
		return nil, Errorf(KindUsage, "an owner signs them with: glovebox %s trust MEASUREMENT", config.Creator).because("no card has reference values, and empty means deny")
	}
	return usage.WriteTrust(t)
}
