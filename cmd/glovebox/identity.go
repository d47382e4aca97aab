// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/simulated"
	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

const maxIdentity = 8 << 20 // bytes of a measurement, a card or a trust file

// measurement is what an operator says of a machine. Nobody has to believe it: it becomes a reference value by the
// signature of an owner who checked it, or who chose to trust whoever handed it over.
type measurement struct {
	Version       int                  `json:"version"`
	Name          string               `json:"name"`
	Platform      attestation.Platform `json:"platform"`
	Enclave       envelope.Digest      `json:"enclave"` // SHA-256 of the binary, as `make repro` prints it
	Measurements  map[string]string    `json:"measurements"`
	EKRoot        string               `json:"ekRoot"`        // PEM certificate of the TPM's maker; "" on other platforms
	SimulatedRoot *envelope.PublicKey  `json:"simulatedRoot"` // null on other platforms
	Log           json.RawMessage      `json:"log"`           // the operator's trusted_root.json
}

func readMeasurement(path string) (*measurement, error) {
	b, err := readBounded(path, maxIdentity)
	if err != nil {
		return nil, err
	}
	var m measurement
	if err := envelope.DecodeStrict(b, maxIdentity, &m); err != nil || m.Version != 1 {
		return nil, Errorf(KindUsage, "the operator prints one with: glovebox operator measure --json").because("%s is not a measurement: %w", path, errors.Join(err, versionError(m.Version)))
	}
	if _, err := usage.ParseTrustedRoot(m.Log); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &m, nil
}

func versionError(v int) error {
	if v == 1 {
		return nil
	}
	return fmt.Errorf("version %d, this release reads 1", v)
}

// readBounded reads at most limit bytes of a file, or of standard input for "-".
func readBounded(path string, limit int64) ([]byte, error) {
	f := os.Stdin
	if path != "-" {
		var err error
		if f, err = os.Open(path); err != nil {
			return nil, Errorf(KindUsage, "check the path").from(err)
		}
		defer f.Close()
		if st, err := f.Stat(); err == nil && st.IsDir() {
			return nil, Errorf(KindUsage, "give a file in it").because("%s is a directory", path)
		}
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%w: %s has more than %d bytes", envelope.ErrTooLarge, path, limit)
	}
	return b, err
}

// newTrust is `creator trust` and `buyer trust`.
func newTrust(role config.Role) *cobra.Command {
	var dir, policy, list, listKey string
	var replace, hardware bool
	var valid time.Duration
	cmd := &cobra.Command{
		Use: "trust MEASUREMENT", Short: "Allow a measured enclave to get keys", Args: trustArgs(&list, &listKey),
		Long: `Trust signs a measurement as reference value. From then on the owner's broker releases keys to an enclave that is measured
so, if the terms allow its assurance. A measurement is the operator's word until you compare it: "make repro" prints the
digest of the enclave that you built yourself.

With --policy it also says what is demanded of platforms beyond their measurements; what was demanded before stays until
another policy is given. "glovebox auditor evidence policy" prints the default, and docs/spec/appraisal.md explains it.

With --list instead of a measurement it takes the states of another's signed list, an operator's or an auditor's, into the
owner's own, which ends no later. A list that is older than one taken before is refused, and its policy is not taken over.
States that its signer dropped since the list taken before are removed. What else stays keeps its end: a list does not prolong
it. A measurement signs the owner's own states anew; those from lists never outlive their lists.

The certificate authority of a TPM is taken as a maker of software TPMs, unless you vouch with --hardware-root that it
certifies chips only.`,
		Example: "  glovebox operator measure --dir op --json > m.json && glovebox creator trust m.json --dir alice",
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := openOwner(dir, role)
			if err != nil {
				return err
			}
			demanded, err := readPolicy(policy)
			if err != nil {
				return err
			}
			if list != "" {
				return o.adopt(cmd, list, listKey, trustFlags{demanded, replace, time.Now().Add(valid)})
			}
			m, err := readMeasurement(args[0])
			if err != nil {
				return err
			}
			if err := o.trustRoots(m, hardware); err != nil {
				return err
			}
			v, err := o.trustValue(cmd, m, trustFlags{demanded, replace, time.Now().Add(valid)})
			if err != nil {
				return err
			}
			if err := config.WriteFile(o.logFile(), m.Log); err != nil {
				return err
			}
			say(cmd, "signed reference values, version %d: %s on %s may get keys", v, m.Name, m.Platform)
			say(cmd, "compare its digest with the enclave you built: %s", m.Enclave)
			if healthy(cmd.Context(), o.Address) {
				say(cmd, "the broker at %s is running: start it again, so that it knows", o.Address)
			}
			return nil
		},
	}
	dirFlag(cmd, &dir, role)
	cmd.Flags().StringVar(&policy, "policy", "", "appraisal policy to demand from now on (default: the one demanded so far, or the strict one)")
	cmd.Flags().StringVar(&list, "list", "", "signed list of reference values to take over, instead of a measurement")
	cmd.Flags().StringVar(&listKey, "list-key", "", "who must have signed --list: a did:key, or an owner's card")
	cmd.Flags().BoolVar(&replace, "replace", false, "forget the measurements trusted before")
	cmd.Flags().BoolVar(&hardware, "hardware-root", false, "the measurement's certificate authority certifies hardware TPMs only")
	cmd.Flags().DurationVar(&valid, "valid", 90*24*time.Hour, "for how long")
	return cmd
}

