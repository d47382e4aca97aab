// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/policies/terms"
)

// termFlags are a creator's terms on the command line. They go the way of a terms file, and may add to one.
type termFlags struct {
	file                       string
	purposes, outputs          []string
	maxOutput, logs, away      string
	epochs                     int
	uses, allowance            int64
	lease, valid               time.Duration
	perRecord, perUse          string
	currency, minAssurance     string
	description, license, card string
	test                       bool
	modes                      modeFlags
}

func (t *termFlags) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&t.file, "terms", "", "file with the terms, in YAML; make one with: glovebox creator terms new")
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
	f.StringArrayVar(&t.modes.modes, "mode", nil, "privacy mode that jobs may ask for ("+strings.Join(flagModes(), ", ")+"), with its steps as MODE=STEPS.json; repeat for several (default: "+dataset.ModeRaw+")")
	f.StringSliceVar(&t.modes.detect, "detect", nil, "kinds of personal data that --mode redacted replaces, e.g. EMAIL_ADDRESS,PERSON or all")
	f.StringVar(&t.description, "description", "", "what the dataset is, for its public card")
	f.StringVar(&t.license, "license", "", "SPDX identifier, which becomes part of the terms; or a text or URL, for the public card only")
	f.StringVar(&t.card, "card", "", "file with the rest of the public card, in JSON: how it was collected, known biases, consent, contact, ...")
}

// clause is one flag's part of the terms.
type clause struct {
	flag, path string
	values     []string
}

// clauses are the flags in the words of a terms file.
func (t *termFlags) clauses(now time.Time) []clause {
	n := func(v int64) []string { return []string{strconv.FormatInt(v, 10)} }
	out := []clause{
		{"purpose", "purposes", t.purposes},
		{"outputs", "outputs.classes", t.outputs},
		{"max-output", "outputs.most", []string{t.maxOutput}},
		{"epochs", "uses.epochs", n(int64(t.epochs))},
		{"uses", "uses.jobs", n(t.uses)},
		{"valid", "uses.until", []string{now.Add(t.valid).UTC().Format(time.RFC3339)}},
		{"logs", "run.logs", []string{t.logs}},
		{"allowance", "run.allowance", n(t.allowance)},
		{"lease", "run.lease", []string{strconv.FormatInt(int64(t.lease/time.Second), 10) + "s"}},
		{"broker-away", "run.broker-away", []string{t.away}},
		{"price-per-record", "price.per-record", []string{t.perRecord}},
		{"price-per-use", "price.per-use", []string{t.perUse}},
		{"currency", "price.currency", []string{t.currency}},
		{"min-assurance", "run.assurance", []string{t.assurance()}},
		{"test", "test", []string{strconv.FormatBool(t.test)}},
	}
	if spdxLike.MatchString(t.license) {
		out = append(out, clause{"license", "licence.spdx", []string{t.license}})
	}
	return out
}

// spdxLike is one word that can be an SPDX identifier. A text or a URL is not.
var spdxLike = regexp.MustCompile(`^[A-Za-z0-9.+-]+$`)

// document is what the file and the flags say together. Without a file, flags that are not given say their default.
func (t *termFlags) document(cmd *cobra.Command, now time.Time) (*terms.Document, error) {
	d := terms.New()
	if t.file != "" {
		b, err := readBounded(t.file, terms.MaxFile)
		if err != nil {
			return nil, err
		}
		d = terms.Parse(b)
	}
	for _, c := range t.clauses(now) {
		switch {
		case cmd.Flags().Changed(c.flag):
			d.Set(c.path, "--"+c.flag, c.values...)
		case t.file == "":
			d.Default(c.path, "--"+c.flag, c.values...)
		}
	}
	if err := t.modes.set(d); err != nil {
		return nil, err
	}
	if t.file == "" {
		t.open(d)
	}
	return d, nil
}

// open says what only a file can narrow.
func (t *termFlags) open(d *terms.Document) {
	for path, v := range map[string]string{
		"version": "1", "modes": grant.ModeRaw, "buyers.any": "true", "code.any": "true", "access": dataset.AccessOpen, "consent": "none",
		"privacy.population": "default",
	} {
		d.Default(path, "a default", v)
	}
	if !d.Says("licence.spdx") {
		for path, v := range map[string]string{"licence.commercial": "true", "licence.derivatives": "true", "licence.territories": "everywhere"} {
			d.Default(path, "a default", v)
		}
	}
}

// apply writes the terms into m.
func (t *termFlags) apply(cmd *cobra.Command, m *dataset.Manifest, now time.Time) error {
	d, err := t.document(cmd, now)
	if err != nil {
		return err
	}
	c, err := d.Compile(termsConfig(cmd.Context(), t.file, now))
	if err != nil {
		return termsError(t.file, err)
	}
	for _, n := range c.Notes {
		say(cmd, "note: %s", n)
	}
	m.Test, m.Terms = c.Test, c.Terms
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
	d.Description = t.description
	if !spdxLike.MatchString(t.license) {
		d.License = t.license
	}
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
