// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/scratch"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/builtin"
)

// transformRunFlags say what goes through which steps.
type transformRunFlags struct {
	dir, format, keys, trace, out string
	modules                       []string
}

func newTransformRun() *cobra.Command {
	var f transformRunFlags
	cmd := &cobra.Command{
		Use: "run STEPS SOURCE", Short: "Show what steps make of a dataset, without sealing it", Args: exactArgs(2, "a file with steps, and a CSV or JSON Lines file or a directory"),
		Long: `Run takes SOURCE through the steps and writes what becomes of it to standard output, as a job would see it. Of a directory it
lists what becomes of each file, and with --out writes the files into a new directory. Steps that hash, encrypt or replace
consistently use a fresh key each time, or with --keys those of a package, whose data key is unwrapped for it.`,
		Example: "  glovebox creator transform run steps.json patients.csv | head\n  glovebox creator transform run media.json photos --out cleaned",
		RunE: func(cmd *cobra.Command, args []string) error {
			steps, err := readSteps(args[0])
			if err != nil {
				return err
			}
			format, err := formatOf(args[1], f.format)
			if err != nil {
				return err
			}
			return f.run(cmd, steps, args[1], format)
		},
	}
	fl := cmd.Flags()
	dirFlag(cmd, &f.dir, config.Creator)
	fl.StringVar(&f.format, "format", "auto", "format of SOURCE: csv, jsonl, files, parquet, or auto (by extension; files for a directory)")
	fl.StringVar(&f.out, "out", "", "directory for the files that come of a directory; it must be new or empty")
	fl.StringVar(&f.keys, "keys", "", "package whose keys steps get")
	fl.StringVar(&f.trace, "trace", "", "write each finding of the steps to this file, one JSON object a line; no text is in it")
	fl.StringArrayVar(&f.modules, "module", nil, "file of a WebAssembly module that a step names by its digest; several")
	return cmd
}

func (f *transformRunFlags) run(cmd *cobra.Command, steps []dataset.Step, path string, format dataset.Format) (err error) {
	ctx := cmd.Context()
	if f.out != "" && format != dataset.FormatFiles {
		return Errorf(KindUsage, "redirect standard output to a file").because("--out is a directory for files, and %s is %s", path, format)
	}
	modules, err := readModules(f.modules)
	if err != nil {
		return err
	}
	keys, wipe, err := f.keysOf(ctx)
	if err != nil {
		return err
	}
	defer wipe()
	src, done, err := openSource(path, format)
	if err != nil {
		return err
	}
	defer done()
	trace, err := newTraceFile(f.trace)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, trace.close()) }()
	env := &transforms.Env{
		Keys: keys, Noise: rand.Reader, Approximate: true,
		Spool: func() (transforms.Spool, error) { return transforms.NewSpool(scratch.New("", ingestMemory)), nil },
	}
	if f.trace != "" {
		env.Finding = func(x transforms.Finding) { trace.found(&x) }
	}
	env.Module = startModule(modules, env)
	if format == dataset.FormatFiles {
		return runFiles(cmd, steps, src, env, f.out)
	}
	return runSteps(ctx, cmd, steps, src, env)
}

// openSource reads a file record by record, or a directory file by file.
func openSource(path string, format dataset.Format) (src transforms.Source, done func(), err error) {
	if format == dataset.FormatFiles {
		src, err = transforms.NewFilesSource(os.DirFS(path))
		return src, func() {}, err
	}
	in, err := openText(path, format)
	if err != nil {
		return nil, nil, err
	}
	done = func() { in.Close() } //nolint:errcheck // it was only read
	if src, err = transforms.NewSource(in, format); err != nil {
		done()
	}
	return src, done, err
}

// runSteps writes what the steps make of a source, and says what each did.
func runSteps(ctx context.Context, cmd *cobra.Command, steps []dataset.Step, src transforms.Source, env *transforms.Env) (err error) {
	p, err := transforms.New(ctx, steps, src.Schema(), builtin.New, env)
	if err != nil {
		return refusedSteps(err)
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	out := bufio.NewWriter(cmd.OutOrStdout())
	w := transforms.NewWriter(out, p.Out())
	if err := p.Run(ctx, src, w.Write); err != nil {
		return errors.Join(err, out.Flush())
	}
	if err := errors.Join(w.Begin(), out.Flush()); err != nil {
		return err
	}
	sayReports(func(f string, args ...any) { say(cmd, f, args...) }, p.Reports())
	return nil
}

// sayReports says what each step did.
func sayReports(tell func(string, ...any), reports []transforms.Report) {
	for i, r := range reports {
		text := fmt.Sprintf("step %d, %s: %d records in, %d out", i+1, r.Step, r.RecordsIn, r.RecordsOut)
		if len(r.Findings) > 0 {
			text += "; found " + sumOf(r.Findings)
		}
		if len(r.Quarantined) > 0 {
			text += "; quarantined " + sumOf(r.Quarantined)
		}
		tell("%s", text)
	}
}

// keysOf are a package's keys, or fresh ones.
func (f *transformRunFlags) keysOf(ctx context.Context) (transforms.Keys, func(), error) {
	if f.keys == "" {
		secret := make([]byte, dataset.KeySize)
		rand.Read(secret) //nolint:errcheck // never fails since Go 1.24
		k, err := keysOutsideGrants(secret)
		return k, func() { clear(secret) }, err
	}
	o, err := openOwner(f.dir, config.Creator)
	if err != nil {
		return nil, nil, err
	}
	p, err := o.find(f.keys)
	if err != nil {
		return nil, nil, err
	}
	return o.transformKeys(ctx, p)
}
