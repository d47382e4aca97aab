// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// obliged is an attempt whose packages have been granted under some obligations.
func obliged(j job.Job, all ...grant.Obligations) *attempt {
	r := &attempt{job: &envelope.Verified[job.Job]{}}
	r.job.Predicate = j
	for _, o := range all {
		g := &envelope.Verified[grant.Grant]{}
		g.Predicate.Obligations = o
		r.packages = append(r.packages, &pack{grant: g, clock: clock{asked: time.Now(), issued: 1_000_000}})
	}
	r.live = r.packages
	return r
}

func anyObligations(rng *rand.Rand) grant.Obligations {
	o := grant.Obligations{
		Mode: grant.ModeRaw, Epochs: 1 + rng.IntN(4), MaxOutput: rng.Int64N(1000), Logs: []string{grant.LogsOff, grant.LogsSealed, grant.LogsSealed}[rng.IntN(3)],
		Expires: 1_000_000 + 60_000 + rng.Int64N(1_000_000),
	}
	for _, c := range job.OutputClasses() {
		if rng.IntN(4) > 0 {
			o.Outputs = append(o.Outputs, c)
		}
	}
	return o
}

// TestTheStrictestOfAllObligations: whatever owners grant, a run is held to the least that any of them allows, and one
// owner more never allows anything.
func TestTheStrictestOfAllObligations(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	permitted := 0
	for range 5000 {
		j := job.Job{Mode: grant.ModeRaw, Epochs: 1 + rng.IntN(3), Limits: job.Limits{OutputBytes: 1 + rng.Int64N(1000)}}
		for _, c := range job.OutputClasses() {
			if rng.IntN(2) == 0 {
				j.Outputs = append(j.Outputs, job.Output{Name: c, Class: c})
			}
		}
		var all []grant.Obligations
		for range 1 + rng.IntN(4) {
			all = append(all, anyObligations(rng))
		}
		r := obliged(j, all...)
		most, logs, ok, first := j.Limits.OutputBytes, true, true, all[0].Expires
		for i, o := range all {
			most, logs, first = min(most, o.MaxOutput), logs && o.Logs == grant.LogsSealed, min(first, o.Expires)
			ok = ok && (i == 0 || j.Epochs <= o.Epochs)
			for _, out := range j.Outputs {
				ok = ok && slices.Contains(o.Outputs, out.Class)
			}
		}
		err := r.permitted()
		if (err == nil) != ok || r.outputCap() != most || r.logs() != logs {
			t.Fatalf("%+v\n%+v: permitted %v, want %v; %d bytes, want %d; logs %v, want %v", j, all, err, ok, r.outputCap(), most, r.logs(), logs)
		}
		ctx, cancel := r.untilExpiry(t.Context())
		end, has := ctx.Deadline()
		cancel()
		if left := time.Until(end) - time.Duration(first-1_000_000)*time.Millisecond; !has || left > 0 || left < -time.Second {
			t.Fatalf("the run ends %v after the first grant", left)
		}
		more := obliged(j, append(slices.Clone(all), anyObligations(rng))...)
		if more.outputCap() > most || more.logs() && !logs || more.permitted() == nil && err != nil {
			t.Fatalf("another owner allows more: %+v", more)
		}
		if ok {
			permitted++
		}
	}
	if permitted < 200 || permitted > 4800 {
		t.Fatalf("%d of 5000 were permitted", permitted)
	}
}
