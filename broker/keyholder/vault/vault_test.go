// SPDX-License-Identifier: Apache-2.0

package vault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/broker/keyholder/keyholdertest"
	"github.com/glovebox-dev/glovebox/broker/keyholder/vault"
	"github.com/glovebox-dev/glovebox/broker/keyholder/vault/vaulttest"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

const deploy = "../../../deploy/vault"

var (
	testContext = keyholder.Context(envelope.Hash("a package"))
	testKey     = bytes.Repeat([]byte{0x5a}, 32)
)

// shared is one server for the tests that neither seal nor stop it.
var shared struct {
	once sync.Once
	dir  string
	s    *vaulttest.Server
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.s != nil {
		shared.s.Stop()
	}
	os.RemoveAll(shared.dir) //nolint:errcheck // a temporary folder
	os.Exit(code)
}

func server(t testing.TB) *vaulttest.Server {
	t.Helper()
	vaulttest.Need(t)
	shared.once.Do(func() {
		if shared.dir, shared.err = os.MkdirTemp("", "vault-test-*"); shared.err == nil {
			shared.s, shared.err = vaulttest.Launch(shared.dir)
		}
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.s
}

func open(t testing.TB, c *config.VaultKeyholder, asOwner bool) *vault.Keyholder {
	t.Helper()
	k, err := vault.Open(t.Context(), vault.Config{VaultKeyholder: c, Owner: asOwner})
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

// fails wants one error, no key, and no secret in the message.
func fails(t testing.TB, k keyholder.Keyholder, w []byte, want error) {
	t.Helper()
	got, err := k.Unwrap(t.Context(), testContext, w)
	if !errors.Is(err, want) || got != nil {
		t.Errorf("got %v, want %v; key returned: %v", err, want, got != nil)
	}
	for _, other := range []error{keyholder.ErrUnwrap, keyholder.ErrUnavailable, keyholder.ErrAuth, keyholder.ErrInput} {
		if other != want && errors.Is(err, other) {
			t.Errorf("%v is also %v", err, other)
		}
	}
	if err != nil && (strings.Contains(err.Error(), "hvs.") || strings.Contains(err.Error(), "\n")) {
		t.Errorf("the message shows a token, or has several lines: %q", err)
	}
}

func TestVault(t *testing.T) {
	s := server(t)
	keyholdertest.Run(t, func(t *testing.T) keyholder.Keyholder { return open(t, s.Owner(t, deploy, nil), true) })
}

func TestBrokerCannotWrap(t *testing.T) {
	s := server(t)
	c := s.Owner(t, deploy, nil)
	w := wrap(t, open(t, c, true))
	k := open(t, c, false)
	unwraps(t, k, w)
	if got, err := keyholder.UnwrapAll(t.Context(), k, []keyholder.Item{{Context: testContext, Wrapped: w}}); err != nil || !bytes.Equal(got[0], testKey) {
		t.Errorf("batch as the broker: %v", err)
	}
	if _, err := k.Wrap(t.Context(), testContext, testKey); !errors.Is(err, keyholder.ErrAuth) {
		t.Errorf("the broker wraps: %v", err)
	}
	if err := k.Rotate(t.Context()); !errors.Is(err, keyholder.ErrAuth) {
		t.Errorf("the broker rotates: %v", err)
	}
	if _, err := k.Rewrap(t.Context(), testContext, w); !errors.Is(err, keyholder.ErrAuth) {
		t.Errorf("the broker rewraps: %v", err)
	}
	if err := k.Retire(t.Context(), 1); err != nil {
		t.Errorf("retiring nothing: %v", err)
	}
	unwraps(t, k, w)
}

// TestKeyOfAnotherDataset: neither another package's wrapped key nor one of another owner's key opens.
func TestKeyOfAnotherDataset(t *testing.T) {
	s := server(t)
	a, b := open(t, s.Owner(t, deploy, nil), true), open(t, s.Owner(t, deploy, nil), true)
	other, err := a.Wrap(t.Context(), keyholder.Context(envelope.Hash("another package")), testKey)
	if err != nil {
		t.Fatal(err)
	}
	fails(t, a, other, keyholder.ErrUnwrap)
	fails(t, b, wrap(t, a), keyholder.ErrUnwrap)
}

func TestMinDecryptionVersionRaised(t *testing.T) {
	s := server(t)
	c := s.Owner(t, deploy, nil)
	k := open(t, c, true)
	old := wrap(t, k)
	if err := k.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.MustDo(t, http.MethodPut, "transit/keys/"+c.Key+"/config", map[string]int{"min_decryption_version": 2}, nil)
	fails(t, k, old, keyholder.ErrUnwrap)
	unwraps(t, k, wrap(t, k))
	if v, err := k.Versions(t.Context()); err != nil || v != (keyholder.Versions{Oldest: 2, Latest: 2}) {
		t.Errorf("%+v, %v", v, err)
	}
	s.MustDo(t, http.MethodPut, "transit/keys/"+c.Key+"/config", map[string]int{"min_decryption_version": 1}, nil)
	unwraps(t, k, old) // Vault's setting can be taken back; what Retire does cannot
	if err := k.Retire(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if err := s.Do(s.Root, http.MethodPut, "transit/keys/"+c.Key+"/config", map[string]int{"min_decryption_version": 1}, nil); err == nil {
		t.Error("a shredded version was brought back")
	}
	fails(t, k, old, keyholder.ErrUnwrap)
}

// TestKeyThatCouldLeak: keys with properties that break our promises are refused when they are opened.
func TestKeyThatCouldLeak(t *testing.T) {
	s := server(t)
	for name, c := range map[string]struct{ make, config map[string]any }{
		"not derived":      {map[string]any{"type": "aes256-gcm96"}, nil},
		"exportable":       {map[string]any{"type": "aes256-gcm96", "derived": true, "exportable": true}, nil},
		"plaintext backup": {map[string]any{"type": "aes256-gcm96", "derived": true, "allow_plaintext_backup": true}, nil},
		"deletable":        {map[string]any{"type": "aes256-gcm96", "derived": true}, map[string]any{"deletion_allowed": true}},
		"convergent":       {map[string]any{"type": "aes256-gcm96", "derived": true, "convergent_encryption": true}, nil},
		"another type":     {map[string]any{"type": "chacha20-poly1305", "derived": true}, nil},
	} {
		owner := s.Owner(t, deploy, nil)
		s.MustDo(t, http.MethodPut, "transit/keys/"+owner.Key+"/config", map[string]any{"deletion_allowed": true}, nil)
		s.MustDo(t, http.MethodDelete, "transit/keys/"+owner.Key, nil, nil)
		s.MustDo(t, http.MethodPut, "transit/keys/"+owner.Key, c.make, nil)
		if c.config != nil {
			s.MustDo(t, http.MethodPut, "transit/keys/"+owner.Key+"/config", c.config, nil)
		}
		if k, err := vault.Open(t.Context(), vault.Config{VaultKeyholder: owner}); !errors.Is(err, keyholder.ErrInput) || k != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	owner := s.Owner(t, deploy, nil)
	s.MustDo(t, http.MethodPut, "transit/keys/"+owner.Key+"/config", map[string]any{"deletion_allowed": true}, nil)
	s.MustDo(t, http.MethodDelete, "transit/keys/"+owner.Key, nil, nil)
	if _, err := vault.Open(t.Context(), vault.Config{VaultKeyholder: owner}); !errors.Is(err, keyholder.ErrInput) {
		t.Errorf("no such key: %v", err)
	}
}

func TestOwnerCannotLoosenKey(t *testing.T) {
	s := server(t)
	c := s.Owner(t, deploy, nil)
	token := login(t, s, *c.Owner)
	for _, what := range []string{"exportable", "allow_plaintext_backup", "deletion_allowed"} {
		if err := s.Do(token, http.MethodPut, "transit/keys/"+c.Key+"/config", map[string]any{what: true}, nil); err == nil {
			t.Errorf("the owner's policy lets her set %s", what)
		}
	}
	for _, path := range []string{"transit/export/encryption-key/" + c.Key, "transit/backup/" + c.Key, "transit/byok-export/" + c.Key + "/" + c.Key} {
		if err := s.Do(token, http.MethodGet, path, nil, nil); err == nil {
			t.Errorf("the owner's policy lets her read %s", path)
		}
	}
}

func login(t *testing.T, s *vaulttest.Server, a config.VaultAuth) string {
	t.Helper()
	read := func(p string) string {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(b))
	}
	var out struct {
		Auth struct {
			Token string `json:"client_token"`
		} `json:"auth"`
	}
	if err := s.Do("", http.MethodPut, "auth/approle/login", map[string]string{"role_id": read(a.RoleIDFile), "secret_id": read(a.SecretIDFile)}, &out); err != nil {
		t.Fatal(err)
	}
	return out.Auth.Token
}

// TestEnvironmentIsIgnored: what somebody left in the environment changes neither where we go nor as whom.
func TestEnvironmentIsIgnored(t *testing.T) {
	s := server(t)
	c := s.Owner(t, deploy, nil)
	for k, v := range map[string]string{
		"VAULT_ADDR": "http://127.0.0.1:1", "VAULT_AGENT_ADDR": "http://127.0.0.1:1", "VAULT_TOKEN": "hvs.stranger", "VAULT_NAMESPACE": "elsewhere",
		"VAULT_SKIP_VERIFY": "true", "VAULT_WRAP_TTL": "60s", "VAULT_MAX_RETRIES": "50", "VAULT_CLIENT_TIMEOUT": "1ns", "VAULT_HEADERS": `{"X-A":"b"}`,
	} {
		t.Setenv(k, v)
	}
	k := open(t, c, true)
	unwraps(t, k, wrap(t, k))
	c.CAFile = ""
	if _, err := vault.Open(t.Context(), vault.Config{VaultKeyholder: c}); !errors.Is(err, keyholder.ErrUnavailable) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate nobody trusts: %v", err)
	}
}

func TestServerName(t *testing.T) {
	s := server(t)
	c := s.Owner(t, deploy, nil)
	c.ServerName = "vault.test"
	open(t, c, false)
	c.ServerName = "other.test"
	if _, err := vault.Open(t.Context(), vault.Config{VaultKeyholder: c}); !errors.Is(err, keyholder.ErrUnavailable) || !strings.Contains(err.Error(), "serverName") {
		t.Errorf("a certificate for another name: %v", err)
	}
}

func TestSealedVault(t *testing.T) {
	s := vaulttest.Start(t)
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	keyholdertest.Outage(t, func(t *testing.T) (keyholder.Keyholder, func(), func()) {
		return open(t, s.Owner(t, deploy, nil), true), func() { check(s.Seal()) }, func() { check(s.Unseal()) }
	})
	keyholdertest.Outage(t, func(t *testing.T) (keyholder.Keyholder, func(), func()) {
		return open(t, s.Owner(t, deploy, nil), true), s.Stop, func() { check(errors.Join(s.Run(), s.Unseal())) }
	})
	c := s.Owner(t, deploy, nil)
	check(s.Seal())
	if _, err := vault.Open(t.Context(), vault.Config{VaultKeyholder: c}); !errors.Is(err, keyholder.ErrUnavailable) {
		t.Errorf("opening a sealed Vault: %v", err)
	}
	s.Stop()
	if _, err := vault.Open(t.Context(), vault.Config{VaultKeyholder: c}); !errors.Is(err, keyholder.ErrUnavailable) {
		t.Errorf("opening a Vault that is away: %v", err)
	}
}

// TestRestartMidCall: calls are under way when the server dies. Each fails as a whole, and the same call works later.
func TestRestartMidCall(t *testing.T) {
	s := vaulttest.Start(t)
	c := s.Owner(t, deploy, nil)
	c.TimeoutMillis = 2000
	k := open(t, c, true)
	w := wrap(t, k)
	for round := range 2 {
		if err := s.Pause(); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() { fails(t, k, w, keyholder.ErrUnavailable) })
		}
		time.Sleep(200 * time.Millisecond) // the calls are in the server's socket now
		if round == 0 {
			s.Stop()
		}
		start := time.Now()
		wg.Wait()
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("the calls took %v to fail", d)
		}
		if round == 0 {
			fails(t, k, w, keyholder.ErrUnavailable)
			if err := errors.Join(s.Run(), s.Unseal()); err != nil {
				t.Fatal(err)
			}
		} else if err := s.Resume(); err != nil {
			t.Fatal(err)
		}
		unwraps(t, k, w)
	}
}

