// SPDX-License-Identifier: Apache-2.0

package vault_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/broker/keyholder/vault"
	"github.com/glovebox-dev/glovebox/broker/keyholder/vault/vaulttest"
)

// wrapped asks Vault for a response-wrapped answer of path and gives the wrapping token.
func wrapped(t *testing.T, s *vaulttest.Server, path string) string {
	t.Helper()
	token, err := s.Wrapped(path, "60s")
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestWrappedSecretID(t *testing.T) {
	s := server(t)
	c := s.Owner(t, deploy, map[string]any{"token_ttl": "1s", "token_max_ttl": "1s"})
	w := wrap(t, open(t, c, true))
	c.Auth.SecretIDWrapped = true
	role := "auth/approle/role/glovebox-broker-" + c.Key + "/secret-id"
	vaulttest.Secret(t, c.Auth.SecretIDFile, wrapped(t, s, role))
	k := open(t, c, false)
	unwraps(t, k, w)
	time.Sleep(1500 * time.Millisecond)
	unwraps(t, k, w) // by a second login, with the secret id that was unwrapped at the first

	_, err := vault.Open(t.Context(), vault.Config{VaultKeyholder: c})
	if !errors.Is(err, keyholder.ErrAuth) || !strings.Contains(err.Error(), "used before") {
		t.Errorf("a wrapping token used before: %v", err)
	}
}

// TestSwappedWrappingToken: somebody takes the secret id and leaves a wrapping token of her own, around another one.
func TestSwappedWrappingToken(t *testing.T) {
	s := server(t)
	c := s.Owner(t, deploy, nil)
	c.Auth.SecretIDWrapped = true
	swapped := wrapped(t, s, "sys/wrapping/wrap")
	vaulttest.Secret(t, c.Auth.SecretIDFile, swapped)
	_, err := vault.Open(t.Context(), vault.Config{VaultKeyholder: c})
	if !errors.Is(err, keyholder.ErrAuth) || !strings.Contains(err.Error(), "stolen") {
		t.Errorf("a wrapping token made elsewhere: %v", err)
	}
	if err := s.Do("", http.MethodPut, "sys/wrapping/lookup", map[string]string{"token": swapped}, nil); err != nil {
		t.Errorf("the token was used up, so that nobody can look into it: %v", err)
	}
}

func TestTokenFile(t *testing.T) {
	s := server(t)
	c := s.Owner(t, deploy, nil)
	w := wrap(t, open(t, c, true))
	path := filepath.Join(t.TempDir(), "token")
	c.Auth = config.VaultAuth{Method: config.AuthToken, TokenFile: path}
	if _, err := vault.Open(t.Context(), vault.Config{VaultKeyholder: c}); !errors.Is(err, keyholder.ErrAuth) {
		t.Errorf("no token file: %v", err)
	}
	first := s.Token(t, c.Key, nil)
	vaulttest.Secret(t, path, first)
	k := open(t, c, false)
	unwraps(t, k, w)
	s.MustDo(t, http.MethodPut, "auth/token/revoke", map[string]string{"token": first}, nil)
	fails(t, k, w, keyholder.ErrAuth)
	vaulttest.Secret(t, path, s.Token(t, c.Key, nil)) // as a Vault agent does
	time.Sleep(time.Second + 100*time.Millisecond)
	unwraps(t, k, w)
	for name, bad := range map[string]string{"empty": "", "two lines": "a\nb", "binary": "a\x00b"} {
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := vault.Open(t.Context(), vault.Config{VaultKeyholder: c}); !errors.Is(err, keyholder.ErrAuth) {
			t.Errorf("%s token file: %v", name, err)
		}
	}
}

func TestJWTLogin(t *testing.T) {
	s := server(t)
	c := s.Owner(t, deploy, nil)
	w := wrap(t, open(t, c, true))
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	mount := "jwt-" + c.Key
	s.MustDo(t, http.MethodPut, "sys/auth/"+mount, map[string]string{"type": "jwt"}, nil)
	s.MustDo(t, http.MethodPut, "auth/"+mount+"/config", map[string]any{
		"jwt_validation_pubkeys": []string{string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))}, "bound_issuer": "ci",
	}, nil)
	s.MustDo(t, http.MethodPut, "auth/"+mount+"/role/broker", map[string]any{
		"role_type": "jwt", "bound_audiences": []string{"vault"}, "user_claim": "sub", "token_policies": []string{"glovebox-broker-" + c.Key},
		"bound_subject": "broker", "token_ttl": "1s", "token_max_ttl": "1s",
	}, nil)
	path := filepath.Join(t.TempDir(), "jwt")
	c.Auth = config.VaultAuth{Method: config.AuthJWT, Mount: mount, Role: "broker", JWTFile: path}
	vaulttest.Secret(t, path, jwt(t, key, "broker"))
	k := open(t, c, false)
	unwraps(t, k, w)
	time.Sleep(1500 * time.Millisecond)
	unwraps(t, k, w)
	vaulttest.Secret(t, path, jwt(t, key, "stranger"))
	if _, err := vault.Open(t.Context(), vault.Config{VaultKeyholder: c}); !errors.Is(err, keyholder.ErrAuth) {
		t.Errorf("a JWT for somebody else: %v", err)
	}
}

