// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
	}{
		{nil, 0},
		{errors.New("plain"), 1},
		{usageError(errors.New("flag")), 2},
		{Errorf(KindDenied, "").because("no"), 3},
		{fmt.Errorf("deeper: %w", Errorf(KindVerify, "").because("altered")), 4},
		{fmt.Errorf("pack: %w", dataset.ErrLeaf), 4},
		{envelope.ErrSignature, 4},
		{Errorf(KindTryAgain, "").because("away"), 5},
		{context.Canceled, 5},
	} {
		if got := ExitCode(c.err); got != c.code {
			t.Errorf("%v: exit code %d, want %d", c.err, got, c.code)
		}
	}
}

func TestErrorLines(t *testing.T) {
	var b bytes.Buffer
	printError(&b, fmt.Errorf("outer: %w", Errorf(KindError, "do this").because("first\nsecond")))
	want := "glovebox: error: outer: first\n  second\nglovebox: hint: do this\n"
	if b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

// TestNamesInErrors: the file system's errors have names in them as they are, and a terminal must not obey them.
func TestNamesInErrors(t *testing.T) {
	var b bytes.Buffer
	printError(&b, &fs.PathError{Op: "open", Path: "a\x1b]0;x\a\u202eb\u009b", Err: fs.ErrPermission})
	if want := "glovebox: error: open a?]0;x??b?: permission denied\n"; !strings.HasPrefix(b.String(), want) {
		t.Errorf("%q, want %q", b.String(), want)
	}
}

// TestWordsOfManifests: what is a stranger's in a manifest's steps and terms is shown, not obeyed.
func TestWordsOfManifests(t *testing.T) {
	var b bytes.Buffer
	printSteps(&b, []stepView{{Step: "s\x1b", Says: "says\u009b", Config: []byte("{\"a\":\"\u202e\"}")}})
	(&manifestInspection{Contents: &dataset.Manifest{}, Words: []string{"words\u202e"}}).print(&b)
	b.WriteString(sumOf([]dataset.Count{{Name: "name\u2066"}}))
	if s := b.String(); strings.ContainsAny(s, "\x1b\u009b\u202e\u2066") || !strings.Contains(s, "words?") {
		t.Errorf("%q", s)
	}
}

// TestEverySentinelHasAHint: an error that people meet says what to do.
func TestEverySentinelHasAHint(t *testing.T) {
	for _, s := range sentinels() {
		if s.target == nil || s.hint == "" || s.kind < KindError || s.kind > KindTryAgain {
			t.Errorf("%v: kind %d, hint %q", s.target, s.kind, s.hint)
		}
	}
}

func TestEveryReadHasJSON(t *testing.T) {
	for _, path := range []string{
		"creator ls", "creator card", "creator pack", "creator terms check", "creator terms explain", "buyer ls", "buyer plan", "buyer submit", "buyer watch", "buyer fetch", "buyer open",
		"buyer card", "auditor verify", "auditor log", "auditor data", "auditor evidence verify", "auditor evidence explain", "operator status", "operator measure", "demo", "version",
	} {
		cmd, rest, err := newRoot().Find(strings.Fields(path))
		if err != nil || len(rest) != 0 {
			t.Errorf("%s: no such command: %v", path, err)
			continue
		}
		if cmd.Flags().Lookup("json") == nil {
			t.Errorf("%s has no --json", path)
		}
	}
}

var commandLine = regexp.MustCompile("(?m)(?:^|`|\\$ |&& |  )glovebox ((?:[a-z-]+ ?)+)([^`#\n]*)")

// TestDocumentedCommandsExist finds every command line in the documents and refuses a verb or flag that is not there.
func TestDocumentedCommandsExist(t *testing.T) {
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, file := range append(files, "../../docs/spec/log.md", "../../README.md", "../../examples/mnist/README.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range commandLine.FindAllStringSubmatch(string(text), -1) {
			n++
			checkDocumented(t, file, m[1], m[2])
		}
	}
	if n < 15 {
		t.Errorf("only %d command lines found: this test looks in the wrong place", n)
	}
}

func checkDocumented(t *testing.T, file, verbs, rest string) {
	t.Helper()
	cmd, left, err := newRoot().Find(strings.Fields(verbs))
	if err != nil || !cmd.HasParent() || (len(left) > 0 && cmd.HasSubCommands()) {
		t.Errorf("%s: there is no `glovebox %s`", file, strings.TrimSpace(verbs))
		return
	}
	for _, f := range regexp.MustCompile(`--([a-z-]+)`).FindAllStringSubmatch(rest, -1) {
		if cmd.Flags().Lookup(f[1]) == nil && f[1] != "help" {
			t.Errorf("%s: `%s` has no --%s", file, cmd.CommandPath(), f[1])
		}
	}
}

var link = regexp.MustCompile(`\]\(([^)#:]+)\)`)

// TestDocumentedFilesExist follows every relative link.
func TestDocumentedFilesExist(t *testing.T) {
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, "../../README.md", "../../SECURITY.md", "../../CHANGELOG.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", file, m[1])
			}
		}
	}
}

// TestREADMEIsShort keeps the first page a first page.
func TestREADMEIsShort(t *testing.T) {
	b, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(b, []byte("\n")); n >= 120 {
		t.Errorf("README.md has %d lines, want fewer than 120", n)
	}
}

// TestEveryCommandExplainsItself: each verb has a line of help, and each flag too.
func TestEveryCommandExplainsItself(t *testing.T) {
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Short == "" {
			t.Errorf("%s has no description", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(newRoot())
}
