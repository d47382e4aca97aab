// SPDX-License-Identifier: Apache-2.0

package dcap

// Bounds, checked before parsing, in bytes unless said otherwise.
const (
	MaxSignatureData = 32 << 10  // of a quote, chain included; real ones have under 5 KiB
	MaxStatement     = 256 << 10 // TCB info or QE identity; Intel's longest has under 20 KiB
	maxChain         = 16 << 10  // PEM
	maxCertificate   = 4 << 10   // DER
	maxCRL           = 512 << 10 // DER
	maxCertificates  = 8         // in one chain
	maxOthers        = 6         // distinct certificates among the endorsements that the quote does not hold
	maxLevels        = 128       // TCB levels in one list
	maxIdentities    = 64        // TDX modules in one TCB info
	maxNames         = 64        // members of one JSON object
	maxDepth         = 16        // of JSON
	maxImported      = 64        // endorsements made of files
)
