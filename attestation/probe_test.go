// SPDX-License-Identifier: Apache-2.0

package attestation_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

func TestProbe(t *testing.T) {
	b := attestationtest.Binding(t, "a")
	p := &attestation.Probe{Version: 1, Owners: b.Owners, Job: b.Job, Runtime: b.Runtime}
	raw, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := attestation.ParseProbe(raw)
	if err != nil || got.Job != b.Job {
		t.Fatalf("%v, %v", got, err)
	}
	e := &attestation.Evidence{Claims: b}
	if err := got.Answered(e); !errors.Is(err, attestation.ErrBind) {
		t.Errorf("evidence of the job itself: %v", err)
	}
	e.Claims.Job = attestation.ProbeJob(b.Job)
	if err := got.Answered(e); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*attestation.Binding){
		"replayed nonce":  func(b *attestation.Binding) { b.Owners[1].Nonce = envelope.NewNonce() },
		"another broker":  func(b *attestation.Binding) { b.Owners[0].Audience = attestationtest.PublicKey(t, "other") },
		"another package": func(b *attestation.Binding) { b.Owners[1].Manifest = envelope.Sum([]byte("x")) },
		"an owner less":   func(b *attestation.Binding) { b.Owners = b.Owners[:1] },
		"nobody":          func(b *attestation.Binding) { b.Owners = nil },
		"another job":     func(b *attestation.Binding) { b.Job = attestation.ProbeJob(envelope.Sum([]byte("x"))) },
		"another runtime": func(b *attestation.Binding) { b.Runtime = "wasm/2" },
	} {
		c := attestationtest.Binding(t, "a")
		c.Job = attestation.ProbeJob(c.Job)
		change(&c)
		if err := got.Answered(&attestation.Evidence{Claims: c}); !errors.Is(err, attestation.ErrBind) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, bad := range map[string][]byte{
		"nothing": nil, "random": []byte("\x01\x02"), "object": []byte("{}"), "truncated": raw[:len(raw)-1], "trailing": append(raw[:len(raw):len(raw)], ' '),
		"version": bytes.Replace(raw, []byte(`"version":1`), []byte(`"version":2`), 1), "oversized": bytes.Repeat([]byte(" "), attestation.MaxProbe+1),
	} {
		if _, err := attestation.ParseProbe(bad); !errors.Is(err, attestation.ErrBinding) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
