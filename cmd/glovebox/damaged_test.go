// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// runVerb runs a verb in this process.
func runVerb(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, words bytes.Buffer
	cmd := newRoot()
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&words)
	err = cmd.ExecuteContext(t.Context())
	return out.String(), words.String(), err
}

func mustRun(t *testing.T, args ...string) string {
	t.Helper()
	out, words, err := runVerb(t, args...)
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, words)
	}
	return out
}

// damagedOwner has two datasets, one by contributor; a second version of that one cannot be read.
func damagedOwner(t *testing.T) (dir string, c *config.Config, whole, damaged config.Package) {
	t.Helper()
	base := t.TempDir()
	dir = filepath.Join(base, "alice")
	mustRun(t, "creator", "init", "--dir", dir)
	for name, text := range map[string]string{"visits.csv": "patient,visit\np-1,a\np-2,b\n", "more.csv": "patient,visit\np-2,c\np-4,d\n", "other.csv": "a,b\n1,2\n"} {
		if err := os.WriteFile(filepath.Join(base, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mustRun(t, "creator", "pack", filepath.Join(base, "visits.csv"), "--dir", dir, "--contributor", "patient")
	mustRun(t, "creator", "pack", filepath.Join(base, "other.csv"), "--dir", dir)
	mustRun(t, "creator", "pack", filepath.Join(base, "more.csv"), "--dir", dir, "--contributor", "patient", "--previous", "visits", "--name", "visits")
	list, err := config.ListPackages(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list {
		switch {
		case p.Manifest.Name == "visits" && p.Manifest.Version == 1:
			whole = p
		case p.Manifest.Name == "visits":
			damaged = p
		}
	}
	c, err = config.Load(config.Layout{Dir: dir}.Config())
	if err != nil {
		t.Fatal(err)
	}
	spoil(t, c, damaged.ID)
	return dir, c, whole, damaged
}

func spoil(t *testing.T, c *config.Config, id envelope.Digest) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(c.Layout().Package(id), "manifest.dsse"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestRevokeBesideADamagedManifest: taking something back never waits for a repair of something else, nor of itself.
func TestRevokeBesideADamagedManifest(t *testing.T) {
	dir, c, whole, damaged := damagedOwner(t)
	id := whole.Manifest.Dataset
	for name, args := range map[string][]string{
		"another package, by name":             {"--package", "other"},
		"the damaged one, by digest":           {"--package", damaged.ID.String()},
		"the damaged one, by half a digest":    {"--package", damaged.ID.Hex()[:12]},
		"its dataset, by another version":      {"--dataset", "visits"},
		"its dataset, by another one's digest": {"--dataset", whole.ID.String()},
		"its dataset, by its own identity":     {"--dataset", id.String()},
		"a contributor in it":                  {"--dataset", "visits", "--contributor", "p-2"},
		"a contributor of that version only":   {"--dataset", id.String(), "--contributor", "p-4"},
		"a job":                                {"--job", damaged.ID.String()},
	} {
		if _, words, err := runVerb(t, append([]string{"creator", "revoke", "--dir", dir}, args...)...); err != nil {
			t.Errorf("%s: %v\n%s", name, err, words)
		} else if (strings.Contains(name, "name") || strings.Contains(name, "version")) && !strings.Contains(words, "passed over") && args[1] != id.String() {
			t.Errorf("%s: no word of what was passed over:\n%s", name, words)
		}
	}
	files, err := config.SignedFiles(c.Layout().Revocations())
	if err != nil || len(files) != 9 {
		t.Fatalf("%d revocations, %v", len(files), err)
	}
	for _, signed := range files {
		v, err := grant.VerifyRevocation(signed, c.Owner)
		if err != nil {
			t.Fatal(err)
		}
		if m := v.Predicate.Manifest; m != nil && *m == whole.ID || v.Predicate.Dataset != nil && *v.Predicate.Dataset != id {
			t.Errorf("something else was revoked: %+v", v.Predicate)
		}
	}
}

// TestNameOfADamagedPackage: a name that may be a damaged package's is not resolved, and nobody is told to delete it.
func TestNameOfADamagedPackage(t *testing.T) {
	dir, c, _, _ := damagedOwner(t)
	o, err := openOwner(dir, config.Creator)
	if err != nil {
		t.Fatal(err)
	}
	damaged, _, err := o.manifestNamed("other")
	if err != nil {
		t.Fatal(err)
	}
	spoil(t, c, *damaged)
	for _, flag := range []string{"--package", "--dataset"} {
		_, _, err := runVerb(t, "creator", "revoke", "--dir", dir, flag, "other")
		if err == nil {
			t.Fatalf("%s: something was revoked", flag)
		}
		var b bytes.Buffer
		printError(&b, err)
		if text := b.String(); !strings.Contains(text, damaged.String()) || !strings.Contains(text, "restore") {
			t.Errorf("%s: %s", flag, text)
		}
	}
	_, _, err = runVerb(t, "creator", "permit", "add", "--dir", dir, "--dataset", "visits", "--count", "1")
	var b bytes.Buffer
	printError(&b, err)
	if text := b.String(); err == nil || strings.Contains(text, "take it out") || !strings.Contains(text, "restore it") {
		t.Errorf("a permit beside a damaged version: %s", text)
	}
}

// TestAffectedBesideADanglingName: a revocation that is named is found, and without a name people learn what to do.
func TestAffectedBesideADanglingName(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "alice")
	mustRun(t, "creator", "init", "--dir", dir)
	job := strings.Repeat("ab", 32)
	id := strings.TrimSpace(mustRun(t, "creator", "revoke", "--dir", dir, "--job", job))
	link := filepath.Join(config.Layout{Dir: dir}.Revocations(), "zz.dsse")
	if err := os.Symlink("/nowhere/at/all", link); err != nil {
		t.Fatal(err)
	}
	o, err := openOwner(dir, config.Creator)
	if err != nil {
		t.Fatal(err)
	}
	if found, r, err := o.findRevocation(id); err != nil || found.String() != id || r.Job == nil {
		t.Errorf("by its digest: %v", err)
	}
	_, _, err = o.findRevocation("")
	var b bytes.Buffer
	printError(&b, err)
	if text := b.String(); err == nil || !strings.Contains(text, link) || !strings.Contains(text, "hint: restore the file named") {
		t.Errorf("the last one: %s", text)
	}
}
