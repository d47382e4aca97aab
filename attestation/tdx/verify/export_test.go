// SPDX-License-Identifier: Apache-2.0

package verify

// NewFormatWithRoot pins another root than Intel's, for tests with a vendor of their own.
func NewFormatWithRoot(spki [32]byte) *Format { return &Format{spki} }
