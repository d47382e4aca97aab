// SPDX-License-Identifier: Apache-2.0

package dataset

// Bounds of a package. All are checked when it is packed and again, before any allocation, when it is read.
const (
	MaxSegments     = 32_768    // keeps a manifest below envelope.MaxEnvelope
	MaxSegmentBytes = 1 << 30   // of plaintext stream in one segment
	MaxBatchBytes   = 1 << 20   // of plaintext stream in one batch
	MaxBatches      = 4 << 20   // of one package: 1 TiB in batches of the default length; bounds what a reader keeps of indexes
	MaxRecordBytes  = 16 << 20  // of one CSV or JSON Lines record; whole files have no limit
	MaxAmount       = 1<<53 - 1 // the integers that canonical JSON keeps exact
	MaxSampleBytes  = 64 << 20  // of all files of one sample
	MaxSampleFiles  = 1024
	MaxLeaseSeconds = 7 * 24 * 3600
	MaxEpochs       = 10_000
	MaxOutputBytes  = 4 << 30
	MaxText         = 16 << 10 // one free-text field of the metadata
	MaxList         = 1024     // entries of one list in terms or metadata
	MaxColumns      = 4096     // published column names
	MaxReference    = 512      // of a contributor's consent
	MaxContributor  = 1024     // bytes of a contributor's name
	MaxAddress      = 2048
	maxPath         = 4096
)

// Defaults of [PackConfig].
const (
	DefaultSegmentBytes = 16 << 20
	DefaultBatchBytes   = 256 << 10
)
