// SPDX-License-Identifier: Apache-2.0

package s3store

import "time"

const (
	// inMemory is the largest blob that waits in memory until its digest is known; a larger one waits in a file.
	inMemory = 20 << 20
	// partSize is how much one request uploads, and uploadParts how many of them go at once.
	partSize    = 8 << 20
	uploadParts = 4

	// blockSize is what one request reads, aligned; readAhead how many blocks are fetched ahead of somebody who reads on,
	// at once; cacheBlocks bounds the blocks that are kept.
	blockSize   = 1 << 20
	readAhead   = 4
	cacheBlocks = 32

	// maxAnswer bounds an answer's headers, and its body if it is not a block's.
	maxAnswer = 1 << 20

	// tries bounds how often one request is made; firstPause doubles from one to the next.
	tries      = 5
	firstPause = 100 * time.Millisecond
	// patience is how long one request may bring nothing, and one for no block may take in all, but for uploads.
	patience = 30 * time.Second
	// dripPatience is how many times as long one request for a block may take in all: bytes that drip are not waited for.
	dripPatience = 4
	// leastExpected is the speed in bytes a second below which an upload is given up.
	leastExpected = 16 << 10
)
