// SPDX-License-Identifier: Apache-2.0

//go:build wasip1

package glovebox

import (
	"errors"
	"unsafe"
)

//go:wasmimport glovebox open
func hostOpen(name unsafe.Pointer, size int32) int32

//go:wasmimport glovebox size
func hostSize(file int32) int64

//go:wasmimport glovebox read
func hostRead(file int32, off int64, p unsafe.Pointer, size int32) int32

//go:wasmimport wasi_snapshot_preview1 random_get
func randomGet(p unsafe.Pointer, size int32) int32

func dataRoot() (string, error) { return "/data", nil }

func outRoot() (string, error) { return "/out", nil }

// hostFile is a file of /data by its index. Its bytes are decrypted straight into the guest's memory.
type hostFile int32

func openData(path string) (source, int64, error) {
	b := []byte(path)
	f := hostOpen(unsafe.Pointer(unsafe.SliceData(b)), int32(len(b)))
	if f < 0 {
		return nil, 0, errors.New("not there")
	}
	size := hostSize(f)
	if size < 0 {
		return nil, 0, errors.New("of unknown size")
	}
	return hostFile(f), size, nil
}

const mostRead = 1 << 30

// ReadAt implements source.
func (f hostFile) ReadAt(p []byte, off int64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	p = p[:min(len(p), mostRead)]
	return int(hostRead(int32(f), off, unsafe.Pointer(unsafe.SliceData(p)), int32(len(p)))), nil
}

// Close implements source.
func (hostFile) Close() error { return nil }

func drawSeed() (s [32]byte, err error) {
	if e := randomGet(unsafe.Pointer(&s), int32(len(s))); e != 0 {
		return s, errors.New("the sandbox gives no randomness")
	}
	return s, nil
}

// eightBytes loads eight bytes, the first lowest. The compiler makes eight loads of anything less blunt.
func eightBytes(b []byte) uint64 {
	_ = b[7]
	return *(*uint64)(unsafe.Pointer(unsafe.SliceData(b)))
}
