// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Versions of the tools; those from PyPI are in formats.txt, those from npm in npm/package-lock.json.
const (
	cosignVersion    = "v3.1.2"
	ageVersion       = "v1.3.2"
	sigstoreGo       = "v1.3.0" // in sigstorego/go.mod
	sigstoreJS       = "4.1.3"
	spdxStore        = "org.spdx:spdx-v3jsonld-store:1.0.1"
	spdxStoreJar     = "spdx-v3jsonld-store-1.0.1.jar"
	spdxStoreSHA256  = "6d0119b363a22b5f72c7c9de8859e59c03ebac517933bb823cc30f5c3ac81d56"
	croissantVersion = "1.1.1"
	omsVersion       = "1.1.1"
	cdxVersion       = "11.12.0"
	spdxVersion      = "0.0.6"
)

// kit installs tools into the user's cache, each once, and remembers what could not be had.
type kit struct {
	words io.Writer
	dir   string
	path  []string // folders of programs
	env   []string
	tried map[string]error
}

func newKit(w io.Writer) (*kit, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errMissing, err)
	}
	k := &kit{words: w, dir: filepath.Join(cache, "glovebox", "external"), tried: map[string]error{}}
	return k, os.MkdirAll(k.dir, 0o700)
}

// once runs an installation the first time it is asked for.
func (k *kit) once(name string, install func() error) error {
	err, done := k.tried[name]
	if !done {
		err = install()
		k.tried[name] = err
	}
	return err
}

func (k *kit) run(ctx context.Context, dir string, env []string, args ...string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s: %w: %s", errMissing, strings.Join(args[:min(3, len(args))], " "), err, lastLine(out))
	}
	return nil
}

// goTool builds a command of a published module at an exact version.
func (k *kit) goTool(ctx context.Context, version string, packages ...string) error {
	return k.once(packages[0], func() error {
		bin := filepath.Join(k.dir, filepath.Base(packages[0])+"-"+version)
		k.path = append(k.path, bin)
		if _, err := os.Stat(filepath.Join(bin, filepath.Base(packages[len(packages)-1]))); err == nil {
			return nil
		}
		fmt.Fprintf(k.words, "building %s@%s, once\n", packages[0], version)
		for _, p := range packages {
			if err := k.run(ctx, os.TempDir(), []string{"GOBIN=" + bin, "GOFLAGS="}, "go", "install", p+"@"+version); err != nil {
				return err
			}
		}
		return nil
	})
}

func (k *kit) cosign(ctx context.Context) error {
	return k.goTool(ctx, cosignVersion, "github.com/sigstore/cosign/v3/cmd/cosign")
}

func (k *kit) age(ctx context.Context) error {
	return k.goTool(ctx, ageVersion, "filippo.io/age/cmd/age", "filippo.io/age/cmd/age-keygen")
}

// sigstoreGo builds the program in sigstorego, a module of its own: sigstore-go brings 300 others.
func (k *kit) sigstoreGo(ctx context.Context) error {
	return k.once("sigstore-go", func() error {
		bin := filepath.Join(k.dir, "sigstorego-"+sigstoreGo)
		k.path = append(k.path, bin)
		fmt.Fprintf(k.words, "building sigstorego with sigstore-go %s\n", sigstoreGo)
		return k.run(ctx, "external/sigstorego", []string{"CGO_ENABLED=0"}, "go", "build", "-o", filepath.Join(bin, "sigstorego"), ".")
	})
}

// sigstoreJS installs what npm/package-lock.json pins, with its hashes.
func (k *kit) sigstoreJS(ctx context.Context) error {
	return k.once("sigstore-js", func() error {
		dir := filepath.Join(k.dir, "npm-"+sigstoreJS)
		modules := filepath.Join(dir, "node_modules")
		k.env = append(k.env, "NODE_PATH="+modules)
		if _, err := os.Stat(filepath.Join(modules, ".package-lock.json")); err == nil {
			return nil
		}
		for _, name := range []string{"package.json", "package-lock.json"} {
			if err := copyFile(filepath.Join("external/npm", name), filepath.Join(dir, name)); err != nil {
				return err
			}
		}
		fmt.Fprintln(k.words, "installing @sigstore/verify from npm, once")
		return k.run(ctx, dir, nil, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	})
}

// formats is a Python with everything in formats.txt.
func (k *kit) formats(ctx context.Context) error {
	return k.once("formats", func() error {
		bin, err := python(ctx, k.words, "external-formats", "external/formats.txt")
		if err != nil {
			return err
		}
		k.path = append(k.path, filepath.Dir(bin))
		return nil
	})
}

// shapes fetches SPDX's schema, shapes and context, which are in a jar of its own Java library.
func (k *kit) shapes(ctx context.Context) error {
	if err := k.formats(ctx); err != nil {
		return err
	}
	return k.once("shapes", func() error {
		dir := filepath.Join(k.dir, "spdx")
		k.env = append(k.env, "SPDX_MODEL="+filepath.Join(dir, "resources"))
		jar := filepath.Join(dir, spdxStoreJar)
		if !hasSum(jar, spdxStoreSHA256) {
			fmt.Fprintln(k.words, "fetching SPDX's shapes from Maven Central, once")
			copyGoal := "org.apache.maven.plugins:maven-dependency-plugin:2.8:copy"
			if err := k.run(ctx, os.TempDir(), nil, "mvn", "-q", "-B", copyGoal, "-Dartifact="+spdxStore, "-DoutputDirectory="+dir); err != nil {
				return err
			}
		}
		if !hasSum(jar, spdxStoreSHA256) {
			return errors.New("SPDX's jar is not the pinned one: " + jar)
		}
		return k.run(ctx, dir, nil, "python3", "-m", "zipfile", "-e", jar, dir)
	})
}

func hasSum(path, want string) bool {
	b, err := os.ReadFile(path)
	sum := sha256.Sum256(b)
	return err == nil && hex.EncodeToString(sum[:]) == want
}

func copyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o600)
}

// copyTree copies a folder of plain files.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !d.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		return copyFile(path, filepath.Join(to, rel))
	})
}

// blocks are the shell commands of a page, by the heading that they stand under.
func blocks(page []byte) map[string]string {
	out, heading := map[string]string{}, ""
	var block *bytes.Buffer
	for _, line := range strings.SplitAfter(string(page), "\n") {
		switch {
		case block == nil && strings.HasPrefix(line, "## "):
			heading = strings.TrimSpace(line[3:])
		case block == nil && strings.TrimSpace(line) == "```sh":
			block = bytes.NewBufferString(out[heading])
		case block != nil && strings.TrimSpace(line) == "```":
			out[heading], block = block.String(), nil
		case block != nil:
			block.WriteString(line)
		}
	}
	return out
}
