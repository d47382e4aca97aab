// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/policies/terms"
)

// manifestInspection is what there is to say of one manifest.
type manifestInspection struct {
	Verified bool               `json:"verified"` // signature and every field; nothing else is shown of one that is not
	Manifest envelope.Digest    `json:"manifest"`
	Owner    envelope.PublicKey `json:"owner"`
	History  []historyView      `json:"history"` // known versions, oldest first
	Words    []string           `json:"words"`   // the terms, in sentences
	Steps    []modeView         `json:"steps"`
	Leaves   int64              `json:"leaves"`
	Sealed   int64              `json:"sealedBytes"` // of all segments
	Contents *dataset.Manifest  `json:"contents"`
}

// historyView is one version in a history.
type historyView struct {
	Version  int64           `json:"version"`
	Manifest envelope.Digest `json:"manifest"`
	Date     string          `json:"date"` // as its owner says
	Records  int64           `json:"records"`
	Segments int             `json:"segments"`
	Shown    bool            `json:"shown"` // the one inspected
	Known    bool            `json:"known"` // false: named by a later version, and not at hand
}

func newInspect(role config.Role) *cobra.Command {
	var dir string
	var previous []string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "inspect MANIFEST|PACKAGE", Short: "Show a package's manifest as a person reads it", Args: exactArgs(1, "a manifest's file, or a package in the directory"),
		Long: `Inspect verifies a manifest and shows what it says: who signed it, the versions, the data sheet, the terms in sentences, price,
sizes, contributors, and what was found and done before it was sealed. It takes a manifest's file, for which no directory is needed,
or the name or digest of a package in --dir. The versions are those in the directory, and those in files given with --previous. A
manifest that does not verify is not shown, and the exit code is 4. What a manifest says of its data is its owner's word: inspect
opens nothing.`,
		Example: fmt.Sprintf("  glovebox %s inspect scans --dir %s\n  glovebox %s inspect manifest.dsse --previous older.dsse", role, role, role),
		RunE: func(cmd *cobra.Command, args []string) error {
			signed, known, err := inspected(cmd.Context(), args[0], dir, role)
			if err != nil {
				return err
			}
			v, err := dataset.Verify(signed)
			if err != nil {
				return Errorf(KindVerify, "nothing it says can be relied on; get it from its owner again").from(fmt.Errorf("%s does not verify: %w", args[0], err))
			}
			for _, path := range previous {
				b, err := readInput(cmd.Context(), path, envelope.MaxEnvelope)
				if err != nil {
					return usageError(err)
				}
				p, err := dataset.VerifyBy(b, v.Predicate.Owner)
				if err != nil {
					return Errorf(KindVerify, "leave it out of --previous, or get it again").from(fmt.Errorf("%s: %w", path, err))
				}
				known = append(known, config.Package{ID: p.ID, Manifest: &p.Predicate, Signed: b})
			}
			i, err := inspectManifest(v, known)
			if err != nil {
				return err
			}
			return show(cmd, asJSON, i, func(w io.Writer) { i.print(w) })
		},
	}
	dirFlag(cmd, &dir, role)
	cmd.Flags().StringArrayVar(&previous, "previous", nil, "file with the manifest of another version; several")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// inspected is the manifest that is asked for and, of a directory, all that are known.
func inspected(ctx context.Context, what, dir string, role config.Role) ([]byte, []config.Package, error) {
	if st, err := os.Stat(what); err == nil && !st.IsDir() {
		b, err := readInput(ctx, what, envelope.MaxEnvelope)
		if err != nil {
			return nil, nil, Errorf(KindUsage, "give a manifest of at most %s", byteSize(envelope.MaxEnvelope)).from(err)
		}
		return b, nil, nil
	}
	o, err := openOwner(dir, role)
	if err != nil {
		return nil, nil, err
	}
	list, err := config.ListPackages(o.dir)
	if err != nil {
		return nil, nil, err
	}
	p, err := o.among(what, list)
	if err != nil {
		return nil, nil, err
	}
	return p.Signed, list, nil
}

