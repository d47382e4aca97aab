// SPDX-License-Identifier: Apache-2.0

package attestation

import (
	"fmt"
	"slices"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// MaxProbe bounds a probe, in bytes.
const MaxProbe = 16 << 10

const probeLabel = "glovebox.dev/probe/v1"

// Probe asks an enclave for evidence before any job is sent: it releases nothing and costs nothing. The nonces are the
// asker's own. docs/spec/evidence.md is the format.
type Probe struct {
	Version int             `json:"version"` // 1
	Owners  []Owner         `json:"owners"`  // as in the binding of the job that is planned
	Job     envelope.Digest `json:"job"`     // that is planned
	Runtime string          `json:"runtime"`
}

// ProbeJob is what stands for a job in the binding of a probe's answer. No statement has this digest, so that no broker
// takes evidence of a probe for evidence of the job.
func ProbeJob(job envelope.Digest) envelope.Digest { return envelope.Hash(probeLabel, job[:]) }

// ParseProbe reads a probe strictly. Errors: [ErrBinding].
func ParseProbe(b []byte) (*Probe, error) {
	var p Probe
	if err := envelope.Decode(b, MaxProbe, &p); err != nil {
		return nil, fmt.Errorf("%w: probe: %w", ErrBinding, err)
	}
	switch {
	case p.Version != 1:
		return nil, fmt.Errorf("%w: probe of version %d", ErrBinding, p.Version)
	case len(p.Owners) < 2 || len(p.Owners) > maxOwners || p.Job.IsZero():
		return nil, fmt.Errorf("%w: probe for %d owners, or for no job", ErrBinding, len(p.Owners))
	}
	return &p, nil
}

// Encode is the canonical encoding.
func (p *Probe) Encode() ([]byte, error) { return envelope.Canonical(p) }

// Answered refuses evidence that does not say that it answers p: of another probe, or of a job. Whether what it says is
// signed is for a verifier. Errors: [ErrBind].
func (p *Probe) Answered(e *Evidence) error {
	c := &e.Claims
	switch {
	case !slices.EqualFunc(c.Owners, p.Owners, sameOwner):
		return fmt.Errorf("%w: other nonces, packages or brokers than were asked with", ErrBind)
	case c.Job != ProbeJob(p.Job) || c.Runtime != p.Runtime:
		return fmt.Errorf("%w: another job or runtime than was asked for", ErrBind)
	}
	return nil
}

func sameOwner(a, b Owner) bool {
	return a.Audience.Equal(b.Audience) && a.Nonce == b.Nonce && a.Manifest == b.Manifest
}
