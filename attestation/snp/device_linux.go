// SPDX-License-Identifier: Apache-2.0

package snp

import (
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

const devicePath = "/dev/sev-guest"

// SNP_GET_EXT_REPORT is _IOWR('S', 2, struct snp_guest_request_ioctl).
const (
	getExtReport = 3<<30 | uint(unsafe.Sizeof(guestRequest{}))<<16 | 'S'<<8 | 2
	messageV1    = 1
)

// guestRequest is struct snp_guest_request_ioctl.
type guestRequest struct {
	version  uint8
	_        [7]byte
	request  unsafe.Pointer
	response unsafe.Pointer
	fault    uint64
}

// reportRequest is struct snp_report_req.
type reportRequest struct {
	data [64]byte
	vmpl uint32
	_    [28]byte
}

// extReportRequest is struct snp_ext_report_req.
type extReportRequest struct {
	reportRequest
	certs     unsafe.Pointer
	certsSize uint32
	_         [4]byte
}

// kernel is the device itself, opened for each request.
type kernel struct{}

func openDevice() (*device, error) {
	f, err := os.OpenFile(devicePath, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return &device{kernel{}}, f.Close()
}

// extReport implements guest. All memory that the kernel writes to is the heap's, which does not move.
func (kernel) extReport(data [64]byte, certs []byte) (response []byte, used uint32, fault uint64, err error) {
	f, err := os.OpenFile(devicePath, os.O_RDWR, 0)
	if err != nil {
		return nil, 0, 0, err
	}
	defer f.Close()
	response = make([]byte, responseSize)
	ext := &extReportRequest{
		reportRequest: reportRequest{data: data}, certs: unsafe.Pointer(unsafe.SliceData(certs)), certsSize: uint32(len(certs)),
	}
	req := &guestRequest{version: messageV1, request: unsafe.Pointer(ext), response: unsafe.Pointer(unsafe.SliceData(response))}
	var pin runtime.Pinner
	defer pin.Unpin()
	pin.Pin(ext)
	pin.Pin(req)
	pin.Pin(unsafe.SliceData(certs))
	pin.Pin(unsafe.SliceData(response))
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), uintptr(getExtReport), uintptr(unsafe.Pointer(req)))
	if errno != 0 {
		err = errno
	}
	return response, ext.certsSize, req.fault, err
}
