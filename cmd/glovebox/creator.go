// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/source/parquet"
	"github.com/glovebox-dev/glovebox/internal/source/webdataset"
)

func newCreator() *cobra.Command {
	cmd := &cobra.Command{
		Use: "creator", Short: "Seal datasets, say what may be done with them, and take it back", Args: noArgs, RunE: needVerb,
		Long: `A creator's directory holds keys, terms and the ledger of what was released. glovebox-broker answers for it:

  glovebox-broker --config DIR/broker.json`,
	}
	cmd.AddCommand(newInit(config.Creator, defaultCreatorBroker), newTrust(config.Creator), newCard(config.Creator), newPublicLog(config.Creator),
		newPack(), newScan(), newTransform(), newTerms(), newPublish(config.Creator), newTiles(), newPackages(config.Creator), newInspect(config.Creator), newRevoke(config.Creator), newTombstone(), newAffected(), newPermit(),
		newRotate(config.Creator), newKeyholder(config.Creator), newLedger(), newWitness(), newPrivacy(), newCreatorExport())
	return cmd
}

func newPack() *cobra.Command {
	var dir, name, format, previous string
	var columns, asJSON bool
	var t termFlags
	var by contributorFlags
	var steps ingestFlags
	var img imageFlags
	var again resumeFlags
	cmd := &cobra.Command{
		Use: "pack SOURCE", Short: "Encrypt a dataset and sign its terms", Args: exactArgs(1, "one file or directory"),
		Long: `Pack reads a CSV, JSON Lines or Parquet file, tar shards or a directory of files, encrypts it under a fresh key, and signs a
manifest with the terms. The key stays in the creator's directory, wrapped; the ciphertext waits there for publish. SOURCE is only read.

Parquet (a file, or a folder of part files) is packed as JSON Lines with exact values, or with --format csv as CSV if it is flat.
Shards of WebDataset (.tar, .tar.gz) are packed by sample. With --format images every file of a folder has to be an image, and the
images of each class, which is the folder they lie in, are counted here; neither names nor counts are published. See docs/sources.md.

Terms come from a file (see glovebox creator terms), from flags, or from both, where they are not about the same thing.
Without a file, what no flag says is: any buyer, any code, any use of the results.

With --contributor, each contributor's records are sealed under a key of their own and can be erased alone (glovebox creator
revoke --contributor). How many records a contributor has becomes public; her name does not leave the directory. With
--consent, a job sees only records of contributors who agreed to its purpose.

With --transform, records go through a pipeline of steps before they are sealed: redaction, generalisation, noise and others (see
docs/transforms.md). What is sealed is then scanned for personal data, and the manifest says publicly what was done and which
types are still found how often; the list of findings stays in the directory. Nothing in the clear is written to disk.

A pack that was interrupted, by whatever it was, goes on with the same command and --resume, to the same manifest and ciphertext:
SOURCE is read again from its beginning and compared, steps run again, and what was sealed is not sealed again. SOURCE, terms and
flags must be the same. Steps that draw noise cannot be repeated: such a pack begins anew.

The public card says what the terms do not. --card takes a JSON file with any of these members:

  {"creator": "Alice", "person": true, "collection": "...", "labels": "...", "sampling": "...",
   "knownBiases": ["..."], "retention": "...", "contact": "...",
   "consent": [{"id": "...", "digest": "sha256:..."}], "payment": [{"id": "...", "digest": "sha256:..."}],
   "piiScan": {"tool": "...", "version": "...", "method": "sha256:...", "date": "2026-01-31", "records": 100,
               "unread": 0, "findings": 1, "types": [{"name": "PERSON", "count": 1}], "report": "sha256:..."}}`,
		Example: "  glovebox creator pack scans.csv --dir alice --name scans --purpose research --price-per-use 20\n" +
			"  glovebox creator pack visits.parquet --dir alice\n" +
			"  glovebox creator pack shards/ --dir alice --format webdataset\n" +
			"  glovebox creator pack photos/ --dir alice --format images --skip-broken\n" +
			"  glovebox creator pack scans.csv --dir alice --contributor patient --consent consents.csv\n" +
			"  glovebox creator pack scans.csv --dir alice --name scans --purpose research --price-per-use 20 --resume",
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := openOwner(dir, config.Creator)
			if err != nil {
				return err
			}
			m := dataset.Manifest{Kind: dataset.KindDataset, Name: name}
			if m.Format, err = formatOf(args[0], format); err != nil {
				return err
			}
			old, err := o.earlier(previous, &m)
			if err != nil {
				return err
			}
			if m.Name == "" {
				m.Name = nameOf(args[0])
			}
			sayForeign(cmd, args[0], format, m.Format)
			var done *config.Package
			if o.pack, done, err = again.open(cmd, o, m.Name); err != nil {
				return err
			}
			if done != nil {
				return showPackages(cmd, asJSON, []config.Package{*done}, nil)
			}
			if old == nil {
				o.sayTaken(cmd, m.Name)
			}
			if err := t.apply(cmd, &m, o.pack.begun); err != nil {
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
			p, err := packPath(cmd, o, c, args[0], old, &by, in, asJSON, func(c *dataset.PackConfig) error { return img.check(cmd, c, format) })
			if err != nil {
				return err
			}
			warnPrivate(cmd, p.Manifest)
			say(cmd, "sealed; publish it with: glovebox creator publish %s --dir %s", short(p.ID.String()), dir)
			return showPackages(cmd, asJSON, []config.Package{{ID: p.ID, Manifest: p.Manifest}}, nil)
		},
	}
	f := cmd.Flags()
	dirFlag(cmd, &dir, config.Creator)
	f.StringVar(&name, "name", "", "name of the dataset (default: that of --previous, or from SOURCE)")
	f.StringVar(&format, "format", "auto", "format of SOURCE: "+sourceFormats+" (by extension; files for a directory)")
	f.StringVar(&previous, "previous", "", "package that this is a later version of; its segments are kept, SOURCE is added")
	f.BoolVar(&columns, "publish-columns", false, "put the column names of CSV and Parquet, Parquet's types, and of images that their folder is their label, into the public manifest")
	img.register(cmd)
	t.register(cmd)
	by.register(cmd)
	steps.register(cmd)
	again.register(cmd)
	jsonFlag(cmd, &asJSON)
	return cmd
}

