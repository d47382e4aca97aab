// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/simulated"
	"github.com/glovebox-dev/glovebox/attestation/tpm"
	"github.com/glovebox-dev/glovebox/attestation/tpm/swtpm"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// platformFlags choose what the enclave is measured by. There is no silent choice: auto says what it took.
type platformFlags struct {
	platform, device, ekCert, ekRoot, eventLog, endorsements, relay, audience, tokenType string
}

const platformAuto = "auto"

func (f *platformFlags) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.platform, "platform", platformAuto, "sgx, snp, tdx, nitro, azure-snp, azure-tdx, gce, oidc, tpm, simulated (demonstration builds only), or auto: tpm with swtpm where it is installed")
	fl.StringVar(&f.device, "device", "", "a real TPM, as /dev/tpmrm0 (default: swtpm for tpm, /dev/tpmrm0 on Azure and Google)")
	fl.StringVar(&f.ekCert, "ek-cert", "", "certificate of a real TPM's endorsement key, DER")
	fl.StringVar(&f.ekRoot, "ek-root", "", "certificate of a real TPM's maker, PEM")
	fl.StringVar(&f.eventLog, "event-log", "", "a real machine's boot event log")
	fl.StringVar(&f.endorsements, "endorsements", "", "what vendors say of this machine, as glovebox operator endorsements fetch writes it")
	fl.StringVar(&f.audience, "audience", "", "audience of tokens, as the owners' policies name it (oidc)")
	fl.StringVar(&f.tokenType, "token-type", "", "PKI or OIDC: how tokens are signed (oidc; default: PKI)")
	fl.StringVar(&f.relay, "relay", "", "socket of: glovebox operator relay (azure-tdx, oidc)")
}

// enclaveConfig is enclave.json.
type enclaveConfig struct {
	Platform         attestation.Platform `json:"platform"`
	Device           string               `json:"device,omitempty"`
	EKCertFile       string               `json:"ekCertFile,omitempty"`
	EventLogFile     string               `json:"eventLogFile,omitempty"`
	EndorsementsFile string               `json:"endorsementsFile,omitempty"`
	RelaySocket      string               `json:"relaySocket,omitempty"`
	Audience         string               `json:"audience,omitempty"`
	TokenType        string               `json:"tokenType,omitempty"`
	SimulatedKeyFile string               `json:"simulatedKeyFile,omitempty"`
}

// platform is a root of trust that is ready for an enclave.
type platform struct {
	enclave     enclaveConfig
	measurement *measurement // nil: what the enclave proves of itself, once it runs
	assurance   string       // for people; what counts is what verifiers derive
	stop        func()
}

// choose resolves auto, and refuses what this build, this machine or the flags cannot do. It makes nothing.
func (f platformFlags) choose(cmd *cobra.Command) (string, error) {
	switch p := attestation.Platform(f.platform); {
	case f.platform == platformAuto && f.device == "" && swtpm.Available() != nil:
		return f.withoutTPM(cmd)
	case p == attestation.PlatformSimulated && !simulated.Enabled:
		return "", Errorf(KindDenied, "build with -tags simulated for a demonstration, or use --platform tpm").from(simulated.ErrRefused)
	case p == attestation.PlatformSimulated && f.device != "":
		return "", Errorf(KindUsage, "use --platform tpm with --device").because("--device names a TPM, and the platform is simulated")
	case p == attestation.PlatformSimulated:
		return f.platform, nil
	case devices(p) != nil:
		return f.platform, f.findDevice(p)
	case p != attestation.PlatformTPM && f.platform != platformAuto:
		return "", Errorf(KindUsage, "see: glovebox operator up --help").because("unknown platform %q", f.platform)
	case f.device == "":
		if err := swtpm.Available(); err != nil {
			return "", Errorf(KindError, "apt-get install swtpm, or name a real TPM with --device").from(err)
		}
	case f.ekCert == "" || f.ekRoot == "" || f.eventLog == "":
		return "", Errorf(KindUsage, "tpm2_getekcertificate writes the first, the maker publishes the second").because("--device needs --ek-cert, --ek-root and --event-log")
	}
	return string(attestation.PlatformTPM), nil
}