func jwt(t *testing.T, key *ecdsa.PrivateKey, subject string) string {
	t.Helper()
	part := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	now := time.Now().Unix()
	head := part(map[string]string{"alg": "ES256", "typ": "JWT"}) + "." +
		part(map[string]any{"iss": "ci", "aud": "vault", "sub": subject, "iat": now, "nbf": now - 5, "exp": now + 600})
	d := sha256.Sum256([]byte(head))
	r, s, err := ecdsa.Sign(rand.Reader, key, d[:])
	if err != nil {
		t.Fatal(err)
	}
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return head + "." + base64.RawURLEncoding.EncodeToString(sig)
}

// fake answers as told; it sees what a real server does not show.
func fake(t *testing.T, answer http.HandlerFunc) *config.VaultKeyholder {
	t.Helper()
	srv := httptest.NewServer(answer)
	t.Cleanup(srv.Close)
	path := filepath.Join(t.TempDir(), "token")
	vaulttest.Secret(t, path, "hvs.secret")
	return &config.VaultKeyholder{
		Address: srv.URL, Mount: "transit", Key: "k", TimeoutMillis: 500,
		Auth: config.VaultAuth{Method: config.AuthToken, TokenFile: path},
	}
}

const goodKey = `{"data":{"type":"aes256-gcm96","derived":true,"latest_version":1,"min_decryption_version":1}}`

// TestNamespaceHeader: the free server ignores namespaces, so that a stand-in has to look.
func TestNamespaceHeader(t *testing.T) {
	for _, ns := range []string{"", "team/creator"} {
		n := 0
		c := fake(t, func(w http.ResponseWriter, r *http.Request) {
			n++
			if got := r.Header.Get("X-Vault-Namespace"); got != ns || r.Header.Get("X-Vault-Request") != "true" {
				t.Errorf("%s: namespace %q, want %q", r.URL.Path, got, ns)
			}
			w.Write([]byte(goodKey)) //nolint:errcheck // a test server
		})
		c.Namespace = ns
		open(t, c, false)
		if n < 2 {
			t.Error("nothing was asked")
		}
	}
	s := server(t)
	c := s.Owner(t, deploy, nil)
	c.Namespace = "root"
	open(t, c, false)
}

// TestTokenStaysHere: a redirect takes the token nowhere.
func TestTokenStaysHere(t *testing.T) {
	stranger := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s was followed, with token %q", r.URL.Path, r.Header.Get("X-Vault-Token"))
	}))
	t.Cleanup(stranger.Close)
	for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		c := fake(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, stranger.URL+r.URL.Path, status) })
		if _, err := vault.Open(t.Context(), vault.Config{VaultKeyholder: c}); !errors.Is(err, keyholder.ErrUnavailable) {
			t.Errorf("%d: %v", status, err)
		}
	}
}

