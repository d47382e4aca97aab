// SPDX-License-Identifier: Apache-2.0

package tpm

import (
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/glovebox-dev/glovebox/attestation/tpm/eventlog"
)

// ReadEventLog reads the log of a boot for a collector to send. The path is in a configuration that the host writes, and
// what is read goes to the host: so a file that is no log, such as one of the enclave's secrets, is refused, and so is
// whatever could keep a reader waiting. Verifiers read the log anew and believe none of it before it leads to quoted
// registers. Errors: [ErrConfig], those of eventlog, or the system's; they repeat nothing of the file.
func ReadEventLog(path string) ([]byte, error) {
	b, err := readFile(path, eventlog.MaxLog)
	if err != nil {
		return nil, fmt.Errorf("%w: event log: %w", ErrConfig, err)
	}
	if _, err := eventlog.Parse(b); err != nil {
		return nil, fmt.Errorf("%w: event log: %s is no log of a measured boot, and is not sent: %w", ErrConfig, path, err)
	}
	return b, nil
}

// readFile reads 1 to limit bytes from a regular file. Its size is not asked for: the kernel's own files say 0.
func readFile(path string, limit int64) ([]byte, error) {
	if err := checkRegular(os.Stat(path)); err != nil { // before opening, which wakes devices up
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a FIFO that took the file's place does not block
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := checkRegular(f.Stat()); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if len(b) == 0 || int64(len(b)) > limit {
		return nil, fmt.Errorf("%s has %d bytes, want 1 to %d", path, len(b), limit)
	}
	return b, nil
}

func checkRegular(i os.FileInfo, err error) error {
	if err == nil && !i.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", i.Name())
	}
	return err
}
