// SPDX-License-Identifier: Apache-2.0

package verifiers_test

import (
	"errors"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/simulated"
	"github.com/glovebox-dev/glovebox/attestation/verifiers"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

func TestNew(t *testing.T) {
	root := attestationtest.PublicKey(t, "root")
	brokers := []envelope.PublicKey{attestationtest.PublicKey(t, "broker")}
	want := 1
	if simulated.Enabled {
		want = 2
	}
	if got := verifiers.New(brokers, &root); len(got) != want {
		t.Errorf("%d formats, want %d", len(got), want)
	}
	if got := verifiers.New(brokers, nil); len(got) != 1 || got[0].Platform() != attestation.PlatformTPM {
		t.Errorf("without a simulated root: %v", got)
	}
	if got := verifiers.New(nil, nil); len(got) != 0 {
		t.Errorf("of nobody: %v", got)
	}
	if got := verifiers.New([]envelope.PublicKey{{}}, &envelope.PublicKey{}); len(got) != 0 {
		t.Errorf("of zero keys: %v", got)
	}
}

// TestSimulatedRefusedByName: a release build answers simulated evidence with a refusal by name, even when a root is
// configured.
func TestSimulatedRefusedByName(t *testing.T) {
	if simulated.Enabled {
		t.Skip("this build has the simulated platform")
	}
	root := attestationtest.PublicKey(t, "root")
	pins := map[string]string{"enclave": envelope.Sum([]byte("x")).Hex()}
	ref := &attestation.Reference{Version: 1, NotAfter: 2, Values: []attestation.ReferenceValue{
		{Name: "x", Platform: attestation.PlatformSimulated, Measurements: pins},
	}}
	v, err := attestation.NewVerifier(ref, verifiers.New([]envelope.PublicKey{root}, &root)...)
	if err != nil {
		t.Fatal(err)
	}
	e := attestation.Evidence{
		Version: 1, Platform: attestation.PlatformSimulated, Evidence: []byte("x"), Claims: attestationtest.Binding(t, "a"),
	}
	raw, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(t.Context(), raw, 1); !errors.Is(err, attestation.ErrPlatform) {
		t.Errorf("got %v", err)
	}
}