// TestOddAnswers: whatever answers, there is one error and no key.
func TestOddAnswers(t *testing.T) {
	w := keyholder.Encode("glovebox.dev/key-wrap-vault/v1\n", 1, []byte("ciphertext"))
	for name, c := range map[string]struct {
		status int
		body   string
		want   error
	}{
		"sealed":            {503, `{"errors":["Vault is sealed"]}`, keyholder.ErrUnavailable},
		"standby":           {429, "", keyholder.ErrUnavailable},
		"failing":           {500, `{"errors":["1 error occurred:\n\t* internal error\n\n"]}`, keyholder.ErrUnavailable},
		"gateway":           {502, "<html>bad gateway</html>", keyholder.ErrUnavailable},
		"not JSON":          {200, "hello", keyholder.ErrUnavailable},
		"nothing":           {200, "", keyholder.ErrUnwrap},
		"no key":            {200, `{"data":{"plaintext":""}}`, keyholder.ErrUnwrap},
		"not Base64":        {200, `{"data":{"plaintext":"***"}}`, keyholder.ErrUnavailable},
		"a long key":        {200, `{"data":{"plaintext":"` + base64.StdEncoding.EncodeToString(make([]byte, 65)) + `"}}`, keyholder.ErrUnwrap},
		"too long":          {200, strings.Repeat(" ", 17<<20), keyholder.ErrUnavailable},
		"refused":           {400, `{"errors":["invalid ciphertext: unable to decrypt"]}`, keyholder.ErrUnwrap},
		"no such path":      {404, `{"errors":[]}`, keyholder.ErrInput},
		"denied":            {403, `{"errors":["permission denied"]}`, keyholder.ErrAuth},
		"control character": {500, `{"errors":["\u001b[31mhvz\u0000"]}`, keyholder.ErrUnavailable},
	} {
		cfg := fake(t, func(rw http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.URL.Path, "/decrypt/") {
				rw.Write([]byte(goodKey)) //nolint:errcheck // a test server
				return
			}
			rw.WriteHeader(c.status)
			rw.Write([]byte(c.body)) //nolint:errcheck // a test server
		})
		k := open(t, cfg, false)
		t.Run(name, func(t *testing.T) {
			fails(t, k, w, c.want)
			if got, err := k.UnwrapAll(t.Context(), []keyholder.Item{{Context: testContext, Wrapped: w}}); err == nil || got != nil {
				t.Errorf("batch: %v, keys returned: %v", err, got != nil)
			}
		})
	}
}

// TestSilentVault: a server that takes the request and never answers costs the timeout, not for ever.
func TestSilentVault(t *testing.T) {
	stop := make(chan struct{})
	c := fake(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-stop:
		case <-r.Context().Done():
		}
	})
	t.Cleanup(func() { close(stop) })
	start := time.Now()
	if _, err := vault.Open(t.Context(), vault.Config{VaultKeyholder: c}); !errors.Is(err, keyholder.ErrUnavailable) {
		t.Errorf("Open: %v", err)
	}
	if d := time.Since(start); d > 3*time.Second {
		t.Errorf("it took %v", d)
	}
}

// TestShortBatch: a server that answers fewer keys than were asked for gives none.
func TestShortBatch(t *testing.T) {
	c := fake(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/decrypt/") {
			w.Write([]byte(`{"data":{"batch_results":[{"plaintext":"a2V5"}]}}`)) //nolint:errcheck // a test server
			return
		}
		w.Write([]byte(goodKey)) //nolint:errcheck // a test server
	})
	w := keyholder.Encode("glovebox.dev/key-wrap-vault/v1\n", 1, []byte("ciphertext"))
	it := keyholder.Item{Context: testContext, Wrapped: w}
	if got, err := open(t, c, false).UnwrapAll(t.Context(), []keyholder.Item{it, it}); !errors.Is(err, keyholder.ErrUnwrap) || got != nil {
		t.Errorf("%v, keys returned: %v", err, got != nil)
	}
}
