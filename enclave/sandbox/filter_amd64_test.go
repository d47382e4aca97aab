// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"os"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestForeignABI: on a kernel that still takes 32-bit calls from 64-bit programs, the filter does not.
func TestForeignABI(t *testing.T) {
	if b, err := os.ReadFile("/proc/kallsyms"); err != nil || !strings.Contains(string(b), "asm_int80_emulation") {
		t.Skip("this kernel shows no 32-bit calls")
	}
	inChild(t, func() {
		page, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_ANON|unix.MAP_PRIVATE)
		if err != nil {
			t.Skip(err)
		}
		copy(page, "\xb8\x14\x00\x00\x00\xcd\x80\xc3") // mov $20, %eax; int $0x80; ret: getpid of i386
		code := unsafe.Pointer(&page)
		getpid := *(*func() uint32)(unsafe.Pointer(&code))
		if pid := getpid(); pid != uint32(os.Getpid()) {
			t.Fatalf("before the filter: %#x", pid)
		}
		if err := filterCalls(); err != nil {
			t.Fatal(err)
		}
		if got := unix.Errno(-int32(getpid())); got != unix.ENOSYS {
			t.Errorf("after the filter: %v (%d)", got, got)
		}
	})
}
