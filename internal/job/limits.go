// SPDX-License-Identifier: Apache-2.0

package job

// Bounds of a job, checked when it is signed and again when it is read.
const (
	MaxDatasets  = 16
	MaxEpochs    = 10_000
	MaxOutputs   = 32
	MaxParams    = 64
	MaxParam     = 4 << 10
	MaxReceipts  = 8
	MaxReceipt   = 8 << 10
	MaxRecipient = 4 << 10   // a hybrid age recipient has about 2 KiB
	MaxAmount    = 1<<53 - 1 // the integers that canonical JSON keeps exact
	MaxMemory    = 4 << 30   // wasm32
	MaxWall      = 7 * 24 * 3600
	MaxOutput    = 1 << 30 // what a worker and its enclave hold in memory until it is sealed
)

// Bounds of what a job declares in a differentially private mode.
const (
	MaxContributions = 1 << 20
	MaxLot           = 1 << 32
	MaxRecordBytes   = 4 << 20 // of a record as a guest gets it
	MaxModelParams   = 1 << 24 // clip.MaxParams: what an enclave sums at a time
	MaxRate          = 1 << 40 // of learning, of the decay of weights: millionths
	MaxShards        = 1 << 16 // each is a run of the code
	MaxNumbers       = 1 << 12 // in an answer
	MaxAnswers       = 1 << 24 // numbers in all shards together, of means
	MaxMedians       = 1 << 28 // shards² · numbers of medians
	MaxLossDists     = 32      // mechanisms that a job may have accounted by privacy loss distributions: each takes time of everybody who checks
	MaxBoundary      = 1_000_000 * 1_000_000_000
)
