// SPDX-License-Identifier: Apache-2.0

package tsm

import "time"

const (
	root         = "/sys/kernel/config/tsm/report"
	vmpl         = "0"       // the most privileged level, which no other can impersonate
	maxBlob      = 128 << 10 // the kernel's own bound is 32 KiB; TDX quotes may grow to 128 KiB
	maxAttribute = 64
	maxAttempts  = 10
	pause        = 100 * time.Millisecond // between attempts
)
