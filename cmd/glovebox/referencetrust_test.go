// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// truster is an owner and signers of lists.
type truster struct {
	*testing.T
	dir  string
	keys map[string]string // of signers, by directory
}

func newTruster(t *testing.T) *truster {
	x := &truster{t, t.TempDir(), map[string]string{}}
	x.run(0, "creator", "init", "--dir", x.path("alice"), "--address", "http://127.0.0.1:1", "--host", "http://127.0.0.1:2")
	return x
}

func (x *truster) path(name string) string { return filepath.Join(x.dir, name) }

func (x *truster) run(want int, args ...string) string {
	x.Helper()
	code, stdout, stderr := glovebox(args...)
	if code != want {
		x.Fatalf("%v: exit %d, want %d: %s", args, code, want, stderr)
	}
	return stdout + stderr
}

func enclaveValue(name string, b byte) attestation.ReferenceValue {
	return attestation.ReferenceValue{Name: name, Platform: attestation.PlatformSGX, Measurements: map[string]string{"mrenclave": envelope.Digest{b}.Hex()}}
}

// list signs a list of a signer's, its next version.
func (x *truster) list(signer, ends string, values ...attestation.ReferenceValue) {
	x.Helper()
	b, err := json.Marshal(map[string]any{"values": values})
	if err != nil {
		x.Fatal(err)
	}
	if err := os.WriteFile(x.path("values.json"), b, 0o600); err != nil {
		x.Fatal(err)
	}
	said := x.run(0, "operator", "reference", "sign", "--from", x.path("values.json"), "--dir", x.path(signer), "--expires", ends, "-o", x.path(signer+".json"))
	x.keys[signer] = regexp.MustCompile(`did:key:\w+`).FindString(said)
}

func (x *truster) adopt(want int, signer string, more ...string) string {
	x.Helper()
	return x.run(want, append([]string{"creator", "trust", "--list", x.path(signer + ".json"), "--list-key", x.keys[signer], "--dir", x.path("alice")}, more...)...)
}

// trust signs a measurement.
func (x *truster) trust(v attestation.ReferenceValue, valid time.Duration, replace bool) string {
	x.Helper()
	o, err := openOwner(x.path("alice"), config.Creator)
	if err != nil {
		x.Fatal(err)
	}
	var said bytes.Buffer
	cmd := &cobra.Command{}
	cmd.SetErr(&said)
	if _, err := o.trustValue(cmd, &measurement{Name: v.Name, Platform: v.Platform, Measurements: v.Measurements}, trustFlags{nil, replace, time.Now().Add(valid)}); err != nil {
		x.Fatal(err)
	}
	return said.String()
}

// has checks the names in the owner's list and, to a minute, its end.
func (x *truster) has(ends time.Duration, names ...string) {
	x.Helper()
	o, err := openOwner(x.path("alice"), config.Creator)
	if err != nil {
		x.Fatal(err)
	}
	r, _, err := o.reference()
	if err != nil {
		x.Fatal(err)
	}
	var got []string
	for _, v := range r.Values {
		got = append(got, v.Name)
	}
	slices.Sort(got)
	if !slices.Equal(got, names) {
		x.Errorf("the list has %q, want %q", got, names)
	}
	if left := time.Until(time.Unix(r.NotAfter, 0)); left < ends-time.Minute || left > ends+time.Minute {
		x.Errorf("the list ends in %s, want %s", left, ends)
	}
}

func (x *truster) says(text string, want ...string) {
	x.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			x.Errorf("%q is not said in:\n%s", w, text)
		}
	}
}

const day = 24 * time.Hour

// TestAdoptedValuesEndWithTheirList: what stays of an earlier list is not prolonged by another's, or by a measurement.
func TestAdoptedValuesEndWithTheirList(t *testing.T) {
	x := newTruster(t)
	x.list("olga", "1h", enclaveValue("short", 1))
	x.adopt(0, "olga")
	x.has(time.Hour, "short")
	x.list("pia", "60d", enclaveValue("long", 2))
	x.says(x.adopt(0, "pia"), "stays: short on sgx", "your list before ends then")
	x.has(time.Hour, "long", "short")

	x.says(x.trust(enclaveValue("mine", 3), 30*day, false), "short on sgx is from a list that ends then")
	x.has(time.Hour, "long", "mine", "short")
	x.list("olga", "50d", enclaveValue("other", 4)) // the short one is gone
	x.says(x.adopt(0, "olga"), "removed: short on sgx: list version 2 does not have it any more", "stays: mine on sgx", "stays: long on sgx", "trust a measurement")
	x.has(time.Hour, "long", "mine", "other") // her own was signed for an hour
	x.says(x.trust(enclaveValue("mine", 3), 90*day, false), "other on sgx is from a list that ends then")
	x.has(50*day, "long", "mine", "other")
	x.trust(enclaveValue("mine", 3), 90*day, true)
	x.has(90*day, "mine")

	// An owner with values of her own only, as ever.
	x.trust(enclaveValue("mine too", 5), 120*day, false)
	x.has(120*day, "mine", "mine too")
}

