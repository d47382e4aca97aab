// SPDX-License-Identifier: Apache-2.0

//go:build pkcs11 && cgo

package pkcs11_test

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	p11 "github.com/miekg/pkcs11"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/broker/keyholder/keyholdertest"
	"github.com/glovebox-dev/glovebox/broker/keyholder/pkcs11"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

const (
	skipMark = "SKIPPED-FOR-SOFTHSM"
	token    = "glovebox-test"
	pin      = "4711-0815"
)

var (
	module      string // softhsm2's library; "" when there is none
	pinFile     string
	testContext = keyholder.Context(envelope.Hash("a package"))
	testKey     = bytes.Repeat([]byte{0x5a}, 32)
)

// TestMain makes one token: softhsm2 takes its configuration from the environment, once in a process.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "softhsm-*")
	if err == nil {
		err = setUp(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	os.Exit(code)
}

func setUp(dir string) error {
	tool, err := exec.LookPath("softhsm2-util")
	if err != nil {
		return nil
	}
	for _, p := range []string{"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so", "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so", "/usr/lib64/libsofthsm2.so"} {
		if _, err := os.Stat(p); err == nil {
			module = p
			break
		}
	}
	if module == "" {
		return nil
	}
	conf, tokens := filepath.Join(dir, "softhsm2.conf"), filepath.Join(dir, "tokens")
	pinFile = filepath.Join(dir, "pin")
	if err := errors.Join(os.Mkdir(tokens, 0o700), os.WriteFile(pinFile, []byte(pin+"\n"), 0o600),
		os.WriteFile(conf, []byte("directories.tokendir = "+tokens+"\nobjectstore.backend = file\nlog.level = ERROR\n"), 0o600), os.Setenv("SOFTHSM2_CONF", conf)); err != nil {
		return err
	}
	if out, err := exec.Command(tool, "--module", module, "--init-token", "--free", "--label", token, "--so-pin", "so-"+pin, "--pin", pin).CombinedOutput(); err != nil {
		return fmt.Errorf("softhsm2-util: %w\n%s", err, out)
	}
	return nil
}

func need(t testing.TB) {
	t.Helper()
	if module == "" {
		t.Skip(skipMark + ": no token in software; apt-get install softhsm2 libsofthsm2")
	}
}

// fresh is the configuration of a key that nobody has.
func fresh(t testing.TB) pkcs11.Config {
	t.Helper()
	need(t)
	b := make([]byte, 8)
	rand.Read(b) //nolint:errcheck // never fails since Go 1.24
	return pkcs11.Config{PKCS11Keyholder: &config.PKCS11Keyholder{Module: module, Token: token, Key: "key-" + hex.EncodeToString(b), PINFile: pinFile}, Create: true}
}

func open(t testing.TB, c pkcs11.Config) *pkcs11.Keyholder {
	t.Helper()
	k, err := pkcs11.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() }) //nolint:errcheck // it has no error to give
	return k
}

