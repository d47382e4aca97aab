// SPDX-License-Identifier: Apache-2.0

package envelope_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// didVector is a P-256 key of the W3C did:key test suite.
const didVector = "did:key:zDnaerDaTF5BXEavCrfRZEk316dpbLsfPDZ3WJ5hRTPFU2169"

func TestPublicKeyText(t *testing.T) {
	k, err := envelope.ParsePublicKey(didVector)
	if err != nil || k.String() != didVector {
		t.Fatalf("%s, %v", k, err)
	}
	s := newSigner(t, envelope.RoleOwner)
	again, err := envelope.ParsePublicKey(s.Public().String())
	if err != nil || !again.Equal(s.Public()) || again.ID() != s.Public().ID() {
		t.Fatalf("round trip: %v", err)
	}
	for name, in := range map[string]string{
		"empty": "", "prefix": "did:key:z", "other method": "did:web:example.org", "multibase": "did:key:u" + didVector[9:],
		"ed25519": "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK", "alphabet": didVector[:20] + "0" + didVector[21:],
		"cut": didVector[:len(didVector)-1], "longer": didVector + "1", "leading one": "did:key:z1" + didVector[9:], "huge": "did:key:z" + strings.Repeat("z", 1<<16),
		"not a point": notAPoint(t),
	} {
		if _, err := envelope.ParsePublicKey(in); !errors.Is(err, envelope.ErrKey) {
			t.Errorf("%s: %v, want ErrKey", name, err)
		}
	}
}

// notAPoint changes the last character until the abscissa is not on the curve.
func notAPoint(t *testing.T) string {
	t.Helper()
	for _, c := range "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz" {
		s := didVector[:len(didVector)-1] + string(c)
		if _, err := envelope.ParsePublicKey(s); err != nil {
			return s
		}
	}
	t.Fatal("every abscissa is on the curve")
	return ""
}

func TestZeroPublicKey(t *testing.T) {
	var zero envelope.PublicKey
	if !zero.IsZero() || zero.Equal(zero) || zero.String() != "" || zero.SPKI() != nil || zero.ECDSA() != nil {
		t.Error("the zero key is something")
	}
	if _, err := json.Marshal(zero); err == nil {
		t.Error("the zero key marshals")
	}
	if err := envelope.Distinct(zero); !errors.Is(err, envelope.ErrKey) {
		t.Errorf("Distinct: %v", err)
	}
	a, b := newSigner(t, envelope.RoleOwner).Public(), newSigner(t, envelope.RoleOwner).Public()
	if err := envelope.Distinct(a, b); err != nil {
		t.Errorf("Distinct: %v", err)
	}
	if err := envelope.Distinct(a, b, a); !errors.Is(err, envelope.ErrKeyReuse) {
		t.Errorf("Distinct: %v, want ErrKeyReuse", err)
	}
}

func TestForeignKeys(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := envelope.NewSigner(envelope.RoleOwner, p384); !errors.Is(err, envelope.ErrKey) {
		t.Errorf("P-384: %v", err)
	}
	if _, err := envelope.NewSigner(envelope.RoleOwner, ed); !errors.Is(err, envelope.ErrKey) {
		t.Errorf("Ed25519: %v", err)
	}
	if _, err := envelope.NewSigner("", newSigner(t, envelope.RoleOwner).secret); !errors.Is(err, envelope.ErrKey) {
		t.Errorf("no role: %v", err)
	}
	if _, err := envelope.NewSigner(envelope.RoleOwner, nil); !errors.Is(err, envelope.ErrKey) {
		t.Errorf("no key: %v", err)
	}
	if _, err := envelope.NewPublicKey((*ecdsa.PublicKey)(nil)); !errors.Is(err, envelope.ErrKey) {
		t.Errorf("nil key: %v", err)
	}
}

func TestKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "owner.key")
	s, err := envelope.CreateKeyFile(path, envelope.RoleOwner)
	if err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", st.Mode(), err)
	}
	got, err := envelope.LoadKeyFile(path, envelope.RoleOwner)
	if err != nil || !got.Public().Equal(s.Public()) || got.Role() != envelope.RoleOwner {
		t.Fatalf("load: %v", err)
	}
	if _, err := envelope.CreateKeyFile(path, envelope.RoleOwner); !errors.Is(err, os.ErrExist) {
		t.Errorf("overwrite: %v, want ErrExist", err)
	}
	for _, r := range []envelope.Role{envelope.RoleBroker, ""} {
		if _, err := envelope.LoadKeyFile(path, r); !errors.Is(err, envelope.ErrRole) {
			t.Errorf("as %q: %v, want ErrRole", r, err)
		}
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o660, 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := envelope.LoadKeyFile(path, envelope.RoleOwner); !errors.Is(err, envelope.ErrKeyMode) {
			t.Errorf("mode %v: %v, want ErrKeyMode", mode, err)
		}
	}
	if _, err := envelope.CreateKeyFile(filepath.Join(t.TempDir(), "x"), ""); !errors.Is(err, envelope.ErrKey) {
		t.Errorf("no role: %v", err)
	}
}

func TestMalformedKeyFile(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good")
	if _, err := envelope.CreateKeyFile(good, envelope.RoleOwner); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"empty": "", "text": "hello", "two blocks": string(b) + string(b), "trailing": string(b) + "x",
		"other type": strings.ReplaceAll(string(b), "PRIVATE", "PUBLIC"), "huge": string(b) + strings.Repeat("\n", 1<<17),
		"garbage": "-----BEGIN PRIVATE KEY-----\nGlovebox-Role: owner\n\nAAAA\n-----END PRIVATE KEY-----\n",
	} {
		path := filepath.Join(dir, "bad")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := envelope.LoadKeyFile(path, envelope.RoleOwner)
		if !errors.Is(err, envelope.ErrKey) && !errors.Is(err, envelope.ErrTooLarge) {
			t.Errorf("%s: %v, want ErrKey or ErrTooLarge", name, err)
		}
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skip(err)
	}
	if _, err := envelope.ReadSecretFile(pipe, 10); !errors.Is(err, envelope.ErrKeyMode) {
		t.Errorf("pipe: %v, want ErrKeyMode", err)
	}
}

// TestSignerIsSilent: no formatting of a signer shows its secret.
func TestSignerIsSilent(t *testing.T) {
	s := newSigner(t, envelope.RoleOwner)
	for _, verb := range []string{"%v", "%+v", "%s", "%x"} {
		//lint:ignore SA1019 the number as it would be printed
		if strings.Contains(fmt.Sprintf(verb, s.Signer), s.secret.D.String()) {
			t.Errorf("%s prints the key", verb)
		}
	}
	//lint:ignore SA9005 that nothing is marshalled is what is tested
	if b, err := json.Marshal(s.Signer); err != nil || string(b) != "{}" {
		t.Errorf("marshals as %s, %v", b, err)
	}
}

func TestNonce(t *testing.T) {
	n := envelope.NewNonce()
	text, err := n.MarshalText()
	if err != nil || n.IsZero() || n == envelope.NewNonce() {
		t.Fatalf("nonce %s, %v", text, err)
	}
	var got envelope.Nonce
	if err := got.UnmarshalText(text); err != nil || got != n {
		t.Errorf("round trip: %v", err)
	}
	for _, bad := range []string{"", "00", strings.Repeat("0", 64), strings.Repeat("A", 64), strings.Repeat("x", 64), string(text) + "00"} {
		if err := got.UnmarshalText([]byte(bad)); !errors.Is(err, envelope.ErrMalformed) {
			t.Errorf("%q: %v, want ErrMalformed", bad, err)
		}
	}
}
