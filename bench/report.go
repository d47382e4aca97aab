// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// A section is a part of the document, made when its turn comes.
type section struct {
	title, text string
	make        func() (string, error)
}

// sections are everything that is measured after the engines.
func sections(ctx context.Context, dir string, rounds int, results []result) []section {
	bench := func(pkg, pattern, flags string) func() (string, error) {
		return func() (string, error) { return benchmarks(ctx, goBenchmark{pkg, pattern, flags}) }
	}
	return []section{
		{
			"The MLP trainer against native code",
			"`bench/kernels/mlp.c` (784-128-10, batches of 32, 192 steps), in processor time. All builds print the same weights.",
			func() (string, error) { return trainer(ctx, dir, rounds) },
		},
		{
			"Cold start: compiling",
			"Milliseconds of processor time of all threads, once. V8 only parses here and compiles while it runs.",
			func() (string, error) { return compiles(results), nil },
		},
		{
			"Start of a job with the jail",
			"Wall time from asking for a job to its outcome, the worker's end included, for a module that does nothing.",
			func() (string, error) { return starts(ctx, dir) },
		},
		{
			"Workers",
			"`go test -bench WorkerStart ./enclave/sandbox`: until a confined worker is there for a job, started for it (cold) or kept ready (warm).",
			bench("./enclave/sandbox", "WorkerStart", "-benchtime=20x"),
		},
		{
			"Compiling, instances, calls of the host",
			"`go test -bench 'Compile|HostCall' ./enclave/wasm`",
			bench("./enclave/wasm", "Compile|HostCall", "-benchtime=100ms"),
		},
		{
			"Transforms: structured personal data",
			"`go test -bench 'ScanProse|ScanDense|Wasm|Regexp' ./transforms/redact/scan`: made-up letters (Prose) and log lines (Dense), natively, as the same\n" +
				"source in WebAssembly with fuel, and with Go's regexp and patterns of the same types. Wall time, one core.",
			bench("./transforms/redact/scan", "ScanProse|ScanDense|Wasm|Regexp", "-benchtime=1s"),
		},
		{
			"Transforms: names and places",
			"`go test -bench Tag ./transforms/redact/name`",
			bench("./transforms/redact/name", "Tag", "-benchtime=1s"),
		},
		{
			"Transforms: from ciphertext to trainer",
			"`go test -bench Path ./transforms`: JSON Lines of made-up letters, verified and decrypted; with redaction of structured types or of all, and\n" +
				"with logistic regression over hashed words at the end.",
			bench("./transforms", "Path", "-benchtime=2s"),
		},
		{
			"Transforms: modules of the creator's",
			"`go test -bench Transform ./enclave/sandbox`: batches of records to a module in a jailed worker and back, with fuel.",
			bench("./enclave/sandbox", "^BenchmarkTransform", "-benchtime=1s"),
		},
		{
			"Snapshot and restore",
			"`go test -bench 'Restore|Record' ./enclave/wasm`: memory is the size of the guest's memory, pages those of 4 KiB that it wrote to since the\n" +
				"snapshot. The first figure is the record and its restore, /restore the restore alone.",
			bench("./enclave/wasm", "Restore|Record", "-benchtime=100ms"),
		},
		{
			"Sessions",
			"`go test -bench Session ./enclave/sandbox`: a record's way to a guest in a jailed worker and back, with the restore after it. memory is the\n" +
				"size of the guest's memory, pages those of 4 KiB that a record writes to.",
			bench("./enclave/sandbox", "Session", "-benchtime=1s"),
		},
		{
			"Sealing and opening",
			"`go test -bench 'Seal|Open|Pack' ./internal/dataset`: batches that are ready, against AES-256-GCM and SHA-256 of the standard library over the\n" +
				"same bytes in the same run. of-plain is the ratio of processor times, GB/s/core is by processor time. Pack is whole, with compression.",
			bench("./internal/dataset", "^Benchmark(Seal|Open|Pack)$", "-benchtime=5x"),
		},
		{
			"Data path",
			"`go test -bench DataPath ./enclave`: plaintext into the guest's memory against plain decryption of the same blobs in the same run.",
			bench("./enclave", "DataPath", "-benchtime=5x"),
		},
		{
			"Linear algebra",
			"`go test -bench . ./enclave/blas`: transposed or not, rows x columns x depth; ns/unit is the time that a unit of fuel stands for.",
			bench("./enclave/blas", ".", "-benchtime=50ms"),
		},
		{
			"Verifying attestation evidence",
			"Authenticating one piece of evidence offline, with everything its vendor signed for it, by `attestation/*/verify`, in\n" +
				"processor time. Ratio is the rate over that of the bare signature checks that the verification contains, under keys of the same kind in the same run.",
			func() (string, error) { return attestation(ctx, dir, rounds) },
		},
		{
			"Decisions",
			"`go test -bench Decide ./policies`: one release decided by the prepared rules, without and with a creator's own.",
			bench("./policies", "Decide", "-benchtime=500ms"),
		},
		{
			"Releases and heartbeats",
			"`go test -bench 'Release|Heartbeat' ./broker`: the whole way of a request through a broker with a file keyholder, durable in its ledger;\n" +
				"requests and evidence are prepared before. The disk's own sync is in the section on the ledger.",
			bench("./broker", "Release|Heartbeat", "-benchtime=3s"),
		},
		{
			"The ledger",
			"`go test -bench . ./broker/ledger`: durable transactions by so many callers at once.",
			bench("./broker/ledger", ".", "-benchtime=1s"),
		},
		{
			"Keyholders",
			"`go test -bench Unwrap ./broker/keyholder/...`: one wrapped key opened. Vault is a real server on this machine (`make vault`), beside\n" +
				"the bare call of its own client in the same run.",
			bench("./broker/keyholder/...", "Unwrap", "-benchtime=1s"),
		},
	}
}