// inspectManifest gathers what print shows.
func inspectManifest(v *envelope.Verified[dataset.Manifest], known []config.Package) (*manifestInspection, error) {
	m := &v.Predicate
	i := &manifestInspection{Verified: true, Manifest: v.ID, Owner: m.Owner, Leaves: m.Tree.Size, Contents: m, Steps: []modeView{}}
	for _, s := range m.Segments {
		i.Sealed += s.Bytes
	}
	c := terms.Compiled{Terms: m.Terms, Test: m.Test}
	i.Words = c.Words()
	for _, s := range m.Terms.Steps {
		steps, err := viewSteps(&m.Terms, s.Mode)
		if err != nil {
			return nil, err
		}
		i.Steps = append(i.Steps, modeView{s.Mode, steps})
	}
	return i, i.history(v, known)
}

// history lists the versions that are known, and those that others name as the one before.
func (i *manifestInspection) history(v *envelope.Verified[dataset.Manifest], known []config.Package) error {
	all := map[envelope.Digest]*dataset.Manifest{v.ID: &v.Predicate}
	for _, p := range known {
		if p.Manifest.Dataset == v.Predicate.Dataset {
			all[p.ID] = p.Manifest
		}
	}
	for id, m := range all {
		i.History = append(i.History, historyView{m.Version, id, m.Metadata.DatePublished, m.Records, len(m.Segments), id == v.ID, true})
		if m.Previous != nil && all[*m.Previous] == nil {
			i.History = append(i.History, historyView{Version: m.Version - 1, Manifest: *m.Previous})
		}
	}
	slices.SortFunc(i.History, func(a, b historyView) int {
		if a.Version != b.Version {
			return int(a.Version - b.Version)
		}
		return strings.Compare(a.Manifest.Hex(), b.Manifest.Hex())
	})
	i.History = slices.Compact(i.History)
	for k := 1; k < len(i.History); k++ {
		if a, b := i.History[k-1], i.History[k]; a.Version == b.Version {
			return Errorf(KindVerify, "ask its owner which one counts").because("two manifests say that they are version %d: %s and %s", a.Version, short(a.Manifest.String()), short(b.Manifest.String()))
		}
	}
	return nil
}

// print writes all for a person: first whether it can be relied on.
func (i *manifestInspection) print(w io.Writer) {
	m := i.Contents
	d := &m.Metadata
	fmt.Fprintf(w, "signature good, by %s\n", i.Owner)
	fmt.Fprintf(w, "%s %s, version %d: %s\n\n", m.Kind, m.Name, m.Version, i.Manifest)
	table(w, i.facts()...)
	fmt.Fprintln(w, "\nVersions:")
	rows := [][]string{}
	for _, v := range i.History {
		note := ""
		if v.Shown {
			note = "this one"
		}
		if !v.Known {
			rows = append(rows, []string{"  " + fmt.Sprint(v.Version), short(v.Manifest.String()), "not at hand"})
			continue
		}
		rows = append(rows, []string{"  " + fmt.Sprint(v.Version), short(v.Manifest.String()), v.Date, amount(v.Records, "records"), amount(int64(v.Segments), "segments"), note})
	}
	table(w, rows...)
	fmt.Fprintln(w, "\nData sheet, as its owner says:")
	table(w, sheet(d)...)
	fmt.Fprintln(w, "\nTerms:")
	for _, s := range i.Words {
		fmt.Fprintf(w, "  %s\n", plain(s))
	}
	for _, s := range i.Steps {
		fmt.Fprintf(w, "\nIn mode %s every record goes through these steps before code sees it:\n", s.Mode)
		printSteps(w, s.Steps)
	}
	if len(d.Transforms) > 0 || d.PIIScan != nil || d.Anonymity != nil {
		fmt.Fprintln(w, "\nBefore it was sealed, as its owner says:")
		printIngest(w, d)
	}
}

