// SPDX-License-Identifier: Apache-2.0

//go:build simulated

package simulated

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"os"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Enabled reports whether this build has the simulated platform.
const Enabled = true

const (
	label       = "glovebox.dev/simulated-evidence/v1"
	maxEvidence = 4 << 10
	maxKeyFile  = 16 << 10
	self        = "/proc/self/exe"
)

// evidence is the platform's format, canonical JSON.
type evidence struct {
	Binding     envelope.Digest `json:"binding"`
	Measurement envelope.Digest `json:"measurement"` // SHA-256 of the executable
	Signature   []byte          `json:"signature"`   // ECDSA, ASN.1
}

func (e *evidence) hash() envelope.Digest {
	return envelope.Hash(label, e.Binding[:], e.Measurement[:])
}

type collector struct {
	key         crypto.Signer
	measurement envelope.Digest
}

// NewCollector measures the executable once and signs with the key in the file.
func NewCollector(cfg Config) (attestation.Collector, error) {
	key, err := loadKey(cfg.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	m, err := measure(cfg.Executable)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return &collector{key, m}, nil
}

// Measure is what a reference value must pin for an executable; "" for the running program itself.
func Measure(path string) (map[string]string, error) {
	m, err := measure(path)
	if err != nil {
		return nil, err
	}
	return map[string]string{"enclave": m.Hex()}, nil
}

// Platform implements [attestation.Collector].
func (c *collector) Platform() attestation.Platform { return Platform }

// Collect implements [attestation.Collector].
func (c *collector) Collect(_ context.Context, d envelope.Digest) (attestation.Evidence, error) {
	if d.IsZero() {
		return attestation.Evidence{}, fmt.Errorf("%w: nothing to bind evidence to", attestation.ErrBinding)
	}
	e := evidence{Binding: d, Measurement: c.measurement}
	h := e.hash()
	sig, err := c.key.Sign(rand.Reader, h[:], crypto.SHA256)
	if err != nil {
		return attestation.Evidence{}, err
	}
	e.Signature = sig
	raw, err := envelope.Canonical(e)
	if err != nil {
		return attestation.Evidence{}, err
	}
	return attestation.Evidence{
		Version: 1, Platform: Platform, Evidence: raw, Endorsements: []attestation.Endorsement{},
		EventLogs: []attestation.EventLog{}, Nested: []attestation.Nested{},
	}, nil
}

type format struct{ root envelope.PublicKey }

// NewFormat accepts evidence signed by root only.
func NewFormat(root envelope.PublicKey) (attestation.Format, error) {
	if root.IsZero() {
		return nil, fmt.Errorf("%w: no root key", ErrConfig)
	}
	return &format{root}, nil
}

// Platform implements [attestation.Format].
func (f *format) Platform() attestation.Platform { return Platform }

// Authenticate implements [attestation.Format].
func (f *format) Authenticate(_ context.Context, in *attestation.Evidence, _ int64) (*attestation.Report, error) {
	if len(in.Endorsements) != 0 || len(in.EventLogs) != 0 {
		return nil, fmt.Errorf("%w: this platform has no endorsements and no event log", ErrEvidence)
	}
	var e evidence
	if err := envelope.Decode(in.Evidence, maxEvidence, &e); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEvidence, err)
	}
	h := e.hash()
	if !ecdsa.VerifyASN1(f.root.ECDSA(), h[:], e.Signature) {
		return nil, fmt.Errorf("%w: not signed by the pinned platform key", ErrEvidence)
	}
	return &attestation.Report{
		Platform: Platform, Assurance: attestation.AssuranceSimulated, Bound: e.Binding[:],
		Measurements: map[string]string{"enclave": e.Measurement.Hex()}, Root: f.root.String(),
	}, nil
}

// CheckBound implements [attestation.Format].
func (f *format) CheckBound(r *attestation.Report, d envelope.Digest) error {
	if r == nil || d.IsZero() || !bytes.Equal(r.Bound, d[:]) {
		return fmt.Errorf("%w: signed digest is not this binding's", attestation.ErrBind)
	}
	return nil
}

func loadKey(path string) (*ecdsa.PrivateKey, error) {
	b, err := envelope.ReadSecretFile(path, maxKeyFile)
	if err != nil {
		return nil, err
	}
	defer clear(b)
	block, rest := pem.Decode(b)
	if block == nil || len(rest) != 0 || block.Headers["Glovebox-Role"] != string(Role) {
		return nil, fmt.Errorf("key file is not one made for role %q", Role)
	}
	defer clear(block.Bytes)
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("key file does not parse")
	}
	e, ok := k.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("key file is not ECDSA")
	}
	if _, err := envelope.NewPublicKey(e.Public()); err != nil {
		return nil, err
	}
	return e, nil
}

func measure(path string) (envelope.Digest, error) {
	f, err := openExecutable(path)
	if err != nil {
		return envelope.Digest{}, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return envelope.Digest{}, err
	}
	return envelope.Digest(h.Sum(nil)), nil
}

// openExecutable prefers the kernel's handle on the running program; a process that made itself undumpable may not use
// it and goes by its path.
func openExecutable(path string) (*os.File, error) {
	if path != "" {
		return os.Open(path)
	}
	if f, err := os.Open(self); err == nil {
		return f, nil
	}
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return os.Open(path)
}