// withoutTPM is what auto means on a machine that has neither swtpm nor a named TPM.
func (f platformFlags) withoutTPM(cmd *cobra.Command) (string, error) {
	if !simulated.Enabled {
		return "", Errorf(KindError, "apt-get install swtpm, or name a real TPM with --device").because("no TPM to measure the enclave with: %w", swtpm.Available())
	}
	say(cmd, "swtpm is not installed: attestation is SIMULATED and proves nothing (apt-get install swtpm)")
	return string(attestation.PlatformSimulated), nil
}

// start prepares the chosen platform and measures the enclave's binary.
func (f platformFlags) start(ctx context.Context, o operator, binary string) (*platform, error) {
	switch {
	case attestation.Platform(f.platform) == attestation.PlatformSimulated:
		return startSimulated(o, binary)
	case devices(attestation.Platform(f.platform)) != nil:
		return f.hardware(), nil
	case f.device != "":
		return f.realTPM(ctx, binary)
	}
	return startSoftwareTPM(ctx, o, binary)
}

func startSimulated(o operator, binary string) (*platform, error) {
	key := o.at(simulatedKeyFile)
	root, err := simulated.CreateKey(key)
	if errors.Is(err, fs.ErrExist) {
		var s *envelope.Signer
		if s, err = envelope.LoadKeyFile(key, simulated.Role); err == nil {
			root = s.Public()
		}
	}
	if err != nil {
		return nil, err
	}
	d, err := enclaveDigest(binary)
	if err != nil {
		return nil, err
	}
	values, err := simulated.Measure(binary)
	if err != nil {
		return nil, err
	}
	m := measured(attestation.PlatformSimulated, d, values)
	m.SimulatedRoot = &root
	return &platform{enclaveConfig{Platform: attestation.PlatformSimulated, SimulatedKeyFile: key}, m, string(attestation.AssuranceSimulated), func() {}}, nil
}

// startSoftwareTPM runs swtpm with its own state and extends the enclave's digest, as a measured boot would.
func startSoftwareTPM(ctx context.Context, o operator, binary string) (*platform, error) {
	t, err := swtpm.Start(ctx, o.at(tpmDir))
	if err != nil {
		return nil, err
	}
	p, err := softwareTPM(ctx, t, binary)
	if err != nil {
		return nil, errors.Join(err, t.Stop())
	}
	return p, nil
}

func softwareTPM(ctx context.Context, t *swtpm.Instance, binary string) (*platform, error) {
	d, err := t.MeasureFile(ctx, binary)
	if err != nil {
		return nil, err
	}
	values, err := tpm.ReadMeasurements(ctx, t.Device())
	if err != nil {
		return nil, err
	}
	root, err := os.ReadFile(t.CAFile)
	if err != nil {
		return nil, err
	}
	m := measured(attestation.PlatformTPM, d, values)
	m.EKRoot = string(root)
	e := enclaveConfig{Platform: attestation.PlatformTPM, Device: t.Device(), EKCertFile: t.EKCertFile, EventLogFile: t.EventLogFile}
	return &platform{e, m, string(attestation.AssuranceSoftwareTPM), func() { t.Stop() }}, nil //nolint:errcheck // it ends with this process in any case
}

// realTPM reads what a machine's own boot measured; it extends nothing.
func (f platformFlags) realTPM(ctx context.Context, binary string) (*platform, error) {
	d, err := enclaveDigest(binary)
	if err != nil {
		return nil, err
	}
	values, err := tpm.ReadMeasurements(ctx, f.device)
	if err != nil {
		return nil, err
	}
	root, err := readBounded(f.ekRoot, maxIdentity)
	if err != nil {
		return nil, err
	}
	m := measured(attestation.PlatformTPM, d, values)
	m.EKRoot = string(root)
	e := enclaveConfig{Platform: attestation.PlatformTPM, Device: f.device, EKCertFile: f.ekCert, EventLogFile: f.eventLog}
	return &platform{e, m, "as the owners judge " + f.ekRoot, func() {}}, nil
}

func hashOf(r io.Reader) (envelope.Digest, error) {
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return envelope.Digest{}, fmt.Errorf("hash: %w", err)
	}
	return envelope.Digest(h.Sum(nil)), nil
}
