// SPDX-License-Identifier: Apache-2.0

package verify

import "github.com/glovebox-dev/glovebox/attestation"

// Bundle is a product line's roots.
type Bundle struct {
	Name       string
	VCEK, VLEK []byte
}

// FormatTrusting trusts other roots than AMD's.
func FormatTrusting(lines ...Bundle) (attestation.Format, error) {
	var all []bundles
	for _, l := range lines {
		all = append(all, bundles{l.Name, l.VCEK, l.VLEK})
	}
	v, err := newVerifier(all)
	return &Format{v}, err
}
