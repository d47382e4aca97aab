// SPDX-License-Identifier: Apache-2.0

//go:build !ego

package ego

import "github.com/glovebox-dev/glovebox/attestation/sgx"

// Enabled reports whether this build has EGo's runtime.
const Enabled = false

// Open is refused: [ErrRefused].
func Open(Config) (*sgx.Collector, error) { return nil, ErrRefused }
