// SPDX-License-Identifier: Apache-2.0

package usagetest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"strings"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// measured is the state every fake platform reports and the reference values accept.
var measured = strings.Repeat("a5", 32)

// Platform is a fake root of trust: an Ed25519 key that signs whatever it is told. It exists in tests only.
type Platform struct {
	platform  attestation.Platform
	assurance attestation.Assurance
	root      ed25519.PublicKey
	key       ed25519.PrivateKey // nil where only the root is known
}

var errFake = errors.New("usagetest: not this root's evidence")

// report is what the fake root signs.
type report struct {
	Bound        envelope.Digest   `json:"bound"`
	Measurements map[string]string `json:"measurements"`
}

// NewPlatform makes a fake root that earns assurance a.
func NewPlatform(a attestation.Assurance) *Platform {
	root, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic("usagetest: " + err.Error())
	}
	p := PlatformOf(a, root)
	p.key = key
	return p
}

// PlatformOf verifies evidence of a fake root made elsewhere.
func PlatformOf(a attestation.Assurance, root ed25519.PublicKey) *Platform {
	p := &Platform{platform: attestation.PlatformTPM, assurance: a, root: root}
	if a == attestation.AssuranceSimulated {
		p.platform = attestation.PlatformSimulated
	}
	return p
}

// Root is the fake root's key.
func (p *Platform) Root() ed25519.PublicKey { return p.root }

func (p *Platform) measurements() map[string]string {
	if p.platform == attestation.PlatformSimulated {
		return map[string]string{"enclave": measured}
	}
	out := map[string]string{}
	for _, n := range []string{"pcr0", "pcr2", "pcr4", "pcr7", "pcr8", "pcr9", "pcr11", "pcr12", "pcr13", "pcr14"} {
		out[n] = measured
	}
	return out
}

func (p *Platform) collect(d envelope.Digest) attestation.Evidence {
	body, err := envelope.Canonical(report{d, p.measurements()})
	if err != nil {
		panic("usagetest: " + err.Error())
	}
	return attestation.Evidence{
		Version: 1, Platform: p.platform, Evidence: append(ed25519.Sign(p.key, body), body...),
		Endorsements: []attestation.Endorsement{}, EventLogs: []attestation.EventLog{}, Nested: []attestation.Nested{},
	}
}

// Platform implements [attestation.Format].
func (p *Platform) Platform() attestation.Platform { return p.platform }

// Authenticate implements [attestation.Format].
func (p *Platform) Authenticate(_ context.Context, e *attestation.Evidence, _ int64) (*attestation.Report, error) {
	if len(e.Evidence) < ed25519.SignatureSize || len(e.Endorsements) != 0 || len(e.EventLogs) != 0 {
		return nil, errFake
	}
	sig, body := e.Evidence[:ed25519.SignatureSize], e.Evidence[ed25519.SignatureSize:]
	if len(p.root) != ed25519.PublicKeySize || !ed25519.Verify(p.root, body, sig) {
		return nil, errFake
	}
	var r report
	if err := envelope.Decode(body, 1<<16, &r); err != nil {
		return nil, err
	}
	return &attestation.Report{
		Platform: p.platform, Assurance: p.assurance, Bound: r.Bound[:], Measurements: r.Measurements, Root: "usagetest",
	}, nil
}

// CheckBound implements [attestation.Format].
func (p *Platform) CheckBound(r *attestation.Report, d envelope.Digest) error {
	if d.IsZero() || string(r.Bound) != string(d[:]) {
		return errFake
	}
	return nil
}
