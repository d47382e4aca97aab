// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/tabwriter"
)

//go:embed story.sh
var story string

// check is one tool: the commands under a heading of docs/external.md must accept what a job left, and refuse every twin.
type check struct {
	section string // of the page
	version string
	what    string // it verifies
	install func(context.Context) error
	same    []twin // other forms of the same truth, which it must accept
	twins   []twin // altered, which it must refuse
}

// twin alters one thing in a copy of the folder.
type twin struct {
	name  string
	alter func(dir string) error
}

func checks(k *kit) []check {
	none := func(context.Context) error { return nil }
	return []check{
		{"cosign", cosignVersion, "signature, result, log entry, proof, checkpoint", k.cosign, witnessed(), append(sigstoreTwins(), twin{"the result", flip("result.age", 300)})},
		{"sigstore-go", sigstoreGo, "the same", k.sigstoreGo, witnessed(), append(sigstoreTwins(), twin{"the result", flip("result.age", 300)})},
		{"sigstore-js", sigstoreJS, "the same, without the result", k.sigstoreJS, witnessed(), append(sigstoreTwins(), twin{"the log entry", bytesOf(usageFile, "canonicalizedBody", entryKeys...)})},
		{"age", ageVersion, "a result opens", k.age, nil, ageTwins("result.age", "bob", "carol")},
		{"age, hybrid", ageVersion, "a result for age1pq1 opens", k.age, nil, ageTwins("hybrid.age", "carol", "bob")},
		{"mlcroissant", croissantVersion, "Croissant 1.1 metadata", k.formats, nil, croissantTwins()},
		{"model-signing", omsVersion, "every file of a package", k.formats, nil, modelTwins()},
		{"CycloneDX", cdxVersion, "strict schema 1.6", k.formats, nil, cyclonedxTwins()},
		{"SPDX", spdxVersion, "classes of 3.0.1", k.formats, nil, spdxTwins()},
		{"SPDX shapes", "3.0.1", "JSON schema and SHACL", k.shapes, nil, spdxTwins()},
		{"Copies", "ours", "bills of materials against the bundle", none, nil, copyTwins()},
	}
}

// foreign runs every command of docs/external.md and prints the table.
func foreign(ctx context.Context, w io.Writer, keep string) error {
	k, err := newKit(w)
	if err != nil {
		return err
	}
	page, err := os.ReadFile("../docs/external.md")
	if err != nil {
		return err
	}
	commands := blocks(page)
	dir := keep
	if dir == "" {
		if dir, err = os.MkdirTemp("", "glovebox-external-"); err != nil {
			return err
		}
		defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	}
	f := &fixture{kit: k, dir: dir}
	if err := f.make(ctx, commands["Files"]); err != nil {
		return err
	}
	var table bytes.Buffer
	t := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "tool\tversion\tverified\tsame, accepted\ttampered, refused\t")
	missed, skipped := 0, 0
	for _, c := range checks(k) {
		block := commands[c.section]
		if block == "" {
			return fmt.Errorf("docs/external.md has no commands for %s", c.section)
		}
		delete(commands, c.section)
		if err := c.install(ctx); errors.Is(err, errMissing) {
			skipped += 1 + len(c.same) + len(c.twins)
			fmt.Fprintf(w, "SKIP: %s, %d checks: %v\n", c.section, 1+len(c.same)+len(c.twins), err)
			fmt.Fprintf(t, "%s\t%s\tskipped\t\t\t\n", c.section, c.version)
			continue
		} else if err != nil {
			return err
		}
		good, same, refused := f.judge(ctx, w, &c, block)
		if !good || same < len(c.same) || refused < len(c.twins) {
			missed++
		}
		fmt.Fprintf(t, "%s\t%s\t%s: %s\t%d of %d\t%d of %d\t\n", c.section, c.version, c.what, map[bool]string{true: "yes", false: "NO"}[good], same, len(c.same), refused, len(c.twins))
	}
	delete(commands, "Files")
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\n%s\n%d tools missed something, %d checks skipped\n", table.Bytes(), missed, skipped)
	if len(commands) > 0 {
		return fmt.Errorf("%d blocks of docs/external.md were not run", len(commands))
	}
	if missed > 0 {
		return errors.New("a tool refused what is right, or accepted what is not")
	}
	return nil
}

