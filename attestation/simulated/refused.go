// SPDX-License-Identifier: Apache-2.0

//go:build !simulated

package simulated

import (
	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Enabled reports whether this build has the simulated platform.
const Enabled = false

// NewCollector is refused: [ErrRefused].
func NewCollector(Config) (attestation.Collector, error) { return nil, ErrRefused }

// NewFormat is refused: [ErrRefused].
func NewFormat(envelope.PublicKey) (attestation.Format, error) { return nil, ErrRefused }

// Measure is refused: [ErrRefused].
func Measure(string) (map[string]string, error) { return nil, ErrRefused }
