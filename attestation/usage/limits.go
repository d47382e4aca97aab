// SPDX-License-Identifier: Apache-2.0

package usage

import "time"

// Bounds, checked before parsing.
const (
	MaxBundle = 64 << 20 // a bundle; manifests are the bulk
	MaxTrust  = 8 << 20  // a trust file; reference values are the bulk

	maxPackages   = 17 // the code and at most sixteen datasets
	maxOwners     = 4096
	maxReferences = 64

	// A leaf is four chunks of 16 KiB with their 16-byte tags, the first of a segment its header too, the last what is left.
	segmentHeader = 56
	fullLeaf      = 4 * (16<<10 + 16)

	// What the sandbox lets a worker have beside what the job asks for; see enclave/sandbox.
	workerCores    = 2               // CPU time for each second of wall time
	workerOverhead = 1<<30 + 256<<20 // engine, native code and the binary's own pages
	// maxWait is the most that two readings of one clock may disagree by, for rounding and scheduling.
	maxWait = 5 * time.Second
)
