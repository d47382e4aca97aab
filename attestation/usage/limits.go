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

	// maxLeaf is the largest leaf: a 56-byte segment header and four chunks of 16 KiB with their 16-byte tags.
	maxLeaf = 56 + 4*(16<<10+16)
	// maxWait is the most that two readings of one clock may disagree by, for rounding and scheduling.
	maxWait = 5 * time.Second
)
