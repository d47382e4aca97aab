// SPDX-License-Identifier: Apache-2.0

package tpm

import "time"

// Bounds of the collector.
const (
	maxCertificate  = 8 << 10 // an EK certificate
	maxResponse     = 4096    // TPM_PT_MAX_RESPONSE_SIZE of every TPM in use
	maxEndorsements = 32      // brokers one attestation key may be endorsed by at a time
	maxLife         = 7 * 24 * time.Hour
	sendAttempts    = 20 // of a command that the TPM could not start
	sendPause       = 20 * time.Millisecond
	operationTime   = 20 * time.Second
	maxIndex        = 16 << 10 // an index of a cloud's virtual TPM; Azure's report has 2600 bytes
	indexBlock      = 512      // read at a time; every TPM can
	pcrAttempts     = 3        // reads of the PCRs that may race with an extend
)