// TestExpiredToken: a token that ended is replaced within the call that notices; one that cannot be is ErrAuth.
func TestExpiredToken(t *testing.T) {
	s := server(t)
	c := s.Owner(t, deploy, nil)
	w := wrap(t, open(t, c, true))
	k := open(t, c, false)
	unwraps(t, k, w)
	revoke := func() {
		t.Helper()
		var list struct {
			Data struct {
				Keys []string `json:"keys"`
			} `json:"data"`
		}
		s.MustDo(t, "LIST", "auth/token/accessors", nil, &list)
		n := 0
		for _, a := range list.Data.Keys {
			var info struct {
				Data struct {
					Policies []string `json:"policies"`
				} `json:"data"`
			}
			if s.Do(s.Root, http.MethodPut, "auth/token/lookup-accessor", map[string]string{"accessor": a}, &info) == nil &&
				strings.Contains(fmt.Sprint(info.Data.Policies), "glovebox-broker-"+c.Key) {
				s.MustDo(t, http.MethodPut, "auth/token/revoke-accessor", map[string]string{"accessor": a}, nil)
				n++
			}
		}
		if n == 0 {
			t.Fatal("no token was revoked: the test shows nothing")
		}
	}
	revoke()
	var wg sync.WaitGroup
	for range 8 { // one login for all
		wg.Go(func() { unwraps(t, k, w) })
	}
	wg.Wait()
	revoke()
	if err := os.Remove(c.Auth.SecretIDFile); err != nil {
		t.Fatal(err)
	}
	fails(t, k, w, keyholder.ErrAuth)
	vaulttest.Secret(t, c.Auth.SecretIDFile, "not-a-secret-id")
	time.Sleep(time.Second + 100*time.Millisecond) // logins are not repeated faster
	fails(t, k, w, keyholder.ErrAuth)
}