// TestAdoptedValuesAreWithdrawn: a value goes when the signer's newer list does not have it, unless somebody else, or the
// owner, vouches for it too.
func TestAdoptedValuesAreWithdrawn(t *testing.T) {
	x := newTruster(t)
	a, b, c, d := enclaveValue("a", 1), enclaveValue("b", 2), enclaveValue("c", 3), enclaveValue("d", 4)
	x.trust(d, 90*day, false)
	x.list("olga", "60d", a, b, c, d)
	x.adopt(0, "olga")
	x.list("pia", "30d", b)
	x.adopt(0, "pia")
	x.trust(c, 90*day, false)         // her own now
	x.has(60*day, "a", "b", "c", "d") // b is in a list that ends then, too

	x.list("olga", "80d", enclaveValue("e", 5))
	said := x.adopt(0, "olga")
	x.says(said, "removed: a on sgx", "stays: b on sgx", "stays: c on sgx", "stays: d on sgx")
	if strings.Count(said, "removed:") != 1 {
		t.Error(said)
	}
	x.has(30*day, "b", "c", "d", "e")
	x.list("pia", "30d", enclaveValue("e", 6))
	x.says(x.adopt(0, "pia"), "removed: b on sgx", "removed: e on sgx: list version 2 has another of that name")
	x.has(30*day, "c", "d", "e")
	x.list("pia", "70d", enclaveValue("e", 6)) // vouched for again, and longer
	x.adopt(0, "pia")
	x.trust(c, 90*day, false)
	x.has(70*day, "c", "d", "e")
	x.adopt(0, "pia", "--replace")
	x.has(70*day, "e")
}

// TestAdoptionCutShort: the power goes off after it was written that a list is taken, before the owner's own is.
func TestAdoptionCutShort(t *testing.T) {
	x := newTruster(t)
	x.list("olga", "2h", enclaveValue("a", 1))
	x.adopt(0, "olga")
	own, err := os.ReadFile(x.path("alice/reference.dsse"))
	if err != nil {
		t.Fatal(err)
	}
	o, err := openOwner(x.path("alice"), config.Creator)
	if err != nil {
		t.Fatal(err)
	}
	taken, err := o.adopted()
	if err != nil {
		t.Fatal(err)
	}
	x.list("olga", "60d", enclaveValue("b", 2))
	x.adopt(0, "olga")
	after, err := o.adopted()
	if err != nil {
		t.Fatal(err)
	}
	if err := o.remember(after, x.keys["olga"], taken[x.keys["olga"]].Values); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(x.path("alice/reference.dsse"), own, 0o600); err != nil {
		t.Fatal(err)
	}
	x.trust(enclaveValue("mine", 3), 90*day, false)
	x.has(2*time.Hour, "a", "mine") // still its signer's word
	x.says(x.adopt(0, "olga", "--valid", "1h"), "removed: a on sgx")
	x.has(time.Hour, "b", "mine")
}

// TestAdoptedValuesOver: values of a list that ended go, and what an owner let end is not brought back by another's word.
func TestAdoptedValuesOver(t *testing.T) {
	x := newTruster(t)
	x.list("olga", "1s", enclaveValue("a", 1))
	x.adopt(0, "olga")
	x.list("pia", "30d", enclaveValue("b", 2))
	time.Sleep(2100 * time.Millisecond)
	x.says(x.adopt(0, "pia"), "removed: a on sgx: the list that it is from ended")
	x.has(30*day, "b")
	x.trust(enclaveValue("mine", 3), time.Second, true)
	time.Sleep(2100 * time.Millisecond)
	x.says(x.adopt(2, "pia"), "1 of its values would stay", "--replace")
	x.adopt(0, "pia", "--replace")
	x.has(30*day, "b")
}