// facts are what the manifest says of the package.
func (i *manifestInspection) facts() [][]string {
	m := i.Contents
	d := &m.Metadata
	test := "needs hardware that proves itself"
	if m.Test {
		test = "test: keys are released without hardware"
	}
	rows := [][]string{
		{"dataset", m.Dataset.String()},
		{"broker", plain(m.Broker.Address) + ", " + m.Broker.Key.String()},
		{"release", test + "; at least " + m.Terms.MinAssurance},
		{"price", fmt.Sprintf("%s a record, %s a job", money(m.Terms.Price.PerRecord, m.Terms.Price.Currency), money(m.Terms.Price.PerUse, m.Terms.Price.Currency))},
		{"offer ends", time.Unix(m.Terms.NotAfter, 0).UTC().Format(time.RFC3339)},
		{"contents", fmt.Sprintf("%d records of %s, at most %s", m.Records, m.Format, byteSize(m.RawBytes))},
		{"sealed", fmt.Sprintf("%s in %s, %s", byteSize(i.Sealed), amount(int64(len(m.Segments)), "segments"), amount(i.Leaves, "leaves"))},
		{"root", m.Tree.Root.String()},
		{"duplicates", duplicateWords(d.Duplicates)},
		{"checksum", d.Ingestion.Method + " " + d.Ingestion.Checksum.String() + ", " + plain(d.Ingestion.Date)},
	}
	if m.Credential != nil {
		rows = append(rows, []string{"credential", m.Credential.String()})
	}
	if m.Units != nil {
		agreed := 0
		for _, u := range m.Units {
			if u.Consent != nil {
				agreed++
			}
		}
		rows = append(rows, []string{"contributors", fmt.Sprintf("%d, each of whom can be erased alone; %s by contributor, %d with consent", m.Contributors(), amount(int64(len(m.Units)), "runs of segments"), agreed)})
	}
	for _, t := range m.Tombstones {
		rows = append(rows, []string{"erased", fmt.Sprintf("%s from segment %d on, in version %d, %s: %s", amount(t.Count, "segments"), t.First, t.Version, t.Date, plain(t.Reason))})
	}
	return rows
}

// licenceWords is what a card calls its licence: a manifest whose terms are no listed one points to them.
func licenceWords(name string) string {
	if name == "see usageInfo" {
		return "the terms below"
	}
	return plain(name)
}

// sheet is the card. Its words are the owner's.
func sheet(d *dataset.Metadata) [][]string {
	rows := [][]string{
		{"  creator", plain(d.Creator.Name) + " (" + strings.ToLower(strings.TrimPrefix(d.Creator.Type, "sc:")) + ")"},
		{"  description", plain(d.Description)},
		{"  licence", licenceWords(d.License)},
		{"  published", plain(d.DatePublished)},
		{"  collection", plain(d.Collection)},
		{"  sampling", plain(d.Sampling)},
		{"  labels", plain(d.Labels)},
		{"  known biases", plain(strings.Join(d.KnownBiases, "; "))},
		{"  retention", plain(d.Retention)},
		{"  contact", plain(d.Contact)},
	}
	var columns []string
	for _, s := range d.RecordSet {
		for _, f := range s.Field {
			if f.Source.Extract.Column != "" || f.Source.Transform != nil {
				columns = append(columns, f.Name)
			}
		}
	}
	if len(columns) > 0 {
		rows = append(rows, []string{"  columns", plain(strings.Join(columns, ", "))})
	}
	for _, l := range []struct {
		name string
		list []dataset.Reference
	}{{"  consent", d.Consent}, {"  payment", d.Payment}} {
		for _, r := range l.list {
			rows = append(rows, []string{l.name, plain(r.ID) + ", " + r.Digest.String()})
		}
	}
	return rows
}

// printIngest says what was done to records and found in them.
func printIngest(w io.Writer, d *dataset.Metadata) {
	for k, s := range d.Transforms {
		fmt.Fprintf(w, "  step %d, %s: %d records in, %d out; found %s\n", k+1, plain(s.Step), s.RecordsIn, s.RecordsOut, sumOf(s.Findings))
	}
	if a := d.Anonymity; a != nil {
		fmt.Fprintf(w, "  every record looks like %d others or more in %s\n", a.K-1, plain(strings.Join(a.Quasi, ", ")))
	}
	if s := d.PIIScan; s != nil {
		fmt.Fprintf(w, "  personal data still found by %s %s: %s, in %d records, %d of them not read\n", plain(s.Tool), plain(s.Version), sumOf(s.Types), s.Records, s.Unread)
	}
}
