// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
)

// dataRows: of-plain is against AES-256-GCM and SHA-256 of the standard library in the same run, by processor time.
func dataRows(f figures) (out []row) {
	for _, w := range []struct{ bench, what string }{{"Seal", "seal"}, {"Open", "verify and decrypt"}} {
		for _, name := range f.under(w.bench) {
			v := f[w.bench+"/"+name]
			what := fmt.Sprintf("%s batches that are ready, %s", w.what, name)
			out = append(out,
				atLeast(0.9, "of plain").row(what, fmt.Sprintf("%.2f GB/s a core, %.2f of plain AES-256-GCM + SHA-256", v["GB/s/core"], v["of-plain"]), v["of-plain"]),
				atMost(100, "").row(what+": allocations a GiB", fmt.Sprintf("%.0f", v["allocs/GiB"]), v["allocs/GiB"]))
		}
	}
	var rates []string
	for _, name := range f.under("Pack") {
		rates = append(rates, fmt.Sprintf("%s %.0f", name, 1000*f["Pack/"+name]["GB/s/core"]))
	}
	if len(rates) > 0 {
		out = append(out, plain("whole pack with compression, MB/s of source a core", "%s", strings.Join(rates, ", ")))
	}
	return out
}

// releaseRows: evidence and requests are prepared, the ledger is durable.
func releaseRows(f figures) (out []row) {
	if v, ok := f["Release"]; ok {
		out = append(out,
			atMost(10, "ms").row("key release, one at a time, p50", fmt.Sprintf("%.1f ms (%.1f ms of processor time)", v["p50-ms"], v["cpu-ms/op"]), v["p50-ms"]),
			plain("key release, one at a time, p99", "%.1f ms", v["p99-ms"]))
	}
	for _, clients := range f.under("ReleaseParallel") {
		v := f["ReleaseParallel/"+clients]
		out = append(out, atLeast(500, "/s").row("key releases a second, durable, "+clients+" clients",
			fmt.Sprintf("%.0f/s (p50 %.0f ms, p99 %.0f ms; %.1f ms of processor time each)", v["per-s"], v["p50-ms"], v["p99-ms"], v["cpu-ms/op"]), v["per-s"]))
	}
	return out
}

// firstByteRows: the first job's module is compiled in its worker, the others find one that was compiled ahead.
func firstByteRows(f figures) (out []row) {
	for _, m := range []string{"small", "Go"} {
		v, ok := f[m+": submit to first byte"]
		if !ok {
			continue
		}
		what := fmt.Sprintf("submit to first byte, module of %.0f bytes (%s)", f[m+": module"]["bytes"], m)
		out = append(out,
			atMost(50, "ms").row(what+", warm worker, p50", fmt.Sprintf("%.1f ms (least %.1f)", v["p50"], v["least"]), v["p50"]),
			plain(what+", warm worker, p99", "%.1f ms", v["p99"]),
			plain(what+", cold", "%.1f ms", f[m+": first job"]["ms"]))
	}
	return out
}

// nativeRows: processor time of a run; compiling comes before.
func nativeRows(f figures) (out []row) {
	for _, name := range f.under("go") {
		v := f["go/"+name]
		out = append(out, plain("job in WebAssembly against the same Go code native: "+name, "%.1f times (%.0f ms for %.0f; compiled in %.0f ms)",
			v["sandbox-ms"]/v["native-ms"], v["sandbox-ms"], v["native-ms"], v["compile-ms"]))
	}
	return out
}

// logRows: from the outbox to a published checkpoint, witnesses left out.
func logRows(f figures) (out []row) {
	for _, name := range f.under("Log") {
		v := f["Log/"+name]
		what := fmt.Sprintf("log of %s entries", thousands(v["entries"]))
		out = append(out,
			plain(what+": appends", "%.0f/s, from 64 callers, each durable and under a checkpoint", v["appends/s"]),
			plain(what+": proof made and verified", "p50 %.2f ms, p99 %.1f ms", v["proof-p50-ms"], v["proof-p99-ms"]))
		if v["filled/s"] > 0 {
			out = append(out, plain(what+": size", "%.0f MB on disk, bodies of %.0f bytes as a grant's, checkpoint %.0f bytes, %.0f MB of memory at most above an idle process; opened in %.0f ms; filled at %.0f/s",
				v["disk-MB"], v["body-bytes"], v["checkpoint-bytes"], v["peak-MB"], v["open-ms"], v["filled/s"]))
		}
	}
	return out
}

