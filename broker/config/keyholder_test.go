// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

func vaultConfig() *config.Keyholder {
	return &config.Keyholder{Kind: config.KeyholderVault, Vault: &config.VaultKeyholder{
		Address: "https://vault.example:8200", Mount: "transit", Key: "creator-1",
		Auth:   config.VaultAuth{Method: config.AuthAppRole, RoleIDFile: "role", SecretIDFile: "secret", SecretIDWrapped: true},
		Owner:  &config.VaultAuth{Method: config.AuthToken, TokenFile: "token"},
		Anchor: &config.VaultAnchor{Mount: "secret", Path: "glovebox/creator-1/anchor"},
	}}
}

func TestKeyholderConfig(t *testing.T) {
	pkcs11 := config.PKCS11Keyholder{Module: "m", Token: "t", Key: "k", PINFile: "p"}
	for name, k := range map[string]*config.Keyholder{
		"file":            {Kind: config.KeyholderFile},
		"passphrase":      {Kind: config.KeyholderFile, File: &config.FileKeyholder{Passphrase: true}},
		"passphrase file": {Kind: config.KeyholderFile, File: &config.FileKeyholder{Passphrase: true, PassphraseFile: "p"}},
		"vault":           vaultConfig(),
		"pkcs11":          {Kind: config.KeyholderPKCS11, PKCS11: &pkcs11},
	} {
		if err := k.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, k := range map[string]*config.Keyholder{
		"zero":                        {},
		"unknown kind":                {Kind: "kms"},
		"vault without its part":      {Kind: config.KeyholderVault},
		"vault with another part":     {Kind: config.KeyholderVault, Vault: vaultConfig().Vault, PKCS11: &pkcs11},
		"file with vault's part":      {Kind: config.KeyholderFile, Vault: vaultConfig().Vault},
		"passphrase file by mistake":  {Kind: config.KeyholderFile, File: &config.FileKeyholder{PassphraseFile: "p"}},
		"pkcs11 without PIN file":     {Kind: config.KeyholderPKCS11, PKCS11: &config.PKCS11Keyholder{Module: "m", Token: "t", Key: "k"}},
		"pkcs11 with many sessions":   {Kind: config.KeyholderPKCS11, PKCS11: &config.PKCS11Keyholder{Module: "m", Token: "t", Key: "k", PINFile: "p", Sessions: 65}},
		"pkcs11 with a long label":    {Kind: config.KeyholderPKCS11, PKCS11: &config.PKCS11Keyholder{Module: "m", Token: "t23456789012345678901234567890123", Key: "k", PINFile: "p"}},
		"pkcs11 with negative number": {Kind: config.KeyholderPKCS11, PKCS11: &config.PKCS11Keyholder{Module: "m", Token: "t", Key: "k", PINFile: "p", Sessions: -1}},
	} {
		if err := k.Validate(); !errors.Is(err, config.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestVaultConfigRefused(t *testing.T) {
	for name, spoil := range map[string]func(*config.VaultKeyholder){
		"plain http":           func(v *config.VaultKeyholder) { v.Address = "http://vault.example:8200" },
		"credentials in URL":   func(v *config.VaultKeyholder) { v.Address = "https://a:b@vault.example" },
		"path in URL":          func(v *config.VaultKeyholder) { v.Address = "https://vault.example/v1" },
		"no URL":               func(v *config.VaultKeyholder) { v.Address = "" },
		"mount goes up":        func(v *config.VaultKeyholder) { v.Mount = "a/../sys" },
		"mount is empty":       func(v *config.VaultKeyholder) { v.Mount = "" },
		"key with slash":       func(v *config.VaultKeyholder) { v.Key = "a/b" },
		"key goes up":          func(v *config.VaultKeyholder) { v.Key = ".." },
		"namespace":            func(v *config.VaultKeyholder) { v.Namespace = "a b" },
		"negative timeout":     func(v *config.VaultKeyholder) { v.TimeoutMillis = -1 },
		"no patience":          func(v *config.VaultKeyholder) { v.TimeoutMillis = 1 },
		"endless":              func(v *config.VaultKeyholder) { v.TimeoutMillis = 1 << 40 },
		"anchor without path":  func(v *config.VaultKeyholder) { v.Anchor.Path = "" },
		"no method":            func(v *config.VaultKeyholder) { v.Auth = config.VaultAuth{} },
		"unknown method":       func(v *config.VaultKeyholder) { v.Auth.Method = "userpass" },
		"approle without role": func(v *config.VaultKeyholder) { v.Auth.RoleIDFile = "" },
		"approle and token":    func(v *config.VaultKeyholder) { v.Auth.TokenFile = "t" },
		"jwt without role":     func(v *config.VaultKeyholder) { v.Auth = config.VaultAuth{Method: config.AuthJWT, JWTFile: "j"} },
		"token with mount": func(v *config.VaultKeyholder) {
			v.Auth = config.VaultAuth{Method: config.AuthToken, TokenFile: "t", Mount: "m"}
		},
		"owner is checked too": func(v *config.VaultKeyholder) { v.Owner.TokenFile = "" },
		"auth mount goes up":   func(v *config.VaultKeyholder) { v.Auth.Mount = "../sys" },
	} {
		k := vaultConfig()
		spoil(k.Vault)
		if err := k.Validate(); !errors.Is(err, config.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	local := vaultConfig()
	local.Vault.Address = "http://127.0.0.1:8200"
	if err := local.Validate(); err != nil {
		t.Errorf("http on this machine: %v", err)
	}
}

// TestKeyholderIsStrict: the part of broker.json that names the keyholder takes no unknown field, and is kept as written.
func TestKeyholderIsStrict(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "creator")
	c, err := config.Init(dir, config.Options{Role: config.Creator, Listen: "127.0.0.1:0", Address: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	if c.KeyholderKind() != config.KeyholderFile {
		t.Errorf("kind %q", c.KeyholderKind())
	}
	c.Keyholder = vaultConfig()
	if err := config.Write(dir, c); err != nil {
		t.Fatal(err)
	}
	got, err := config.Load(c.Layout().Config())
	if err != nil || got.KeyholderKind() != config.KeyholderVault || *got.Keyholder.Vault.Owner != *c.Keyholder.Vault.Owner {
		t.Fatalf("%+v, %v", got, err)
	}
	if _, err := got.OpenFileKeyholder(nil); !errors.Is(err, config.ErrConfig) {
		t.Errorf("the file of a Vault keyholder: %v", err)
	}
	c.Keyholder.Vault.Key = "a/b"
	if err := config.Write(dir, c); !errors.Is(err, config.ErrConfig) {
		t.Errorf("writing a bad one: %v", err)
	}
	b, err := os.ReadFile(c.Layout().Config())
	if err != nil {
		t.Fatal(err)
	}
	b = append([]byte(`{"skipVerify":true,`), b[1:]...)
	if err := os.WriteFile(c.Layout().Config(), b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(c.Layout().Config()); !errors.Is(err, config.ErrConfig) {
		t.Errorf("unknown field: %v", err)
	}
}

func TestFileUnlock(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "creator")
	c, err := config.Init(dir, config.Options{Role: config.Creator, Listen: "127.0.0.1:0", Address: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.OpenFileKeyholder(nil); err != nil {
		t.Errorf("by identity: %v", err)
	}
	c.Keyholder = &config.Keyholder{Kind: config.KeyholderFile, File: &config.FileKeyholder{Passphrase: true}}
	if _, err := c.OpenFileKeyholder(nil); !errors.Is(err, keyholder.ErrAuth) {
		t.Errorf("a passphrase and nobody to ask: %v", err)
	}
	asked := false
	_, err = c.OpenFileKeyholder(func() (keyholder.Unlock, error) {
		asked = true
		return keyholder.Passphrase([]byte("correct horse battery"))
	})
	if !asked || !errors.Is(err, keyholder.ErrAuth) {
		t.Errorf("a passphrase for a file locked with an identity: %v", err)
	}
	c.Keyholder.File.PassphraseFile = "pass"
	if err := os.WriteFile(filepath.Join(dir, "pass"), []byte("correct horse battery\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := c.OpenFileKeyholder(nil); !errors.Is(err, envelope.ErrKeyMode) {
		t.Errorf("a passphrase that others can read: %v", err)
	}
}
