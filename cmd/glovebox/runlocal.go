// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/cmd/glovebox-run/localrun"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
)

func newRunLocal() *cobra.Command {
	var f jobFlags
	var out string
	var asJSON bool
	var record recordFlags
	cmd := &cobra.Command{
		Use: "run-local CODE", Short: "Run code in the sandbox, on data of your own, with all its words", Args: exactArgs(1, "one .wasm file, or a directory with main.wasm"),
		Long: `Run-local runs CODE as an enclave would: the same engine, jail, limits, fuel and view of the data, in which each batch of
about 256 KiB is delivered at most --epochs times. What the code writes to standard output and error is shown as it comes,
which no real job does; a terminal shows its control characters. Data is a CSV or JSON Lines file (by its extension), or a
directory of files; the code finds it as /data/NAME/records.csv, records.jsonl or records.tar.

A module of train/1, for mode dp-training, is tried instead: opened with train.json beside it and given one record after the
other, at its initial parameters. That shows which records give a gradient and why others do not, and which --record-fuel,
--record-bytes and --clip would do. No real job tells any of that.

Nothing is signed and nothing leaves the machine. CODE and flags are those of submit. It exits with 1 when the job would
fail, and says why.`,
		Example: "  glovebox buyer run-local main.wasm --data mnist=train.csv --param EPOCHS=8 --output model.safetensors:model --out out",
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := f.localRequest(args[0], out)
			if err != nil {
				return err
			}
			if err := record.take(q); err != nil {
				return err
			}
			v := &localView{Seed: q.Seed, Limits: q.Limits, out: out}
			err = runLocally(cmd, q, f.data, func(r *localrun.Result) error {
				return v.take(cmd, q, r, asJSON)
			})
			if err != nil && !v.settled(err) {
				return err
			}
			if asJSON {
				if err := show(cmd, asJSON, v, v.print); err != nil {
					return err
				}
			}
			return v.verdict()
		},
	}
	fl := cmd.Flags()
	fl.StringArrayVar(&f.data, "data", nil, "data for the code, as NAME=PATH; repeat for several")
	f.registerRun(cmd)
	record.register(cmd)
	fl.StringVar(&out, "out", "", "directory to write the outputs to (default: only their sizes are shown)")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// localRequest checks everything as a job is checked, but for the data.
func (f *jobFlags) localRequest(code, out string) (*localrun.Request, error) {
	_, closer, err := openCode(code)
	if err != nil {
		return nil, err
	}
	if err := closer.Close(); err != nil { // the program that runs it opens it again
		return nil, err
	}
	if st, err := os.Stat(code); err == nil && st.IsDir() {
		code = filepath.Join(code, mainModule)
	}
	f.purpose, f.mode, f.spend, f.valid, f.use.Territory = "research", grant.ModeRaw, "0", time.Hour, "*"
	j, err := f.job()
	if err != nil {
		return nil, err
	}
	if err := validateAlone(j); err != nil {
		return nil, usageError(err)
	}
	q := &localrun.Request{Outputs: j.Outputs, Params: j.Params, Limits: j.Limits, Epochs: j.Epochs, Seed: j.Seed, Data: []localrun.Data{}}
	if q.Module, err = filepath.Abs(code); err != nil {
		return nil, err
	}
	if out != "" {
		if q.Out, err = filepath.Abs(out); err != nil {
			return nil, err
		}
		if err := writable(q.Out); err != nil {
			return nil, Errorf(KindUsage, "give a directory that you may write to; it is made if it is not there").because("--out %s: %w", out, err)
		}
	}
	return q, nil
}

// writable makes a directory and a file in it, so that a long run does not end with nowhere to put what it made.
func writable(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".glovebox-")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// validateAlone applies the rules of a job to one that has no buyer, code or data yet.
func validateAlone(j *job.Job) error {
	buyer, err := envelope.GenerateSigner(envelope.RoleBuyer)
	if err != nil {
		return err
	}
	whole := *j
	whole.Buyer, whole.Recipient = buyer.Public(), "age1"
	whole.Code, whole.Datasets = envelope.Sum([]byte("code")), []envelope.Digest{envelope.Sum([]byte("data"))}
	return whole.Validate()
}

