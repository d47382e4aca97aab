// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/glovebox-dev/glovebox/enclave/sandbox"
)

// models of the table of rates, by their guests, and what they are to Opacus.
var models = []struct {
	guest, config, name, opacus string
	table                       int // 1: dense records
}{
	{"linear", `{}`, "softmax 784×10", "softmax", 0},
	{"linear", `{}`, "softmax 784×10, dense", "softmax", 1},
	{"mlp", `{}`, "MLP 784-128-10", "mlp", 0},
	{"mlp", `{}`, "MLP 784-128-10, dense", "mlp", 1},
	{"cnn", `{}`, "CNN, 26,010 parameters", "cnn", 0},
	{"scatter", `{}`, "softmax 3969×10 on scattering features, which are prepared", "", 0},
}

// way is how gradients are computed: what each takes.
type way struct {
	name string
	each func(ctx context.Context, records [][]byte) (cost, error)
}

// rates is the table of records a second.
func rates(ctx context.Context, o *options) (string, error) {
	s, err := sandbox.StartSpawner(sandbox.Config{Pool: -1})
	if err != nil {
		return "", err
	}
	defer s.Close()
	images, err := lines(ctx, "train.csv", o.records)
	if err != nil {
		return "", err
	}
	tables := [2][][]byte{images, dense(len(images))}
	python, missing := newOpacus(ctx, o.dir, tables)
	var b strings.Builder
	b.WriteString("| model | by | worker-sum | default | without isolation | Opacus | worker-sum / default | worker-sum / without | worker-sum / Opacus | default / Opacus |\n|---|---|---|---|---|---|---|---|---|---|\n")
	for _, m := range models {
		if !strings.Contains(m.name, o.model) {
			continue
		}
		module, err := build(ctx, o.dir, m.guest)
		if err != nil {
			return "", err
		}
		ways := []way{
			{"worker-sum", session(s, module, []byte(m.config), 1)},
			{"default", session(s, module, []byte(m.config), 0)},
			{"without", func(ctx context.Context, records [][]byte) (cost, error) {
				return plain(ctx, module, []byte(m.config), records)
			}},
		}
		if python != nil && m.opacus != "" {
			ways = append(ways, way{"opacus", func(ctx context.Context, _ [][]byte) (cost, error) {
				return python.each(ctx, m.opacus, m.table)
			}})
		}
		best, err := fastest(ctx, o.rounds, ways, tables[m.table])
		if err != nil {
			return "", fmt.Errorf("%s: %w", m.name, err)
		}
		row := rateRow(m.name, "processor time", best.cpu) + rateRow("", "the clock", best.wall)
		fmt.Fprint(os.Stderr, row)
		b.WriteString(row)
	}
	if missing != nil {
		fmt.Fprintf(&b, "\nOpacus: skipped: %s\n", strings.Join(strings.Fields(missing.Error()), " "))
	} else {
		fmt.Fprintf(&b, "\n%s\n", python.versions)
	}
	return b.String(), nil
}

// bests are the most records a second of each way.
type bests struct{ cpu, wall map[string]float64 }

// fastest runs every way in every round.
func fastest(ctx context.Context, rounds int, ways []way, table [][]byte) (bests, error) {
	best := bests{map[string]float64{}, map[string]float64{}}
	keep := func(m map[string]float64, name string, d time.Duration) {
		if d > 0 {
			m[name] = max(m[name], 1/d.Seconds())
		}
	}
	for range rounds {
		for _, w := range ways {
			d, err := w.each(ctx, table)
			if err != nil {
				return best, fmt.Errorf("%s: %w", w.name, err)
			}
			keep(best.cpu, w.name, d.cpu)
			keep(best.wall, w.name, d.wall)
		}
	}
	return best, nil
}

// passes are how often a guest goes over the records.
const passes = 5

// session is a guest in a jailed worker. What starting it and preparing costs is measured apart.
func session(s *sandbox.Spawner, module, config []byte, norm float64) func(context.Context, [][]byte) (cost, error) {
	return func(ctx context.Context, records [][]byte) (cost, error) {
		start, err := once(ctx, s, module, config, norm, records, 0)
		if err != nil {
			return cost{}, err
		}
		whole, err := once(ctx, s, module, config, norm, records, passes)
		return whole.less(start).each(passes * len(records)), err
	}
}

// once starts a session, prepares records, has it sum them so often, and gives the processor time of both processes.
func once(ctx context.Context, s *sandbox.Spawner, module, config []byte, norm float64, records [][]byte, passes int) (cost, error) {
	began := used()
	x, err := open(ctx, s, module, config, norm)
	if err != nil {
		return cost{}, err
	}
	defer x.Close()
	units, err := prepare(ctx, x, records)
	if err != nil {
		return cost{}, err
	}
	w, err := newWorker(x, 1)
	if err != nil {
		return cost{}, err
	}
	total := make([]int64, len(x.Initial()))
	for range passes {
		if err := w.Sum(ctx, x.Initial(), units, total); err != nil {
			return cost{}, err
		}
	}
	took := used().less(began)
	took.cpu += x.Close().CPU
	return took, nil
}

func rateRow(name, by string, best map[string]float64) string {
	rate := func(way string) string {
		if best[way] == 0 {
			return "–"
		}
		return fmt.Sprintf("%.0f", best[way])
	}
	over := func(a, b string) string {
		if best[a] == 0 || best[b] == 0 {
			return "–"
		}
		return fmt.Sprintf("%.2f", best[a]/best[b])
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", name, by, rate("worker-sum"), rate("default"), rate("without"), rate("opacus"),
		over("worker-sum", "default"), over("worker-sum", "without"), over("worker-sum", "opacus"), over("default", "opacus"))
}
