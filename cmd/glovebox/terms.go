// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// termFlags are a creator's terms on the command line. What is not said is narrow: one purpose, few uses, no logs, and
// hardware.
type termFlags struct {
	purposes, outputs          []string
	maxOutput, logs, away      string
	epochs                     int
	uses, allowance            int64
	lease, valid               time.Duration
	perRecord, perUse          string
	currency, minAssurance     string
	description, license, card string
	test                       bool
}

func (t *termFlags) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringSliceVar(&t.purposes, "purpose", []string{"research"}, "what the data may be used for; repeat for several")
	f.StringSliceVar(&t.outputs, "outputs", []string{"metrics", "model"}, "classes of output that may leave: "+strings.Join(job.OutputClasses(), ", "))
	f.StringVar(&t.maxOutput, "max-output", "16MiB", "most that may leave in one job")
	f.IntVar(&t.epochs, "epochs", 20, "most passes over the data in one job")
	f.Int64Var(&t.uses, "uses", 10, "jobs in all")
	f.StringVar(&t.logs, "logs", grant.LogsOff, "what becomes of the code's own words: off, or sealed into the buyer's result")
	f.Int64Var(&t.allowance, "allowance", 64, "leaves (of 64 KiB) that one heartbeat allows")
	f.DurationVar(&t.lease, "lease", time.Hour, "longest that one job may hold the key")
	f.StringVar(&t.away, "broker-away", "wait", "when the broker does not answer, a running job may wait or must fail")
	f.StringVar(&t.perRecord, "price-per-record", "0", "price of one record delivered in one epoch")
	f.StringVar(&t.perUse, "price-per-use", "0", "price of one completed job")
	f.StringVar(&t.currency, "currency", "EUR", "currency of the prices, by ISO 4217 code")
	f.DurationVar(&t.valid, "valid", 365*24*time.Hour, "for how long the offer stands")
	f.StringVar(&t.minAssurance, "min-assurance", "", "least assurance to release to: tpm or tee; with --test also software-tpm or simulated (default: tpm, with --test simulated)")
	f.BoolVar(&t.test, "test", false, "not real data: may be released to an enclave without hardware")
	f.StringVar(&t.description, "description", "", "what the dataset is, for its public card")
	f.StringVar(&t.license, "license", "", "licence text or URL, for the public card")
	f.StringVar(&t.card, "card", "", "file with the rest of the public card, in JSON: how it was collected, known biases, consent, contact, ...")
}

// apply writes the terms into m.
func (t *termFlags) apply(m *dataset.Manifest, now time.Time) error {
	maxOutput, err := parseSize(t.maxOutput)
	if err != nil {
		return err
	}
	perRecord, err := parseMoney(t.perRecord)
	if err != nil {
		return err
	}
	perUse, err := parseMoney(t.perUse)
	if err != nil {
		return err
	}
	if err := t.words(); err != nil {
		return err
	}
	m.Test = t.test
	m.Terms = dataset.Terms{
		Modes: []string{grant.ModeRaw}, Purposes: sorted(t.purposes), Outputs: sorted(t.outputs),
		MaxOutputBytes: maxOutput, MaxEpochs: t.epochs, MaxUses: t.uses, Logs: t.logs, Allowance: t.allowance,
		LeaseSeconds: int64(t.lease / time.Second), BrokerAway: t.away,
		Price:    dataset.Price{Currency: t.currency, PerRecord: perRecord, PerUse: perUse},
		NotAfter: now.Add(t.valid).Unix(), MinAssurance: t.assurance(),
	}.ForAnyone()
	return t.describe(m)
}

func (t *termFlags) assurance() string {
	switch {
	case t.minAssurance != "":
		return t.minAssurance
	case t.test:
		return string(attestation.AssuranceSimulated)
	}
	return string(attestation.AssuranceTPM)
}

