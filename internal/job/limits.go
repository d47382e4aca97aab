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
