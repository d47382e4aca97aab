// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

func good() *Config {
	return &Config{
		Listen: "127.0.0.1:0", Origin: "log.test", Enclave: Enclave{Config: "enclave.json", Count: 1},
		Limits: Limits{MaxBlobBytes: 1 << 30, RetryMinMillis: 10},
	}
}

func TestWriteThenLoad(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		if err := Write(dir, good()); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Load(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(good(), c, cmpopts.IgnoreUnexported(Config{})); d != "" {
		t.Error(d)
	}
	if c.Dir() != dir || c.EnclaveConfig() != filepath.Join(dir, "enclave.json") {
		t.Errorf("dir %s, enclave config %s", c.Dir(), c.EnclaveConfig())
	}
	if b, err := c.EnclaveBinary(); err != nil || filepath.Base(b) != "glovebox-enclave" || !filepath.IsAbs(b) {
		t.Errorf("binary %s, %v", b, err)
	}
	c.Enclave.Binary = "bin/e"
	if b, err := c.EnclaveBinary(); err != nil || b != filepath.Join(dir, "bin/e") {
		t.Errorf("binary %s, %v", b, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestLoadRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"empty":          {"", ErrConfig},
		"unknown field":  {`{"listen":"127.0.0.1:0","origin":"log.test","secret":1}`, ErrConfig},
		"repeated field": {`{"listen":"127.0.0.1:0","origin":"a","origin":"b"}`, envelope.ErrMalformed},
		"trailing data":  {`{"listen":"127.0.0.1:0","origin":"log.test"} {}`, envelope.ErrMalformed},
		"oversize":       {strings.Repeat(" ", maxConfig) + `{}`, ErrConfig},
		"no origin":      {`{"listen":"127.0.0.1:0"}`, ErrConfig},
		"no listen":      {`{"origin":"log.test"}`, ErrConfig},
		"no port":        {`{"listen":"localhost","origin":"log.test"}`, ErrConfig},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), FileName)
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if v, err := Load(path); !errors.Is(err, c.want) || v != nil {
				t.Fatalf("%v, %v", v, err)
			}
		})
	}
	if _, err := Load(filepath.Join(t.TempDir(), "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestValidateRefuses(t *testing.T) {
	for name, spoil := range map[string]func(*Config){
		"enclaves without config": func(c *Config) { c.Enclave.Config = "" },
		"negative count":          func(c *Config) { c.Enclave.Count = -1 },
		"too many":                func(c *Config) { c.Enclave.Count = maxEnclaves + 1 },
		"negative limit":          func(c *Config) { c.Limits.MaxWaits = -1 },
		"negative time":           func(c *Config) { c.Limits.RetryMaxMillis = -1 },
		"endless time":            func(c *Config) { c.Limits.RetryMinMillis = maxMillis + 1 },
		"slow relay":              func(c *Config) { c.Limits.RelayTimeoutMillis = 10_001 },
		"proxy without a host":    func(c *Config) { c.RelayProxy = "proxy:3128" },
		"proxy of another kind":   func(c *Config) { c.RelayProxy = "socks5://proxy:1080" },
	} {
		c := good()
		spoil(c)
		dir := t.TempDir()
		if err := Write(dir, c); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
		if entries, _ := os.ReadDir(dir); len(entries) != 0 {
			t.Errorf("%s: half written", name)
		}
	}
}
