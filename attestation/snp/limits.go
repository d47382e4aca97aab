// SPDX-License-Identifier: Apache-2.0

package snp

import "time"

const (
	maxTable       = 64 << 10 // certificate table, in bytes; the kernel's buffer is 16 KiB
	maxEntries     = 32       // of the table
	maxCertificate = 8 << 10
	pageSize       = 4 << 10
	deviceTime     = time.Minute     // the device waits for a host that limits how often it may be asked
	busyPause      = 2 * time.Second // between questions to a host that is busy
)
