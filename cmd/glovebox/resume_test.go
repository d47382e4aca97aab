// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// TestKilledPack kills the real program with SIGKILL, again and again, wherever its journal has grown to, and goes on each time.
// What comes of it is what comes of a copy of the directory, made after the first kill, that is left to end: the same manifest but
// for its signature, and the same files.
func TestKilledPack(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs all binaries; -short leaves that to `make test`")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	bin, err := binaries(root)
	if err != nil {
		t.Fatal(err)
	}
	k := &killed{t: t, bin: filepath.Join(bin, "demo", "glovebox"), dir: t.TempDir(), rng: rand.New(rand.NewPCG(8, 9))}
	var csv bytes.Buffer
	csv.WriteString("who,note\n")
	for i := range 3000 {
		fmt.Fprintf(&csv, "person %d,%s %d\n", i%150, canary, i)
	}
	if err := os.WriteFile(filepath.Join(k.dir, "notes.csv"), csv.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := k.command("creator", "init", "--dir", "alice").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	kills := 0
	for !k.pack("alice") {
		if kills++; kills == 1 {
			if out, err := exec.Command("cp", "-a", filepath.Join(k.dir, "alice"), filepath.Join(k.dir, "copy")).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}
		if _, err := os.Stat(config.Layout{Dir: filepath.Join(k.dir, "alice")}.Packing("notes")); err != nil {
			t.Fatalf("after kill %d: %v", kills, err)
		}
	}
	if kills == 0 {
		t.Skip("the program ended before it could be killed")
	}
	k.patient = true
	if !k.pack("copy") {
		t.Fatal("the copy did not end")
	}
	k.compare("alice", "copy")
	t.Logf("killed %d times", kills)
}

// killed is a directory with owners whose packs are killed.
type killed struct {
	t       *testing.T
	bin     string
	dir     string
	env     []string // besides the test's own
	rng     *rand.Rand
	patient bool
}

func (k *killed) command(args ...string) *exec.Cmd {
	c := exec.Command(k.bin, args...)
	c.Dir, c.Env = k.dir, append(os.Environ(), k.env...)
	return c
}

// pack goes on, and reports whether the pack ended before it was killed.
func (k *killed) pack(owner string) bool {
	k.t.Helper()
	journal := config.Layout{Dir: filepath.Join(k.dir, owner)}.Packing("notes")
	var before int64
	if st, err := os.Stat(journal); err == nil {
		before = st.Size()
	}
	limit := before + 200 + int64(k.rng.IntN(12_000))
	if before == 0 {
		limit += 3000 // beyond the first segment, when contributors' keys are stored; before that each copy would draw its own
	}
	c := k.command("creator", "pack", "notes.csv", "--dir", owner, "--contributor", "who", "--purpose", "research", "--resume")
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		k.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	for {
		select {
		case err := <-ended:
			if err != nil {
				k.t.Fatalf("%v: %s", err, out.String())
			}
			return true
		case <-time.After(time.Millisecond):
		}
		if st, err := os.Stat(journal); err == nil && st.Size() >= limit && !k.patient {
			if err := c.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
				k.t.Fatal(err)
			}
			err := <-ended
			return err == nil
		}
	}
}

// compare holds two owners' packages and blobs to each other.
func (k *killed) compare(a, b string) {
	k.t.Helper()
	var texts []string
	for _, dir := range []string{a, b} {
		list, err := config.ListPackages(filepath.Join(k.dir, dir))
		if err != nil || len(list) != 1 {
			k.t.Fatalf("%s has %d packages: %v", dir, len(list), err)
		}
		text, err := envelope.Canonical(list[0].Manifest)
		if err != nil {
			k.t.Fatal(err)
		}
		var files strings.Builder
		blobs := config.Layout{Dir: filepath.Join(k.dir, dir)}.Blobs()
		err = filepath.WalkDir(blobs, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			fmt.Fprintf(&files, "%s %s\n", strings.TrimPrefix(path, blobs), envelope.Sum(b))
			return err
		})
		if err != nil {
			k.t.Fatal(err)
		}
		left, err := os.ReadDir(filepath.Join(k.dir, dir, "packing"))
		if err != nil || len(left) != 0 {
			k.t.Errorf("%s: %d journals left, %v", dir, len(left), err)
		}
		texts = append(texts, string(text)+"\n"+files.String())
	}
	if texts[0] != texts[1] {
		k.t.Errorf("another result:\n%s\n%s", texts[0], texts[1])
	}
}
