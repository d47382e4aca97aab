// SPDX-License-Identifier: Apache-2.0

package verify

import "github.com/glovebox-dev/glovebox/attestation/gpu/chain"

// NewFormatUnder accepts other roots than NVIDIA's.
func NewFormatUnder(device, manifests chain.Pin) *Format { return &Format{device, manifests} }

// RIMRoot is NVIDIA's.
func RIMRoot() chain.Pin {
	p, err := pin(rimRoot)
	if err != nil {
		panic(err)
	}
	return p
}
