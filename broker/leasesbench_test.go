// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// failedStatement is what e says of a run that read its data once and trapped.
func (e *enclave) failedStatement(b *testing.B, p *packed) []byte {
	b.Helper()
	g, root := e.grants[p.ID], envelope.Sum([]byte("read root"))
	signed, _, err := usage.Sign(&usage.Statement{
		Job: e.binding.Job, Binding: e.d, Evidence: envelope.Sum(e.evidence), Assurance: "simulated", Runtime: e.w.job.Runtime,
		Isolation: "user,pid,net,mnt,ipc,uts;seccomp;landlock-4;rlimit", Attempt: g.Predicate.Attempt,
		Outcome: usage.OutcomeFailed, Reason: usage.ReasonTrap, Outputs: []usage.Output{},
		Execution:  &usage.Execution{Module: envelope.Sum([]byte("module")), Rewritten: envelope.Sum([]byte("rewritten")), Costs: usage.CostTable, Fuel: 1 << 20},
		Transforms: []usage.Transform{}, Spent: []usage.Spend{}, Receipts: []string{}, Payments: []string{},
		Time: usage.Time{Broker: time.Now().UnixMilli(), Released: 1, Started: 2, Finished: 3},
		Packages: []usage.Package{{
			Manifest: p.ID, Grant: g.ID, Policy: g.Predicate.Policy, Leaves: []grant.Range{{First: 0, Count: 1}}, ReadRoot: &root,
			Reads: 1, Bytes: p.Manifest.Segments[0].Bytes, Records: rows, Billable: rows, Epochs: 1, Heartbeat: e.beats[p.ID],
		}},
	}, nil, e.signer)
	must(b, err)
	return signed
}

// BenchmarkLeases100 is whole lives of leases on one package, a hundred at a time, each of an enclave of its own and through the
// message door: the key's release, ten heartbeats, the commit. What enclaves do in between is not in the times, but in the processor's.
func BenchmarkLeases100(b *testing.B) {
	const beats = 10
	w := newBenchWorld(b)
	requests, enclaves := w.prepare(b.N)
	var mu sync.Mutex
	took := map[string][]time.Duration{}
	ask := func(what string, m *grant.Message) (*grant.Reply, error) {
		msg := encode(b, m)
		start := time.Now()
		reply, err := grant.ParseReply(w.creator.Exchange(context.Background(), msg))
		d := time.Since(start)
		if err == nil && reply.Error != nil {
			err = reply.Error
		}
		mu.Lock()
		took[what] = append(took[what], d)
		mu.Unlock()
		return reply, err
	}
	time.Sleep(settle)
	measure(b, func() []time.Duration {
		return parallel(b, 100, b.N, func(i int) error {
			e := enclaves[i]
			r, err := ask("release", &grant.Message{Release: requests[i]})
			if err != nil {
				return err
			}
			e.accept(w.data, r.Release)
			for n := range int64(beats) {
				if _, err := ask("beat", &grant.Message{Heartbeat: e.signHeartbeat(w.data, n+1, min(n, 1))}); err != nil {
					return err
				}
			}
			e.beats[w.data.ID] = beats
			_, err = ask("commit", &grant.Message{Commit: e.failedStatement(b, w.data), Package: &w.data.ID})
			return err
		})
	})
	for what, t := range took {
		slices.Sort(t)
		b.ReportMetric(float64(t[len(t)/2].Microseconds())/1000, what+"-p50-ms")
		b.ReportMetric(float64(t[len(t)*99/100].Microseconds())/1000, what+"-p99-ms")
	}
}