// logFile is the operator's log as this owner pins it.
func (o *owner) logFile() string { return filepath.Join(o.dir, "trusted_root.json") }

// trustRoots adds the platform's root to the broker's configuration.
func (o *owner) trustRoots(m *measurement, hardware bool) error {
	switch m.Platform {
	case attestation.PlatformSimulated:
		if !simulated.Enabled {
			return Errorf(KindDenied, "build with -tags simulated for a demonstration: go build -tags simulated ./cmd/...").from(simulated.ErrRefused)
		}
		if m.SimulatedRoot == nil {
			return errors.New("a simulated measurement without its root")
		}
		o.SimulatedRoot = m.SimulatedRoot
	case attestation.PlatformTPM:
		if err := o.trustEK(m.EKRoot, hardware); err != nil {
			return err
		}
	default:
		if !slices.Contains(platforms(), m.Platform) { // the roots of the others are pinned
			return fmt.Errorf("%w: %q", attestation.ErrPlatform, m.Platform)
		}
	}
	return config.Write(o.dir, o.Config)
}

func (o *owner) trustEK(cert string, hardware bool) error {
	block, rest := pem.Decode([]byte(cert))
	if block == nil || block.Type != "CERTIFICATE" || len(bytes.TrimSpace(rest)) != 0 {
		return errors.New("a TPM measurement without the certificate of the TPM's maker")
	}
	r := config.EKRoot{CertFile: "ek-root-" + envelope.Sum(block.Bytes).Hex()[:16] + ".pem", Assurance: attestation.AssuranceSoftwareTPM}
	if hardware {
		r.Assurance = attestation.AssuranceTPM
	}
	if err := config.WriteFile(filepath.Join(o.dir, r.CertFile), []byte(cert)); err != nil {
		return err
	}
	for i, have := range o.EKRoots {
		if have.CertFile == r.CertFile {
			o.EKRoots[i] = r
			return nil
		}
	}
	o.EKRoots = append(o.EKRoots, r)
	return nil
}

// reference is the owner's own list, verified.
func (o *owner) reference() (*attestation.Reference, []byte, error) {
	signed, err := os.ReadFile(o.Path(o.Config.Reference))
	if err != nil {
		return nil, nil, err
	}
	r, _, err := attestation.VerifyReference(signed, o.ReferenceKey)
	return r, signed, err
}

// identity is an owner's public side: what an auditor needs to trust her.
type identity struct {
	Version       int                 `json:"version"`
	Role          config.Role         `json:"role"`
	Owner         envelope.PublicKey  `json:"owner"`
	Buyer         *envelope.PublicKey `json:"buyer"`
	Broker        envelope.PublicKey  `json:"broker"`
	Address       string              `json:"address"`
	ReferenceKey  envelope.PublicKey  `json:"referenceKey"`
	Reference     json.RawMessage     `json:"reference"` // signed; null before the first trust
	SimulatedRoot *envelope.PublicKey `json:"simulatedRoot"`
	Log           json.RawMessage     `json:"log"` // trusted_root.json as this owner pins it; null before the first trust
}

func (o *owner) identity() (*identity, error) {
	broker, err := o.signer(o.layout.BrokerKey(), envelope.RoleBroker)
	if err != nil {
		return nil, err
	}
	id := &identity{
		Version: 1, Role: config.Creator, Owner: o.Owner, Buyer: o.Buyer, Broker: broker.Public(), Address: o.Address,
		ReferenceKey: o.ReferenceKey, SimulatedRoot: o.SimulatedRoot,
	}
	if o.Buyer != nil {
		id.Role = config.Buyer
	}
	_, signed, err := o.reference()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	id.Reference = signed
	if id.Log, err = os.ReadFile(o.logFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return id, nil
}

// newCard is `creator card` and `buyer card`.
func newCard(role config.Role) *cobra.Command {
	var dir string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "card", Short: "Print the public keys and reference values, for auditors and partners", Args: noArgs,
		Example: fmt.Sprintf("  glovebox %s card --dir %s --json > card.json", role, defaultDir(role)),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := openOwner(dir, role)
			if err != nil {
				return err
			}
			return showIdentity(cmd, o, asJSON)
		},
	}
	dirFlag(cmd, &dir, role)
	jsonFlag(cmd, &asJSON)
	return cmd
}

func showIdentity(cmd *cobra.Command, o *owner, asJSON bool) error {
	id, err := o.identity()
	if err != nil {
		return err
	}
	return show(cmd, asJSON, id, func(w io.Writer) {
		rows := [][]string{{"role", string(id.Role)}, {"owner", id.Owner.String()}, {"broker", id.Broker.String()}, {"address", id.Address}, {"reference key", id.ReferenceKey.String()}}
		if id.Buyer != nil {
			rows = append(rows, []string{"buyer", id.Buyer.String()})
		}
		trusts := []string{"nothing yet: glovebox " + string(id.Role) + " trust MEASUREMENT"}
		if r, _, err := o.reference(); err == nil {
			trusts = append([]string{fmt.Sprintf("%d measured states, version %d, until %s", len(r.Values), r.Version, when(1000*r.NotAfter))}, policyWords(r.Policy)...)
		}
		for i, text := range trusts {
			rows = append(rows, []string{map[int]string{0: "trusts", 1: "demands"}[i], text})
		}
		table(w, rows...)
	})
}
