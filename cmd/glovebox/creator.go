// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

func newCreator() *cobra.Command {
	cmd := &cobra.Command{
		Use: "creator", Short: "Seal datasets, say what may be done with them, and take it back", Args: noArgs, RunE: needVerb,
		Long: `A creator's directory holds keys, terms and the ledger of what was released. glovebox-broker answers for it:

  glovebox-broker --config DIR/broker.json`,
	}
	cmd.AddCommand(newInit(config.Creator, defaultCreatorBroker), newTrust(config.Creator), newCard(config.Creator),
		newPack(), newScan(), newTransform(), newTerms(), newPublish(config.Creator), newPackages(config.Creator), newRevoke(config.Creator), newAffected(), newPermit(),
		newRotate(config.Creator), newKeyholder(config.Creator), newLedger())
	return cmd
}

func newPack() *cobra.Command {
	var dir, name, format, previous string
	var columns, asJSON bool
	var t termFlags
	var by contributorFlags
	var steps ingestFlags
	cmd := &cobra.Command{
		Use: "pack SOURCE", Short: "Encrypt a dataset and sign its terms", Args: exactArgs(1, "one file or directory"),
		Long: `Pack reads a CSV file, a JSON Lines file or a directory of files, encrypts it under a fresh key, and signs a manifest with
the terms. The key stays in the creator's directory, wrapped; the ciphertext waits there for publish. SOURCE is only read.

Terms come from a file (see glovebox creator terms), from flags, or from both, where they are not about the same thing.
Without a file, what no flag says is: any buyer, any code, any use of the results.

With --contributor, each contributor's records are sealed under a key of their own and can be erased alone (glovebox creator
revoke --contributor). How many records a contributor has becomes public; her name does not leave the directory. With
--consent, a job sees only records of contributors who agreed to its purpose.

With --transform, records go through a pipeline of steps before they are sealed: redaction, generalisation, noise and others (see
docs/transforms.md). What is sealed is then scanned for personal data, and the manifest says publicly what was done and which
types are still found how often; the list of findings stays in the directory. Nothing in the clear is written to disk.

The public card says what the terms do not. --card takes a JSON file with any of these members:

  {"creator": "Alice", "person": true, "collection": "...", "labels": "...", "sampling": "...",
   "knownBiases": ["..."], "retention": "...", "contact": "...",
   "consent": [{"id": "...", "digest": "sha256:..."}], "payment": [{"id": "...", "digest": "sha256:..."}],
   "piiScan": {"tool": "...", "version": "...", "method": "sha256:...", "date": "2026-01-31", "records": 100,
               "unread": 0, "findings": 1, "types": [{"name": "PERSON", "count": 1}], "report": "sha256:..."}}`,
		Example: "  glovebox creator pack scans.csv --dir alice --name scans --purpose research --price-per-use 20\n" +
			"  glovebox creator pack scans.csv --dir alice --contributor patient --consent consents.csv",
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := openOwner(dir, config.Creator)
			if err != nil {
				return err
			}
			m := dataset.Manifest{Kind: dataset.KindDataset, Name: name}
			if m.Name == "" {
				m.Name = nameOf(args[0])
			}
			if m.Format, err = formatOf(args[0], format); err != nil {
				return err
			}
			if err := t.apply(cmd, &m, time.Now()); err != nil {
				return err
			}
			if err := o.releasable(&m, &by); err != nil {
				return err
			}
			in, err := steps.prepare(cmd, o, &m)
			if err != nil {
				return err
			}
			var before []dataset.Step
			if in != nil {
				before = in.steps
			}
			if err := checkModes(cmd.Context(), &m, args[0], before); err != nil {
				return err
			}
			if in == nil {
				if err := warnUnreadable(cmd, &m, args[0]); err != nil {
					return err
				}
			}
			if err := o.keepModules(cmd.Context(), &m.Terms, steps.modules); err != nil {
				return err
			}
			c := dataset.PackConfig{Manifest: m, PublishColumns: columns}
			p, err := packPath(cmd, o, c, args[0], previous, &by, in)
			if err != nil {
				return err
			}
			say(cmd, "sealed; publish it with: glovebox creator publish %s --dir %s", short(p.ID.String()), dir)
			return showPackages(cmd, asJSON, []config.Package{{ID: p.ID, Manifest: p.Manifest}})
		},
	}
	f := cmd.Flags()
	dirFlag(cmd, &dir, config.Creator)
	f.StringVar(&name, "name", "", "name of the dataset (default: from SOURCE)")
	f.StringVar(&format, "format", "auto", "format of SOURCE: csv, jsonl, files, or auto (by extension; files for a directory)")
	f.StringVar(&previous, "previous", "", "package that this is a later version of; its segments are kept, SOURCE is added")
	f.BoolVar(&columns, "publish-columns", false, "put the CSV header's column names into the public manifest")
	t.register(cmd)
	by.register(cmd)
	steps.register(cmd)
	jsonFlag(cmd, &asJSON)
	return cmd
}

