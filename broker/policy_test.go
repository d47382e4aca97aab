// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"

	"github.com/glovebox-dev/glovebox/broker"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/policies"
)

const noResearch = `package creator

deny contains {"rule": "no-research", "message": "not for research", "satisfy": "state another purpose"} if input.job.purpose == "research"
`

// own starts the owner's broker anew, with rules of her own.
func (o *owner) own() error {
	if err := o.Close(); err != nil {
		o.t.Fatal(err)
	}
	b, err := broker.New(o.t.Context(), broker.Config{Settings: o.cfg, Formats: o.formats, Publisher: o.pub, Now: o.clock.now, Keyholder: o.keys})
	if err == nil {
		o.Broker = b
	}
	return err
}

func (o *owner) write(name, body string) {
	path := filepath.Join(o.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(body), 0o600)); err != nil {
		o.t.Fatal(err)
	}
}

func TestOwnRulesInTheFolderPolicy(t *testing.T) {
	w := newWorld(t)
	if p := w.plan(); !p.Allowed {
		t.Fatalf("%+v", p)
	}
	w.creator.write("policy/rules.rego", noResearch)
	if err := w.creator.own(); err != nil {
		t.Fatal(err)
	}
	if p := w.plan(); p.Allowed || len(p.Reasons) != 1 || p.Reasons[0].Rule != "creator/no-research" {
		t.Errorf("%+v", p)
	}
}

func TestBrokerDoesNotStartWithoutItsRules(t *testing.T) {
	for name, prepare := range map[string]func(o *owner){
		"syntax":    func(o *owner) { o.write("policy/rules.rego", "package creator\n\ndeny contains {\n") },
		"empty":     func(o *owner) { o.write("policy/README", "none yet") },
		"no folder": func(o *owner) { o.cfg.Policy = &config.Policy{Folder: "rules"} },
		"a file":    func(o *owner) { o.write("policy", noResearch) },
		"both": func(o *owner) {
			o.write("policy/r.rego", noResearch)
			o.cfg.Policy = &config.Policy{Folder: "policy", Bundle: "b.tar.gz"}
		},
		"no key": func(o *owner) { o.cfg.Policy = &config.Policy{Bundle: "b.tar.gz", Scope: "prod", MinRevision: 1} },
		"no bundle": func(o *owner) {
			o.write("key.pem", "x")
			o.cfg.Policy = &config.Policy{Bundle: "b.tar.gz", BundleKey: "key.pem", Scope: "prod", MinRevision: 1}
		},
		"no bundle!": func(o *owner) {
			o.write("key.pem", "x")
			o.write("b.tar.gz", "x")
			o.cfg.Policy = &config.Policy{Bundle: "b.tar.gz", BundleKey: "key.pem", Scope: "prod", MinRevision: 1}
		},
		"nothing": func(o *owner) { o.cfg.Policy = &config.Policy{} },
	} {
		o := newOwner(t, config.Creator, &clock{t: time.UnixMilli(1_800_000_000_000)})
		prepare(o)
		if err := o.own(); !errors.Is(err, config.ErrConfig) && !errors.Is(err, policies.ErrCreator) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRolledBackBundle: a broker that ran with a revision does not go back behind it, nor runs without a bundle,
// whatever broker.json says.
func TestRolledBackBundle(t *testing.T) {
	o := newOwner(t, config.Creator, &clock{t: time.UnixMilli(1_800_000_000_000)})
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	o.write("key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})))
	o.write("claims.json", `{"scope": "prod"}`)
	signed := &config.Policy{Bundle: "b.tar.gz", BundleKey: "key.pem", Scope: "prod", MinRevision: 1}
	o.cfg.Policy = signed
	pack := func(revision, rules string) {
		b := bundle.Bundle{
			Manifest: bundle.Manifest{Revision: revision, Roots: &[]string{"creator"}}, Data: map[string]any{},
			Modules: []bundle.ModuleFile{{URL: "/rules.rego", Path: "/rules.rego", Raw: []byte(rules), Parsed: ast.MustParseModule(rules)}},
		}
		sign := bundle.NewSigningConfig(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})), "ES256", filepath.Join(o.dir, "claims.json"))
		var out bytes.Buffer
		if err := errors.Join(b.GenerateSignature(sign, "fleet", false), bundle.NewWriter(&out).UseModulePath(true).DisableFormat(true).Write(b)); err != nil {
			t.Fatal(err)
		}
		o.write("b.tar.gz", out.String())
	}
	for _, revision := range []string{"3", "3", "5"} {
		pack(revision, noResearch)
		if err := o.own(); err != nil {
			t.Fatalf("revision %s: %v", revision, err)
		}
	}
	pack("4", noResearch)
	if err := o.own(); !errors.Is(err, policies.ErrBundle) || !strings.Contains(err.Error(), "ran with 5") {
		t.Errorf("rollback: %v", err)
	}
	for name, p := range map[string]*config.Policy{"nothing": nil, "a folder": {Folder: "rules"}} {
		o.write("rules/rules.rego", noResearch)
		o.cfg.Policy = p
		if err := o.own(); !errors.Is(err, policies.ErrBundle) || !strings.Contains(err.Error(), "ran with revision 5") {
			t.Errorf("%s in place of the bundle: %v", name, err)
		}
	}
	o.cfg.Policy = signed
	pack("6", "package creator\n\ndeny contains {} if false\n")
	if err := o.own(); err != nil {
		t.Errorf("a bundle that lifts the rules: %v", err)
	}
}
