// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/simulated"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/broker/keyholder/keyholdertest"
	"github.com/glovebox-dev/glovebox/broker/keyholder/vault"
	"github.com/glovebox-dev/glovebox/broker/keyholder/vault/vaulttest"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/job"
)

const (
	name  = "vault-plugin-glovebox"
	mount = "glovebox"
)

// build makes the plug-in as a user does, with the simulated platform that this test collects its evidence with.
func build(t *testing.T, dir string) (digest string) {
	t.Helper()
	path := filepath.Join(dir, name)
	cmd := exec.Command("go", "build", "-tags", "simulated", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d := sha256.Sum256(b)
	return hex.EncodeToString(d[:])
}

// world is a real Vault with the plug-in mounted and configured, and an enclave's platform that it accepts.
type world struct {
	*vaulttest.Server
	t         *testing.T
	broker    *envelope.Signer
	collector attestation.Collector
	config    map[string]any
}

func signer(t *testing.T, r envelope.Role) *envelope.Signer {
	t.Helper()
	s, err := envelope.GenerateSigner(r)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newWorld(t *testing.T) *world {
	t.Helper()
	if !simulated.Enabled {
		t.Skip("needs the simulated platform: go test -tags simulated")
	}
	w := &world{Server: vaulttest.Start(t), t: t, broker: signer(t, envelope.RoleBroker)}
	digest := build(t, w.Plugins())
	w.MustDo(t, http.MethodPut, "sys/plugins/catalog/secret/"+name, map[string]string{"sha256": digest, "command": name}, nil)
	w.MustDo(t, http.MethodPut, "sys/mounts/"+mount, map[string]string{"type": name}, nil)
	keyFile := filepath.Join(t.TempDir(), "platform.key")
	root, err := simulated.CreateKey(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	if w.collector, err = simulated.NewCollector(simulated.Config{KeyFile: keyFile}); err != nil {
		t.Fatal(err)
	}
	measured, err := simulated.Measure("")
	if err != nil {
		t.Fatal(err)
	}
	reference := signer(t, envelope.RoleReference)
	signed, err := attestation.SignReference(&attestation.Reference{
		Version: 1, NotAfter: time.Now().Add(time.Hour).Unix(),
		Values: []attestation.ReferenceValue{{Name: "this test", Platform: attestation.PlatformSimulated, Measurements: measured}},
	}, reference)
	if err != nil {
		t.Fatal(err)
	}
	w.config = map[string]any{
		"broker": w.broker.Public().String(), "reference_key": reference.Public().String(),
		"reference": base64.StdEncoding.EncodeToString(signed), "simulated_root": root.String(),
	}
	return w
}

func (w *world) open() *vault.Plugin { return w.openAt(mount) }

func (w *world) openAt(mount string) *vault.Plugin {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), "token")
	vaulttest.Secret(w.t, path, w.Root)
	p, err := vault.OpenPlugin(w.t.Context(), vault.Config{VaultKeyholder: &config.VaultKeyholder{
		Address: w.Address, CAFile: w.CAFile, Mount: mount, Plugin: true, Auth: config.VaultAuth{Method: config.AuthToken, TokenFile: path},
	}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { p.Close() })
	return p
}

// TestRealVault: a data key goes into a real Vault wrapped and comes out sealed to an enclave that proved itself, and in no
// other way.
func TestRealVault(t *testing.T) {
	w := newWorld(t)
	if err := w.Do(w.Root, http.MethodPut, mount+"/config", map[string]any{"broker": "nobody"}, nil); err == nil {
		t.Error("a configuration without keys was taken")
	}
	w.MustDo(t, http.MethodPut, mount+"/config", w.config, nil)
	p := w.open()
	manifest, order, grantID := envelope.Sum([]byte("manifest")), envelope.Sum([]byte("job")), envelope.Sum([]byte("grant"))
	key := bytes.Repeat([]byte{0x5a}, dataset.KeySize)
	wrapped, err := p.Wrap(t.Context(), keyholder.Context(manifest), key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Unwrap(t.Context(), keyholder.Context(manifest), wrapped); !errors.Is(err, keyholder.ErrInput) {
		t.Errorf("unwrap: %v", err)
	}
	e := w.enclave(p, manifest, order)
	request := keyholder.SealRequest{
		Items:    []keyholder.SealItem{{Item: keyholder.Item{Context: keyholder.Context(manifest), Wrapped: wrapped}}},
		Manifest: manifest, Job: order, Evidence: e.evidence, Grant: grantID,
	}
	sealed, err := p.Seal(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if got := e.open(t, sealed, grantID); !bytes.Equal(got, key) {
		t.Error("another key was sealed")
	}
	other := request
	other.Items = []keyholder.SealItem{{Item: keyholder.Item{Context: keyholder.Context(order), Wrapped: wrapped}}}
	if _, err := p.Seal(t.Context(), other); !errors.Is(err, keyholder.ErrUnwrap) {
		t.Errorf("the wrapped key of another package: %v", err)
	}
	other = request
	other.Evidence = append(bytes.Clone(e.evidence[:len(e.evidence)-1]), 'x')
	if _, err := p.Seal(t.Context(), other); !errors.Is(err, keyholder.ErrInput) {
		t.Errorf("evidence altered: %v", err)
	}
	w.restart(p, request)
	w.rotate(p, request, e)
}

// restart: a Vault that is sealed or away is worth another try, and nothing comes out meanwhile.
func (w *world) restart(p *vault.Plugin, r keyholder.SealRequest) {
	w.t.Helper()
	if err := w.Seal(); err != nil {
		w.t.Fatal(err)
	}
	if sealed, err := p.Seal(w.t.Context(), r); !errors.Is(err, keyholder.ErrUnavailable) || sealed != nil {
		w.t.Errorf("a sealed Vault: %v", err)
	}
	if err := w.Unseal(); err != nil {
		w.t.Fatal(err)
	}
	for range 100 {
		if _, err := p.Seal(w.t.Context(), r); err == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	w.t.Error("it does not seal keys again")
}

func (w *world) rotate(p *vault.Plugin, r keyholder.SealRequest, e *enclave) {
	w.t.Helper()
	ctx := w.t.Context()
	if err := p.Rotate(ctx); err != nil {
		w.t.Fatal(err)
	}
	old := r.Items[0]
	again, err := p.Rewrap(ctx, old.Context, old.Wrapped)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := p.Retire(ctx, 2); err != nil {
		w.t.Fatal(err)
	}
	if _, err := p.Seal(ctx, r); !errors.Is(err, keyholder.ErrUnwrap) {
		w.t.Errorf("a shredded version: %v", err)
	}
	r.Items = []keyholder.SealItem{{Item: keyholder.Item{Context: old.Context, Wrapped: again}}}
	if _, err := p.Seal(ctx, r); err != nil {
		w.t.Errorf("rewrapped: %v", err)
	}
	v, err := p.Versions(ctx)
	if n, verr := p.Version(again); err != nil || verr != nil || n != 2 || v != (keyholder.Versions{Oldest: 2, Latest: 2}) {
		w.t.Errorf("versions %+v, %v", v, err)
	}
}

type enclave struct {
	key      hpke.PrivateKey
	d        envelope.Digest
	evidence []byte
}

func (w *world) enclave(p *vault.Plugin, manifest, order envelope.Digest) *enclave {
	w.t.Helper()
	nonce, err := p.Challenge(w.t.Context(), manifest, order)
	if err != nil {
		w.t.Fatal(err)
	}
	k, err := hpke.MLKEM768X25519().GenerateKey()
	if err != nil {
		w.t.Fatal(err)
	}
	b := attestation.Binding{
		Owners: []attestation.Owner{
			{Audience: signer(w.t, envelope.RoleBroker).Public(), Nonce: envelope.NewNonce(), Manifest: envelope.Sum([]byte("code"))},
			{Audience: w.broker.Public(), Nonce: nonce, Manifest: manifest},
		},
		HPKEKey: k.PublicKey().Bytes(), SigningKey: signer(w.t, envelope.RoleEnclave).Public(), LeaseID: envelope.NewNonce(), Job: order,
		Runtime: job.RuntimeWASM, Configuration: envelope.Sum([]byte("c")), SelfTest: envelope.Sum([]byte("s")), Engine: envelope.Sum([]byte("e")),
	}
	e := &enclave{key: k}
	if e.d, err = b.Digest(); err != nil {
		w.t.Fatal(err)
	}
	ev, err := w.collector.Collect(w.t.Context(), e.d)
	if err != nil {
		w.t.Fatal(err)
	}
	ev.Claims = b
	if e.evidence, err = ev.Encode(); err != nil {
		w.t.Fatal(err)
	}
	return e
}

func (e *enclave) open(t *testing.T, sealed []byte, aad envelope.Digest) []byte {
	t.Helper()
	const encSize = 1120
	r, err := hpke.NewRecipient(sealed[:encSize], e.key, hpke.HKDFSHA256(), hpke.AES256GCM(), e.d[:])
	if err != nil {
		t.Fatal(err)
	}
	key, err := r.Open(aad[:], sealed[encSize:])
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// suite makes the plug-in look like any keyholder: what it cannot show, an enclave of the test opens.
type suite struct {
	*vault.Plugin
	w *world
}

func (s suite) Unwrap(ctx context.Context, context, wrapped []byte) ([]byte, error) {
	manifest, order, grantID := envelope.Sum([]byte("manifest")), envelope.Sum([]byte("job")), envelope.Sum([]byte("grant"))
	if ctx.Err() != nil {
		return nil, keyholder.Interrupted(ctx)
	}
	e := s.w.enclave(s.Plugin, manifest, order)
	sealed, err := s.Seal(ctx, keyholder.SealRequest{
		Items:    []keyholder.SealItem{{Item: keyholder.Item{Context: context, Wrapped: wrapped}}},
		Manifest: manifest, Job: order, Evidence: e.evidence, Grant: grantID,
	})
	if err != nil {
		return nil, err
	}
	return e.open(s.w.t, sealed, grantID), nil
}

// TestSuite runs the suite of all keyholders against engines in a real Vault, each with a key of its own.
func TestSuite(t *testing.T) {
	w := newWorld(t)
	n := 0
	keyholdertest.Run(t, func(t *testing.T) keyholder.Keyholder {
		n++
		at := fmt.Sprintf("engine-%d", n)
		w.MustDo(t, http.MethodPut, "sys/mounts/"+at, map[string]string{"type": name}, nil)
		w.MustDo(t, http.MethodPut, at+"/config", w.config, nil)
		return suite{w.openAt(at), w}
	})
}
