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
	"time"
)

// platform is a verifier whose package has benchmarks of one whole verification and of the bare signature checks in it.
type platform struct {
	name, pkg string
	verify    string // benchmark of a verification
	bare      string // benchmark of its bare checks, in its own package or after "sgx:" in SGX's
	checks    string // the bare checks in one verification
	both      bool   // the benchmark of a verification runs its bare checks too
}

// platforms are the verifiers in attestation. Their evidence is made by the fake vendors of their tests, properly signed
// with keys of the vendor's own kind, or a real machine's where a Go module or a vector has it. What a package cannot find
// it skips. Confidential Space's tokens and Azure's vTPMs are left out: making RSA keys for them takes longer than what
// would be measured, and never the same.
func platforms() []platform {
	return []platform{
		{"SNP: report, VCEK", "snp", "Verify", "SignatureChecks", "1 RSA-4096 PSS, 1 ECDSA P-384", false},
		{"TDX: quote 4, all collateral, log", "tdx", "Verify/v4-body2", "sgx:BareSignatures", "10 ECDSA P-256", true},
		{"TDX 1.5: quote 5, all collateral, log", "tdx", "Verify/v5-body3", "sgx:BareSignatures", "10 ECDSA P-256", true},
		{"SGX: quote 3, all collateral", "sgx", "Verify", "BareSignatures", "10 ECDSA P-256", false},
		{"Nitro: document", "nitro", "Verify", "Signatures", "5 ECDSA P-384", false},
		{"TPM: quote, endorsement, log", "tpm", "Verify", "BareChecks", "2 ECDSA P-256", false},
		{"Google vTPM", "gce", "Verify/real_RSA", "BareChecks", "2 RSA-2048, 2 RSA-4096", false},
		{"GPU: report, both manifests", "gpu", "Verify", "Signatures", "13 ECDSA P-384", false},
	}
}

const (
	fewVerifications  = 10
	manyVerifications = 1010
)

// attestation is the table of verification rates, in processor time. Every package's benchmarks are built once; in every
// round a verification and its bare checks run in turn, and the least of each counts.
func attestation(ctx context.Context, dir string, rounds int) (string, error) {
	var s strings.Builder
	s.WriteString("| evidence | verifications/s | µs each | bare checks in it | µs bare | ratio |\n|---|---|---|---|---|---|\n")
	for _, p := range platforms() {
		each, bare, err := p.measure(ctx, dir, rounds)
		if err != nil {
			fmt.Fprintf(&s, "| %s | skipped: %s |||||\n", p.name, oneLine(err))
			continue
		}
		fmt.Fprintf(&s, "| %s | %.0f | %.0f | %s | %.0f | %s |\n", p.name, 1/each.Seconds(), 1e3*ms(each), p.checks, 1e3*ms(bare), ratio(bare, each))
	}
	return s.String(), nil
}

func (p platform) measure(ctx context.Context, dir string, rounds int) (each, bare time.Duration, err error) {
	pkg, name, other := strings.Cut(p.bare, ":")
	if !other {
		pkg, name = p.pkg, p.bare
	}
	for range rounds {
		v, err := once(ctx, dir, p.pkg, p.verify)
		if err != nil {
			return 0, 0, err
		}
		b, err := once(ctx, dir, pkg, name)
		if err != nil {
			return 0, 0, err
		}
		if p.both {
			v -= b
		}
		if each == 0 || v < each {
			each = v
		}
		if bare == 0 || b < bare {
			bare = b
		}
	}
	return each, bare, nil
}

// once is the processor time of one run of a benchmark's loop: what many take more than few, over how many more they are.
func once(ctx context.Context, dir, pkg, name string) (time.Duration, error) {
	few, err := processorTime(ctx, dir, pkg, name, fewVerifications)
	if err != nil {
		return 0, err
	}
	many, err := processorTime(ctx, dir, pkg, name, manyVerifications)
	if err == nil && many <= few {
		err = fmt.Errorf("%s of attestation/%s/verify: too short to be measured", name, pkg)
	}
	return (many - few) / (manyVerifications - fewVerifications), err
}

// processorTime of a process that runs a benchmark n times.
func processorTime(ctx context.Context, dir, pkg, name string, n int) (time.Duration, error) {
	path, err := filepath.Abs(filepath.Join("..", "attestation", pkg, "verify"))
	if err != nil {
		return 0, err
	}
	binary := filepath.Join(dir, pkg+".test")
	if _, err := os.Stat(binary); err != nil {
		build := exec.CommandContext(ctx, "go", "test", "-c", "-o", binary, ".")
		build.Dir, build.Env = path, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return 0, fmt.Errorf("%w: %.300s", err, out)
		}
	}
	pattern := "^Benchmark" + strings.ReplaceAll(name, "/", "$/^") + "$"
	run := exec.CommandContext(ctx, binary, "-test.run=^$", "-test.bench="+pattern, "-test.benchtime="+strconv.Itoa(n)+"x", "-test.timeout=5m")
	run.Dir = path
	out, err := run.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("%w: %.300s", err, out)
	}
	if !strings.Contains(string(out), "ns/op") {
		return 0, fmt.Errorf("benchmark %s of attestation/%s/verify does not run here", name, pkg)
	}
	return run.ProcessState.UserTime() + run.ProcessState.SystemTime(), nil
}
