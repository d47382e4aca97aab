// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation"
)

func load(t *testing.T, text string) (*config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "enclave.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return loadConfig(path)
}

// TestNoStandIn: on a machine without a platform's hardware the platform is refused; nothing else is tried in its place.
func TestNoStandIn(t *testing.T) {
	for _, p := range platforms() {
		if p.name == attestation.PlatformSimulated {
			continue
		}
		c, err := load(t, `{"platform": "`+string(p.name)+`"}`)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.collector(); err == nil || got != nil {
			t.Errorf("%s: got %v, %v", p.name, got, err)
		}
	}
	c, err := load(t, `{"platform": "simulated"}`)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.collector(); err == nil || got != nil {
		t.Errorf("simulated without a key: got %v, %v", got, err)
	}
}

func TestConfigIsStrict(t *testing.T) {
	for name, text := range map[string]string{
		"nothing": "", "random": "\x00\x01", "unknown member": `{"platform": "tpm", "debug": true}`, "member twice": `{"platform": "tpm", "platform": "snp"}`,
		"trailing": `{"platform": "tpm"} x`, "oversized": `{"platform": "` + strings.Repeat("x", maxConfig) + `"}`,
	} {
		if c, err := load(t, text); err == nil {
			t.Errorf("%s: %+v", name, c)
		}
	}
	for name, text := range map[string]string{
		"none": `{}`, "unknown": `{"platform": "sev"}`, "of a device": `{"platform": "gpu"}`, "another case": `{"platform": "TPM"}`,
		"a key for snp": `{"platform": "snp", "simulatedKeyFile": "k"}`, "a device for tdx": `{"platform": "tdx", "device": "/dev/tpmrm0"}`,
		"a GPU for tpm":         `{"platform": "tpm", "device": "d", "gpu": {}}`,
		"a relay for azure-snp": `{"platform": "azure-snp", "device": "/dev/tpmrm0", "relaySocket": "s"}`,
	} {
		c, err := load(t, text)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.collector(); got != nil || !errors.Is(err, attestation.ErrPlatform) {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
}

// TestMembersAreListed: a member that is not in the list could be given to any platform without a word.
func TestMembersAreListed(t *testing.T) {
	var c config
	v := reflect.ValueOf(&c).Elem()
	var names []string
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		if name == "platform" {
			continue
		}
		names = append(names, name)
		if name == "gpu" {
			c.GPU = new(gpus)
		} else {
			v.Field(i).SetString(name)
		}
		if got := c.members()[name]; got != name {
			t.Errorf("member %s is %q", name, got)
		}
	}
	for _, p := range platforms() {
		for _, u := range p.uses {
			if !slices.Contains(names, u) {
				t.Errorf("%s uses %q, which is not a member", p.name, u)
			}
		}
	}
}

// TestDocumentedExamples: every example of docs/enclave.md can be read and names what its platform uses.
func TestDocumentedExamples(t *testing.T) {
	b, err := os.ReadFile("../../docs/enclave.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, part := range strings.Split(string(b), "```json\n")[1:] {
		text, _, _ := strings.Cut(part, "```")
		c, err := load(t, text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if _, err := c.collector(); err != nil && (strings.Contains(err.Error(), "no use for") || strings.Contains(err.Error(), "want one of")) {
			t.Errorf("%s: %v", text, err)
		}
		seen[c.Platform] = true
	}
	for _, p := range platforms() {
		if !seen[string(p.name)] {
			t.Errorf("docs/enclave.md has no example for %s", p.name)
		}
	}
}
