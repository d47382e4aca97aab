// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/cmd/glovebox-run/localtx"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/sdk"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/tx"
)

// transformHint is for modules that no enclave passes records through.
const transformHint = "build it as docs/spec/transform-abi.md says; glovebox creator transform new starts one"

func newTransform() *cobra.Command {
	cmd := &cobra.Command{
		Use: "transform", Short: "Make modules of your own that records pass through before anybody's code sees them", Args: noArgs, RunE: needVerb,
		Long: `A transform is a WebAssembly module that every record passes through: at ingest here, or inside the enclave before code
sees the data. It has no file, clock, network or chance. New starts one, test runs it in the sandbox on data of yours, pack prints
the step that terms and creator pack --transform take.`,
	}
	cmd.AddCommand(newTransformNew(), newTransformTest(), newTransformPack(), newTransformRun(), newReveal())
	return cmd
}

func newTransformNew() *cobra.Command {
	var language string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "new NAME [DIR]", Short: "Start a transform: a small project that builds and works as it is",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 || len(args) == 2 {
				return nil
			}
			return exactArgs(1, "a name, and perhaps a directory")(cmd, args)
		},
		Long: `New writes a project that leaves out records with a word in them and masks digits: the code, a copy of the SDK, made-up
data to try it on with what becomes of it, and a README with the commands that build, test and pack it. It builds without
network, with Go 1.24 or newer; for C with clang, lld, wasi-libc and libclang-rt-dev-wasm32; for Rust with cargo and its target
wasm32-unknown-unknown. DIR is NAME if it is not given.`,
		Example: "  glovebox creator transform new mask-digits\n  glovebox creator transform new mask-digits --lang rust",
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(sdk.TransformLanguages(), language) {
				return Errorf(KindUsage, "use --lang %s", strings.Join(sdk.TransformLanguages(), ", ")).because("there is no SDK for %q", language)
			}
			if !isProjectName(args[0]) {
				return Errorf(KindUsage, "use letters, digits and . - _, beginning with a letter or digit; a directory comes after it").because("no name for a transform: %q", args[0])
			}
			dir := args[len(args)-1]
			files, err := sdk.TransformProject(language, projectName(args[0]))
			if err != nil {
				return err
			}
			if err := writeProject(dir, files); err != nil {
				return err
			}
			say(cmd, "README.md in %s says how to build, test and pack it", dir)
			names := slices.Sorted(maps.Keys(files))
			return show(cmd, asJSON, map[string]any{"dir": dir, "files": names}, func(w io.Writer) {
				for _, n := range names {
					fmt.Fprintln(w, filepath.Join(dir, n))
				}
			})
		},
	}
	cmd.Flags().StringVar(&language, "lang", "go", "language: go, c or rust")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// isProjectName reports whether a name can be one of a directory, a Go module and a crate.
func isProjectName(s string) bool {
	for i, c := range []byte(s) {
		alone := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alone && (i == 0 || c != '.' && c != '-' && c != '_') {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// stepFlags are what test and pack make a step of.
type stepFlags struct {
	config, shape, abi, epsilon string
	findings                    []string
}

func (f *stepFlags) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.config, "config", "", "file with the step's configuration, a JSON object (default: {})")
	fl.StringVar(&f.shape, "shape", dataset.ShapeMap, "what it may make of records: map (one of each), filter (one or none) or any")
	fl.StringVar(&f.abi, "abi", "auto", "how it takes records: tx/1, wasi (a command with stdin and stdout), or auto (by what it exports)")
	fl.StringVar(&f.epsilon, "epsilon", "0", "what its noise may spend for each record; 0: it draws none")
	fl.StringSliceVar(&f.findings, "finding", nil, "type of finding that it may report, like DIGITS; several. Others are counted as "+dataset.OtherFinding)
}

// step reads a module and pins it with its configuration.
func (f *stepFlags) step(path string) (s dataset.Step, module []byte, err error) {
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		path = filepath.Join(path, mainModule)
	}
	if module, err = readBounded(path, maxModuleFile); err != nil {
		return s, nil, err
	}
	s = dataset.Step{Name: dataset.StepModule, Digest: envelope.Sum(module), ABI: f.abi, Shape: f.shape, Config: []byte("{}")}
	slices.Sort(f.findings)
	s.Findings = slices.Compact(f.findings)
	if s.ABI == "auto" {
		s.ABI = abiOf(module)
	}
	if s.Epsilon, err = parseEpsilon(f.epsilon); err != nil {
		return s, nil, err
	}
	if f.config != "" {
		b, err := readBounded(f.config, dataset.MaxStepConfig)
		if err != nil {
			return s, nil, err
		}
		if s.Config, err = canonicalJSON(b); err != nil {
			return s, nil, Errorf(KindUsage, `write a JSON object like {"word": "secret"}`).from(fmt.Errorf("%s: %w", f.config, err))
		}
	}
	if err := s.Validate(); err != nil {
		return s, nil, Errorf(KindUsage, "see glovebox creator transform pack --help").from(err)
	}
	return s, module, nil
}