// earlier is the version that m continues, whose name m takes; nil if it continues none.
func (o *owner) earlier(previous string, m *dataset.Manifest) (*config.Package, error) {
	if previous == "" {
		return nil, nil
	}
	p, err := o.find(previous)
	if err != nil {
		return nil, err
	}
	if m.Name == "" {
		m.Name = p.Manifest.Name
	}
	switch old := p.Manifest; {
	case old.Name != m.Name:
		return nil, Errorf(KindUsage, "leave --name out, or leave --previous out to make a dataset of its own").
			because("%s continues %s, and a new version keeps its name", m.Name, old.Name)
	case old.Kind != m.Kind || old.Format != m.Format:
		return nil, Errorf(KindUsage, "give SOURCE in that format, or leave --previous out to make a dataset of its own").
			because("%s is a %s of format %s, SOURCE is a %s of format %s, and a new version keeps them", old.Name, old.Kind, old.Format, m.Kind, m.Format)
	}
	return p, o.continues(p)
}

// continues refuses to continue a version that was continued: two versions with one number are a fork, which nobody accepts.
func (o *owner) continues(p *config.Package) error {
	list, err := config.ListPackages(o.dir)
	if err != nil {
		return err
	}
	for _, q := range list {
		if q.Manifest.Dataset == p.Manifest.Dataset && q.Manifest.Version > p.Manifest.Version {
			return Errorf(KindUsage, "continue the newest: --previous %s", short(q.ID.String())).
				because("version %d of %s was continued by version %d", p.Manifest.Version, p.Manifest.Name, q.Manifest.Version)
		}
	}
	return nil
}

// sayTaken says that a dataset of the name exists: what is packed under it becomes another, not a new version.
func (o *owner) sayTaken(cmd *cobra.Command, name string) {
	list, err := config.ListPackages(o.dir)
	if err != nil {
		return // nothing that a pack depends on
	}
	k := slices.IndexFunc(list, func(p config.Package) bool { return p.Manifest.Name == name })
	if k >= 0 {
		say(cmd, "a dataset %s exists: package %s; this makes another of that name; a new version of it is made with: --previous DIGEST", name, short(list[k].ID.String()))
	}
}

// packPath opens the source and seals it, showing progress.
func packPath(cmd *cobra.Command, o *owner, c dataset.PackConfig, path string, old *config.Package, by *contributorFlags, in *ingest, quiet bool, check func(*dataset.PackConfig) error) (*dataset.Packed, error) {
	total, err := sourceSize(path)
	if err != nil {
		return nil, err
	}
	if in != nil || parquetAt(path) || c.Manifest.Format == dataset.FormatSamples && compressedAt(path) {
		total = 0 // what is made of SOURCE is of another length
	}
	var to io.Writer
	if !quiet {
		to = cmd.ErrOrStderr()
	}
	bar := newPackProgress(to, c.Manifest.Name, total)
	defer bar.done()
	c.Progress = func(p dataset.Progress) { bar.step(p, p.Replayed) }
	if err := by.apply(o, &c, old); err != nil {
		return nil, err
	}
	f, err := openInto(&c, path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if p, ok := f.(*parquet.Reader); ok && in == nil {
		bar.rows = p.Rows()
	}
	if err := check(&c); err != nil {
		return nil, err
	}
	p, err := o.sealSource(cmd.Context(), c, old, in)
	if err == nil && !quiet {
		bar.finish()
		say(cmd, "%s", bar.summary(p.Manifest))
	}
	return p, err
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
		return 0, Errorf(KindUsage, sourceHint).from(fmt.Errorf("%w: %w", dataset.ErrMissing, err))
	}
	return n, nil
}

