// SPDX-License-Identifier: Apache-2.0

package usage_test

import (
	"context"
	"encoding/json"
	"syscall"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/attestation/usage/usagetest"
)

// BenchmarkAudit parses and verifies a bundle of one dataset and one module whose log has 1,000 entries, without witnesses and with
// three, of whom two must have cosigned. The platform is the tests' own, with one Ed25519 signature: what vendors' evidence costs is
// measured where it is verified. Reported too are the bytes of the bundle and of its parts.
func BenchmarkAudit(b *testing.B) {
	for name, witnesses := range map[string]int{"unwitnessed": 0, "witnessed": 3} {
		b.Run(name, func(b *testing.B) {
			r := usagetest.New(b, usagetest.Scenario{Entries: 1000, Witnesses: witnesses})
			if v := r.Verify(); len(v.Findings) > 0 {
				b.Fatal(v.Findings)
			}
			before := cpu(b)
			for b.Loop() {
				if _, err := usage.Audit(context.Background(), r.Bundle, r.Trust, r.Formats); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((cpu(b)-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "bundles/s")
			p, err := usage.ParseBundle(r.Bundle)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(len(r.Bundle)), "bundle-bytes")
			for part, raws := range map[string][]json.RawMessage{
				"usage": {p.Usage}, "evidence": {p.Evidence}, "job": {p.Job}, "manifests": p.Manifests, "grants": p.Grants,
				"ticket": {p.Ticket}, "commits": p.Commits, "proofs": p.Proofs,
			} {
				n := 0
				for _, raw := range raws {
					n += len(raw)
				}
				b.ReportMetric(float64(n), part+"-bytes")
			}
		})
	}
}

// cpu is the processor time of this process so far. On a machine that others use too it says more than a clock.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