// auditRows: the platform's evidence is the tests' own; vendors' evidence is in a section of its own.
func auditRows(f figures) (out []row) {
	for _, name := range f.under("Audit") {
		v := f["Audit/"+name]
		out = append(out, plain("bundle verifications, "+name, "%.0f/s, %.2f ms of processor time each", v["bundles/s"], v["cpu-ms/op"]))
		var parts []string
		for _, p := range []string{"manifests", "usage", "grants", "commits", "proofs", "evidence", "job", "ticket"} {
			parts = append(parts, fmt.Sprintf("%s %.0f", p, v[p+"-bytes"]))
		}
		out = append(out, plain("bundle, "+name+", bytes", "%s: %s", thousands(v["bundle-bytes"]), strings.Join(parts, ", ")))
	}
	return out
}

// sparseRows: one segment in so many is really sealed, the leaves of the others are made up.
func sparseRows(f figures) (out []row) {
	var peaks []string
	for _, name := range []string{"1GB", "10GB", "100GB"} {
		v, ok := f["Sparse/"+name]
		if !ok {
			continue
		}
		peaks = append(peaks, fmt.Sprintf("%s %.0f MB", name, v["peak-MB"]))
		out = append(out, plain("dataset of "+name+", sparse: plan", "%s segments, %s leaves; manifest %s, index %s, tree %s bytes; planned, signed and verified in %.1f s of processor time",
			thousands(v["segments"]), thousands(v["leaves"]), thousands(v["manifest-bytes"]), thousands(v["index-bytes"]), thousands(v["tree-bytes"]), v["plan-cpu-s"]),
			plain("dataset of "+name+", sparse: 1 MiB at a random place, proven and decrypted", "p50 %.1f ms, p99 %.1f ms, %s bytes fetched; opened, with its index, in %.1f ms",
				v["range-p50-ms"], v["range-p99-ms"], thousands(v["fetched-bytes/range"]), v["open-p50-ms"]))
	}
	if len(peaks) > 0 {
		out = append(out, plain("datasets, sparse: peak memory of plan, open and reads above an idle process", "%s", strings.Join(peaks, ", ")))
	}
	return out
}

// queueRows: signed jobs over the loopback, 16 clients, a database that syncs.
func queueRows(f figures) (out []row) {
	for _, q := range []struct{ line, what string }{
		{"submit the first tenth", "10,000 queued jobs: submit the first 1,000"},
		{"submit the last tenth", "10,000 queued jobs: submit the last 1,000"},
		{"look at one", "10,000 queued jobs: look at one"},
		{"cancel one", "10,000 queued jobs: cancel one"},
	} {
		if v, ok := f[q.line]; ok {
			out = append(out, plain(q.what, "%.0f/s, p50 %.1f ms, p99 %.1f ms", v["per-s"], v["p50"], v["p99"]))
		}
	}
	if v, ok := f["peak memory"]; ok {
		out = append(out, plain("10,000 queued jobs: peak memory of host, brokers and 16 clients above that with none", "%.0f MB", v["all"]))
	}
	for _, q := range []struct{ line, what string }{{"list all", "list all"}, {"status", "status"}, {"start a host on them", "start a host on them"}} {
		if v, ok := f[q.line]; ok {
			out = append(out, plain("10,000 queued jobs: "+q.what, "%.0f ms", v["all"]))
		}
	}
	return out
}

// leaseRows: whole lives of leases, release, ten heartbeats, commit.
func leaseRows(f figures) []row {
	v, ok := f["Leases100"]
	if !ok {
		return nil
	}
	return []row{
		plain("100 leases at a time: whole lives", "%.0f/s, so %.0f heartbeats a second beside as many releases and commits as lives; %.1f ms of processor time each", v["per-s"], 10*v["per-s"], v["cpu-ms/op"]),
		plain("100 leases at a time: heartbeat", "p50 %.1f ms, p99 %.1f ms", v["beat-p50-ms"], v["beat-p99-ms"]),
		plain("100 leases at a time: release and commit", "p50 %.1f and %.1f ms, p99 %.1f and %.1f ms", v["release-p50-ms"], v["commit-p50-ms"], v["release-p99-ms"], v["commit-p99-ms"]),
	}
}

// thousands writes a whole number with commas.
func thousands(n float64) string {
	s := fmt.Sprintf("%.0f", n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
