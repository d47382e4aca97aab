// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/broker/entitlement/jwks"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/jwk"
	"github.com/glovebox-dev/glovebox/policies/terms"
)

func newTerms() *cobra.Command {
	cmd := &cobra.Command{
		Use: "terms", Short: "Write, check and explain what may be done with a dataset", Args: noArgs, RunE: needVerb,
		Long: `Terms are a file of one page in YAML. Everything that it does not say is forbidden. Pack signs it into the manifest:

  glovebox creator pack SOURCE --terms terms.yaml

docs/terms.md explains every key.`,
	}
	cmd.AddCommand(newTermsNew(), newTermsCheck(), newTermsExplain())
	return cmd
}

func newTermsNew() *cobra.Command {
	return &cobra.Command{
		Use: "new [FILE]", Short: "Write a commented file to start from", Args: atMostOne("one file"),
		Long:    `New writes terms.yaml, or FILE. The file is valid as it stands: it allows little, and says so in comments.`,
		Example: "  glovebox creator terms new scans-terms.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			path := "terms.yaml"
			if len(args) == 1 {
				path = args[0]
			}
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
			if errors.Is(err, os.ErrExist) {
				return Errorf(KindUsage, "choose another name").because("%s is already there", path)
			}
			if err != nil {
				return Errorf(KindUsage, "check the path").from(err)
			}
			_, err = io.WriteString(f, terms.Template(time.Now()))
			if err = errors.Join(err, f.Close()); err != nil {
				return err
			}
			say(cmd, "wrote %s; change it, then run: glovebox creator terms check %s", path, path)
			return nil
		},
	}
}

// checkView is what check prints as JSON, also of a file that fails.
type checkView struct {
	OK       bool            `json:"ok"`
	Problems []terms.Problem `json:"problems"`
	Notes    []string        `json:"notes"`
	Modes    []terms.Plan    `json:"modes"`
	Terms    *dataset.Terms  `json:"terms"`
}

func newTermsCheck() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "check FILE", Short: "Find everything that is wrong with terms", Args: exactArgs(1, "one file, or - for standard input"),
		Long: `Check reads the file as pack does and reports every problem with its line: what is misspelt or missing, what contradicts
what, and what this release cannot enforce. It exits with 2 if there is any.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := compileFile(cmd.Context(), args[0])
			p, bad := errors.AsType[*terms.Problems](err)
			if err != nil && !bad {
				return err
			}
			v := checkView{Problems: []terms.Problem{}, Notes: []string{}, Modes: []terms.Plan{}}
			if bad {
				v.Problems = p.List
			} else {
				v.OK, v.Notes, v.Modes, v.Terms = true, append(v.Notes, c.Notes...), c.Plans, &c.Terms
			}
			if bad && !asJSON {
				return termsError(args[0], err)
			}
			shown := show(cmd, asJSON, v, func(w io.Writer) {
				fmt.Fprintf(w, "%s can be enforced as it stands\n", args[0])
				for _, n := range v.Notes {
					fmt.Fprintf(w, "note: %s\n", n)
				}
			})
			if bad {
				return termsError(args[0], err)
			}
			return shown
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

// compileFile reads and judges a terms file.
func compileFile(ctx context.Context, path string) (*terms.Compiled, error) {
	b, err := readBounded(path, terms.MaxFile)
	if err != nil {
		return nil, err
	}
	return terms.Parse(b).Compile(termsConfig(ctx, path, time.Now()))
}

// termsConfig lets terms read what they name: offers beside the file, and key sets there or at a URL.
func termsConfig(ctx context.Context, path string, now time.Time) terms.Config {
	dir := filepath.Dir(path)
	return terms.Config{
		Now: now,
		File: func(name string, limit int64) ([]byte, error) {
			if path == "" { // flags name it
				return readBounded(name, limit)
			}
			if !filepath.IsLocal(name) {
				return nil, fmt.Errorf("%s is not beside the terms", name)
			}
			return readBounded(filepath.Join(dir, name), limit)
		},
		Steps: modeSteps,
		Keys:  func(ref string, pins []string) ([]jwk.JWK, error) { return issuerKeys(ctx, dir, ref, pins) },
	}
}

// issuerKeys reads a marketplace's keys. A file is the creator's own word; what a URL says is believed only of keys that
// she pinned.
func issuerKeys(ctx context.Context, dir, ref string, pins []string) ([]jwk.JWK, error) {
	remote := strings.Contains(ref, "://")
	if !remote && !filepath.IsAbs(ref) {
		ref = filepath.Join(dir, ref)
	}
	var set *jwks.Set
	var err error
	if len(pins) > 0 {
		set, err = jwks.Load(ctx, ref, jwks.Config{}, pins)
	} else {
		set, err = jwks.Discover(ctx, ref, jwks.Config{})
	}
	if err != nil {
		return nil, err
	}
	if remote && len(pins) == 0 {
		var found []string
		for _, k := range set.Keys {
			found = append(found, k.Thumbprint())
		}
		return nil, fmt.Errorf("keys that are fetched must be pinned: compare with what the marketplace told you, and write receipts.pins: [%s]", strings.Join(found, ", "))
	}
	return set.Keys, nil
}

// termsError says everything that is wrong with terms. One problem's hint is the command's.
func termsError(path string, err error) error {
	p, ok := errors.AsType[*terms.Problems](err)
	if !ok {
		return err
	}
	if errors.Is(err, jwks.ErrAway) && len(p.List) == 1 {
		return Errorf(KindTryAgain, "the marketplace cannot be reached; give its keys as a file, or try again").because("%s%s", inFile(path), p.List[0].Message)
	}
	if len(p.List) > 1 {
		return Errorf(KindUsage, "correct these; docs/terms.md explains every key").because("%s%d problems\n%s", inFile(path), len(p.List), p)
	}
	hint := p.List[0].Hint
	if hint == "" {
		hint = "docs/terms.md explains every key"
	}
	first := p.List[0]
	first.Hint = ""
	return Errorf(KindUsage, "%s", hint).because("%s%s", inFile(path), first)
}

func inFile(path string) string {
	if path == "" || path == "-" {
		return ""
	}
	return path + ": "
}
