// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// TestUpWithoutHardware: a platform that this machine is not is refused before anything is made, with a hint.
func TestUpWithoutHardware(t *testing.T) {
	for _, p := range attestation.Platforms() {
		if devices(p) == nil {
			continue
		}
		if (platformFlags{}).findDevice(p) == nil {
			t.Logf("%s: this machine may be one", p)
			continue
		}
		dir := t.TempDir() + "/op"
		err := platformFlags{platform: string(p)}.findDevice(p)
		if e := classify(err); e.Kind != KindError || e.Hint == "" || !strings.Contains(e.Error(), string(p)) {
			t.Errorf("%s: %v, hint %q", p, err, e.Hint)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s: %s was made", p, dir)
		}
	}
	if e := classify(platformFlags{device: "/dev/tpmrm0"}.findDevice(attestation.PlatformSNP)); e.Kind != KindUsage {
		t.Errorf("a TPM for snp: %v", e)
	}
	if e := classify(platformFlags{device: "/nowhere"}.findDevice(attestation.PlatformGCE)); e.Kind != KindError {
		t.Errorf("no TPM for gce: %v", e)
	}
}

// echo is a platform whose evidence is what it is bound to.
type echo struct{}

func (echo) Platform() attestation.Platform { return attestation.PlatformSNP }

func (echo) Authenticate(_ context.Context, e *attestation.Evidence, _ int64) (*attestation.Report, error) {
	if len(e.Evidence) != 32 {
		return nil, errors.New("not signed")
	}
	return &attestation.Report{
		Platform: e.Platform, Assurance: attestation.AssuranceTEE, Bound: e.Evidence, Measurements: map[string]string{"measurement": strings.Repeat("ab", 48)},
	}, nil
}

func (echo) CheckBound(r *attestation.Report, d envelope.Digest) error {
	if string(r.Bound) != string(d[:]) {
		return attestation.ErrBind
	}
	return nil
}

// TestMeasureByEvidence: what an enclave proves of itself becomes the measurement, and what it only says does not.
func TestMeasureByEvidence(t *testing.T) {
	busy := 1
	answer := func(change func(*attestation.Evidence)) func(context.Context, []byte) ([]byte, string, error) {
		return func(_ context.Context, q []byte) ([]byte, string, error) {
			if busy > 0 {
				busy--
				return nil, "", connect.NewError(connect.CodeUnavailable, errors.New("no enclave is idle"))
			}
			p, err := attestation.ParseProbe(q)
			if err != nil {
				return nil, "", err
			}
			b := attestationtest.Binding(t, "a")
			b.Owners, b.Job, b.Runtime = p.Owners, attestation.ProbeJob(p.Job), p.Runtime
			d, err := b.Digest()
			if err != nil {
				return nil, "", err
			}
			e := &attestation.Evidence{Version: 1, Platform: attestation.PlatformSNP, Evidence: d[:], Claims: b}
			change(e)
			raw, err := e.Encode()
			return raw, "", err
		}
	}
	binary := envelope.Sum([]byte("binary"))
	formats := []attestation.Format{echo{}}
	m, err := measureBy(t.Context(), binary, answer(func(*attestation.Evidence) {}), formats)
	if err != nil || m.Platform != attestation.PlatformSNP || m.Measurements["measurement"] == "" || m.Enclave != binary {
		t.Fatalf("%+v, %v", m, err)
	}
	for name, change := range map[string]func(*attestation.Evidence){
		"unsigned":         func(e *attestation.Evidence) { e.Evidence = []byte("x") },
		"another binding":  func(e *attestation.Evidence) { e.Evidence = make([]byte, 32) },
		"another question": func(e *attestation.Evidence) { e.Claims.Owners[0].Nonce = envelope.NewNonce() },
		"another platform": func(e *attestation.Evidence) { e.Platform = attestation.PlatformTDX },
	} {
		if m, err := measureBy(t.Context(), binary, answer(change), formats); err == nil {
			t.Errorf("%s: %+v", name, m)
		}
	}
	none := func(context.Context, []byte) ([]byte, string, error) { return nil, "no device", nil }
	if _, err := measureBy(t.Context(), binary, none, formats); err == nil || !strings.Contains(err.Error(), "no device") {
		t.Errorf("no evidence: %v", err)
	}
}
