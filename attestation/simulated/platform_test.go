// SPDX-License-Identifier: Apache-2.0

//go:build simulated

package simulated_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/simulated"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

const now = 1_790_000_000

func newKey(t testing.TB) (string, envelope.PublicKey) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "platform.key")
	root, err := simulated.CreateKey(file)
	if err != nil {
		t.Fatal(err)
	}
	return file, root
}

func newEvidence(t testing.TB, file string, b attestation.Binding) *attestation.Evidence {
	t.Helper()
	c, err := simulated.NewCollector(simulated.Config{KeyFile: file})
	if err != nil {
		t.Fatal(err)
	}
	d, err := b.Digest()
	if err != nil {
		t.Fatal(err)
	}
	e, err := c.Collect(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	e.Claims = b
	return &e
}

func encode(t testing.TB, e *attestation.Evidence) []byte {
	t.Helper()
	raw, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func newVerifier(t testing.TB, root envelope.PublicKey) *attestation.Verifier {
	t.Helper()
	f, err := simulated.NewFormat(root)
	if err != nil {
		t.Fatal(err)
	}
	m, err := simulated.Measure("")
	if err != nil {
		t.Fatal(err)
	}
	v, err := attestation.NewVerifier(&attestation.Reference{Version: 1, NotAfter: now, Values: []attestation.ReferenceValue{
		{Name: "this test", Platform: simulated.Platform, Measurements: m},
	}}, f)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestSimulated(t *testing.T) {
	file, root := newKey(t)
	e := newEvidence(t, file, attestationtest.Binding(t, "a"))
	c, err := newVerifier(t, root).Verify(t.Context(), encode(t, e), now)
	if err != nil {
		t.Fatal(err)
	}
	if c.Assurance() != attestation.AssuranceSimulated || !c.Valid() {
		t.Errorf("assurance %s", c.Assurance())
	}
}

func TestSimulatedRefused(t *testing.T) {
	file, root := newKey(t)
	otherFile, _ := newKey(t)
	b := attestationtest.Binding(t, "a")
	good := newEvidence(t, file, b)
	foreign := newEvidence(t, otherFile, b)
	elsewhere := *good
	elsewhere.Claims = attestationtest.Binding(t, "b")
	endorsed := *good
	endorsed.Endorsements = []attestation.Endorsement{{Type: "x", Body: []byte("x")}}
	tampered := *good
	tampered.Evidence = bytes.Replace(good.Evidence, []byte(`"measurement":"sha256:`), []byte(`"measurement":"sha256:0`), 1)
	for name, c := range map[string]struct {
		e    *attestation.Evidence
		want error
	}{
		"another platform's key": {foreign, simulated.ErrEvidence}, "another binding": {&elsewhere, attestation.ErrBind},
		"with endorsements": {&endorsed, simulated.ErrEvidence}, "tampered": {&tampered, simulated.ErrEvidence},
	} {
		if _, err := newVerifier(t, root).Verify(t.Context(), encode(t, c.e), now); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for _, m := range attestationtest.Mutations(t, good.Evidence) {
		bad := *good
		bad.Evidence = m.Doc
		if _, err := newVerifier(t, root).Verify(t.Context(), encode(t, &bad), now); !errors.Is(err, simulated.ErrEvidence) {
			t.Errorf("%s: got %v", m.Name, err)
		}
	}
}

func TestOtherExecutable(t *testing.T) {
	file, root := newKey(t)
	other := filepath.Join(t.TempDir(), "other")
	if err := os.WriteFile(other, []byte("other"), 0o700); err != nil {
		t.Fatal(err)
	}
	c, err := simulated.NewCollector(simulated.Config{KeyFile: file, Executable: other})
	if err != nil {
		t.Fatal(err)
	}
	b := attestationtest.Binding(t, "a")
	d, _ := b.Digest()
	e, err := c.Collect(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	e.Claims = b
	if _, err := newVerifier(t, root).Verify(t.Context(), encode(t, &e), now); !errors.Is(err, attestation.ErrAppraise) {
		t.Errorf("got %v", err)
	}
}

func TestKeyFileRefused(t *testing.T) {
	dir := t.TempDir()
	wrong := filepath.Join(dir, "owner.key")
	if _, err := envelope.CreateKeyFile(wrong, envelope.RoleOwner); err != nil {
		t.Fatal(err)
	}
	open, _ := newKey(t)
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]string{"missing": filepath.Join(dir, "none"), "of another role": wrong, "readable by others": open} {
		if _, err := simulated.NewCollector(simulated.Config{KeyFile: f}); !errors.Is(err, simulated.ErrConfig) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := simulated.NewFormat(envelope.PublicKey{}); !errors.Is(err, simulated.ErrConfig) {
		t.Errorf("zero root: got %v", err)
	}
	c, err := simulated.NewCollector(simulated.Config{KeyFile: func() string { f, _ := newKey(t); return f }()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Collect(t.Context(), envelope.Digest{}); !errors.Is(err, attestation.ErrBinding) {
		t.Errorf("zero digest: got %v", err)
	}
}

func FuzzAuthenticate(f *testing.F) {
	file, root := newKey(f)
	b := attestationtest.Binding(f, "a")
	good := newEvidence(f, file, b)
	f.Add(good.Evidence)
	format, err := simulated.NewFormat(root)
	if err != nil {
		f.Fatal(err)
	}
	d, _ := b.Digest()
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := format.Authenticate(t.Context(), &attestation.Evidence{Evidence: in}, now)
		if err == nil && !bytes.Equal(r.Bound, d[:]) {
			t.Fatal("forged evidence is authentic")
		}
	})
}
