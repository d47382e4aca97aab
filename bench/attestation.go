// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// platform is a verifier whose package has benchmarks of one whole verification and of the bare signature checks in it.
type platform struct {
	name, pkg string
	verify    string // benchmark of a verification
	bare      string // benchmark of its bare checks; "": the verification's reports the ratio itself, or there is none
	checks    string // the bare checks in one verification
}

// platforms are the verifiers in attestation. Their evidence is made by the fake vendors of their tests, properly signed
// with keys of the vendor's own kind, or a real machine's where a Go module or a vector has it. What a package cannot find
// it skips.
func platforms() []platform {
	return []platform{
		{"SNP: report, VCEK", "snp", "Verify", "SignatureChecks", "1 RSA-4096 PSS, 1 ECDSA P-384"},
		{"TDX: quote 4, all collateral, log", "tdx", "Verify/v4-body2", "", "10 ECDSA P-256"},
		{"TDX 1.5: quote 5, all collateral, log", "tdx", "Verify/v5-body3", "", "10 ECDSA P-256"},
		{"SGX: quote 3, all collateral", "sgx", "Verify", "BareSignatures", "10 ECDSA P-256"},
		{"Nitro: document", "nitro", "Verify", "Signatures", "5 ECDSA P-384"},
		{"TPM: quote, endorsement, log", "tpm", "Verify", "BareChecks", "2 ECDSA P-256"},
		{"Azure, SNP", "azure", "Verify/SNP_real", "BareChecks", "1 RSA-4096 PSS, 1 ECDSA P-384, 1 RSA-2048"},
		{"Azure, TDX: all collateral", "azure", "Verify/TDX_fake", "", "10 ECDSA P-256, 1 RSA-2048"},
		{"Google vTPM", "gce", "Verify/real_RSA", "BareChecks", "2 RSA-2048, 2 RSA-4096"},
		{"Confidential Space token", "oidc", "Verify", "Signatures", "1 RSA-2048, 2 RSA-4096"},
		{"GPU: report, both manifests", "gpu", "Verify", "Signatures", "13 ECDSA P-384"},
	}
}

// figures are a benchmark's results by unit, the least of all rounds for times.
type figures map[string]float64

// attestation is the table of verification rates. Every package's benchmarks are built once and run in rounds, a
// verification and its bare checks in turn, so that what else the machine does falls on both.
func attestation(ctx context.Context, dir string, rounds int) (string, error) {
	var s strings.Builder
	s.WriteString("| evidence | verifications/s | µs each | bare checks in it | µs bare | ratio |\n|---|---|---|---|---|---|\n")
	measured := map[string]map[string]figures{}
	for _, p := range platforms() {
		all, ok := measured[p.pkg]
		if !ok {
			var err error
			if all, err = rates(ctx, dir, p.pkg, rounds); err != nil {
				fmt.Fprintf(&s, "| %s | skipped: %s |||||\n", p.name, oneLine(err))
				continue
			}
			measured[p.pkg] = all
		}
		s.WriteString(p.row(all))
	}
	return s.String(), nil
}

func (p platform) row(all map[string]figures) string {
	each := all[p.verify]["ns/op"]
	if each == 0 {
		return fmt.Sprintf("| %s | skipped: its benchmark did not run |||||\n", p.name)
	}
	bare := all[p.bare]["ns/op"]
	if p.bare == "" {
		bare = all[p.verify]["ratio"] * each
	}
	if bare == 0 {
		return fmt.Sprintf("| %s | %.0f | %.0f | %s | – | – |\n", p.name, 1e9/each, each/1e3, p.checks)
	}
	return fmt.Sprintf("| %s | %.0f | %.0f | %s | %.0f | %.2f |\n", p.name, 1e9/each, each/1e3, p.checks, bare/1e3, bare/each)
}

// rates runs the benchmarks of attestation/pkg/verify.
func rates(ctx context.Context, dir, pkg string, rounds int) (map[string]figures, error) {
	path, err := filepath.Abs(filepath.Join("..", "attestation", pkg, "verify"))
	if err != nil {
		return nil, err
	}
	binary := filepath.Join(dir, pkg+".test")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-o", binary, ".")
	build.Dir, build.Env = path, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %.300s", err, out)
	}
	all := map[string]figures{}
	for range rounds {
		run := exec.CommandContext(ctx, binary, "-test.run=^$", "-test.bench=^Benchmark(Verify|Signatures|SignatureChecks|Bare)", "-test.benchtime=300ms", "-test.timeout=5m")
		run.Dir = path
		out, err := run.CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("%w: %.300s", err, out)
		}
		for line := range strings.Lines(string(out)) {
			note(all, strings.Fields(line))
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("attestation/%s/verify has no benchmark that runs here", pkg)
	}
	return all, nil
}

// note adds a line of results: the benchmark with the processors behind it, its runs, then figures and units.
func note(all map[string]figures, f []string) {
	if len(f) < 4 || !strings.HasPrefix(f[0], "Benchmark") {
		return
	}
	name := strings.TrimPrefix(f[0], "Benchmark")
	if i := strings.LastIndexByte(name, '-'); i > 0 {
		if _, err := strconv.Atoi(name[i+1:]); err == nil {
			name = name[:i]
		}
	}
	if all[name] == nil {
		all[name] = figures{}
	}
	for i := 2; i+1 < len(f); i += 2 {
		v, err := strconv.ParseFloat(f[i], 64)
		if was, ok := all[name][f[i+1]]; err == nil && (!ok || f[i+1] == "ns/op" && v < was || f[i+1] == "ratio" && v > was) {
			all[name][f[i+1]] = v
		}
	}
}
