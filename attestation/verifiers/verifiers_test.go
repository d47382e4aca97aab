// SPDX-License-Identifier: Apache-2.0

package verifiers_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/simulated"
	"github.com/glovebox-dev/glovebox/attestation/verifiers"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

func names(formats []attestation.Format) []attestation.Platform {
	var out []attestation.Platform
	for _, f := range formats {
		out = append(out, f.Platform())
	}
	slices.Sort(out)
	return out
}

// TestNew: platforms whose vendor's root is pinned are always there; the others only with somebody whose word counts.
func TestNew(t *testing.T) {
	root := attestationtest.PublicKey(t, "root")
	brokers := []envelope.PublicKey{attestationtest.PublicKey(t, "broker")}
	var pinned []attestation.Platform
	for _, p := range attestation.Platforms() {
		if p != attestation.PlatformTPM && p != attestation.PlatformSimulated {
			pinned = append(pinned, p)
		}
	}
	slices.Sort(pinned)
	for name, got := range map[string][]attestation.Format{
		"of nobody": verifiers.New(nil, nil), "of zero keys": verifiers.New([]envelope.PublicKey{{}}, &envelope.PublicKey{}),
	} {
		if n := names(got); !slices.Equal(n, pinned) {
			t.Errorf("%s: %v, want %v", name, n, pinned)
		}
	}
	want := slices.Sorted(slices.Values(append(slices.Clone(pinned), attestation.PlatformTPM)))
	if n := names(verifiers.New(brokers, nil)); !slices.Equal(n, want) {
		t.Errorf("without a simulated root: %v, want %v", n, want)
	}
	if simulated.Enabled {
		want = slices.Sorted(slices.Values(append(want, attestation.PlatformSimulated)))
	}
	if n := names(verifiers.New(brokers, &root)); !slices.Equal(n, want) {
		t.Errorf("%v, want %v", n, want)
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
