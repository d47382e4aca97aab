// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/scratch"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/builtin"
	"github.com/glovebox-dev/glovebox/transforms/fields"
	"github.com/glovebox-dev/glovebox/transforms/localdp"
)

// ingestMemory is how much of a transformed source is held in memory; the rest waits in an encrypted file without a name.
const ingestMemory = 64 << 20

// ingestFlags say what is done to records before they are packed.
type ingestFlags struct {
	steps   string
	modules []string
	scan    bool
	trace   string
}

func (f *ingestFlags) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.steps, "transform", "", "file with steps that records go through before they are sealed; see docs/transforms.md")
	fl.StringArrayVar(&f.modules, "module", nil, "file of a WebAssembly module that a step names by its digest; several")
	fl.BoolVar(&f.scan, "scan", false, "look for personal data in what is sealed, and put types and counts into the public manifest; done with --transform too")
	fl.StringVar(&f.trace, "trace", "", "write each finding of the steps to this file, one JSON object a line; no text is in it")
}

// ingest is what a pack does before it seals.
type ingest struct {
	flags   *ingestFlags
	steps   []dataset.Step
	modules map[envelope.Digest][]byte
	reports string // folder
	say     func(format string, args ...any)
	noise   drawn
}

// prepare reads the flags; nil: there is nothing to do.
func (f *ingestFlags) prepare(cmd *cobra.Command, o *owner, m *dataset.Manifest) (*ingest, error) {
	if f.steps == "" && !f.scan {
		return nil, nil
	}
	in := &ingest{flags: f, reports: filepath.Join(o.dir, "reports"), say: func(format string, args ...any) { say(cmd, format, args...) }}
	var err error
	if f.steps != "" {
		if in.steps, err = readSteps(f.steps); err != nil {
			return nil, err
		}
	}
	if in.modules, err = readModules(f.modules); err != nil {
		return nil, err
	}
	if len(in.steps) == dataset.MaxSteps {
		return nil, Errorf(KindUsage, "use fewer").because("%d steps, and the scan after them is one more", len(in.steps))
	}
	config := map[string]any{"fields": []string{"*"}, "keys": true, "act": "report"}
	if m.Format == dataset.FormatFiles {
		delete(config, "keys")
	}
	last, err := builtin.Pin("scan", config)
	if err != nil {
		return nil, err
	}
	in.steps = append(in.steps, last)
	return in, nil
}

// run takes c's source through the steps, in place of the source, and says in the manifest what was done. The caller
// closes what it gets.
func (in *ingest) run(ctx context.Context, c *dataset.PackConfig) (close func() error, err error) {
	src, err := in.source(c)
	if err != nil {
		return nil, err
	}
	keys, err := keysOutsideGrants(c.Key.Bytes())
	if err != nil {
		return nil, err
	}
	salt, err := reportSalt(c)
	if err != nil {
		return nil, err
	}
	report, err := newScanReport(in.reports, salt)
	if err != nil {
		return nil, err
	}
	defer report.drop()
	trace, err := newTraceFile(in.flags.trace)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, trace.close()) }()
	env := &transforms.Env{
		Keys: keys, Noise: &in.noise, Approximate: true, // noise at ingest is spent once, and said
		Spool: func() (transforms.Spool, error) { return transforms.NewSpool(scratch.New("", ingestMemory)), nil },
		Finding: func(f transforms.Finding) {
			if trace.found(&f); f.Step == len(in.steps)-1 {
				report.found(&f)
			}
		},
	}
	env.Module = startModule(in.modules, env)
	p, err := transforms.New(ctx, in.steps, src.Schema(), builtin.New, env)
	if err != nil {
		return nil, refusedSteps(err)
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	if len(in.steps) > 1 { // besides the scan: types may be others after them
		c.Columns = nil
	}
	s := scratch.New("", ingestMemory)
	if err := in.fill(ctx, c, p, src, s); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := errors.Join(in.describe(c, p, report), trace.err); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s.Close, nil
}

// source is c's source, record by record.
func (in *ingest) source(c *dataset.PackConfig) (transforms.Source, error) {
	if c.Manifest.Format == dataset.FormatFiles {
		return transforms.NewFilesSource(c.Files)
	}
	return transforms.NewSource(c.Source, c.Manifest.Format)
}