// packPath opens the source and seals it, showing progress.
func packPath(cmd *cobra.Command, o *owner, c dataset.PackConfig, path, previous string, by *contributorFlags, in *ingest) (*dataset.Packed, error) {
	total, err := sourceSize(path)
	if err != nil {
		return nil, err
	}
	bar := newProgress(cmd.ErrOrStderr(), "packing "+c.Manifest.Name)
	defer bar.done()
	c.Progress = func(p dataset.Progress) { bar.step(p.RawBytes, max(total, p.RawBytes), "bytes") }
	var old *config.Package
	if previous != "" {
		if old, err = o.find(previous); err != nil {
			return nil, err
		}
	}
	if err := by.apply(o, &c, old); err != nil {
		return nil, err
	}
	return o.seal(cmd.Context(), c, path, old, in)
}

// sourceSize is the length of a file or of all files in a directory, for the progress line.
func sourceSize(path string) (int64, error) {
	var n int64
	err := filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.Type().IsRegular() {
			st, err := d.Info()
			if err != nil {
				return err
			}
			n += st.Size()
		}
		return nil
	})
	if err != nil {
		return 0, Errorf(KindUsage, "give the path of a CSV or JSON Lines file, or of a directory").from(fmt.Errorf("%w: %w", dataset.ErrMissing, err))
	}
	return n, nil
}

// nameOf is a file's name without its extension, in the letters a name may have.
func nameOf(path string) string {
	base := filepath.Base(filepath.Clean(path))
	base = strings.TrimSuffix(base, filepath.Ext(base))
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, base)
}

func formatOf(path, format string) (dataset.Format, error) {
	if format != "auto" {
		if f := dataset.Format(format); slices.Contains([]dataset.Format{dataset.FormatCSV, dataset.FormatJSONL, dataset.FormatFiles}, f) {
			return f, nil
		}
		return "", Errorf(KindUsage, "use --format csv, jsonl, files or auto").because("unknown format %q", format)
	}
	st, err := os.Stat(path)
	if err != nil {
		return "", Errorf(KindUsage, "give the path of a CSV or JSON Lines file, or of a directory").from(fmt.Errorf("%w: %w", dataset.ErrMissing, err))
	}
	switch ext := strings.ToLower(filepath.Ext(path)); {
	case st.IsDir():
		return dataset.FormatFiles, nil
	case ext == ".csv":
		return dataset.FormatCSV, nil
	case ext == ".jsonl" || ext == ".ndjson":
		return dataset.FormatJSONL, nil
	}
	return "", Errorf(KindUsage, "say it with --format csv, jsonl or files").because("cannot tell the format of %s by its name", path)
}

