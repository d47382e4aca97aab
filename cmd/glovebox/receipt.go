// SPDX-License-Identifier: Apache-2.0

package main

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/internal/receipt"
)

// readReceipts reads licence receipts as a marketplace gave them: one compact JWS a file.
func readReceipts(files []string) ([]string, error) {
	out := []string{}
	for _, name := range files {
		b, err := readBounded(name, job.MaxReceipt+2)
		if err != nil {
			return nil, err
		}
		s := strings.TrimSpace(string(b))
		if s == "" || len(s) > job.MaxReceipt {
			return nil, Errorf(KindUsage, "give the file that the marketplace sent").because("%s holds no receipt of at most %d bytes", name, job.MaxReceipt)
		}
		out = append(out, s)
	}
	return out, nil
}

// checkReceipts says what is wrong with the receipts of a job, for each dataset that asks for one, as its broker will.
func (d *draft) checkReceipts(now time.Time) map[string][]grant.Reason {
	out := map[string][]grant.Reason{}
	for _, p := range d.datasets {
		if p.m.Terms.Access != dataset.AccessReceipt {
			continue
		}
		want, err := receipt.For(p.m, d.job.Buyer)
		if err == nil {
			_, err = receipt.Find(d.job.Receipts, want, now)
		}
		if err != nil {
			out[p.m.Name] = append(out[p.m.Name], reasons(err)...)
		}
	}
	return out
}

// needReceipts refuses a job that a broker would refuse for want of a receipt, before anything is published.
func (d *draft) needReceipts(now time.Time) error {
	refused := d.checkReceipts(now)
	if len(refused) == 0 {
		return nil
	}
	var lines []string
	hint := ""
	for _, name := range slices.Sorted(maps.Keys(refused)) {
		for _, r := range refused[name] {
			lines = append(lines, name+": "+r.Message)
			hint = r.Satisfy
		}
	}
	if len(lines) > 1 {
		hint = "see what would satisfy each reason: glovebox buyer receipt inspect FILE --data MANIFEST"
	}
	return Errorf(KindDenied, "%s", hint).because("%s", strings.Join(lines, "\n"))
}
