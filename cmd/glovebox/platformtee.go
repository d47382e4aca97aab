// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/relay"
	"github.com/glovebox-dev/glovebox/attestation/verifiers"
	"github.com/glovebox-dev/glovebox/host/client"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/job"
)

const tpmDevice = "/dev/tpmrm0"

// devices are the files of which a machine of this platform has at least one; nil for platforms without such.
func devices(p attestation.Platform) []string {
	switch p {
	case attestation.PlatformSGX:
		return []string{"/dev/sgx_enclave", "/dev/sgx/enclave"}
	case attestation.PlatformSNP:
		return []string{"/dev/sev-guest", "/sys/kernel/config/tsm/report"}
	case attestation.PlatformTDX:
		return []string{"/sys/kernel/config/tsm/report"}
	case attestation.PlatformNitro:
		return []string{"/dev/nsm"}
	case attestation.PlatformAzureSNP, attestation.PlatformAzureTDX, attestation.PlatformGCE:
		return []string{tpmDevice}
	case attestation.PlatformOIDC:
		return []string{"/run/container_launcher/teeserver.sock"}
	}
	return nil
}

// findDevice refuses a platform that this machine is not. Nothing is put in its place.
func (f platformFlags) findDevice(p attestation.Platform) error {
	want := devices(p)
	if f.device != "" {
		if want[0] != tpmDevice {
			return Errorf(KindUsage, "leave out --device; it names a TPM").because("platform %s has no use for --device", p)
		}
		want = []string{f.device}
	}
	for _, path := range want {
		if _, err := os.Stat(path); err == nil {
			return nil
		}
	}
	return Errorf(KindError, "run it on a machine that is one, or choose another --platform; the enclave has no stand-in for hardware").
		because("this machine shows no sign of platform %s: no %s", p, strings.Join(want, " and no "))
}

// hardware leaves measuring to the platform itself.
func (f platformFlags) hardware() *platform {
	p := attestation.Platform(f.platform)
	e := enclaveConfig{Platform: p, EventLogFile: absolute(f.eventLog), EndorsementsFile: absolute(f.endorsements), RelaySocket: absolute(f.relay)}
	if e.Audience, e.TokenType = f.audience, f.tokenType; p == attestation.PlatformOIDC && e.TokenType == "" {
		e.TokenType = string(relay.TokenPKI)
	}
	if devices(p)[0] == tpmDevice {
		if e.Device = f.device; e.Device == "" {
			e.Device = tpmDevice
		}
	}
	return &platform{e, nil, "as its evidence shows", func() {}}
}

// absolute is a path as the enclave finds it too, wherever it is started.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil && path != "" {
		return abs
	}
	return path
}

// measureBy asks an enclave for evidence, as a buyer would, and takes its measurements. They are the operator's word to
// owners like any other measurement, but evidence that is not authentic would be useless to them, and is refused.
func measureBy(ctx context.Context, enclave envelope.Digest, ask func(context.Context, []byte) ([]byte, string, error), formats []attestation.Format) (*measurement, error) {
	p, err := anyProbe()
	if err != nil {
		return nil, err
	}
	q, err := p.Encode()
	if err != nil {
		return nil, err
	}
	raw, message, err := askUntil(ctx, q, ask)
	if err != nil {
		return nil, err
	}
	if len(raw) == 0 {
		return nil, Errorf(KindError, "the enclave's own words are above").because("the enclave gives no evidence: %s", plain(message))
	}
	e, err := attestation.ParseEvidence(raw)
	if err != nil {
		return nil, err
	}
	if err := p.Answered(e); err != nil {
		return nil, err
	}
	v, err := inspectBy(ctx, judgingList{}, raw, formats)
	if err != nil {
		return nil, err
	}
	if c := unproven(v); c != nil {
		return nil, Errorf(KindVerify, "fetch what the vendor says of this machine: glovebox operator endorsements fetch; then start with --endorsements FILE").
			because("the enclave's evidence does not hold: %s", plain(failure(c)))
	}
	return measured(v.Parts[0].Platform, enclave, v.Parts[0].Measurements), nil
}

// anyProbe is for nobody's job.
func anyProbe() (*attestation.Probe, error) {
	p := &attestation.Probe{Version: 1, Job: envelope.Digest(envelope.NewNonce()), Runtime: job.RuntimeWASM}
	for range 2 {
		s, err := envelope.GenerateSigner(envelope.RoleBroker)
		if err != nil {
			return nil, err
		}
		p.Owners = append(p.Owners, attestation.Owner{Audience: s.Public(), Nonce: envelope.NewNonce(), Manifest: envelope.Digest(envelope.NewNonce())})
		s.Wipe()
	}
	return p, nil
}

// askUntil asks again while no enclave is up yet.
func askUntil(ctx context.Context, q []byte, ask func(context.Context, []byte) ([]byte, string, error)) ([]byte, string, error) {
	ctx, cancel := context.WithTimeout(ctx, hostStart)
	defer cancel()
	for {
		raw, message, err := ask(ctx, q)
		if err == nil || !client.TryAgain(err) {
			return raw, message, err
		}
		select {
		case <-ctx.Done():
			return nil, "", Errorf(KindError, "the enclave's own words are above").from(fmt.Errorf("no enclave came up: %w", err))
		case <-time.After(time.Second):
		}
	}
}

// prove fills in what only the running enclave can say.
func (s *start) prove(ctx context.Context, h *hostClient, p *platform) error {
	if p.measurement != nil {
		return nil
	}
	d, err := enclaveDigest(s.binary)
	if err != nil {
		return err
	}
	p.measurement, err = measureBy(ctx, d, h.Probe, verifiers.New(nil, nil))
	return err
}
