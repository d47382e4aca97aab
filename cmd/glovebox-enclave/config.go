// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/simulated"
	"github.com/glovebox-dev/glovebox/attestation/tpm"
	"github.com/glovebox-dev/glovebox/enclave"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// config is enclave.json. The host writes it, so nothing in it is trusted: it says where the platform is, and the
// evidence says what it was.
type config struct {
	Platform         string `json:"platform"`                   // "tpm" or "simulated"
	Device           string `json:"device,omitempty"`           // tpm: "unix:PATH" or a device path
	EKCertFile       string `json:"ekCertFile,omitempty"`       // tpm: endorsement key certificate, DER or PEM
	EventLogFile     string `json:"eventLogFile,omitempty"`     // tpm: TCG2 event log
	SimulatedKeyFile string `json:"simulatedKeyFile,omitempty"` // simulated: the root's key
}

// A TPM's attestation key must be enrolled; the enclave finds out by asking for this ability.
var _ enclave.Enroller = (*tpm.Collector)(nil)

const maxConfig = 64 << 10

func loadConfig(path string) (*config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return nil, err
	}
	var c config
	if err := envelope.DecodeStrict(b, maxConfig, &c); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &c, nil
}

// collector opens the platform named. There is no default: missing hardware means refusal, never a stand-in.
func (c *config) collector() (attestation.Collector, error) {
	switch attestation.Platform(c.Platform) {
	case attestation.PlatformTPM:
		return tpm.Open(tpm.Config{Device: c.Device, EKCertFile: c.EKCertFile, EventLogFile: c.EventLogFile})
	case attestation.PlatformSimulated:
		return simulated.NewCollector(simulated.Config{KeyFile: c.SimulatedKeyFile})
	}
	return nil, fmt.Errorf("%w: platform %q; want tpm or simulated", attestation.ErrPlatform, c.Platform)
}
