// SPDX-License-Identifier: Apache-2.0

package snp

import (
	"os"
	"testing"
	"unsafe"
)

// TestLayout: the kernel's structures (include/uapi/linux/sev-guest.h), to the byte.
func TestLayout(t *testing.T) {
	var g guestRequest
	var e extReportRequest
	for name, c := range map[string][2]uintptr{
		"guest request":      {unsafe.Sizeof(g), 32},
		"request address":    {unsafe.Offsetof(g.request), 8},
		"response address":   {unsafe.Offsetof(g.response), 16},
		"fault":              {unsafe.Offsetof(g.fault), 24},
		"report request":     {unsafe.Sizeof(e.reportRequest), 96},
		"vmpl":               {unsafe.Offsetof(e.vmpl), 64},
		"extended request":   {unsafe.Sizeof(e), 112},
		"certs address":      {unsafe.Offsetof(e.certs), 96},
		"certs size":         {unsafe.Offsetof(e.certsSize), 104},
		"SNP_GET_EXT_REPORT": {uintptr(getExtReport), 0xc0205302},
	} {
		if c[0] != c[1] {
			t.Errorf("%s: %#x, want %#x", name, c[0], c[1])
		}
	}
}

// TestNoDevice: without it there is an error, not a panic.
func TestNoDevice(t *testing.T) {
	if _, err := os.Stat(devicePath); err == nil {
		t.Skip("SKIP 1: this is a SEV-SNP guest")
	}
	if _, err := openDevice(); err == nil {
		t.Error("opened what is not there")
	}
	if _, _, _, err := (kernel{}).extReport([64]byte{}, make([]byte, pageSize)); err == nil {
		t.Error("asked what is not there")
	}
}
