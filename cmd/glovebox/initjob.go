// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/sdk"
)

func newInitJob() *cobra.Command {
	var language string
	var asJSON, private bool
	cmd := &cobra.Command{
		Use: "init-job DIR", Short: "Start a job: a small project that builds and trains as it is", Args: exactArgs(1, "one directory"),
		Long: `Init-job writes a project that learns from CSV: the code, a copy of the SDK, made-up data to try it on, and a README with
the commands that build it, run it here and submit it. It builds without network, with Go 1.24 or newer, or for C with
clang, lld, wasi-libc and libclang-rt-dev-wasm32. With --private it is a model for mode dp-training: code that computes gradients,
which an enclave trains with differential privacy; in Rust too, with cargo and its target wasm32-unknown-unknown.`,
		Example: "  glovebox buyer init-job myjob\n  glovebox buyer init-job myjob --lang c\n  glovebox buyer init-job mymodel --private --lang rust",
		RunE: func(cmd *cobra.Command, args []string) error {
			languages, project := sdk.Languages(), sdk.Project
			if private {
				languages, project = sdk.ModelLanguages(), sdk.ModelProject
			}
			if !slices.Contains(languages, language) {
				return Errorf(KindUsage, "use --lang %s", strings.Join(languages, " or ")).because("there is no SDK for %q", language)
			}
			files, err := project(language, projectName(args[0]))
			if err != nil {
				return err
			}
			if err := writeProject(args[0], files); err != nil {
				return err
			}
			say(cmd, "README.md in %s says how to build it, run it here and submit it", args[0])
			names := slices.Sorted(maps.Keys(files))
			return show(cmd, asJSON, map[string]any{"dir": args[0], "files": names}, func(w io.Writer) {
				for _, n := range names {
					fmt.Fprintln(w, filepath.Join(args[0], n))
				}
			})
		},
	}
	cmd.Flags().StringVar(&language, "lang", "go", "language: go or c; with --private rust too")
	cmd.Flags().BoolVar(&private, "private", false, "a model that is trained with differential privacy")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// projectName is the directory's name, in the letters that a module path and a dataset may have.
func projectName(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	name := strings.Trim(nameOf(dir), ".-_")
	if name == "" {
		return "job"
	}
	return name
}

// writeProject fills a directory that is new or empty.
func writeProject(dir string, files map[string][]byte) error {
	if err := newOrEmpty(dir); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			return err
		}
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if err != nil {
			return err
		}
		_, err = f.Write(files[name])
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return err
		}
	}
	return nil
}