// header says where, when and how.
func header(ctx context.Context, rounds int) string {
	return fmt.Sprintf(`# Benchmarks

Written by `+"`make bench`"+` on %s: %s, %d processors, %s; %s.

Every figure of the sections on engines and on the trainer is the least of %d runs, in processor time. In every round each engine runs once, so that
what else the machine does falls on all. "Native" is clang -O2 or the Go compiler on the same source, a process from start to
end. In the engines a run is from making the instance to its end; compiling comes before. All engines give the guest the same
clock, random bytes and files, and a row is refused unless all print the same.

`, time.Now().UTC().Format("2 January 2006"), processor(), runtime.NumCPU(), load(), strings.Join(versions(ctx), ", "), rounds)
}

const (
	tableText = `Ratios and processor times are what a busy machine leaves alone; the others are worth what the load says. "Plain" is Go's standard library
over the same bytes in the same run. Releases have their evidence and requests prepared, and are durable in the ledger before they
are answered. In the datasets of simulated size the same gigabyte is really sealed (all of 1 GB, a tenth of 10 GB, a hundredth of 100 GB), of the rest the tree has made-up leaves;
the log of a million entries is real.`
	enginesTitle = "Fuel and engines"
	enginesText  = "Times as multiples of native; overhead is the rewritten module's time over the original's in the same engine."
)

// engines is the table of kernels.
func engines(results []result) string {
	var b strings.Builder
	b.WriteString("| language | kernel | native ms | wazero | V8 | wasmtime | sandbox | overhead wazero | overhead V8 | overhead wasmtime | units | units/ns |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range results {
		b.WriteString(r.row())
	}
	b.WriteString("\n\"Sandbox\" is enclave/wasm with fuel, as jobs run. Units are those that the rewritten module counts by itself, equal in the number of\n" +
		"engines given; the sandbox charges for host calls besides, and units/ns is its whole count over its time.\n")
	notes(&b, results)
	return b.String()
}

func (r *result) row() string {
	if r.err != nil {
		return fmt.Sprintf("| %s | %s | skipped: %s |||||||||||\n", r.kernel.language, r.kernel.name, oneLine(r.err))
	}
	over := func(name string) string { return ratio(r.best[name], r.best[inNative]) }
	units, engines := r.counts()
	counted := "**differ**"
	if len(units) == 1 {
		counted = fmt.Sprintf("%.1f M = in %d", float64(units[0])/1e6, engines)
	}
	rate := "–"
	if t := r.best[inSandbox]; t > 0 {
		rate = fmt.Sprintf("%.1f", float64(r.fuel[inSandbox])/float64(t))
	}
	return fmt.Sprintf("| %s | %s | %.1f | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", r.kernel.language, r.kernel.name, ms(r.best[inNative]),
		over(inWazero), over(inV8), over(inWasmtime), over(inSandbox),
		ratio(r.best[inWazeroFuel], r.best[inWazero]), ratio(r.best[inV8Fuel], r.best[inV8]), ratio(r.best[inWasmtimeFuel], r.best[inWasmtime]),
		counted, rate)
}

// notes says what did not run, once for each reason.
func notes(b *strings.Builder, results []result) {
	seen := map[string]bool{}
	for _, r := range results {
		for name, err := range r.skipped {
			if line := fmt.Sprintf("%s: skipped: %s", name, oneLine(err)); !seen[line] {
				seen[line] = true
				fmt.Fprintf(b, "\n%s (%s)\n", line, r.kernel)
			}
		}
	}
}

func ms(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

// ratio of two times, or a dash if one was not measured.
func ratio(x, y time.Duration) string {
	if x == 0 || y == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", float64(x)/float64(y))
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.TrimLeft(strings.TrimSpace(name), ": \t")
		}
	}
	return runtime.GOARCH
}

func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil || len(strings.Fields(string(text))) == 0 {
		return "load unknown"
	}
	return "load " + strings.Fields(string(text))[0] + " meanwhile"
}

// versions of the tools.
func versions(ctx context.Context) []string {
	out := []string{runtime.Version(), "wazero 1.12.0"}
	if wasmtimeVersion != "" {
		out = append(out, wasmtimeVersion)
	}
	for _, args := range [][]string{{"node", "-p", "'node '+process.version+', V8 '+process.versions.v8"}, {"clang", "--version"}} {
		text, err := exec.CommandContext(ctx, args[0], args[1:]...).Output()
		line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
		if err != nil {
			line = "no " + args[0]
		}
		out = append(out, line)
	}
	return out
}
