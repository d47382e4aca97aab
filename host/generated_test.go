// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// generated.sum pairs the proto with what was generated from it: editing either alone is noticed without any tool.
func TestGeneratedCodeIsOfThisProto(t *testing.T) {
	b, err := os.ReadFile("api/generated.sum")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d files, want proto, messages and services", len(lines))
	}
	for _, l := range lines {
		want, name, ok := strings.Cut(l, "  ")
		if !ok {
			t.Fatalf("line %q", l)
		}
		f, err := os.ReadFile(filepath.Join("api", name))
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(f); hex.EncodeToString(sum[:]) != want {
			t.Errorf("%s changed: run host/api/generate.sh", name)
		}
	}
}

// Where the pinned tools are installed, the committed code must be what they make.
func TestGeneratedCodeIsReproducible(t *testing.T) {
	tools := os.Getenv("GLOVEBOX_TOOLS")
	if tools == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Skip(err)
		}
		tools = filepath.Join(cache, "glovebox", "tools")
	}
	if _, err := os.Stat(filepath.Join(tools, "node_modules", ".bin", "buf")); err != nil {
		t.Skip("no buf; host/api/generate.sh installs it")
	}
	out := t.TempDir()
	cmd := exec.Command("./generate.sh", out)
	cmd.Dir = "api"
	cmd.Env = append(os.Environ(), "GLOVEBOX_TOOLS="+tools)
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	for _, name := range []string{"glovebox/v1/host.pb.go", "glovebox/v1/gloveboxv1connect/host.connect.go"} {
		want, err := os.ReadFile(filepath.Join(out, name))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join("api", name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what host/api/generate.sh makes: %v", name, err)
		}
	}
}
