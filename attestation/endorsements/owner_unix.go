// SPDX-License-Identifier: Apache-2.0

//go:build unix

package endorsements

import (
	"io/fs"
	"os"
	"syscall"
)

// own reports whether a file is this process's user's.
func own(st fs.FileInfo) bool {
	sys, ok := st.Sys().(*syscall.Stat_t)
	return ok && int64(sys.Uid) == int64(os.Geteuid())
}
