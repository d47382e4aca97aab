// SPDX-License-Identifier: Apache-2.0

package verify

// FormatWithRoot trusts another root than Google's, by the SHA-256 of its certificate.
func FormatWithRoot(root [32]byte) *Format { return &Format{root: root} }