// TestTokenIsRenewed: a token that lives two seconds, at most six, serves for longer than that without a failed call.
func TestTokenIsRenewed(t *testing.T) {
	if testing.Short() {
		t.Skip("takes nine seconds")
	}
	s := server(t)
	c := s.Owner(t, deploy, map[string]any{"token_ttl": "2s", "token_max_ttl": "6s"})
	k := open(t, c, true)
	w := wrap(t, k)
	for end := time.Now().Add(9 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		unwraps(t, k, w)
	}
	idle := open(t, s.Owner(t, deploy, map[string]any{"token_ttl": "1s", "token_max_ttl": "1s"}), true)
	w = wrap(t, idle)
	time.Sleep(2500 * time.Millisecond)
	unwraps(t, idle, w)
}

func TestFewUses(t *testing.T) {
	s := server(t)
	k := open(t, s.Owner(t, deploy, map[string]any{"token_num_uses": 5}), true)
	w := wrap(t, k)
	for range 10 {
		unwraps(t, k, w)
	}
}

func TestNoDefaultPolicy(t *testing.T) {
	s := server(t)
	c := s.Owner(t, deploy, map[string]any{"token_no_default_policy": true})
	k := open(t, c, true)
	unwraps(t, k, wrap(t, k))
	if _, err := open(t, c, false).Wrap(t.Context(), testContext, testKey); !errors.Is(err, keyholder.ErrAuth) {
		t.Errorf("the broker wraps: %v", err)
	}
}

