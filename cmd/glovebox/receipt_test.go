// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/entitlement/entitlementtest"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/internal/receipt"
)

// stall is a creator's directory with one dataset of the given access, a buyer's, and a marketplace.
type stall struct {
	t          *testing.T
	dir        string
	alice, bob *config.Config
	market     *entitlementtest.Marketplace
	pack       config.Package
}

func newStall(t *testing.T, access string) *stall {
	t.Helper()
	s := &stall{t: t, dir: t.TempDir(), market: entitlementtest.New(t)}
	s.put("data.csv", "a,b\n1,2\n")
	s.put("jwks.json", string(s.market.JWKS()))
	terms := strings.Join([]string{
		"version: 1", "purposes: [research]", "modes: [raw-in-tee]", "outputs: {classes: [metrics], most: 1MiB}",
		"uses: {jobs: 10, each-buyer: 5, epochs: 20, until: 2099-01-01}", "price: {currency: EUR, per-use: 20.00, per-record: 0}",
		"buyers: {any: true}", "code: {any: true}", "licence: {spdx: CC-BY-4.0}", "consent: none",
		"privacy: {population: people, unit: record, adjacency: add-or-remove}",
		"run: {logs: \"off\", lease: 1h, allowance: 64, broker-away: wait, assurance: tpm}", "access: " + access,
	}, "\n")
	if access == dataset.AccessReceipt {
		terms += "\nreceipts: {issuer: \"" + entitlementtest.Issuer + "\", audience: alice, payee: " + entitlementtest.Payee + ", minimum: 20.00, keys: jwks.json}"
	}
	s.put("terms.yaml", terms+"\n")
	s.must(0, "creator", "init", "--dir", s.at("alice"), "--json")
	s.must(0, "buyer", "init", "--dir", s.at("bob"), "--json")
	s.must(0, "creator", "pack", s.at("data.csv"), "--dir", s.at("alice"), "--terms", s.at("terms.yaml"), "--name", "scans", "--json")
	var err error
	if s.alice, err = config.Load(config.Layout{Dir: s.at("alice")}.Config()); err != nil {
		t.Fatal(err)
	}
	if s.bob, err = config.Load(config.Layout{Dir: s.at("bob")}.Config()); err != nil {
		t.Fatal(err)
	}
	list, err := config.ListPackages(s.at("alice"))
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	s.pack = list[0]
	s.put("manifest.dsse", string(s.pack.Signed))
	return s
}

func (s *stall) at(name string) string { return filepath.Join(s.dir, name) }

