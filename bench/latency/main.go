// SPDX-License-Identifier: Apache-2.0

// Command latency measures how long it takes from submitting a job to the first byte of data in its code, and where the time
// goes: two brokers and a host in this process, an enclave with its workers in others, everything on the loopback, keys in files
// and every record on disk before the next step. It prints a Markdown table. Build with -tags simulated.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/glovebox-dev/glovebox/attestation/simulated"
	pb "github.com/glovebox-dev/glovebox/host/api/glovebox/v1"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

func main() {
	jobs := flag.Int("jobs", 60, "of each module, after the first")
	pause := flag.Duration("pause", 200*time.Millisecond, "between the end of a job and the next")
	only := flag.String("only", "", "modules whose name contains this")
	queue := flag.Int("queue", 0, "measure a host with so many queued jobs and no enclave instead")
	profile := flag.String("cpuprofile", "", "write a profile of host and brokers to this file")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	if err := profiled(*profile, func() error { return bench(ctx, *jobs, *queue, *pause, *only) }); err != nil {
		fmt.Fprintln(os.Stderr, "latency: error:", err)
		os.Exit(1)
	}
}

func bench(ctx context.Context, jobs, queue int, pause time.Duration, only string) error {
	if !simulated.Enabled {
		return errors.New("build with -tags simulated")
	}
	dir, err := os.MkdirTemp("", "glovebox-latency")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	enclave := filepath.Join(dir, "enclave")
	if err := build(ctx, nil, enclave, "-tags=simulated", "./latency/enclave"); err != nil {
		return err
	}
	mods, err := modules(ctx, dir)
	if err != nil {
		return err
	}
	enclaves := 1
	if queue > 0 {
		enclaves = 0
	}
	w, err := newWorld(ctx, dir, enclave, enclaves)
	if err != nil {
		return err
	}
	defer w.close()
	if queue > 0 {
		return w.queued(ctx, queue)
	}
	for _, name := range slices.Sorted(maps.Keys(mods)) {
		if !strings.Contains(name, only) {
			continue
		}
		if err := w.measure(ctx, name, mods[name], jobs, pause); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// profiled runs f, with a profile if there is a file for it.
func profiled(path string, f func() error) error {
	if path == "" {
		return f()
	}
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	defer out.Close()
	if err := pprof.StartCPUProfile(out); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	return f()
}

// measure runs jobs of one module and prints what they took.
func (w *world) measure(ctx context.Context, name string, module []byte, jobs int, pause time.Duration) error {
	code, err := w.packCode(ctx, module)
	if err != nil {
		return err
	}
	var all []timeline
	for range 1 + jobs {
		time.Sleep(pause)
		t, err := w.once(ctx, code.ID)
		if err != nil {
			return err
		}
		all = append(all, t)
	}
	fmt.Printf("%s module, %d bytes; first job: %.1f ms to the first byte\n\n| stage | p50 ms | p99 ms | least ms |\n|---|---|---|---|\n",
		name, len(module), ms(all[0].span(stages[0].from, stages[len(stages)-1].to)))
	for _, s := range append(slices.Clip(stages), stage{"submit to first byte", "submit", "first-byte"}, stage{"submit to completed", "submit", "completed"}) {
		var took []time.Duration
		for _, t := range all[1:] {
			took = append(took, t.span(s.from, s.to))
		}
		slices.Sort(took)
		at := func(q float64) float64 { return ms(took[int(q*float64(len(took)-1))]) }
		fmt.Printf("| %s | %.1f | %.1f | %.1f |\n", s.name, at(0.5), at(0.99), at(0))
	}
	fmt.Println()
	return nil
}

// timeline is when what happened, in Unix nanoseconds; of what happened more than once, the last time before the first byte.
type timeline map[string]int64

func (t timeline) span(from, to string) time.Duration { return time.Duration(t[to] - t[from]) }

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// stage is a part of the way to the first byte.
type stage struct{ name, from, to string }

var stages = []stage{
	{"submit, queue, lease", "submit", "assigned"},
	{"job and manifests verified", "assigned", "challenge"},
	{"challenges of two brokers", "challenge", "challenge-end"},
	{"evidence", "challenge-end", "release"},
	{"two releases", "release", "release-end"},
	{"code fetched and opened", "release-end", "run"},
	{"worker has compiled and starts reading", "run", "asked"},
	{"data fetched and opened", "asked", "first-byte"},
}

// once runs a job to its end.
func (w *world) once(ctx context.Context, code envelope.Digest) (timeline, error) {
	signed, id, err := w.order(code)
	if err != nil {
		return nil, err
	}
	if err := os.Truncate(w.events(), 0); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	t := timeline{"submit": time.Now().UnixNano()}
	if _, err := w.client.Submit(ctx, signed); err != nil {
		return nil, err
	}
	var last *pb.Job
	if err := w.client.Watch(ctx, id, func(j *pb.Job) error { last = j; return nil }); err != nil {
		return nil, err
	}
	t["completed"] = time.Now().UnixNano()
	if last.GetState() != "completed" {
		return nil, fmt.Errorf("job is %s: %s %s", last.GetState(), last.GetReason(), last.GetMessage())
	}
	return t, errors.Join(w.warm(ctx), t.read(w.events()))
}

// warm waits until the next worker is ready.
func (w *world) warm(ctx context.Context) error {
	for ctx.Err() == nil {
		b, err := os.ReadFile(w.events())
		if err != nil || bytes.Contains(b, []byte(" warm")) {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
	return ctx.Err()
}

// read takes the enclave's events up to the first byte.
func (t timeline) read(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		at, what, _ := strings.Cut(s.Text(), " ")
		n, err := strconv.ParseInt(at, 10, 64)
		if err != nil {
			return err
		}
		first := !strings.HasSuffix(what, "-end")
		if _, there := t[what]; !there || !first {
			t[what] = n
		}
		if os.Getenv("LATENCY_EVENTS") != "" {
			fmt.Fprintf(os.Stderr, "%8.2f %s\n", float64(n-t["submit"])/1e6, what)
		}
	}
	return nil
}
