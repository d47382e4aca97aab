// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/internal/licence"
	"github.com/glovebox-dev/glovebox/transforms/builtin"
)

func newBuyer() *cobra.Command {
	cmd := &cobra.Command{
		Use: "buyer", Short: "Send code to data, and get results that are proven", Args: noArgs, RunE: needVerb,
		Long: `A buyer's directory holds keys, sealed code and jobs. While "submit" or "watch" waits, it answers for the buyer; for runs
without her, keep a broker running:

  glovebox-broker --config DIR/broker.json`,
	}
	cmd.AddCommand(newInit(config.Buyer, defaultBuyerBroker), newTrust(config.Buyer), newCard(config.Buyer), newPublicLog(config.Buyer), newPackCode(), newInspect(config.Buyer),
		newInitJob(), newRunLocal(), newPlan(), newSubmit(), newWatch(), newJobs(), newCancel(), newFetch(), newOpen(), newReceipt(),
		newNotice(), newRotate(config.Buyer), newKeyholder(config.Buyer))
	return cmd
}

func newPackCode() *cobra.Command {
	var dir string
	var asJSON bool
	var c codeFlags
	cmd := &cobra.Command{
		Use: "pack CODE", Short: "Seal code without submitting it, to know its digest first", Args: exactArgs(1, "one .wasm file, or a directory with main.wasm"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := openOwner(dir, config.Buyer)
			if err != nil {
				return err
			}
			p, err := o.sealCode(cmd, args[0], c)
			if err != nil {
				return err
			}
			return showPackages(cmd, asJSON, []config.Package{*p}, nil)
		},
	}
	dirFlag(cmd, &dir, config.Buyer)
	c.register(cmd)
	jsonFlag(cmd, &asJSON)
	return cmd
}

// planView is what a job would be allowed, refused and cost.
type planView struct {
	Allowed   bool               `json:"allowed"`
	MaxAmount int64              `json:"maxAmount"` // millionths, all datasets together
	Currency  string             `json:"currency"`
	SpendCap  int64              `json:"spendCap"`
	Module    envelope.Digest    `json:"module"`  // what the usage attestation will say was executed; of queries, where no code runs
	Runtime   string             `json:"runtime"` // runtime class
	Limits    job.Limits         `json:"limits"`
	Privacy   *job.Privacy       `json:"privacy"`  // what the enclave will do to the data; null in modes without noise of its own
	TimeBits  int64              `json:"timeBits"` // what times may tell at most, beyond epsilon
	Datasets  []datasetPlan      `json:"datasets"`
	Conflicts []licence.Conflict `json:"conflicts"` // clauses of licences that this job cannot keep together
	Enclave   *proofView         `json:"enclave"`   // what an idle enclave of the host showed
	Evidence  string             `json:"evidence"`  // what a plan cannot know
	Warnings  []string           `json:"warnings"`  // what will keep the job from running all the same
}

// evidenceNote is part of a plan that no enclave answered: brokers judge terms now and the enclave when it asks for the keys.
const evidenceNote = "assurance is checked against the evidence when the job runs"

type datasetPlan struct {
	Manifest envelope.Digest `json:"manifest"`
	Name     string          `json:"name"`
	Steps    []stepView      `json:"steps"` // that records go through before code sees them
	grant.PlanReply
}

func newPlan() *cobra.Command {
	var f jobFlags
	var cards []string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "plan", Short: "Show what a job would be allowed, refused and cost, before anything is spent", Args: noArgs,
		Long: `Plan takes the flags of submit, asks the broker of every dataset, and shows every reason. It also asks an idle enclave of the
host for evidence, over nonces of its own, and shows what the enclave is: platform, assurance, measurements, and whether they
are in your own reference values and in those of the owners whose cards you give. Nothing is reserved or released. With
--card it ends with 4 if an enclave is not accepted by them all, and with 5 if none could be asked.`,
		Example: "  glovebox buyer plan --dir bob --code train.wasm --data MANIFEST --purpose research --card alice.json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := f.draft(cmd)
			if err != nil {
				return err
			}
			v, err := d.plan(cmd.Context())
			if err != nil {
				return err
			}
			if v.Enclave, err = d.probe(cmd.Context(), cards); err != nil {
				return err
			}
			v.Evidence = v.Enclave.note()
			v.Warnings = append(append(v.Warnings, v.Enclave.weaker(d)...), d.unwitnessed(cmd.Context())...) // never null
			if err := show(cmd, asJSON, v, func(w io.Writer) { printPlan(w, v) }); err != nil {
				return err
			}
			return v.err(len(cards) > 0)
		},
	}
	f.register(cmd)
	cmd.Flags().StringArrayVar(&cards, "card", nil, "card of a dataset's owner, whose reference values the enclave must meet; repeat for several")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// plan asks the broker of every dataset.