// nameOf is a file's name without its extension, in the letters a name may have.
func nameOf(path string) string {
	base := filepath.Base(filepath.Clean(path))
	if stem, _ := webdataset.Shard(base); stem != "" {
		base = stem // .tar.gz is one extension
	} else {
		base = strings.TrimSuffix(base, filepath.Ext(base))
	}
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
	if f, err := foreignFormat(path, format); f != "" || err != nil {
		return f, err
	}
	if format != "auto" {
		if f := dataset.Format(format); slices.Contains([]dataset.Format{dataset.FormatCSV, dataset.FormatJSONL, dataset.FormatFiles}, f) {
			return f, nil
		}
		return "", Errorf(KindUsage, "use --format %s", sourceFormats).because("unknown format %q", format)
	}
	st, err := os.Stat(path)
	if err != nil {
		return "", Errorf(KindUsage, sourceHint).from(fmt.Errorf("%w: %w", dataset.ErrMissing, err))
	}
	switch ext := strings.ToLower(filepath.Ext(path)); {
	case st.IsDir():
		return dataset.FormatFiles, nil
	case ext == ".csv":
		return dataset.FormatCSV, nil
	case ext == ".jsonl" || ext == ".ndjson":
		return dataset.FormatJSONL, nil
	}
	return "", Errorf(KindUsage, "say it with --format; there are %s", sourceFormats).because("cannot tell the format of %s by its name", path)
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
			return showPackages(cmd, asJSON, list, nil)
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
	s, err := o.blobs(cmd.Context())
	if err != nil {
		return err
	}
	bar := newProgress(cmd.ErrOrStderr(), "publishing "+p.Manifest.Name)
	defer bar.done()
	return o.missing(p, h.publish(cmd.Context(), p.Signed, p.Manifest, s, bar))
}

// missing says of a blob that a package has and the owner's store has not how to get it back: nothing seals it a second time.
func (o *owner) missing(p config.Package, err error) error {
	if !errors.Is(err, dataset.ErrNoBlob) {
		return err
	}
	where := o.Store
	if where == "" {
		where = o.layout.Blobs()
	}
	return Errorf(KindError, "put the blob back from a backup, or from the blobs of a host that has it; else pack SOURCE again, as a package of its own").
		from(fmt.Errorf("package %s of %s is not whole in %s: %w", short(p.ID.String()), p.Manifest.Name, where, err))
}

func newPackages(role config.Role) *cobra.Command {
	var dir string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "ls", Short: "List the packages in the directory", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := openOwner(dir, role)
			if err != nil {
				return err
			}
			list, err := config.ListPackages(dir)
			if err != nil {
				return err
			}
			packs := o.unfinished(list, "")
			if !asJSON {
				o.sayUnfinished(cmd, packs)
			}
			return showPackages(cmd, asJSON, list, packs)
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

func showPackages(cmd *cobra.Command, asJSON bool, list []config.Package, unfinished []unfinishedPack) error {
	views, rows := []packageView{}, [][]string{{"MANIFEST", "KIND", "NAME", "VERSION", "RECORDS", "AT MOST", "LEAVES", "PURPOSES", "NOTE"}}
	for _, p := range list {
		m := p.Manifest
		views = append(views, packageView{p.ID, m.Kind, m.Name, m.Version, m.Format, m.Records, m.RawBytes, m.Tree.Size, m.Tree.Root, m.Test, m.Terms})
		note := "needs hardware"
		if m.Test {
			note = "test: released without hardware"
		}
		rows = append(rows, []string{
			short(p.ID.String()), string(m.Kind), m.Name, fmt.Sprint(m.Version), fmt.Sprint(m.Records), byteSize(m.RawBytes),
			fmt.Sprint(m.Tree.Size), plain(strings.Join(m.Terms.Purposes, ",")), note,
		})
	}
	v := map[string]any{"packages": views}
	if unfinished != nil {
		v["unfinished"] = unfinished
	}
	return show(cmd, asJSON, v, func(w io.Writer) { table(w, rows...) })
}
