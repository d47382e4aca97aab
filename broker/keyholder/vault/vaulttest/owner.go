// SPDX-License-Identifier: Apache-2.0

package vaulttest

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/glovebox-dev/glovebox/broker/config"
)

const (
	sigStop = syscall.SIGSTOP
	sigCont = syscall.SIGCONT
)

// Owner makes a transit key with policies and AppRoles as deploy/vault/setup.sh does, with the policies of that folder,
// which is deploy. The credentials are in the test's temporary folder. role changes what the AppRoles say, such as how
// long their tokens live; nil leaves them as they are.
func (s *Server) Owner(t testing.TB, deploy string, role map[string]any) *config.VaultKeyholder {
	t.Helper()
	name, dir := "creator-"+random(), t.TempDir()
	s.MustDo(t, http.MethodPut, "transit/keys/"+name, map[string]any{"type": "aes256-gcm96", "derived": true}, nil)
	s.MustDo(t, http.MethodPut, "kv/metadata/"+name+"/anchor", map[string]any{"cas_required": true}, nil)
	auth := map[string]config.VaultAuth{}
	for _, who := range []string{"broker", "owner"} {
		b, err := os.ReadFile(filepath.Join(deploy, who+".hcl"))
		if err != nil {
			t.Fatal(err)
		}
		policy := strings.NewReplacer("TRANSIT/", "transit/", "KV/", "kv/", "/KEY", "/"+name, "/ANCHOR", "/"+name+"/anchor").Replace(string(b))
		full := "glovebox-" + who + "-" + name
		s.MustDo(t, http.MethodPut, "sys/policies/acl/"+full, map[string]string{"policy": policy}, nil)
		body := map[string]any{"token_policies": full, "token_ttl": "1h"}
		for k, v := range role {
			body[k] = v
		}
		s.MustDo(t, http.MethodPut, "auth/approle/role/"+full, body, nil)
		auth[who] = s.credentials(t, dir, full)
	}
	owner := auth["owner"]
	return &config.VaultKeyholder{
		Address: s.Address, CAFile: s.CAFile, Mount: "transit", Key: name, Auth: auth["broker"], Owner: &owner,
		Anchor: &config.VaultAnchor{Mount: "kv", Path: name + "/anchor"},
	}
}

func (s *Server) credentials(t testing.TB, dir, role string) config.VaultAuth {
	var id struct {
		Data struct {
			RoleID string `json:"role_id"`
		} `json:"data"`
	}
	var secret struct {
		Data struct {
			SecretID string `json:"secret_id"`
		} `json:"data"`
	}
	s.MustDo(t, http.MethodGet, "auth/approle/role/"+role+"/role-id", nil, &id)
	s.MustDo(t, http.MethodPut, "auth/approle/role/"+role+"/secret-id", nil, &secret)
	a := config.VaultAuth{Method: config.AuthAppRole, RoleIDFile: filepath.Join(dir, role+".role"), SecretIDFile: filepath.Join(dir, role+".secret")}
	Secret(t, a.RoleIDFile, id.Data.RoleID)
	Secret(t, a.SecretIDFile, secret.Data.SecretID)
	return a
}

// Secret writes a file of mode 0600.
func Secret(t testing.TB, path, secret string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Token makes a token for the broker's policy of a key.
func (s *Server) Token(t testing.TB, key string, options map[string]any) string {
	t.Helper()
	body := map[string]any{"policies": []string{"glovebox-broker-" + key}}
	for k, v := range options {
		body[k] = v
	}
	var out struct {
		Auth struct {
			Token string `json:"client_token"`
		} `json:"auth"`
	}
	s.MustDo(t, http.MethodPut, "auth/token/create", body, &out)
	return out.Auth.Token
}

func random() string {
	b := make([]byte, 6)
	rand.Read(b) //nolint:errcheck // never fails since Go 1.24
	return hex.EncodeToString(b)
}
