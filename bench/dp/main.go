// SPDX-License-Identifier: Apache-2.0

// Command dp measures training with differential privacy: how many gradients a second the enclave bounds and sums, beside the same
// guest without isolation and beside Opacus; what the digits of MNIST are recognised at; and how long accountants and samplers take.
//
// It prints one Markdown document. What cannot be measured on a machine says so; nothing is made up. It is a program of its own,
// and built without cgo, because the spawner of workers starts the running binary again.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/glovebox-dev/glovebox/enclave/sandbox"
)

// options of a run.
type options struct {
	rounds  int
	records int
	mnist   string // models whose accuracy is measured; "" for none
	only    string
	model   string
	out     string
	dir     string // for what is built

	earlier  map[string]string // sections of the document as it is, by title
	save     func(table string) error
	mu       sync.Mutex
	prepared map[string]*stock // by guest and configuration
}

func main() {
	sandbox.Main()
	var o options
	flag.IntVar(&o.rounds, "rounds", 3, "how often rates are measured; the least time counts")
	flag.IntVar(&o.records, "records", 4000, "of MNIST, for rates")
	flag.StringVar(&o.mnist, "mnist", "", "accuracies of runs whose name contains this, or all: half an hour of a core")
	flag.StringVar(&o.only, "only", "", "sections whose title contains this")
	flag.StringVar(&o.model, "model", "", "rates of models whose name contains this")
	flag.StringVar(&o.out, "o", "", "write the document to this file too, as it grows; what is not measured is kept from it")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	if err := bench(ctx, &o); err != nil {
		fmt.Fprintln(os.Stderr, "bench-dp: error:", err)
		os.Exit(1)
	}
}

// section is a part of the document.
type section struct {
	title, text string
	make        func(context.Context, *options) (string, error)
}

var sections = []section{
	{
		"Gradients",
		"Gradients of one record each, bounded and summed, in records a second. *By processor time* is user and system time, of the enclave's and\n" +
			"the worker's processes together, by getrusage: what one core does. *By the clock* is one session by itself: in the default class the two\n" +
			"processes work at the same time where there are two cores; other load of the machine is in it. The least time of some rounds counts, in each of\n" +
			"which everything runs once; what starting and preparing take is subtracted, noise and steps are in none of the figures.\n\n" +
			"Guests are `examples/dp/c`, records those of MNIST, 80 of 100 pixels of which are 0, which the first layer of the MLP leaves out; *dense* are\n" +
			"made-up records without zeros. *worker-sum* and *default* are the classes of runtime of docs/privacy.md: in both the guest's memory is restored\n" +
			"after every record; in the default one each gradient crosses to the enclave's process and is bounded there. *Without isolation* is the\n" +
			"same guest in this process, in plain wazero, without fuel or restoring. Opacus computes and clips the same gradients in batches, of the size\n" +
			"that is fastest for it, in one thread.",
		rates,
	},
	{
		"Accountants",
		"`go test -bench Benchmark ./transforms/dp`",
		func(ctx context.Context, _ *options) (string, error) {
			return benchmarks(ctx, "./transforms/dp", ".")
		},
	},
	{
		"Samplers",
		"`go test -bench Benchmark ./transforms/dp/sampler`",
		func(ctx context.Context, _ *options) (string, error) {
			return benchmarks(ctx, "./transforms/dp/sampler", ".")
		},
	},
	{
		accuracyTitle,
		"Share of the 10,000 test images that are recognised, after training on the 60,000 others by `enclave/train` with Poisson samples and noise from\n" +
			"crypto/rand, gradients from one sandboxed worker. ε is at δ = 10⁻⁵, one image more or less, by both accountants for the same noise. Steps are not\n" +
			"paced, which would lengthen them and change nothing else; as many trainings run at once as there are cores. *Abadi* is what Abadi et al.\n" +
			"2016 report at this ε. Without privacy gradients are bounded the same, and noise is 0.001 of a bound.",
		accuracies,
	},
}

func bench(ctx context.Context, o *options) error {
	dir, err := os.MkdirTemp("", "bench-dp")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	o.dir, o.earlier = dir, chapters(o.out)
	for _, part := range sections {
		if !strings.Contains(part.title, o.only) || part.title == accuracyTitle && o.mnist == "" {
			continue
		}
		fmt.Fprintln(os.Stderr, "bench-dp:", part.title)
		load := loadAverage()
		o.save = func(table string) error {
			o.earlier[part.title] = fmt.Sprintf("%s\n\n%s\nMeasured on %s: %s, %d processors; %s; load average %s before, %s after.\n", part.text, table,
				time.Now().UTC().Format("2 January 2006"), processor(), runtime.NumCPU(), runtime.Version(), load, loadAverage())
			return o.write()
		}
		table, err := part.make(ctx, o)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			table += "\nskipped: " + strings.Join(strings.Fields(err.Error()), " ") + "\n"
		}
		if err := o.save(table); err != nil {
			return err
		}
		fmt.Printf("## %s\n\n%s\n", part.title, o.earlier[part.title])
	}
	return nil
}

// head begins the document.
const head = "# Benchmarks of differentially private training\n\nWritten by `make bench-dp`, section by section: each says when and where it was measured.\n"

// write writes the document as far as it is: after a section, and after each training, which take long.
func (o *options) write() error {
	if o.out == "" {
		return nil
	}
	var b strings.Builder
	b.WriteString(head)
	for _, part := range sections {
		text := o.earlier[part.title]
		if text == "" {
			text = "Not measured.\n"
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s", part.title, text)
	}
	return os.WriteFile(o.out, []byte(b.String()), 0o644)
}

// chapters are the sections of a document, by title; of none there are none.
func chapters(name string) map[string]string {
	text, _ := os.ReadFile(name)
	out := map[string]string{}
	for i, part := range strings.Split(string(text), "\n## ") {
		if title, body, ok := strings.Cut(part, "\n"); ok && i > 0 {
			out[title] = strings.TrimSpace(body) + "\n"
		}
	}
	return out
}

// loadAverage is that of the last minute, or – where the system has none.
func loadAverage() string {
	text, _ := os.ReadFile("/proc/loadavg")
	if f := strings.Fields(string(text)); len(f) > 0 {
		return f[0]
	}
	return "–"
}

func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.TrimLeft(strings.TrimSpace(name), ": \t")
		}
	}
	return runtime.GOARCH
}