func (s *stall) put(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(s.at(name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// must runs a command that ends with a code, and returns what it wrote.
func (s *stall) must(code int, args ...string) (stdout, stderr string) {
	s.t.Helper()
	var out, words bytes.Buffer
	if got := run(args, &out, &words); got != code {
		s.t.Fatalf("glovebox %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, out.String(), words.String())
	}
	return out.String(), words.String()
}

// sell puts a receipt into a file.
func (s *stall) sell(name string, change ...func(*receipt.Claims)) string {
	s.t.Helper()
	s.put(name, s.market.Sell(s.pack.Manifest, *s.bob.Buyer, time.Now(), change...)+"\n")
	return s.at(name)
}

func TestReceiptInspect(t *testing.T) {
	s := newStall(t, dataset.AccessReceipt)
	good := s.sell("good.jwt")
	out, _ := s.must(0, "buyer", "receipt", "inspect", good)
	if !strings.Contains(out, "NOT VERIFIED") || !strings.Contains(out, "20.00 EUR to "+entitlementtest.Payee) {
		t.Error(out)
	}
	against := []string{"--manifest", s.at("manifest.dsse"), "--dir", s.at("bob")}
	inspect := func(code int, file string, more ...string) receiptView {
		t.Helper()
		out, _ := s.must(code, append(append([]string{"buyer", "receipt", "inspect", file, "--json"}, against...), more...)...)
		var v receiptView
		if err := json.Unmarshal([]byte(out), &v); err != nil {
			t.Fatal(err, out)
		}
		return v
	}
	if v := inspect(0, good); !v.Verified || len(v.Reasons) != 0 || v.Claims.Payment != "pay_1" || *v.Manifest != s.pack.ID {
		t.Errorf("%+v", v)
	}
	bad := s.sell("bad.jwt", func(c *receipt.Claims) { c.Amount, c.Version = 1, 9 })
	if v := inspect(4, bad); v.Verified || len(v.Reasons) != 2 || v.Reasons[0].Satisfy == "" {
		t.Errorf("%+v", v)
	}
	if v := inspect(4, good, "--buyer", s.alice.Owner.String()); len(v.Reasons) != 2 || v.Reasons[0].Rule != "receipt.buyer" {
		t.Errorf("%+v", v)
	}
	out, words := s.must(4, append([]string{"buyer", "receipt", "inspect", bad}, against...)...)
	if !strings.Contains(out, "REFUSED, 2 reasons") || !strings.Contains(out, "to satisfy it: ask "+entitlementtest.Issuer) || !strings.Contains(words, "hint:") {
		t.Error(out, words)
	}
	s.put("none.jwt", "not a receipt")
	s.must(4, "buyer", "receipt", "inspect", s.at("none.jwt"))
	s.put("empty.jwt", " \n")
	s.must(2, "buyer", "receipt", "inspect", s.at("empty.jwt"))
	s.must(2, "buyer", "receipt", "inspect", s.at("absent.jwt"))
	s.must(2, "buyer", "receipt", "inspect", good, "--manifest", s.at("manifest.dsse"), "--data", "sha256:00", "--dir", s.at("bob"))
	s.must(2, "buyer", "receipt", "inspect", good, "--manifest", s.at("manifest.dsse"), "--buyer", "bob")
	open := newStall(t, dataset.AccessOpen)
	s.must(2, "buyer", "receipt", "inspect", good, "--manifest", open.at("manifest.dsse"), "--dir", s.at("bob"))
}

// TestSubmitWithoutReceipt: a job that its broker would refuse for want of a receipt is not published.
func TestSubmitWithoutReceipt(t *testing.T) {
	s := newStall(t, dataset.AccessReceipt)
	d := &draft{job: &job.Job{Buyer: *s.bob.Buyer, Receipts: []string{}}, datasets: []published{{s.pack.ID, s.pack.Signed, s.pack.Manifest}}}
	refuse := func(what string) {
		t.Helper()
		e := classify(d.needReceipts(time.Now()))
		if e.Kind != KindDenied || e.Hint == "" || !strings.Contains(e.Error(), what) {
			t.Errorf("%v", e)
		}
	}
	refuse("receipt is missing")
	files := []string{s.sell("cheap.jwt", func(c *receipt.Claims) { c.Amount = 5 })}
	var err error
	if d.job.Receipts, err = readReceipts(files); err != nil {
		t.Fatal(err)
	}
	refuse("too small an amount")
	if d.job.Receipts, err = readReceipts(append(files, s.sell("good.jwt"))); err != nil {
		t.Fatal(err)
	}
	if err := d.needReceipts(time.Now()); err != nil {
		t.Error(err)
	}
}

func TestPermitVerbs(t *testing.T) {
	s := newStall(t, dataset.AccessPermit)
	dir := []string{"--dir", s.at("alice")}
	permit := func(code int, args ...string) (string, string) {
		t.Helper()
		return s.must(code, append(append([]string{"creator", "permit"}, args...), dir...)...)
	}
	if out, _ := permit(0, "ls"); !strings.Contains(out, "no permits") {
		t.Error(out)
	}
	one, words := permit(0, "add", "--dataset", "scans", "--buyer", s.bob.Buyer.String(), "--count", "3", "--min-price", "25.50")
	if !strings.Contains(words, "take it back with") {
		t.Error(words)
	}
	permit(0, "add", "--dataset", s.pack.ID.String(), "--code", envelope.Sum([]byte("code")).String(), "--valid", "24h")
	list := func(states ...string) []permitView {
		t.Helper()
		out, _ := permit(0, "ls", "--json")
		var v []permitView
		if err := json.Unmarshal([]byte(out), &v); err != nil || len(v) != len(states) {
			t.Fatal(err, out)
		}
		for i, want := range states {
			if v[i].State != want {
				t.Errorf("permit %d is %s, want %s", i, v[i].State, want)
			}
		}
		return v
	}
	v := list("standing", "standing")
	if v[0].ID.String() != strings.TrimSpace(one) || v[0].Count != 3 || v[0].MinPrice != 25_500_000 || !v[0].Buyer.Equal(*s.bob.Buyer) || v[0].Code != nil || v[0].Package != "scans" {
		t.Errorf("%+v", v[0])
	}
	if v[1].Count != 1 || v[1].Buyer != nil || v[1].Code == nil {
		t.Errorf("%+v", v[1])
	}
	if out, _ := permit(0, "ls"); !strings.Contains(out, "25.5 EUR") || strings.Count(out, "standing") != 2 {
		t.Error(out)
	}
	permit(2, "revoke")
	permit(2, "revoke", v[0].ID.Hex(), "--all")
	permit(2, "revoke", "ffff")
	permit(0, "revoke", v[0].ID.Hex()[:12])
	list("revoked", "standing")
	permit(2, "revoke", v[0].ID.Hex())
	permit(0, "add", "--dataset", "scans")
	if out, _ := permit(0, "revoke", "--all", "--reason", "end of the trial"); strings.Count(out, "sha256:") != 2 {
		t.Error(out)
	}
	list("revoked", "revoked", "revoked")
	for _, bad := range [][]string{
		{"add"},
		{"add", "--dataset", "other"},
		{"add", "--dataset", "scans", "--count", "0"},
		{"add", "--dataset", "scans", "--count", "-1"},
		{"add", "--dataset", "scans", "--valid", "-1h"},
		{"add", "--dataset", "scans", "--buyer", "bob"},
		{"add", "--dataset", "scans", "--code", "x"},
		{"add", "--dataset", "scans", "--min-price", "1e3"},
	} {
		permit(2, bad...)
	}
	open := newStall(t, dataset.AccessOpen)
	if _, words := open.must(2, "creator", "permit", "add", "--dataset", "scans", "--dir", open.at("alice")); !strings.Contains(words, `access "open"`) {
		t.Error(words)
	}
}

// TestVerdictNamesPayments: an auditor reads who was paid for what.
func TestVerdictNamesPayments(t *testing.T) {
	v := &usage.Verdict{Usage: &envelope.Digest{1}, Statement: &usage.Statement{}, Paid: []usage.Paid{{
		Part: "grant[1]", Issuer: entitlementtest.Issuer, Receipt: "sale-1", Payment: "pay_1", Payee: entitlementtest.Payee, Amount: 20_000_000, Currency: "EUR",
	}}}
	var b bytes.Buffer
	printVerdict(&b, v)
	if want := "20.00 EUR to acct_alice, payment pay_1, receipt sale-1 of https://market.example"; !strings.Contains(b.String(), want) {
		t.Errorf("no %q in\n%s", want, b.String())
	}
}