func TestPolicyTakenAway(t *testing.T) {
	s := server(t)
	c := s.Owner(t, deploy, nil)
	w := wrap(t, open(t, c, true))
	k := open(t, c, false)
	s.MustDo(t, http.MethodPut, "sys/policies/acl/glovebox-broker-"+c.Key, map[string]string{"policy": `path "kv/data/none" { capabilities = ["read"] }`}, nil)
	fails(t, k, w, keyholder.ErrAuth)
	if _, err := vault.Open(t.Context(), vault.Config{VaultKeyholder: c}); !errors.Is(err, keyholder.ErrAuth) {
		t.Errorf("Open: %v", err)
	}
}

func TestSecretFileReadableByOthers(t *testing.T) {
	s := server(t)
	c := s.Owner(t, deploy, nil)
	for _, p := range []string{c.Auth.RoleIDFile, c.Auth.SecretIDFile} {
		if err := os.Chmod(p, 0o640); err != nil {
			t.Fatal(err)
		}
		if _, err := vault.Open(t.Context(), vault.Config{VaultKeyholder: c}); !errors.Is(err, keyholder.ErrAuth) || !errors.Is(err, envelope.ErrKeyMode) {
			t.Errorf("%s with mode 0640: %v", filepath.Base(p), err)
		}
		if err := os.Chmod(p, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestZeroKeyholder(t *testing.T) {
	var k vault.Keyholder
	if _, err := k.Wrap(t.Context(), testContext, testKey); !errors.Is(err, keyholder.ErrInput) {
		t.Errorf("Wrap: %v", err)
	}
	if _, err := k.Unwrap(t.Context(), testContext, []byte("w")); !errors.Is(err, keyholder.ErrInput) {
		t.Errorf("Unwrap: %v", err)
	}
	if _, err := k.UnwrapAll(t.Context(), []keyholder.Item{{Context: testContext, Wrapped: []byte("w")}}); !errors.Is(err, keyholder.ErrInput) {
		t.Errorf("UnwrapAll: %v", err)
	}
	if err := errors.Join(k.Rotate(t.Context()), k.Close()); !errors.Is(err, keyholder.ErrInput) {
		t.Errorf("Rotate: %v", err)
	}
	if _, err := vault.Open(context.Background(), vault.Config{}); !errors.Is(err, keyholder.ErrInput) {
		t.Errorf("Open: %v", err)
	}
	if _, err := vault.Open(context.Background(), vault.Config{VaultKeyholder: &config.VaultKeyholder{}}); !errors.Is(err, config.ErrConfig) {
		t.Errorf("Open: %v", err)
	}
}
