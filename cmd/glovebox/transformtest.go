// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/transforms"
)

// textInput is a file that is one record.
const textInput = "text"

// testView is what a transform made of data.
type testView struct {
	Module      envelope.Digest    `json:"module"`
	ABI         string             `json:"abi"`
	Shape       string             `json:"shape"`
	RecordsIn   int64              `json:"recordsIn"`
	RecordsOut  int64              `json:"recordsOut"`
	BytesIn     int64              `json:"bytesIn"`
	BytesOut    int64              `json:"bytesOut"`
	Changed     int64              `json:"changed"`
	Findings    []transforms.Count `json:"findings"`
	Fuel        int64              `json:"fuel"`
	Differences []difference       `json:"differences"`
}

// difference is a record that was changed or left out.
type difference struct {
	Record int64  `json:"record"` // from 1
	Before string `json:"before"`
	After  string `json:"after,omitempty"`
	Left   bool   `json:"leftOut,omitempty"`
}

func newTransformTest() *cobra.Command {
	var f stepFlags
	var input, format, out string
	var most int
	var asJSON bool
	cmd := &cobra.Command{
		Use: "test MODULE", Short: "Run a transform in the sandbox on data of yours, and show what it does", Args: exactArgs(1, "one .wasm file, or a directory with main.wasm"),
		Long: `Test has records pass through MODULE as in an enclave: the same engine, jail, limits and fuel. It shows how many went in and came
out, what was found, and the first that were changed. What the module writes to standard output and error is shown as it comes,
which no enclave does; a command of WASI has its standard output for records. Tokens are made with keys of this run alone.

It exits with 1 when an enclave would end the run, and says why: a module that is not admitted, traps, runs out of fuel, or makes
more, fewer or other records than its shape allows.`,
		Example: "  glovebox creator transform test main.wasm --input mails.jsonl --shape filter --config word.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			s, module, err := f.step(args[0])
			if err != nil {
				return err
			}
			if input == "" || most < 0 {
				return Errorf(KindUsage, "give data to run it on: --input FILE").because("--input is missing, or --differences is negative")
			}
			if format, err = testFormat(input, format); err != nil {
				return err
			}
			v, err := testTransform(cmd, &s, module, input, format, out, most)
			if err != nil {
				return notTransformed(err)
			}
			return show(cmd, asJSON, v, v.print)
		},
	}
	f.register(cmd)
	fl := cmd.Flags()
	fl.StringVar(&input, "input", "", "file to run it on")
	fl.StringVar(&format, "format", "auto", "format of it: jsonl, csv, parquet, text, which is one record, or auto (by extension)")
	fl.StringVar(&out, "out", "", "file for what came out (default: it is counted and dropped)")
	fl.IntVar(&most, "differences", 3, "how many changed records to show")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// testFormat is how a file is read.
func testFormat(path, format string) (string, error) {
	switch format {
	case textInput, string(dataset.FormatCSV), string(dataset.FormatJSONL):
		return format, nil
	case "auto", formatParquet:
	default:
		return "", Errorf(KindUsage, "use --format jsonl, csv, parquet, text or auto").because("no format %q", format)
	}
	if isText(path) {
		return textInput, nil
	}
	f, err := formatOf(path, format)
	if err == nil && f == dataset.FormatFiles {
		return "", Errorf(KindUsage, "give one of its files; each is a record").because("%s is a directory", path)
	}
	return string(f), err
}

// runKeys are keys of one run, which die with it.
type runKeys [32]byte

func (k *runKeys) Dataset(label string) [32]byte {
	return envelope.Hash("glovebox.dev/transform-test/dataset/v1", k[:], []byte(label))
}

func (k *runKeys) Grant(label string) [32]byte {
	return envelope.Hash("glovebox.dev/transform-test/grant/v1", k[:], []byte(label))
}

// runEnv is what a step is lent that is only tried.
func runEnv() *transforms.Env {
	var k runKeys
	_, _ = rand.Read(k[:]) // it never fails
	return &transforms.Env{Keys: &k, Noise: rand.Reader}
}

// testTransform runs a pipeline of one step.
func testTransform(cmd *cobra.Command, s *dataset.Step, module []byte, input, format, out string, most int) (_ *testView, err error) {
	in, err := openInput(input, format)
	if err != nil {
		return nil, err
	}
	defer in.file.Close()
	in.most = most
	env := runEnv()
	env.Module = tried(cmd, module, env)
	p, err := transforms.New(cmd.Context(), []dataset.Step{*s}, in.Schema(), nil, env)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	var w io.Writer = io.Discard
	if out != "" {
		f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return nil, Errorf(KindUsage, "give a file that you may write").from(err)
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		w = f
	}
	v := &testView{Module: s.Digest, ABI: s.ABI, Shape: s.Shape, Findings: []transforms.Count{}, Differences: []difference{}}
	if err := p.Run(cmd.Context(), in, in.sink(v, w, format)); err != nil {
		return nil, err
	}
	r := p.Reports()[0]
	v.RecordsIn, v.BytesIn, v.Fuel = r.RecordsIn, r.BytesIn, r.Fuel
	v.Findings = append(v.Findings, r.Findings...)
	if s.Shape != dataset.ShapeAny {
		in.leftOut(v)
	}
	return v, nil
}

