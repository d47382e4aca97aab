// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"flag"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/job"
)

var (
	leakUpdate = flag.Bool("update", false, "write the table of docs/limitations.md anew")
	leakFull   = flag.Bool("leaks", false, "run the leak suite on more records, and print its table")
)

// channel is a way out of the sandbox, or a way in for what is not the job's business.
type channel struct {
	name   string
	to     string // who would get it
	tries  string // what the guest does
	stops  string // what stops it, or bounds it
	bound  string // the bound in bits per job, as a formula; empty if the channel is stopped
	most   func(f *figures) float64
	sends  float64              // bits that the attempt sends and that must arrive, lest the suite tests nothing; 0 if noise decides
	arrive func(l *lab) float64 // makes the attempt and gives the bits that arrived
}

// figures are those of the suite's job, which bounds are computed from.
type figures struct {
	job.Limits
	outputs []job.Output
	leaves  float64 // of the dataset
	batches float64 // each can be delivered once in each epoch
	records float64
	epochs  float64
}

// leakLeaves are the leaves of the dataset that the suite packs, and its batches; a test holds the number.
const leakLeaves = 12

func leakFigures() *figures {
	var j job.Job
	leakJob("", "")(&j)
	return &figures{j.Limits, j.Outputs, leakLeaves, leakLeaves, leakRecords + 1, float64(j.Epochs)}
}

// asked is how many batches the code can ask for: as many as are delivered, and one that is refused.
func (f *figures) asked() float64 { return f.batches*f.epochs + 1 }

// TestLeakSuite makes every attempt. A channel that is said to be stopped must carry nothing at all, one that is bounded no
// more than its bound.
func TestLeakSuite(t *testing.T) {
	if raceEnabled && testing.Short() {
		t.Skip("under the race detector a hundred workers take six minutes; the tests without it run the suite too")
	}
	needClang(t)
	worlds := 2
	if *leakFull {
		worlds = 4
	}
	l := newLab(t, worlds)
	batches := int64(0)
	for _, s := range l.worlds[0].data.Manifest.Segments {
		batches += s.Batches
	}
	if m := l.worlds[0].data.Manifest; m.Tree.Size != leakLeaves || batches != leakLeaves || m.Records != leakRecords+1 {
		t.Fatalf("the dataset has %d leaves, %d batches and %d records: bounds are computed for others", m.Tree.Size, batches, m.Records)
	}
	f, rows := leakFigures(), [][]string{{"CHANNEL", "TO", "AT MOST", "ARRIVED", "HOW IT IS TRIED"}}
	for _, c := range channels() {
		t.Run(c.name, func(t *testing.T) {
			l.t = t
			for _, w := range append(l.worlds, l.silent) {
				w.t = t
			}
			arrived, most := c.arrive(l), 0.0
			if c.most != nil {
				most = c.most(f)
			}
			switch {
			case c.most == nil && arrived > 0:
				t.Errorf("stopped, and yet %.2f bits arrived", arrived)
			case arrived > most:
				t.Errorf("%.2f bits arrived, at most %.2f can", arrived, most)
			case arrived < c.sends:
				t.Errorf("%.2f bits arrived of %.2f sent: the attempt tests nothing", arrived, c.sends)
			}
			rows = append(rows, []string{c.name, c.to, bits(most), bits(arrived), c.tries})
		})
	}
	if *leakFull {
		printTable(rows)
	}
}

// bits are rounded up to a tenth for people, but for the rounding of logarithms themselves.
func bits(b float64) string {
	return strconv.FormatFloat(max(0, math.Ceil(b*10-1e-6))/10, 'f', -1, 64)
}

func printTable(rows [][]string) {
	width := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, s := range r {
			width[i] = max(width[i], len(s))
		}
	}
	for _, r := range rows {
		var line strings.Builder
		for i, s := range r {
			fmt.Fprintf(&line, "%-*s  ", width[i], s)
		}
		fmt.Println(strings.TrimRight(line.String(), " "))
	}
}

const (
	limitationsDoc = "../docs/limitations.md"
	tableBegins    = "| channel | to | what stops it, or bounds it | at most, in bits per job | for the suite's job |\n|---|---|---|---|---|\n"
)

// TestLeakTableIsDocumented holds docs/limitations.md to the suite: every channel, what stops it, and its bound.
func TestLeakTableIsDocumented(t *testing.T) {
	b, err := os.ReadFile(limitationsDoc)
	check(t, err)
	before, rest, ok := strings.Cut(string(b), tableBegins)
	if !ok {
		t.Fatal("docs/limitations.md has no table of channels")
	}
	table, after, _ := strings.Cut(rest, "\n\n")
	want := strings.TrimSuffix(documented(), "\n")
	if *leakUpdate {
		check(t, os.WriteFile(limitationsDoc, []byte(before+tableBegins+want+"\n\n"+after), 0o644))
		return
	}
	if table != want {
		t.Errorf("docs/limitations.md says otherwise: go test ./enclave -run TestLeakTableIsDocumented -update\nwant:\n%s", want)
	}
}

func documented() string {
	var out strings.Builder
	f, seen := leakFigures(), map[string]bool{}
	for _, c := range channels() {
		if seen[c.name] {
			panic("enclave: channel " + c.name + " twice")
		}
		seen[c.name] = true
		bound, most := "0", "0"
		if c.most != nil {
			bound, most = c.bound, bits(c.most(f))
		}
		fmt.Fprintf(&out, "| %s | %s | %s | %s | %s |\n", c.name, c.to, c.stops, bound, most)
	}
	return out.String()
}
