// SPDX-License-Identifier: Apache-2.0

package nitro

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"
)

// maxAnswer is what the driver allows (drivers/misc/nsm.c, NSM_RESPONSE_MAX_SIZE).
const maxAnswer = 0x3000

// vectors is the kernel's struct nsm_raw (include/uapi/linux/nsm.h): where the request is, and where the answer goes.
type vectors struct {
	request, response syscall.Iovec
}

// raw is NSM_IOCTL_RAW: _IOWR(0x0A, 0x0, struct nsm_raw).
const raw = 3<<30 | unsafe.Sizeof(vectors{})<<16 | 0x0a<<8

// askDevice sends one request to the module and returns its answer.
func askDevice(request []byte) ([]byte, error) {
	f, err := os.Open(Device)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	answer := make([]byte, maxAnswer)
	v := &vectors{syscall.Iovec{Base: &request[0]}, syscall.Iovec{Base: &answer[0]}}
	v.request.SetLen(len(request))
	v.response.SetLen(len(answer))
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), raw, uintptr(unsafe.Pointer(v)))
	runtime.KeepAlive(v)
	if errno != 0 {
		return nil, fmt.Errorf("ioctl: %w", errno)
	}
	if n := v.response.Len; n > 0 && n <= maxAnswer {
		return answer[:n], nil
	}
	return nil, fmt.Errorf("an answer of %d bytes", v.response.Len)
}