func TestDiffTellsEveryPolicyApart(t *testing.T) {
	issuer := func(keys string) *attestation.OIDCPolicy {
		return &attestation.OIDCPolicy{
			Audience: "a", Support: []string{"STABLE"}, Hardware: []string{"GCP_INTEL_TDX"},
			Issuers: []attestation.OIDCIssuer{{Issuer: "https://issuer.example", Keys: json.RawMessage(keys)}},
		}
	}
	policy := func(change func(p *attestation.Policy)) *attestation.Reference {
		p := attestation.DefaultPolicy()
		change(p)
		return &attestation.Reference{Version: 1, NotAfter: 1, Policy: p}
	}
	chips := func(c ...string) *attestation.Reference {
		return policy(func(p *attestation.Policy) { p.Chips = c })
	}
	keys := func(k string) *attestation.Reference {
		return policy(func(p *attestation.Policy) { p.OIDC = issuer(k) })
	}
	for name, c := range map[string]struct {
		a, b *attestation.Reference
		want []string
	}{
		"chips": {chips("c1c1c1c1c1c1c1c1"), chips("c2c2c2c2c2c2c2c2"), []string{"- demand: chip c1c1c1c1c1c1c1c1", "+ demand: chip c2c2c2c2c2c2c2c2", "SHA-256 of the policies"}},
		"keys":  {keys(`{"keys":[]}`), keys(`{"keys":[{}]}`), []string{"- demand: also if signed by \"https://issuer.example\"", "+ demand: also if", "SHA-256 of the policies"}},
		"beside what has words": { // without minima nothing of AMD's is accepted, so it has no other words
			policy(func(p *attestation.Policy) { p.SNP = attestation.SNPPolicy{AllowVLEK: true} }),
			policy(func(p *attestation.Policy) { p.SNP = attestation.SNPPolicy{}; p.GPU.Required = true }),
			[]string{"a GPU must be there", "SHA-256 of the policies"},
		},
		"without words": {
			policy(func(p *attestation.Policy) { p.SNP = attestation.SNPPolicy{AllowVLEK: true} }),
			policy(func(p *attestation.Policy) { p.SNP = attestation.SNPPolicy{} }),
			[]string{"a field that the words do not tell", "SHA-256 of the policies"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := compareReferences(c.a, c.b)
			var b bytes.Buffer
			d.print(&b)
			for _, w := range c.want {
				if !strings.Contains(b.String(), w) {
					t.Errorf("%q is not in\n%s", w, &b)
				}
			}
			if d.Same {
				t.Error("the same")
			}
		})
	}
	if d := compareReferences(keys(`{"keys":[]}`), keys(`{ "keys": [] }`)); !d.Same {
		t.Errorf("white space counts: %+v", d)
	}
}

// TestSignRefusesTwoPolicies: one of them would be dropped unseen.
func TestSignRefusesTwoPolicies(t *testing.T) {
	x := newTruster(t)
	from := func(name string, b byte, change func(p *attestation.Policy)) string {
		l := map[string]any{"values": []attestation.ReferenceValue{enclaveValue(name, b)}}
		if change != nil {
			p := attestation.DefaultPolicy()
			change(p)
			l["policy"] = p
		}
		text, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(x.path(name+".json"), text, 0o600); err != nil {
			t.Fatal(err)
		}
		return x.path(name + ".json")
	}
	strict, again := from("strict", 1, func(p *attestation.Policy) { p.GPU.Required = true }), from("again", 2, func(p *attestation.Policy) { p.GPU.Required = true })
	lax, none := from("lax", 3, func(p *attestation.Policy) { p.SNP.UnsafeWithoutCRL = true }), from("none", 4, nil)
	sign := func(want int, more ...string) string {
		t.Helper()
		return x.run(want, append([]string{"operator", "reference", "sign", "--dir", x.path("op"), "-o", x.path("out.json")}, more...)...)
	}
	for _, order := range [][2]string{{strict, lax}, {lax, strict}} {
		x.says(sign(2, "--from", order[0], "--from", none, "--from", order[1]), "different policies", "hint: say with --policy")
	}
	if _, err := os.Stat(x.path("out.json")); err == nil {
		t.Error("it was signed")
	}
	sign(0, "--from", strict, "--from", again, "--from", none)
	p, err := json.Marshal(attestation.DefaultPolicy())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(x.path("policy.json"), p, 0o600); err != nil {
		t.Fatal(err)
	}
	sign(0, "--from", strict, "--from", lax, "--policy", x.path("policy.json"))
	if shown := x.run(0, "operator", "reference", "show", x.path("out.json")); strings.Contains(shown, "GPU must") || strings.Contains(shown, "UNSAFE") {
		t.Error(shown)
	}
}

// TestSignWarnsOfSNP: what the measurement of an SNP machine does not cover is said where values are made of it, and only
// there.
func TestSignWarnsOfSNP(t *testing.T) {
	for _, v := range realVectors() {
		warns := v.platform == "snp"
		if v.name != "snp beside this repository" && v.name != "nitro beside this repository" {
			continue
		}
		t.Run(v.platform, func(t *testing.T) {
			dir := t.TempDir()
			env := filepath.Join(dir, "env.json")
			args := []string{"auditor", "evidence", "import", "--platform", v.platform, "--report", vectorPath(t, dir, v.report), "-o", env}
			for _, f := range v.certs {
				args = append(args, "--cert", vectorPath(t, dir, f))
			}
			x := &truster{t, dir, nil}
			x.run(0, args...)
			said := x.run(0, "operator", "reference", "sign", "--from", env, "--at", v.at, "--dir", x.path("op"), "-o", x.path("out.json"))
			if strings.Contains(said, "WARNING: without measured direct boot (kernel hashes in the firmware)") != warns {
				t.Error(said)
			}
		})
	}
}