// fixture is a folder with what a job left behind.
type fixture struct {
	kit    *kit
	dir    string // has bin and files
	copies int
}

func (f *fixture) files() string { return filepath.Join(f.dir, "files") }

// make builds the binaries, runs the story and the commands that write the files.
func (f *fixture) make(ctx context.Context, commands string) error {
	bin, guest := filepath.Join(f.dir, "bin"), filepath.Join(f.dir, "guest.wasm")
	f.kit.path = append(f.kit.path, bin)
	fmt.Fprintln(f.kit.words, "building Glovebox and running two jobs")
	build := func(env []string, args ...string) error {
		cmd := exec.CommandContext(ctx, "go", append([]string{"build", "-trimpath", "-buildvcs=false"}, args...)...)
		cmd.Dir, cmd.Env = "..", append(append(os.Environ(), "CGO_ENABLED=0"), env...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go build: %w: %s", err, lastLine(out))
		}
		return nil
	}
	if err := build(nil, "-tags", "simulated", "-o", bin+"/", "./cmd/..."); err != nil {
		return err
	}
	if err := build([]string{"GOOS=wasip1", "GOARCH=wasm"}, "-o", guest, "./examples/owners/guest"); err != nil {
		return err
	}
	if err := os.MkdirAll(f.files(), 0o700); err != nil {
		return err
	}
	env := []string{"GUEST=" + guest}
	addresses, err := free("HOST", "ALICE", "BOB", "CAROL")
	if err != nil {
		return err
	}
	env = append(env, addresses...)
	if out, err := f.bash(ctx, f.files(), story, env...); err != nil {
		return fmt.Errorf("the story: %w: %s", err, out)
	}
	if out, err := f.bash(ctx, f.files(), commands); err != nil {
		return fmt.Errorf("the commands under Files: %w: %s", err, out)
	}
	return os.RemoveAll(filepath.Join(f.files(), "op"))
}

// free finds a loopback address for each name; all stay taken until all are found.
func free(names ...string) (env []string, err error) {
	for _, name := range names {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() //nolint:errcheck // nobody connected
		env = append(env, name+"="+l.Addr().String())
	}
	return env, nil
}

// bash runs commands as a person would type them, with the tools in reach.
func (f *fixture) bash(ctx context.Context, dir, commands string, env ...string) (string, error) {
	root, err := filepath.Abs("..")
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", commands)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "GLOVEBOX="+root, "PATH="+strings.Join(append(f.kit.path, os.Getenv("PATH")), ":")), append(f.kit.env, env...)...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// judge runs a tool's commands on the files, on other forms of them, and on every twin.
func (f *fixture) judge(ctx context.Context, w io.Writer, c *check, block string) (good bool, same, refused int) {
	out, err := f.try(ctx, block, nil)
	if good = err == nil; !good {
		fmt.Fprintf(w, "%s REFUSED what is right: %v\n%s\n", c.section, err, out)
	}
	for _, t := range c.same {
		if out, err := f.try(ctx, block, t.alter); err != nil {
			fmt.Fprintf(w, "%s REFUSED %s: %v\n%s\n", c.section, t.name, err, out)
			continue
		}
		same++
	}
	for _, t := range c.twins {
		_, err := f.try(ctx, block, t.alter)
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() < 1 || exit.ExitCode() > 125 {
			fmt.Fprintf(w, "%s did not refuse: %s (%v)\n", c.section, t.name, err)
			continue
		}
		refused++
	}
	return good, same, refused
}

// try runs commands in a copy of the files, altered.
func (f *fixture) try(ctx context.Context, block string, alter func(string) error) (string, error) {
	f.copies++
	dir := filepath.Join(f.dir, fmt.Sprintf("copy-%d", f.copies))
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	if err := copyTree(f.files(), dir); err != nil {
		return "", err
	}
	if alter != nil {
		if err := alter(dir); err != nil {
			return "", fmt.Errorf("the twin cannot be made: %w", err)
		}
	}
	return f.bash(ctx, dir, block)
}
