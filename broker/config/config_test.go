// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
)

func options(r config.Role) config.Options {
	return config.Options{Role: r, Listen: "127.0.0.1:0", Address: "http://127.0.0.1:9"}
}

func create(t *testing.T, r config.Role) (string, *config.Config) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "owner")
	c, err := config.Init(dir, options(r))
	if err != nil {
		t.Fatal(err)
	}
	return dir, c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestInit(t *testing.T) {
	for _, role := range []config.Role{config.Creator, config.Buyer} {
		dir, c := create(t, role)
		if (c.Buyer != nil) != (role == config.Buyer) {
			t.Errorf("%s: buyer %v", role, c.Buyer)
		}
		must(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			must(t, err)
			st, err := d.Info()
			must(t, err)
			if st.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s has mode %v", path, st.Mode())
			}
			return nil
		}))
		l := c.Layout()
		for path, r := range map[string]envelope.Role{l.OwnerKey(): envelope.RoleOwner, l.BrokerKey(): envelope.RoleBroker, l.ReferenceKey(): envelope.RoleReference} {
			_, err := envelope.LoadKeyFile(path, r)
			must(t, err)
		}
		_, err := keyholder.Open(l.Keyholder(), l.KeyholderIdentity())
		must(t, err)
		if _, err := config.Init(dir, options(role)); !errors.Is(err, config.ErrExists) {
			t.Errorf("init over an owner's directory: %v", err)
		}
	}
}

func TestInitIntoEmptyDirectory(t *testing.T) {
	dir := t.TempDir()
	_, err := config.Init(dir, options(config.Creator))
	must(t, err)
}

