// SPDX-License-Identifier: Apache-2.0

package vault_test

import (
	"encoding/base64"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/broker/keyholder/vault/vaulttest"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// bare is what anybody would write with Vault's client library.
func bare(t testing.TB, s *vaulttest.Server, c *config.VaultKeyholder) func() error {
	t.Helper()
	cfg := api.DefaultConfig()
	cfg.Address = s.Address
	if err := cfg.ConfigureTLS(&api.TLSConfig{CACert: s.CAFile}); err != nil {
		t.Fatal(err)
	}
	a, err := api.NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	a.SetToken(s.Token(t, c.Key, nil))
	derivation := base64.StdEncoding.EncodeToString(make([]byte, 32))
	out := struct {
		Data struct {
			Ciphertext string `json:"ciphertext"`
		} `json:"data"`
	}{}
	s.MustDo(t, http.MethodPut, "transit/encrypt/"+c.Key, map[string]string{"context": derivation, "plaintext": base64.StdEncoding.EncodeToString(testKey)}, &out)
	return func() error {
		_, err := a.Logical().WriteWithContext(t.Context(), "transit/decrypt/"+c.Key, map[string]any{"context": derivation, "ciphertext": out.Data.Ciphertext})
		return err
	}
}

// BenchmarkUnwrap times our call and the bare one alternately, so that both meet the same machine, and reports both medians
// and how much longer ours takes. The goal is at most 20 %.
func BenchmarkUnwrap(b *testing.B) {
	s := server(b)
	c := s.Owner(b, deploy, nil)
	w := wrap(b, open(b, c, true))
	k := open(b, c, false)
	call := bare(b, s, c)
	var ours, theirs []time.Duration
	mine := func() error {
		_, err := k.Unwrap(b.Context(), testContext, w)
		return err
	}
	timed := func(f func() error) time.Duration {
		start := time.Now()
		if err := f(); err != nil {
			b.Fatal(err)
		}
		return time.Since(start)
	}
	for i := 0; b.Loop(); i++ {
		if i%2 == 0 {
			ours, theirs = append(ours, timed(mine)), append(theirs, timed(call))
		} else {
			theirs, ours = append(theirs, timed(call)), append(ours, timed(mine))
		}
	}
	slices.Sort(ours)
	slices.Sort(theirs)
	o, t := ours[len(ours)/2], theirs[len(theirs)/2]
	b.ReportMetric(float64(o.Microseconds()), "p50-us/unwrap")
	b.ReportMetric(float64(ours[len(ours)*99/100].Microseconds()), "p99-us/unwrap")
	b.ReportMetric(float64(t.Microseconds()), "p50-us/bare")
	b.ReportMetric(100*(float64(o)/float64(t)-1), "%slower")
}

// BenchmarkUnwrapUnits opens the keys of many erasure units.
func BenchmarkUnwrapUnits(b *testing.B) {
	s := server(b)
	k := open(b, s.Owner(b, deploy, nil), true)
	var items []keyholder.Item
	for i := range 256 {
		c := keyholder.UnitContext([16]byte{1}, envelope.Hash("bench", []byte(strconv.Itoa(i))))
		w, err := k.Wrap(b.Context(), c, testKey)
		if err != nil {
			b.Fatal(err)
		}
		items = append(items, keyholder.Item{Context: c, Wrapped: w})
	}
	for b.Loop() {
		if _, err := keyholder.UnwrapAll(b.Context(), k, items); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*len(items)), "us/key")
}

func BenchmarkAnchorStore(b *testing.B) {
	s := server(b)
	c := s.Owner(b, deploy, nil)
	a, err := open(b, c, false).Anchor(*c.Anchor)
	if err != nil {
		b.Fatal(err)
	}
	var previous []byte
	i := 0
	for b.Loop() {
		i++
		next := []byte("anchor " + strconv.Itoa(i))
		if err := a.Store(b.Context(), previous, next); err != nil {
			b.Fatal(err)
		}
		previous = next
	}
}

// TestPoliciesInDocs: docs/vault.md shows the broker's policy as it is installed.
func TestPoliciesInDocs(t *testing.T) {
	hcl, err := os.ReadFile(filepath.Join(deploy, "broker.hcl"))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../../../docs/vault.md")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(hcl)) {
		if strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "" {
			continue
		}
		lines = append(lines, strings.NewReplacer("TRANSIT/", "transit/", "KV/", "glovebox/", "/KEY", "/alice", "/ANCHOR", "/alice/anchor").Replace(line))
	}
	if len(lines) < 9 || !strings.Contains(string(doc), strings.Join(lines, "")) {
		t.Errorf("docs/vault.md does not show this policy:\n%s", strings.Join(lines, ""))
	}
}