// fill runs the pipeline into the scratch and makes that c's source.
func (in *ingest) fill(ctx context.Context, c *dataset.PackConfig, p *transforms.Pipeline, src transforms.Source, s *scratch.Scratch) error {
	if c.Manifest.Format == dataset.FormatFiles {
		tree := transforms.NewTree(s)
		if err := p.Run(ctx, src, tree.Add); err != nil {
			return err
		}
		c.Files = tree
		return nil
	}
	w := transforms.NewWriter(s, p.Out())
	if err := p.Run(ctx, src, w.Write); err != nil {
		return err
	}
	if err := w.Begin(); err != nil {
		return err
	}
	c.Source = io.NewSectionReader(s, 0, s.Size())
	return nil
}

// describe puts what was done and found into the manifest, and says it.
func (in *ingest) describe(c *dataset.PackConfig, p *transforms.Pipeline, found *scanReport) error {
	m := &c.Manifest.Metadata
	reports, stated := p.Reports(), p.Stated()
	last := reports[len(reports)-1]
	types := stated[len(stated)-1].Findings // rounded, where a module could have made them
	for _, s := range stated[:len(stated)-1] {
		m.Transforms = append(m.Transforms, s.StepReport)
	}
	sayReports(in.say, reports[:len(reports)-1])
	if err := in.spent(); err != nil {
		return err
	}
	if last.RecordsOut != last.RecordsIn {
		return fmt.Errorf("%w: the scan of what is sealed left out %s", transforms.ErrShape, amount(last.RecordsIn-last.RecordsOut, "records"))
	}
	digest, err := found.keep()
	if err != nil {
		return err
	}
	m.PIIScan = &dataset.PIIScan{
		Tool: "glovebox creator pack", Version: version(), Method: last.Digest, Date: in.today(c).UTC().Format(time.DateOnly),
		Records: last.RecordsIn, Unread: last.Unread, Findings: dataset.SumCounts(types), Types: types, Report: digest,
	}
	in.say("personal data that is still found in what is sealed: %s", sumOf(last.Findings))
	if last.Unread > 0 {
		in.say("%s of %d not looked at, or not all of them: no text in UTF-8, too long, or not to be taken apart; they are sealed too", amount(last.Unread, "records"), last.RecordsIn)
	}
	return in.anonymity(c, p, last.RecordsIn)
}

// today is when the pack began.
func (in *ingest) today(c *dataset.PackConfig) time.Time {
	if c.Journal != nil {
		return c.Journal.Begun()
	}
	return time.Now()
}

// spent says what noise at ingest costs each record's privacy: once, whatever jobs read it afterwards.
func (in *ingest) spent() error {
	var epsilon, delta int64
	for _, s := range in.steps {
		epsilon += s.Epsilon
		if s.Name == "discrete-gaussian" {
			_, d, err := localdp.GaussianSpends(s.Config)
			if err != nil {
				return err
			}
			delta += d
		}
	}
	if epsilon > 0 {
		in.say("noise: what is sealed of a record is private to epsilon %s, delta %s, in the fields that got it; once, however often it is read", fraction(epsilon, 6), fraction(delta, 12))
	}
	return nil
}

// anonymity says what the last k-anonymity step reached, unless a later version makes it a part of the whole.
func (in *ingest) anonymity(c *dataset.PackConfig, p *transforms.Pipeline, records int64) error {
	i := slices.IndexFunc(in.steps, func(s dataset.Step) bool { return s.Name == "kanon" })
	if i < 0 || c.Previous != nil {
		return nil
	}
	for _, s := range in.steps[i+1 : len(in.steps)-1] {
		in.say("k-anonymity is not put into the manifest: step %s comes after it", s.Name)
		return nil
	}
	var config struct {
		Quasi     []fields.Ref `json:"quasi"`
		Sensitive []fields.Ref `json:"sensitive"`
	}
	if err := json.Unmarshal(in.steps[i].Config, &config); err != nil {
		return err
	}
	f := p.Figures()
	a := &dataset.Anonymity{K: f["k"], L: f["l"], Quasi: fieldNames(config.Quasi), Sensitive: fieldNames(config.Sensitive), Records: records, Suppressed: f["suppressed"]}
	c.Manifest.Metadata.Anonymity = a
	in.say("every record looks like %d others or more in %v", a.K-1, a.Quasi)
	return nil
}

// fieldNames are the names of fields, sorted.
func fieldNames(refs []fields.Ref) []string {
	out := make([]string, 0, len(refs))
	for _, r := range refs {
		out = append(out, r.Field)
	}
	slices.Sort(out)
	return out
}

func sumOf(list []dataset.Count) string {
	if len(list) == 0 {
		return "none"
	}
	var b bytes.Buffer
	for i, c := range list {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s %d", plain(c.Name), c.Count)
	}
	return b.String()
}