// canonicalJSON is a text as canonical JSON, if it is strict JSON.
func canonicalJSON(b []byte) ([]byte, error) {
	var v json.RawMessage
	if err := transforms.DecodeWords(b, dataset.MaxStepConfig, &v); err != nil {
		return nil, err
	}
	return envelope.Canonical(v)
}

// parseEpsilon reads a decimal number into millionths, exactly.
func parseEpsilon(s string) (int64, error) {
	n, err := parseMoney(s)
	if err != nil {
		return 0, Errorf(KindUsage, "write it like 0.5; at most six decimals").because("--epsilon %q", s)
	}
	return n, nil
}

// abiOf tells how a module takes records by an export that all of tx/1 have: its length, its name, and that it is a function.
func abiOf(module []byte) string {
	if bytes.Contains(module, []byte("\x0ctx_transform\x00")) {
		return dataset.ABITransform
	}
	return dataset.ABIWASI
}

func newTransformPack() *cobra.Command {
	var f stepFlags
	var out, format string
	var columns []string
	cmd := &cobra.Command{
		Use: "pack MODULE", Short: "Print the step that pins a module with its configuration", Args: exactArgs(1, "one .wasm file, or a directory with main.wasm"),
		Long: `Pack starts MODULE in the sandbox of an enclave, with its configuration, and prints the step that pins both: the module by
its SHA-256. Such steps are what terms and creator pack --transform take. A module that no enclave admits, or that refuses the
configuration, is no step: pack says why and exits with 1. One that looks at the dataset's format or columns when it starts needs
--format and --columns.`,
		Example: "  glovebox creator transform pack main.wasm --config word.json --shape filter -o step.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			s, module, err := f.step(args[0])
			if err != nil {
				return err
			}
			in := transforms.Schema{Format: dataset.Format(format), Columns: columns}
			if err := startable(cmd, &s, module, in); err != nil {
				return err
			}
			b, err := envelope.Canonical(s)
			if err != nil {
				return err
			}
			if out == "" || out == "-" {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", b)
				return err
			}
			if err := os.WriteFile(out, append(b, '\n'), 0o666); err != nil {
				return Errorf(KindUsage, "give a file that you may write").from(err)
			}
			say(cmd, "%s pins module %s; name it in terms, or in: glovebox creator pack --transform", out, short(s.Digest.String()))
			return nil
		},
	}
	f.register(cmd)
	fl := cmd.Flags()
	fl.StringVarP(&out, "output", "o", "", "file for the step (default: standard output)")
	fl.StringVar(&format, "format", string(dataset.FormatJSONL), "format of the dataset: csv, jsonl or files")
	fl.StringSliceVar(&columns, "columns", nil, "columns of the dataset, if it is CSV")
	return cmd
}

// startable starts a step's module in the sandbox and ends it.
func startable(cmd *cobra.Command, s *dataset.Step, module []byte, in transforms.Schema) error {
	m, err := tried(cmd, module, runEnv())(cmd.Context(), s, in)
	if err != nil {
		return notTransformed(err)
	}
	return m.Close()
}

// tried starts a module that is being tried: with its words, on standard error.
func tried(cmd *cobra.Command, module []byte, env *transforms.Env) func(context.Context, *dataset.Step, transforms.Schema) (transforms.Module, error) {
	return func(ctx context.Context, s *dataset.Step, in transforms.Schema) (transforms.Module, error) {
		path, err := companion("glovebox-run")
		if err != nil {
			return nil, err
		}
		lent, err := tx.Lend(s, env.Keys, env.Noise)
		if err != nil {
			return nil, err
		}
		lent.Words = cmd.ErrOrStderr()
		return localtx.Module(ctx, path, s, module, in, lent)
	}
}

// notTransformed is the error for a module that failed, with what it said to its creator.
func notTransformed(err error) error {
	if e, ok := errors.AsType[*tx.ModuleError](err); ok {
		return Errorf(KindError, "%s", transformHint).because("no enclave passes records through this module: %s: %s", e.Reason, e.Detail)
	}
	if errors.Is(err, transforms.ErrModule) {
		return Errorf(KindError, "%s", transformHint).from(err)
	}
	return err
}