// TestInitLeavesNothingHalf: a refused init leaves neither the directory nor a temporary one.
func TestInitLeavesNothingHalf(t *testing.T) {
	parent := t.TempDir()
	for name, change := range map[string]func(*config.Options){
		"no role":     func(o *config.Options) { o.Role = "" },
		"no listen":   func(o *config.Options) { o.Listen = "" },
		"bad address": func(o *config.Options) { o.Address = "ftp://x" },
		"bad log":     func(o *config.Options) { o.LogURL = "x" },
		"bad timeout": func(o *config.Options) { o.HeartbeatTimeout = 1 },
		"bad root":    func(o *config.Options) { o.EKRoots = []config.EKRoot{{CertFile: "x", Assurance: "tee"}} },
	} {
		o := options(config.Creator)
		change(&o)
		if _, err := config.Init(filepath.Join(parent, "owner"), o); !errors.Is(err, config.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	left, err := os.ReadDir(parent)
	must(t, err)
	if len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestLoadIsStrict(t *testing.T) {
	dir, c := create(t, config.Buyer)
	path := c.Layout().Config()
	good, err := os.ReadFile(path)
	must(t, err)
	for name, change := range map[string]func(map[string]any){
		"unknown field":      func(m map[string]any) { m["x"] = 1 },
		"no owner":           func(m map[string]any) { delete(m, "owner") },
		"no reference":       func(m map[string]any) { m["reference"] = "" },
		"no reference key":   func(m map[string]any) { delete(m, "referenceKey") },
		"one key, two roles": func(m map[string]any) { m["referenceKey"] = m["owner"] },
		"buyer is the owner": func(m map[string]any) { m["buyer"] = m["owner"] },
		"no timeout":         func(m map[string]any) { m["heartbeatTimeoutMillis"] = 0 },
		"huge timeout":       func(m map[string]any) { m["heartbeatTimeoutMillis"] = int64(1) << 62 },
		"address with a key": func(m map[string]any) { m["address"] = "http://u:p@host" },
		"root without cert":  func(m map[string]any) { m["ekRoots"] = []any{map[string]any{"assurance": "tpm"}} },
	} {
		var m map[string]any
		must(t, json.Unmarshal(good, &m))
		change(m)
		b, err := json.Marshal(m)
		must(t, err)
		must(t, config.WriteFile(path, b))
		if _, err := config.Load(path); !errors.Is(err, config.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	must(t, config.WriteFile(path, append(good, good...)))
	if _, err := config.Load(path); err == nil {
		t.Error("two configurations in one file were accepted")
	}
	must(t, config.WriteFile(path, []byte(strings.Repeat(" ", 1<<17))))
	if _, err := config.Load(path); !errors.Is(err, envelope.ErrTooLarge) {
		t.Errorf("large file: %v", err)
	}
	must(t, config.WriteFile(path, good))
	again, err := config.Load(path)
	must(t, err)
	must(t, config.Write(dir, again))
}

// pack makes a real package of an owner.
func pack(t *testing.T, c *config.Config, change func(*dataset.PackConfig)) *dataset.Packed {
	t.Helper()
	l := c.Layout()
	owner, err := envelope.LoadKeyFile(l.OwnerKey(), envelope.RoleOwner)
	must(t, err)
	broker, err := envelope.LoadKeyFile(l.BrokerKey(), envelope.RoleBroker)
	must(t, err)
	store, err := dataset.NewDirStore(l.Blobs())
	must(t, err)
	pc := dataset.PackConfig{
		Store: store, Source: strings.NewReader("a\n1\n2\n"), Signer: owner, Key: dataset.NewKey(),
		Manifest: dataset.Manifest{
			Kind: dataset.KindDataset, Name: "numbers", Test: true, Format: dataset.FormatCSV, Owner: c.Owner,
			Broker: dataset.Broker{Address: c.Address, Key: broker.Public()},
			Terms: dataset.Terms{
				Modes: []string{grant.ModeRaw}, Purposes: []string{"research"}, Outputs: []string{"model"}, MaxOutputBytes: 1, MaxEpochs: 1,
				MaxUses: 1, Logs: grant.LogsOff, Allowance: 1, LeaseSeconds: 1, BrokerAway: "fail", Price: dataset.Price{Currency: "EUR"},
				NotAfter: 4_000_000_000, MinAssurance: "simulated",
			}.ForAnyone(),
		},
	}
	if change != nil {
		change(&pc)
	}
	p, err := dataset.Pack(t.Context(), pc)
	must(t, err)
	return p
}

func TestPackages(t *testing.T) {
	dir, c := create(t, config.Creator)
	p := pack(t, c, nil)
	id, err := config.AddPackage(dir, p.Signed, []byte("wrapped"))
	must(t, err)
	if id != p.ID {
		t.Errorf("ID %s, want %s", id, p.ID)
	}
	_, err = config.AddPackage(dir, p.Signed, []byte("wrapped"))
	must(t, err)
	if _, err := config.AddPackage(dir, p.Signed, []byte("another")); !errors.Is(err, config.ErrExists) {
		t.Errorf("another key for the same package: %v", err)
	}
	list, err := config.ListPackages(dir)
	must(t, err)
	if len(list) != 1 || list[0].ID != p.ID || list[0].Manifest.Name != "numbers" {
		t.Errorf("packages: %+v", list)
	}
	if w, err := c.WrappedKey(p.ID); err != nil || string(w) != "wrapped" {
		t.Errorf("wrapped key: %v", err)
	}
	if _, err := c.LoadPackage(envelope.Sum([]byte("x"))); !errors.Is(err, config.ErrUnknown) {
		t.Errorf("unknown package: %v", err)
	}
}

func TestPackageOfAnotherOwner(t *testing.T) {
	_, a := create(t, config.Creator)
	dir, b := create(t, config.Creator)
	p := pack(t, a, nil)
	if _, err := config.AddPackage(dir, p.Signed, []byte("w")); !errors.Is(err, config.ErrPackage) {
		t.Errorf("another owner's manifest: %v", err)
	}
	if _, err := config.AddPackage(dir, []byte("junk"), []byte("w")); !errors.Is(err, config.ErrPackage) {
		t.Errorf("junk: %v", err)
	}
	mine := pack(t, b, nil)
	for _, w := range [][]byte{nil, make([]byte, keyholder.MaxWrapped+1)} {
		if _, err := config.AddPackage(dir, mine.Signed, w); !errors.Is(err, config.ErrPackage) {
			t.Errorf("wrapped key of %d bytes: %v", len(w), err)
		}
	}
	foreign := pack(t, b, func(pc *dataset.PackConfig) { pc.Manifest.Broker = a2broker(t, a) })
	if _, err := config.AddPackage(dir, foreign.Signed, []byte("w")); !errors.Is(err, config.ErrPackage) {
		t.Errorf("manifest that names another broker: %v", err)
	}
	if left, err := os.ReadDir(b.Layout().Packages()); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func a2broker(t *testing.T, c *config.Config) dataset.Broker {
	t.Helper()
	k, err := envelope.LoadKeyFile(c.Layout().BrokerKey(), envelope.RoleBroker)
	must(t, err)
	return dataset.Broker{Address: c.Address, Key: k.Public()}
}

// TestPackageInWrongFolder: a manifest moved to another package's folder is not that package.
func TestPackageInWrongFolder(t *testing.T) {
	dir, c := create(t, config.Creator)
	p := pack(t, c, nil)
	_, err := config.AddPackage(dir, p.Signed, []byte("w"))
	must(t, err)
	other := envelope.Sum([]byte("other"))
	must(t, os.Rename(c.Layout().Package(p.ID), c.Layout().Package(other)))
	if _, err := c.LoadPackage(other); !errors.Is(err, config.ErrPackage) {
		t.Errorf("%v", err)
	}
}

func TestWithdrawals(t *testing.T) {
	dir, c := create(t, config.Buyer)
	d := envelope.Sum([]byte("x"))
	_, err := config.AddRevocation(dir, &grant.Revocation{Manifest: &d, Reason: "r", Time: 1})
	must(t, err)
	_, err = config.AddCancellation(dir, &job.Cancel{Job: d, Reason: "r"})
	must(t, err)
	must(t, os.WriteFile(filepath.Join(c.Layout().Revocations(), ".tmp-1"), []byte("half"), 0o600))
	files, err := config.SignedFiles(c.Layout().Revocations())
	must(t, err)
	if len(files) != 1 {
		t.Fatalf("%d revocations", len(files))
	}
	_, err = grant.VerifyRevocation(files[0], c.Owner)
	must(t, err)
	files, err = config.SignedFiles(c.Layout().Cancellations())
	must(t, err)
	_, err = job.VerifyCancel(files[0], *c.Buyer)
	must(t, err)
	if _, err := config.AddRevocation(dir, &grant.Revocation{}); !errors.Is(err, grant.ErrInvalid) {
		t.Errorf("empty revocation: %v", err)
	}
}

func TestCertificate(t *testing.T) {
	dir, c := create(t, config.Creator)
	must(t, os.WriteFile(filepath.Join(dir, "ca.pem"), []byte("junk"), 0o600))
	if _, err := c.Certificate(config.EKRoot{CertFile: "ca.pem"}); !errors.Is(err, config.ErrConfig) {
		t.Errorf("junk: %v", err)
	}
	if _, err := c.Certificate(config.EKRoot{CertFile: "none.pem"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
}

// FuzzConfig: whatever decodes and validates can be written and read again.
func FuzzConfig(f *testing.F) {
	dir := filepath.Join(f.TempDir(), "owner")
	c, err := config.Init(dir, options(config.Buyer))
	if err != nil {
		f.Fatal(err)
	}
	b, err := os.ReadFile(c.Layout().Config())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var c config.Config
		if envelope.DecodeStrict(b, 1<<16, &c) != nil || c.Validate() != nil {
			return
		}
		dir := t.TempDir()
		must(t, config.Write(dir, &c))
		_, err := config.Load(config.Layout{Dir: dir}.Config())
		must(t, err)
	})
}