// runLocally seals the data as a creator would, under a key of its own, and has glovebox-run run the code on it. Nothing
// of it is left afterwards, and after a kill -9 nothing that anybody could read. take is called with each result.
func runLocally(cmd *cobra.Command, q *localrun.Request, data []string, take func(*localrun.Result) error) (err error) {
	path, err := companion("glovebox-run")
	if err != nil {
		return err
	}
	if len(data) > job.MaxDatasets {
		return Errorf(KindUsage, "at most %d", job.MaxDatasets).because("%d datasets", len(data))
	}
	dir, err := os.MkdirTemp("", "glovebox-run-local-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	taken := map[string]bool{}
	for i, s := range data {
		name, source, ok := strings.Cut(s, "=")
		if !ok || name == "" || source == "" || taken[name] {
			return Errorf(KindUsage, "write it like --data mnist=train.csv, each name once").because("--data %q", s)
		}
		taken[name] = true
		d, err := sealLocally(cmd, filepath.Join(dir, fmt.Sprint(i)), name, source)
		if err != nil {
			return err
		}
		q.Data = append(q.Data, *d)
	}
	b, err := json.Marshal(q)
	if err != nil {
		return err
	}
	return askRunner(cmd.Context(), cmd.ErrOrStderr(), path, b, take)
}

// sealLocally packs one source, so that the code gets the same bytes in the same batches as in an enclave.
func sealLocally(cmd *cobra.Command, dir, name, source string) (*localrun.Data, error) {
	format, err := formatOf(source, "auto")
	if err != nil {
		if e, ok := errors.AsType[*Error](err); ok && !errors.Is(err, dataset.ErrMissing) {
			e.Hint = asFile(name)
		}
		return nil, err
	}
	owner, err := envelope.GenerateSigner(envelope.RoleOwner)
	if err != nil {
		return nil, err
	}
	broker, err := envelope.GenerateSigner(envelope.RoleBroker)
	if err != nil {
		return nil, err
	}
	c := dataset.PackConfig{Signer: owner, Key: dataset.NewKey(), Manifest: dataset.Manifest{
		Kind: dataset.KindDataset, Name: name, Format: format, Test: true,
		Broker: dataset.Broker{Address: "http://localhost", Key: broker.Public()},
		Terms: dataset.Terms{
			Modes: []string{grant.ModeRaw}, Purposes: []string{"research"}, Outputs: job.OutputClasses(), MaxOutputBytes: job.MaxOutput,
			MaxEpochs: job.MaxEpochs, MaxUses: 1, Logs: grant.LogsSealed, Allowance: 1 << 16, LeaseSeconds: 3600, BrokerAway: "wait",
			Price: dataset.Price{Currency: "EUR"}, NotAfter: time.Now().Add(time.Hour).Unix(), MinAssurance: "simulated",
		}.ForAnyone(),
	}}
	if c.Store, err = dataset.NewDirStore(dir); err != nil {
		return nil, err
	}
	total, err := sourceSize(source)
	if err != nil {
		return nil, err
	}
	bar := newProgress(cmd.ErrOrStderr(), "reading "+name)
	defer bar.done()
	if bar.tty {
		c.Progress = func(p dataset.Progress) { bar.step(p.RawBytes, max(total, p.RawBytes), "bytes") }
	}
	f, err := openInto(&c, source)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p, err := dataset.Pack(cmd.Context(), c)
	if errors.Is(err, dataset.ErrNotText) || errors.Is(err, dataset.ErrRecordSize) {
		return nil, Errorf(KindError, "%s", asFile(name)).from(err)
	}
	if err != nil {
		return nil, err
	}
	return &localrun.Data{Store: dir, Manifest: p.Signed, Key: c.Key.Bytes()}, nil
}

// asFile is the hint for data that is not CSV or JSON Lines, which run-local tells by the name alone.
func asFile(name string) string {
	return fmt.Sprintf("name it .csv or .jsonl if it is that; else put it in a directory and give the directory: --data %s=DIR", name)
}

// askRunner runs glovebox-run on one request. The code's words go to w as they come, and each result to take.
func askRunner(ctx context.Context, w io.Writer, path string, request []byte, take func(*localrun.Result) error) error {
	cmd := exec.CommandContext(ctx, path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = childPatience
	cmd.Stdin, cmd.Stderr = bytes.NewReader(request), w
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	read := takeAll(out, take)
	io.Copy(io.Discard, out) //nolint:errcheck // so that it can end; read says what was wrong
	err = cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return Errorf(KindError, "its words are above; build all programs from one source: make build").because("glovebox-run: %w", err)
	}
	return read
}

// takeAll reads results until one is the last.
func takeAll(out io.Reader, take func(*localrun.Result) error) error {
	for d := json.NewDecoder(out); ; {
		var r localrun.Result
		if err := d.Decode(&r); err != nil {
			return Errorf(KindError, "build all programs from one source: make build").because("glovebox-run answers what this program does not read: %w", err)
		}
		if r.Error != "" {
			return Errorf(KindError, "%s", sandboxHint(r.Error)).because("the sandbox: %s", r.Error)
		}
		if err := take(&r); err != nil || !r.Measuring {
			return err
		}
	}
}

// localView is a run as people see it.
type localView struct {
	*localrun.Result
	Seed     envelope.Nonce `json:"seed"`
	Limits   job.Limits     `json:"limits"`
	Warnings []string       `json:"warnings"`
	out      string
}

// take shows a result as soon as it is there, but for JSON, which is one object. A second one only adds what would have done.
func (v *localView) take(cmd *cobra.Command, q *localrun.Request, r *localrun.Result, asJSON bool) error {
	first := v.Result == nil
	v.Result = r
	v.Warnings = v.warnings(q)
	if first && !asJSON {
		if err := show(cmd, false, v, v.print); err != nil {
			return err
		}
	}
	if r.Measuring {
		say(cmd, "out of fuel: running it once more without that limit, for at most %d s, to see what it needs; interrupt it if you need not know ...",
			min(v.Limits.WallSeconds, localrun.MeasureSeconds))
	}
	return nil
}

// settled says that the run's own result is known and only the second run was broken off.
func (v *localView) settled(err error) bool {
	return v.Result != nil && v.Measuring && errors.Is(err, context.Canceled)
}

// warnings are what did not make the job fail and may surprise all the same.
func (v *localView) warnings(q *localrun.Request) []string {
	out := []string{}
	if v.Training != nil {
		return v.trainingWarnings(q)
	}
	if v.Reason != "" {
		return out
	}
	left := map[string]bool{}
	for _, o := range v.Outputs {
		left[o.Name] = true
	}
	for _, o := range q.Outputs {
		if !left[o.Name] {
			out = append(out, "the output "+o.Name+" was declared and not written")
		}
	}
	if v.Undeclared > 0 {
		out = append(out, fmt.Sprintf("%d files in /out were not declared and would be dropped; declare them with --output", v.Undeclared))
	}
	return out
}

func (v *localView) print(w io.Writer) {
	outcome, spent := "completed", ""
	if v.Training != nil {
		spent = ", to start"
	}
	if v.Reason != "" {
		outcome = "failed: " + v.Reason
	}
	rows := [][]string{
		{"outcome", outcome},
		{"fuel", fmt.Sprintf("%d of %d%s", v.Fuel, v.Limits.Fuel, spent)},
		{"peak memory", byteSize(v.PeakBytes) + " of the worker process; the code may use " + byteSize(v.Limits.MemoryBytes)},
		{"time", fmt.Sprintf("%.2f s, %.2f s of CPU", float64(v.WallMillis)/1000, float64(v.CPUMillis)/1000)},
		{"isolation", cmp.Or(v.Isolation, "none: no worker was started")},
	}
	if v.Module != nil {
		rows = append(rows, []string{"module", v.Module.String()})
	}
	if v.Rewritten != nil {
		rows = append(rows, []string{"ran as", v.Rewritten.String()})
	}
	for _, d := range v.Delivered {
		rows = append(rows, []string{"data", fmt.Sprintf("%s: %d records delivered in %d epochs", d.Name, d.Records, d.Epochs)})
	}
	for _, o := range v.Outputs {
		where := ""
		if v.out != "" {
			where = " in " + filepath.Join(v.out, o.Name)
		}
		rows = append(rows, []string{"output", fmt.Sprintf("%s (%s): %s%s", o.Name, o.Class, byteSize(o.Bytes), where)})
	}
	rows = append(rows, v.trainingRows()...)
	for _, text := range v.Warnings {
		rows = append(rows, []string{"warning", text})
	}
	table(w, rows...)
}

// verdict is nil for a job that completed.
func (v *localView) verdict() error {
	switch {
	case v.Lost != "":
		return Errorf(KindError, "make room in it and run the code again").because("the outputs are lost: --out %s: %s", v.out, v.Lost)
	case v.Reason == "" && v.Training != nil:
		return v.trainingVerdict()
	case v.Reason == "":
		return nil
	}
	return Errorf(KindError, "%s", v.hint()).because("this job fails: %s: %s", v.Reason, v.Detail)
}

// hint is what would make the job complete, as far as can be known.
func (v *localView) hint() string {
	if v.Training != nil {
		if hint := v.trainingHint(); hint != "" {
			return hint
		}
	}
	switch v.Reason {
	case "fuel-limit":
		if v.Need > 0 {
			return fmt.Sprintf("--fuel %d would do: it needs %d, and with another --seed perhaps a little more", v.Need+v.Need/50+1, v.Need)
		}
		if v.Measuring {
			return fmt.Sprintf("it needs more than --fuel %d; how much more was not measured", v.Limits.Fuel)
		}
		return fmt.Sprintf("it needs more than --fuel %d, and without that limit fails for another reason or takes longer than %d s", v.Limits.Fuel,
			min(v.Limits.WallSeconds, localrun.MeasureSeconds))
	case "wall-limit":
		return "give it longer with --wall, or make it do less"
	case "memory-limit":
		return fmt.Sprintf("give it more than --memory %dMiB, or hold less of the data at a time", v.Limits.MemoryBytes>>20)
	case "output-limit":
		return "raise --max-output and the bytes in --output NAME:CLASS:BYTES, or write less"
	case "module":
		return moduleHint
	case localrun.ReasonEpochs:
		return "the code reads its data more often than --epochs says; a step back counts too"
	}
	if strings.HasPrefix(v.Detail, "exit code") {
		return "the code ended itself, and what it said is above"
	}
	return "what it said is above; run it outside the sandbox to look closer, as docs/guests.md says"
}
