// SPDX-License-Identifier: Apache-2.0

//go:build !wasip1

package envelope

import "syscall"

// nonBlocking keeps a named pipe from hanging its reader.
const nonBlocking = syscall.O_NONBLOCK
