// SPDX-License-Identifier: Apache-2.0

package attestation

// Bounds, checked before parsing.
const (
	MaxEvidence    = 4 << 20 // a whole evidence envelope, in bytes; event logs are the bulk
	maxOwners      = 17      // the code's and at most sixteen datasets'
	hpkeKeySize    = 1216    // ML-KEM-768 encapsulation key 1184 + X25519 32
	maxNested      = 4
	maxEndorsement = 64
	maxEventLogs   = 4
	maxReferences  = 4096
	maxMeasured    = 64  // measurements of one reference value
	maxName        = 128 // of a reference value, in bytes
)