// words refuses values outside the closed lists, naming the list.
func (t *termFlags) words() error {
	one := func(flag, v string, of ...string) error {
		if slices.Contains(of, v) {
			return nil
		}
		return Errorf(KindUsage, "use --%s %s", flag, strings.Join(of, " or ")).because("--%s %q is not known", flag, v)
	}
	for _, c := range t.outputs {
		if err := one("outputs", c, job.OutputClasses()...); err != nil {
			return err
		}
	}
	if err := one("logs", t.logs, grant.LogsOff, grant.LogsSealed); err != nil {
		return err
	}
	if err := one("broker-away", t.away, "wait", "fail"); err != nil {
		return err
	}
	levels := []string{string(attestation.AssuranceTPM), string(attestation.AssuranceTEE)}
	if t.test {
		levels = append(levels, string(attestation.AssuranceSoftwareTPM), string(attestation.AssuranceSimulated))
	}
	return one("min-assurance", t.assurance(), levels...)
}

func sorted(s []string) []string {
	out := slices.Clone(s)
	slices.Sort(out)
	return slices.Compact(out)
}

// parseMoney reads a decimal amount into millionths, exactly.
func parseMoney(s string) (int64, error) {
	bad := func() (int64, error) {
		return 0, Errorf(KindUsage, "write it like 12.50; at most six decimals").because("%q is not an amount of money", s)
	}
	if strings.Trim(s, "0123456789.") != "" || s == "" || len(s) > 20 {
		return bad()
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return bad()
	}
	r.Mul(r, big.NewRat(1_000_000, 1))
	if !r.IsInt() || !r.Num().IsInt64() || r.Num().Int64() > job.MaxAmount {
		return bad()
	}
	return r.Num().Int64(), nil
}

// parseSize reads a number of bytes, with an optional unit.
func parseSize(s string) (int64, error) {
	digits := strings.TrimRight(s, "BKMGi")
	n, err := strconv.ParseInt(digits, 10, 64)
	factor, ok := map[string]int64{"": 1, "B": 1, "K": 1 << 10, "KiB": 1 << 10, "M": 1 << 20, "MiB": 1 << 20, "G": 1 << 30, "GiB": 1 << 30}[s[len(digits):]]
	if err != nil || !ok || n < 0 || n > job.MaxAmount/factor {
		return 0, Errorf(KindUsage, "write it like 512KiB, 16MiB or 1GiB").because("%q is not a size", s)
	}
	return n * factor, nil
}

// card is what a creator may say of a dataset beyond its terms. Its JSON names follow the metadata's plain words.
type card struct {
	Creator     string              `json:"creator"`
	Person      bool                `json:"person"` // the creator is a person, not an organisation
	Collection  string              `json:"collection"`
	Labels      string              `json:"labels"`
	Sampling    string              `json:"sampling"`
	KnownBiases []string            `json:"knownBiases"`
	Retention   string              `json:"retention"`
	Contact     string              `json:"contact"`
	Consent     []dataset.Reference `json:"consent"`
	Payment     []dataset.Reference `json:"payment"`
	PIIScan     *dataset.PIIScan    `json:"piiScan"`
}

const maxCard = 1 << 20

// describe writes the public card into m.
func (t *termFlags) describe(m *dataset.Manifest) error {
	d := &m.Metadata
	d.Description, d.License = t.description, t.license
	if t.card == "" {
		return nil
	}
	b, err := readBounded(t.card, maxCard)
	if err != nil {
		return err
	}
	var c card
	if err := envelope.DecodeStrict(b, maxCard, &c); err != nil {
		return Errorf(KindUsage, "glovebox creator pack --help says what a card may hold").from(fmt.Errorf("%s: %w", t.card, err))
	}
	d.Creator.Name, d.Collection, d.Labels, d.Sampling = c.Creator, c.Collection, c.Labels, c.Sampling
	if c.Person {
		d.Creator.Type = "sc:Person"
	}
	d.KnownBiases, d.Retention, d.Contact = c.KnownBiases, c.Retention, c.Contact
	d.Consent, d.Payment, d.PIIScan = c.Consent, c.Payment, c.PIIScan
	return nil
}