func newPublish(role config.Role) *cobra.Command {
	var dir, host string
	var all, asJSON bool
	cmd := &cobra.Command{
		Use: "publish [PACKAGE]", Short: "Upload ciphertext and manifest to a host", Args: atMostOne("one package"),
		Example: "  glovebox creator publish scans --dir alice --host http://127.0.0.1:7300",
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := openOwner(dir, role)
			if err != nil {
				return err
			}
			h, err := o.host(host)
			if err != nil {
				return err
			}
			list, err := o.chosen(args, all)
			if err != nil {
				return err
			}
			for _, p := range list {
				if err := o.publish(cmd, h, p); err != nil {
					return err
				}
			}
			return showPackages(cmd, asJSON, list)
		},
	}
	dirFlag(cmd, &dir, role)
	hostFlag(cmd, &host)
	cmd.Flags().BoolVar(&all, "all", false, "every package in the directory")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// chosen is the named package, or all.
func (o *owner) chosen(args []string, all bool) ([]config.Package, error) {
	if all == (len(args) == 1) {
		return nil, Errorf(KindUsage, "see what there is with: %s", o.listCommand()).because("give one package or --all")
	}
	if !all {
		p, err := o.find(args[0])
		if err != nil {
			return nil, err
		}
		return []config.Package{*p}, nil
	}
	list, err := config.ListPackages(o.dir)
	if err == nil && len(list) == 0 {
		return nil, Errorf(KindUsage, "%s", o.packFirst()).because("%s holds no package", o.dir)
	}
	return list, err
}

func (o *owner) publish(cmd *cobra.Command, h *hostClient, p config.Package) error {
	s, err := dataset.NewDirStore(o.layout.Blobs())
	if err != nil {
		return err
	}
	bar := newProgress(cmd.ErrOrStderr(), "publishing "+p.Manifest.Name)
	defer bar.done()
	return h.publish(cmd.Context(), p.Signed, p.Manifest, s, bar)
}

func newPackages(role config.Role) *cobra.Command {
	var dir string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "ls", Short: "List the packages in the directory", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := openOwner(dir, role); err != nil {
				return err
			}
			list, err := config.ListPackages(dir)
			if err != nil {
				return err
			}
			return showPackages(cmd, asJSON, list)
		},
	}
	dirFlag(cmd, &dir, role)
	jsonFlag(cmd, &asJSON)
	return cmd
}

type packageView struct {
	Manifest envelope.Digest `json:"manifest"`
	Kind     dataset.Kind    `json:"kind"`
	Name     string          `json:"name"`
	Version  int64           `json:"version"`
	Format   dataset.Format  `json:"format"`
	Records  int64           `json:"records"`
	RawBytes int64           `json:"rawBytes"`
	Leaves   int64           `json:"leaves"`
	Root     envelope.Digest `json:"root"`
	Test     bool            `json:"test"`
	Terms    dataset.Terms   `json:"terms"`
}

func showPackages(cmd *cobra.Command, asJSON bool, list []config.Package) error {
	views, rows := []packageView{}, [][]string{{"MANIFEST", "KIND", "NAME", "VERSION", "RECORDS", "SIZE", "LEAVES", "PURPOSES", "NOTE"}}
	for _, p := range list {
		m := p.Manifest
		views = append(views, packageView{p.ID, m.Kind, m.Name, m.Version, m.Format, m.Records, m.RawBytes, m.Tree.Size, m.Tree.Root, m.Test, m.Terms})
		note := "needs hardware"
		if m.Test {
			note = "test: released without hardware"
		}
		rows = append(rows, []string{
			short(p.ID.String()), string(m.Kind), m.Name, fmt.Sprint(m.Version), fmt.Sprint(m.Records), byteSize(m.RawBytes),
			fmt.Sprint(m.Tree.Size), strings.Join(m.Terms.Purposes, ","), note,
		})
	}
	return show(cmd, asJSON, map[string]any{"packages": views}, func(w io.Writer) { table(w, rows...) })
}

// seal packs with a fresh data key, or that of the version before, wraps the key and stores both: the broker can
// release it from now on.
func (o *owner) seal(ctx context.Context, c dataset.PackConfig, path string, previous *config.Package, in *ingest) (*dataset.Packed, error) {
	if path != "" {
		f, err := c.OpenSource(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
	}
	return o.sealSource(ctx, c, previous, in)
}
