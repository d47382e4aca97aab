// SPDX-License-Identifier: Apache-2.0

// Package simulated is the platform for machines without any: a key in a file signs what the process says of itself.
//
// Trust domain: demo builds only. Its one job: run the whole line of a job where there is no TPM, worth nothing and
// marked so (assurance "simulated"). Without the build tag "simulated", collector and verifier are refused by name: no
// production binary can make or accept this evidence. docs/spec/evidence.md is the format.
package simulated

import (
	"errors"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Errors.
var (
	ErrRefused  = errors.New(`platform "simulated" is refused by name: this build has no simulated platform`)
	ErrConfig   = errors.New("simulated: bad configuration")
	ErrEvidence = errors.New("simulated: evidence refused")
)

// Role is the role of the platform key's file. It signs no statement.
const Role envelope.Role = "simulated-platform"

// Config is the collector's configuration.
type Config struct {
	KeyFile    string // made by [CreateKey], mode 0600
	Executable string // what to measure; "" for the running program itself
}

// Platform names this platform, in builds with and without it.
const Platform = attestation.PlatformSimulated

// CreateKey makes a platform key and returns what verifiers pin.
func CreateKey(path string) (envelope.PublicKey, error) {
	if !Enabled {
		return envelope.PublicKey{}, ErrRefused
	}
	s, err := envelope.CreateKeyFile(path, Role)
	if err != nil {
		return envelope.PublicKey{}, err
	}
	return s.Public(), nil
}
