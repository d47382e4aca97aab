// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/azure"
	"github.com/glovebox-dev/glovebox/attestation/gce"
	"github.com/glovebox-dev/glovebox/attestation/gpu"
	"github.com/glovebox-dev/glovebox/attestation/nitro"
	"github.com/glovebox-dev/glovebox/attestation/oidc"
	"github.com/glovebox-dev/glovebox/attestation/relay"
	"github.com/glovebox-dev/glovebox/attestation/sgx/ego"
	"github.com/glovebox-dev/glovebox/attestation/simulated"
	"github.com/glovebox-dev/glovebox/attestation/snp"
	"github.com/glovebox-dev/glovebox/attestation/tdx"
	"github.com/glovebox-dev/glovebox/attestation/tpm"
	"github.com/glovebox-dev/glovebox/enclave"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// config is enclave.json. The host writes it, so nothing in it is trusted: it says where the platform is, and the
// evidence says what it was. A member that the platform does not use is refused: it would be a mistake. docs/enclave.md
// has an example for each platform.
type config struct {
	Platform         string `json:"platform"`
	Device           string `json:"device,omitempty"`           // a TPM, as a device or "unix:PATH"
	EKCertFile       string `json:"ekCertFile,omitempty"`       // endorsement key certificate, DER or PEM
	EventLogFile     string `json:"eventLogFile,omitempty"`     // the firmware's log
	EndorsementsFile string `json:"endorsementsFile,omitempty"` // what vendors say of this machine, to send along
	RelaySocket      string `json:"relaySocket,omitempty"`      // of `glovebox operator relay`
	Audience         string `json:"audience,omitempty"`         // of tokens, which the owners' policies name
	TokenType        string `json:"tokenType,omitempty"`        // "PKI" or "OIDC"
	SimulatedKeyFile string `json:"simulatedKeyFile,omitempty"` // the root's key
	GPU              *gpus  `json:"gpu,omitempty"`              // NVIDIA GPUs, whose evidence goes under the machine's
}

type gpus struct {
	EndorsementsFile string `json:"endorsementsFile,omitempty"` // manifests and OCSP answers
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

// platform is how one is opened, and which members of the configuration it uses.
type platform struct {
	name attestation.Platform
	uses []string
	open func(c *config) (attestation.Collector, error)
}

func platforms() []platform {
	onAzure := func(p attestation.Platform) func(*config) (attestation.Collector, error) {
		return func(c *config) (attestation.Collector, error) {
			return collector(azure.Open(azure.Config{
				Platform: p, Device: c.Device, RelaySocket: c.RelaySocket, EventLogFile: c.EventLogFile, EndorsementsFile: c.EndorsementsFile,
			}))
		}
	}
	return []platform{
		{attestation.PlatformSGX, []string{"endorsementsFile"}, func(c *config) (attestation.Collector, error) {
			return collector(ego.Open(ego.Config{EndorsementsFile: c.EndorsementsFile}))
		}},
		{attestation.PlatformSNP, []string{"endorsementsFile", "gpu"}, func(c *config) (attestation.Collector, error) {
			return collector(snp.Open(snp.Config{EndorsementsFile: c.EndorsementsFile}))
		}},
		{attestation.PlatformTDX, []string{"eventLogFile", "endorsementsFile", "gpu"}, func(c *config) (attestation.Collector, error) {
			return collector(tdx.Open(tdx.Config{EventLogFile: c.EventLogFile, EndorsementsFile: c.EndorsementsFile}))
		}},
		{attestation.PlatformNitro, []string{"endorsementsFile"}, func(c *config) (attestation.Collector, error) {
			return collector(nitro.Open(nitro.Config{Device: nitro.Device, EndorsementsFile: c.EndorsementsFile}))
		}},
		{attestation.PlatformAzureSNP, []string{"device", "eventLogFile", "endorsementsFile", "gpu"}, onAzure(attestation.PlatformAzureSNP)},
		{attestation.PlatformAzureTDX, []string{"device", "eventLogFile", "endorsementsFile", "relaySocket", "gpu"}, onAzure(attestation.PlatformAzureTDX)},
		{attestation.PlatformGCE, []string{"device", "eventLogFile", "endorsementsFile"}, func(c *config) (attestation.Collector, error) {
			return collector(gce.Open(gce.Config{Device: c.Device, EventLogFile: c.EventLogFile, EndorsementsFile: c.EndorsementsFile}))
		}},
		{attestation.PlatformTPM, []string{"device", "ekCertFile", "eventLogFile"}, func(c *config) (attestation.Collector, error) {
			return collector(tpm.Open(tpm.Config{Device: c.Device, EKCertFile: c.EKCertFile, EventLogFile: c.EventLogFile}))
		}},
		{attestation.PlatformOIDC, []string{"relaySocket", "audience", "tokenType"}, func(c *config) (attestation.Collector, error) {
			return collector(oidc.Open(oidc.Config{RelaySocket: c.RelaySocket, Audience: c.Audience, TokenType: relay.TokenType(c.TokenType)}))
		}},
		{attestation.PlatformSimulated, []string{"simulatedKeyFile"}, func(c *config) (attestation.Collector, error) {
			return simulated.NewCollector(simulated.Config{KeyFile: c.SimulatedKeyFile})
		}},
	}
}

// collector keeps a nil of a platform's own type from looking like a collector.
func collector[T attestation.Collector](c T, err error) (attestation.Collector, error) {
	if err != nil {
		return nil, err
	}
	return c, nil
}

// collector opens the platform named. There is no default: missing hardware means refusal, never a stand-in.
func (c *config) collector() (attestation.Collector, error) {
	var known []string
	for _, p := range platforms() {
		if string(p.name) != c.Platform {
			known = append(known, string(p.name))
			continue
		}
		for name, value := range c.members() {
			if value != "" && !slices.Contains(p.uses, name) {
				return nil, fmt.Errorf("%w: platform %s has no use for %q", attestation.ErrPlatform, p.name, name)
			}
		}
		machine, err := p.open(c)
		if err != nil || c.GPU == nil {
			return machine, err
		}
		devices, err := gpu.Open(gpu.Config{EndorsementsFile: c.GPU.EndorsementsFile})
		if err != nil {
			return nil, err
		}
		return gpu.Nest(machine, devices), nil
	}
	return nil, fmt.Errorf("%w: platform %q; want one of %s", attestation.ErrPlatform, c.Platform, strings.Join(known, ", "))
}

// members are the optional ones, by their names in the file.
func (c *config) members() map[string]string {
	device := ""
	if c.GPU != nil {
		device = "gpu"
	}
	return map[string]string{
		"gpu":    device,
		"device": c.Device, "ekCertFile": c.EKCertFile, "eventLogFile": c.EventLogFile, "endorsementsFile": c.EndorsementsFile,
		"relaySocket": c.RelaySocket, "audience": c.Audience, "tokenType": c.TokenType, "simulatedKeyFile": c.SimulatedKeyFile,
	}
}