func (d *draft) plan(ctx context.Context) (*planView, error) {
	v := &planView{Allowed: true, SpendCap: d.job.SpendCap, Module: d.module, Runtime: d.job.Runtime, Limits: d.job.Limits, Privacy: d.job.Privacy, TimeBits: d.job.TimeBits(), Datasets: []datasetPlan{}, Evidence: evidenceNote, Warnings: []string{}}
	for _, p := range d.datasets {
		r, err := exchange(ctx, p.m.Broker.Address, &grant.Message{Plan: &grant.PlanRequest{Job: d.signed, Manifest: p.signed, Code: d.code.Signed}})
		if err != nil {
			return nil, err
		}
		if r.Plan == nil {
			return nil, fmt.Errorf("broker %s answers another question", p.m.Broker.Address)
		}
		if v.Currency != "" && v.Currency != r.Plan.Currency {
			return nil, fmt.Errorf("datasets are priced in %s and %s; submit one job for each currency", v.Currency, r.Plan.Currency)
		}
		v.Currency, v.Allowed, v.MaxAmount = r.Plan.Currency, v.Allowed && r.Plan.Allowed, v.MaxAmount+r.Plan.MaxAmount
		steps, err := viewSteps(&p.m.Terms, d.job.Mode)
		if err != nil {
			return nil, err
		}
		v.Datasets = append(v.Datasets, datasetPlan{p.id, p.m.Name, steps, *r.Plan})
		if w := mismatch(d.code.Manifest, p.m); w != "" {
			v.Warnings = append(v.Warnings, w)
		}
		if err := builtin.Private(p.m.Terms.StepsFor(d.job.Mode)); dataset.Noisy(d.job.Mode) && err != nil {
			v.Warnings = append(v.Warnings, fmt.Sprintf("no enclave runs over %s in mode %s: %v", p.m.Name, d.job.Mode, err))
		}
	}
	v.Conflicts = d.conflicts()
	v.Allowed = v.Allowed && len(v.Conflicts) == 0
	return v, nil
}

// conflicts are clauses of the datasets' licences that the job cannot keep: the enclave would refuse it.
func (d *draft) conflicts() []licence.Conflict {
	var all []*dataset.Manifest
	for _, p := range d.datasets {
		all = append(all, p.m)
	}
	return append([]licence.Conflict{}, dataset.Conflicts(d.job.LicenceUse(), all)...)
}

// needCompatible refuses a job that the enclave would refuse, before anything is spent.
func (d *draft) needCompatible() error {
	for _, c := range d.conflicts() {
		return Errorf(KindDenied, "glovebox buyer plan shows every conflict; state another use, or choose other data").because("licence-conflict: %s", c)
	}
	return nil
}

// mismatch says when code and data ask for different machines: both are released to one enclave, so the stricter counts.
func mismatch(code, data *dataset.Manifest) string {
	switch {
	case data.Test && !code.Test:
		return fmt.Sprintf("%s is test data, which is usually run without hardware; this code is released at assurance %s or better only. Pass --test unless the enclave has a hardware TPM", data.Name, code.Terms.MinAssurance)
	case code.Test && !data.Test:
		return fmt.Sprintf("%s is not test data: --test code does not change that it is released at assurance %s or better only", data.Name, data.Terms.MinAssurance)
	}
	return ""
}

