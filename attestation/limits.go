// SPDX-License-Identifier: Apache-2.0

package attestation

// Bounds, checked before parsing.
const (
	MaxEvidence    = 4 << 20 // a whole evidence envelope, in bytes; event logs are the bulk
	maxOwners      = 17      // the code's and at most sixteen datasets'
	hpkeKeySize    = 1216    // ML-KEM-768 encapsulation key 1184 + X25519 32
	maxRuntime     = 64
	maxNested      = 4
	maxDepth       = 2
	maxEndorsement = 64
	maxReferences  = 4096
)