// testInput remembers the records that went in, for as long as what became of them may come.
type testInput struct {
	transforms.Source
	codec *transforms.Codec // nil: any bytes are a record
	rec   transforms.Record
	file  io.Closer
	most  int // differences to keep
	count int64
	waits []waiting
}

// waiting is a record that has not come out yet.
type waiting struct {
	number, at int64
	text       []byte
}

// maxWaiting bounds what is remembered: more than a batch.
const maxWaiting = 1 << 17

func openInput(path, format string) (*testInput, error) {
	if format == textInput {
		f, err := os.Open(path)
		if err != nil {
			return nil, Errorf(KindUsage, "check the path").from(err)
		}
		return &testInput{file: f, Source: &oneFile{in: f}}, nil
	}
	f, err := openText(path, dataset.Format(format))
	if errors.Is(err, os.ErrNotExist) {
		err = Errorf(KindUsage, "check the path").from(err)
	}
	if err != nil {
		return nil, err
	}
	in := &testInput{file: f}
	if in.Source, err = transforms.NewSource(f, dataset.Format(format)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	in.codec = transforms.NewCodec(in.Schema())
	return in, nil
}

// Next implements transforms.Source.
func (in *testInput) Next() (transforms.Item, error) {
	it, err := in.Source.Next()
	if err == nil {
		in.count++
		if in.codec != nil { // what could not be packed is no fault of the module's
			if err := in.codec.Parse(&in.rec, it.Name, it.Raw); err != nil {
				return it, fmt.Errorf("record %d, at byte %d: %w", in.count, it.At, err)
			}
		}
		if len(in.waits) < maxWaiting {
			in.waits = append(in.waits, waiting{in.count, it.At, bytes.Clone(it.Raw)})
		}
	}
	return it, err
}

// sink compares what comes out with what went in at the same place, and writes it.
func (in *testInput) sink(v *testView, w io.Writer, format string) func(transforms.Item) error {
	out := transforms.NewWriter(w, in.Schema())
	return func(it transforms.Item) error {
		v.RecordsOut, v.BytesOut = v.RecordsOut+1, v.BytesOut+int64(len(it.Raw))
		for v.Shape != dataset.ShapeAny && len(in.waits) > 0 && in.waits[0].at <= it.At {
			was := in.waits[0]
			in.waits = in.waits[1:]
			if was.at < it.At {
				in.keep(v, difference{Record: was.number, Before: clipped(was.text), Left: true})
			} else if !bytes.Equal(was.text, it.Raw) {
				v.Changed++
				in.keep(v, difference{Record: was.number, Before: clipped(was.text), After: clipped(it.Raw)})
			}
		}
		if format == textInput {
			_, err := w.Write(it.Raw)
			return err
		}
		return out.Write(it)
	}
}

func (in *testInput) keep(v *testView, d difference) {
	if len(v.Differences) < in.most {
		v.Differences = append(v.Differences, d)
	}
}

// leftOut are the records behind the last that came out.
func (in *testInput) leftOut(v *testView) {
	for _, was := range in.waits {
		in.keep(v, difference{Record: was.number, Before: clipped(was.text), Left: true})
	}
}

// clipped is the beginning of a record, as text.
func clipped(b []byte) string {
	const most = 500
	if len(b) <= most {
		return string(b)
	}
	n := most
	for n > most-utf8.UTFMax && !utf8.RuneStart(b[n]) {
		n--
	}
	return string(b[:n]) + "…"
}

// oneFile is a source of one record: a file.
type oneFile struct {
	in   io.Reader
	done bool
}

func (*oneFile) Schema() transforms.Schema { return transforms.Schema{Format: dataset.FormatFiles} }

// Next implements transforms.Source.
func (s *oneFile) Next() (transforms.Item, error) {
	if s.done {
		return transforms.Item{}, io.EOF
	}
	s.done = true
	b, err := io.ReadAll(io.LimitReader(s.in, transforms.MaxFile+1))
	if err == nil && len(b) > transforms.MaxFile {
		err = Errorf(KindUsage, "give a smaller one").because("the file has more than %d bytes", transforms.MaxFile)
	}
	return transforms.Item{Raw: b, Name: "input"}, err
}

func (v *testView) print(w io.Writer) {
	rows := [][]string{
		{"module", v.Module.String()},
		{"takes", v.ABI + ", shape " + v.Shape},
		{"records", fmt.Sprintf("%d in, %d out, %d changed", v.RecordsIn, v.RecordsOut, v.Changed)},
		{"bytes", fmt.Sprintf("%d in, %d out", v.BytesIn, v.BytesOut)},
		{"fuel", fmt.Sprintf("%d, %d a byte", v.Fuel, v.Fuel/max(v.BytesIn, 1))},
	}
	for _, f := range v.Findings {
		rows = append(rows, []string{"found", fmt.Sprintf("%s: %d", f.Name, f.Count)})
	}
	for _, d := range v.Differences {
		after := strconv.Quote(d.After)
		if d.Left {
			after = "left out"
		}
		rows = append(rows, []string{"record " + strconv.FormatInt(d.Record, 10), strconv.Quote(d.Before)}, []string{"", after})
	}
	table(w, rows...)
}