func printPlan(w io.Writer, v *planView) {
	rows := [][]string{{"DATASET", "ANSWER", "AT MOST", "USES LEFT", "ASSURANCE"}}
	for _, p := range v.Datasets {
		answer := "allowed"
		if !p.Allowed {
			answer = "refused"
		}
		rows = append(rows, []string{p.Name + " " + short(p.Manifest.String()), answer, money(p.MaxAmount, p.Currency), fmt.Sprint(p.UsesLeft), p.Assurance + " or better"})
	}
	table(w, rows...)
	for _, p := range v.Datasets {
		for _, r := range p.Reasons {
			fmt.Fprintf(w, "\nrefused  %s: %s (%s)\n  to satisfy it: %s\n", p.Name, r.Message, r.Rule, r.Satisfy)
		}
	}
	for _, c := range v.Conflicts {
		fmt.Fprintf(w, "\nconflict  %s: %s\n     with %s: %s\n  %s (licence-conflict)\n", c.A, c.ClauseA, c.B, c.ClauseB, c.Message)
	}
	for _, p := range v.Datasets {
		printAccess(w, &p)
		if len(p.Steps) > 0 {
			fmt.Fprintf(w, "\n%s: every record goes through these steps before the code sees it:\n", p.Name)
			printSteps(w, p.Steps)
		}
	}
	v.printPrivacy(w)
	v.Enclave.print(w)
	what := "runs"
	if v.Runtime == job.RuntimeQuery {
		what = "answers queries"
	}
	fmt.Fprintf(w, "\n%s %s\nfor at most %s of time and %d units of fuel, in %s of memory, to %s of output\n", what, v.Module,
		time.Duration(v.Limits.WallSeconds)*time.Second, v.Limits.Fuel, byteSize(v.Limits.MemoryBytes), byteSize(v.Limits.OutputBytes))
	fmt.Fprintf(w, "\nat most %s in all, of the %s you allow\n%s\n", money(v.MaxAmount, v.Currency), money(v.SpendCap, v.Currency), v.Evidence)
	for _, text := range v.Warnings {
		fmt.Fprintln(w, "warning  "+text)
	}
}

// printAccess says what a buyer has to bring, and what becomes of a run whose broker is away.
func printAccess(w io.Writer, p *datasetPlan) {
	a := &p.Access
	switch r := a.Receipt; {
	case r != nil:
		fmt.Fprintf(w, "\n%s needs a licence receipt: offer %s of %s, at least %s paid to %s; what this job carries is good for %d jobs\n", p.Name,
			a.Offer, r.Issuer, money(r.MinAmount, r.Currency), r.Payee, a.Left)
	case a.Kind == dataset.AccessPermit:
		fmt.Fprintf(w, "\n%s needs a permit of its owner; there is one for %d jobs\n", p.Name, a.Left)
	}
	if p.BrokerAway == dataset.AwayFail {
		fmt.Fprintf(w, "\n%s: the run fails at once when its broker does not answer\n", p.Name)
	}
}

func newSubmit() *cobra.Command {
	var f jobFlags
	var detach, asJSON bool
	cmd := &cobra.Command{
		Use: "submit", Short: "Seal the code, sign the job, queue it, and wait for the result", Args: noArgs,
		Long: `Submit seals --code as a package of the buyer's own, signs a job that pins code and data by digest, publishes both, and
waits. While it waits it is the buyer's broker, unless one is running: it starts glovebox-broker, which must lie beside this
program or in PATH, on the address that init was given, and the host must reach that; it ends when the last command that waits for
a job is done. The enclave gets her code's key from it only after it has proven what it is. The result lands in DIR/jobs; "open" verifies and decrypts it.

CODE is a .wasm file (WASI preview 1), or a directory with main.wasm in it. Go makes one with:

  GOOS=wasip1 GOARCH=wasm go build -o main.wasm .`,
		Example: "  glovebox buyer submit --dir bob --code train.wasm --data MANIFEST --purpose research --output model.safetensors:model",
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := f.draft(cmd)
			if err != nil {
				return err
			}
			if err := d.needReceipts(time.Now()); err != nil {
				return err
			}
			if err := d.needCompatible(); err != nil {
				return err
			}
			if d.job.Privacy != nil {
				say(cmd, "%s", privacyLine(d.job))
			}
			for _, w := range d.unwitnessed(cmd.Context()) {
				say(cmd, "warning: %s", w)
			}
			if err := d.submit(cmd); err != nil {
				return err
			}
			if detach {
				say(cmd, "queued; keep a broker running: glovebox-broker --config %s", d.owner.layout.Config())
				return show(cmd, asJSON, map[string]any{"job": d.id}, func(w io.Writer) { fmt.Fprintln(w, d.id) })
			}
			v, err := d.owner.await(cmd, d.host, d.id)
			if err != nil {
				return err
			}
			return show(cmd, asJSON, v, func(w io.Writer) { v.print(w, f.dir) })
		},
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&detach, "detach", false, "do not wait; a broker must be running for the job to start")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// submit publishes the code and queues the job. The job is kept in the directory before the host hears of it.
func (d *draft) submit(cmd *cobra.Command) error {
	if err := d.owner.publish(cmd, d.host, d.code); err != nil {
		return err
	}
	if err := os.MkdirAll(d.owner.jobDir(d.id), 0o700); err != nil {
		return err
	}
	if err := config.WriteFile(filepath.Join(d.owner.jobDir(d.id), jobFile), d.signed); err != nil {
		return err
	}
	_, err := d.host.Submit(cmd.Context(), d.signed)
	return d.host.explain(err)
}