func wrap(t testing.TB, k keyholder.Keyholder) []byte {
	t.Helper()
	w, err := k.Wrap(t.Context(), testContext, testKey)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func unwraps(t testing.TB, k keyholder.Keyholder, w []byte) {
	t.Helper()
	if got, err := k.Unwrap(t.Context(), testContext, w); err != nil || !bytes.Equal(got, testKey) {
		t.Errorf("Unwrap: %v", err)
	}
}

func TestPKCS11(t *testing.T) {
	need(t)
	keyholdertest.Run(t, func(t *testing.T) keyholder.Keyholder { return open(t, fresh(t)) })
}

// library is the token's library, for tests that pull it from under the keyholder.
func library(t *testing.T) *p11.Ctx {
	t.Helper()
	need(t)
	return p11.New(module)
}

func TestTokenAway(t *testing.T) {
	lib := library(t)
	keyholdertest.Outage(t, func(t *testing.T) (keyholder.Keyholder, func(), func()) {
		return open(t, fresh(t)), func() {
				if err := lib.Finalize(); err != nil {
					t.Fatal(err)
				}
			}, func() {
				if err := lib.Initialize(); err != nil {
					t.Fatal(err)
				}
			}
	})
}

func TestSessionsLost(t *testing.T) {
	lib := library(t)
	k := open(t, fresh(t))
	w := wrap(t, k)
	slots, err := lib.GetSlotList(true)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range slots {
		lib.CloseAllSessions(s) //nolint:errcheck // the free slot has none
	}
	unwraps(t, k, w)
	wrap(t, k)
}

// TestTwoProgramsRotate: what another program rotated or shredded is noticed.
func TestTwoProgramsRotate(t *testing.T) {
	c := fresh(t)
	a, b := open(t, c), open(t, c)
	old := wrap(t, a)
	if err := b.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	unwraps(t, a, wrap(t, b))
	if err := b.Retire(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if got, err := a.Unwrap(t.Context(), testContext, old); !errors.Is(err, keyholder.ErrUnwrap) || got != nil {
		t.Errorf("a key of a version that another program shredded: %v", err)
	}
	wrap(t, a)
}

// TestWrongPIN: one try only, so that a broker that is asked again and again does not lock the token.
func TestWrongPIN(t *testing.T) {
	library(t)
	c := fresh(t)
	good := open(t, c)
	good.Close() //nolint:errcheck // it has no error to give
	bad := *c.PKCS11Keyholder
	bad.PINFile = filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(bad.PINFile, []byte("0000-0000"), 0o600); err != nil {
		t.Fatal(err)
	}
	lib := library(t)
	slots, err := lib.GetSlotList(true)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range slots {
		lib.CloseAllSessions(s) //nolint:errcheck // so that nobody is logged in
	}
	_, err = pkcs11.Open(pkcs11.Config{PKCS11Keyholder: &bad})
	if !errors.Is(err, keyholder.ErrAuth) || strings.Contains(err.Error(), "0000-0000") {
		t.Errorf("wrong PIN: %v", err)
	}
	unwraps(t, open(t, c), wrap(t, open(t, c)))
	if err := os.Chmod(bad.PINFile, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := pkcs11.Open(pkcs11.Config{PKCS11Keyholder: &bad}); !errors.Is(err, keyholder.ErrAuth) || !errors.Is(err, envelope.ErrKeyMode) {
		t.Errorf("a PIN that others can read: %v", err)
	}
}

// TestPINThatIsRefusedIsNotRepeated: a running broker's PIN changes; each release would burn one more try.
func TestPINThatIsRefusedIsNotRepeated(t *testing.T) {
	lib := library(t)
	c := fresh(t)
	own := *c.PKCS11Keyholder
	own.PINFile = filepath.Join(t.TempDir(), "pin")
	write := func(p string) {
		t.Helper()
		if err := os.WriteFile(own.PINFile, []byte(p), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(pin)
	c.PKCS11Keyholder = &own
	k := open(t, c)
	w := wrap(t, k)
	slots, err := lib.GetSlotList(true)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range slots {
		lib.CloseAllSessions(s) //nolint:errcheck // the free slot has none
	}
	write("0000-0000")
	for i := range 5 {
		_, err := k.Unwrap(t.Context(), testContext, w)
		if !errors.Is(err, keyholder.ErrAuth) || strings.Contains(err.Error(), "not tried again") != (i > 0) {
			t.Errorf("try %d: %v", i, err)
		}
	}
	write(pin)
	unwraps(t, k, w)
}

func TestUnusableToken(t *testing.T) {
	c := fresh(t)
	open(t, c)
	for name, x := range map[string]struct {
		spoil func(*config.PKCS11Keyholder)
		want  error
	}{
		"no such token":  {func(p *config.PKCS11Keyholder) { p.Token = "elsewhere" }, keyholder.ErrUnavailable},
		"no such key":    {func(p *config.PKCS11Keyholder) { p.Key = "nobody" }, keyholder.ErrInput},
		"no library":     {func(p *config.PKCS11Keyholder) { p.Module = "/nonexistent.so" }, keyholder.ErrInput},
		"no PIN file":    {func(p *config.PKCS11Keyholder) { p.PINFile = "/nonexistent" }, keyholder.ErrAuth},
		"incomplete":     {func(p *config.PKCS11Keyholder) { p.Key = "" }, config.ErrConfig},
		"a text library": {func(p *config.PKCS11Keyholder) { p.Module = pinFile }, keyholder.ErrInput},
	} {
		p := *c.PKCS11Keyholder
		x.spoil(&p)
		if k, err := pkcs11.Open(pkcs11.Config{PKCS11Keyholder: &p}); !errors.Is(err, x.want) || k != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := pkcs11.Open(pkcs11.Config{}); !errors.Is(err, keyholder.ErrInput) {
		t.Errorf("nothing: %v", err)
	}
	var zero pkcs11.Keyholder
	if _, err := zero.Wrap(t.Context(), testContext, testKey); !errors.Is(err, keyholder.ErrInput) {
		t.Errorf("zero Keyholder: %v", err)
	}
}

// TestKeyThatCouldLeak: a key that was made outside, or that can be read, is refused.
func TestKeyThatCouldLeak(t *testing.T) {
	lib := library(t)
	for name, extra := range map[string][]*p11.Attribute{
		"imported":    {p11.NewAttribute(p11.CKA_SENSITIVE, true), p11.NewAttribute(p11.CKA_EXTRACTABLE, false)},
		"extractable": {p11.NewAttribute(p11.CKA_SENSITIVE, true), p11.NewAttribute(p11.CKA_EXTRACTABLE, true)},
		"readable":    {p11.NewAttribute(p11.CKA_SENSITIVE, false), p11.NewAttribute(p11.CKA_EXTRACTABLE, true)},
		"odd ID":      nil,
	} {
		c := fresh(t)
		open(t, fresh(t)) // somebody is logged in
		s, err := lib.OpenSession(slotOf(t, lib), p11.CKF_SERIAL_SESSION|p11.CKF_RW_SESSION)
		if err != nil {
			t.Fatal(err)
		}
		base := []*p11.Attribute{
			p11.NewAttribute(p11.CKA_CLASS, p11.CKO_SECRET_KEY), p11.NewAttribute(p11.CKA_KEY_TYPE, p11.CKK_AES),
			p11.NewAttribute(p11.CKA_LABEL, c.Key), p11.NewAttribute(p11.CKA_TOKEN, true), p11.NewAttribute(p11.CKA_PRIVATE, true),
			p11.NewAttribute(p11.CKA_ENCRYPT, true), p11.NewAttribute(p11.CKA_DECRYPT, true),
		}
		id := p11.NewAttribute(p11.CKA_ID, []byte("v1"))
		switch {
		case extra == nil:
			id = p11.NewAttribute(p11.CKA_ID, []byte("v01"))
			_, err = lib.GenerateKey(s, []*p11.Mechanism{p11.NewMechanism(p11.CKM_AES_KEY_GEN, nil)}, append(base, id,
				p11.NewAttribute(p11.CKA_VALUE_LEN, 32), p11.NewAttribute(p11.CKA_SENSITIVE, true), p11.NewAttribute(p11.CKA_EXTRACTABLE, false)))
		case name == "imported":
			_, err = lib.CreateObject(s, append(append(base, id, p11.NewAttribute(p11.CKA_VALUE, testKey)), extra...))
		default:
			_, err = lib.GenerateKey(s, []*p11.Mechanism{p11.NewMechanism(p11.CKM_AES_KEY_GEN, nil)}, append(append(base, id, p11.NewAttribute(p11.CKA_VALUE_LEN, 32)), extra...))
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if k, err := pkcs11.Open(c); !errors.Is(err, keyholder.ErrInput) || k != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func slotOf(t *testing.T, lib *p11.Ctx) uint {
	t.Helper()
	slots, err := lib.GetSlotList(true)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range slots {
		if info, err := lib.GetTokenInfo(s); err == nil && strings.TrimRight(info.Label, " \x00") == token {
			return s
		}
	}
	t.Fatal("the token is gone")
	return 0
}

func BenchmarkUnwrap(b *testing.B) {
	k := open(b, fresh(b))
	w := wrap(b, k)
	for b.Loop() {
		if _, err := k.Unwrap(b.Context(), testContext, w); err != nil {
			b.Fatal(err)
		}
	}
}
