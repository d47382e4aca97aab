// SPDX-License-Identifier: Apache-2.0

// Command audit attacks the trainer as it is, and trainers that are broken on purpose: the one must give away no more than the
// accountant says, and each of the others must be caught.
//
// Trust domain: none, it is a test; nothing of it is in the enclave's binary. Its one job: show that the guarantee is of the code
// that runs, and that this audit could tell if it were not. The broken ones replace what the trainer is lent (sampler, noise,
// worker); the trainer itself has no switch.
package main

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"text/tabwriter"
)

func main() {
	scale := flag.Int("scale", 4, "how many runs there are, as a multiple of what the test does")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ok, err := report(ctx, os.Stdout, attacks(), func() io.Reader { return rand.Reader }, *scale)
	if err != nil {
		fmt.Fprintln(os.Stderr, "audit: error:", err)
		os.Exit(1)
	}
	if !ok {
		os.Exit(1)
	}
}

// report runs all attacks, and tells whether each came out as it must.
func report(ctx context.Context, out io.Writer, attacks []attack, random func() io.Reader, scale int) (bool, error) {
	if scale < 1 || scale > 1000 {
		return false, fmt.Errorf("scale %d, want 1 to 1000", scale)
	}
	fmt.Fprintf(out, "Each bound is above the truth by chance once in %.0g.\n\n", 1/alpha)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "trainer\tattack\tclaimed\tfound\tverdict\t")
	all := true
	for _, a := range attacks {
		l := newLab(random)
		if a.breaks != nil {
			a.breaks(l)
		}
		f, err := a.run(ctx, l, random(), scale)
		if err != nil {
			return false, fmt.Errorf("%s: %w", a.trainer, err)
		}
		verdict := "holds"
		if f.refuted {
			verdict = "caught"
		}
		if f.refuted != a.broken {
			verdict += ", which is WRONG"
			all = false
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t\n", a.trainer, a.method, f.claimed, f.found, verdict)
	}
	return all, w.Flush()
}
