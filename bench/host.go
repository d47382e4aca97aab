// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unsafe"

	"github.com/glovebox-dev/glovebox/enclave/blas"
)

// host is the world of a guest in an engine that is compared: as much of WASI as the kernels use, and the products of the
// sandbox. It is the same in all engines (node.mjs is its twin), so that a guest does the same in each and its fuel can be
// compared. Nothing here is charged: what the counts compare is the rewritten module alone.
type host struct {
	out    []byte
	clock  uint64
	random uint32
}

// errExit ends a guest that called proc_exit with code 0.
var errExit = errors.New("exit")

// Error numbers of WASI.
const (
	success = 0
	badf    = 8
	nosys   = 52
	spipe   = 70
)

// clockStart and clockStep make up a clock without information.
const (
	clockStart = 946684800_000_000_000
	clockStep  = 1_000_000
)

func newHost() *host { return &host{clock: clockStart, random: 1} }

// memory is a guest's.
type memory []byte

func (m memory) u32(at uint64) uint64 { return uint64(binary.LittleEndian.Uint32(m[uint32(at):])) }

func (m memory) setU32(at uint64, v uint64) { binary.LittleEndian.PutUint32(m[uint32(at):], uint32(v)) }
func (m memory) setU64(at uint64, v uint64) { binary.LittleEndian.PutUint64(m[uint32(at):], v) }

// call is one call of an imported function: its result is an error number, or a file for glovebox.open.
func (h *host) call(module, name string, m memory, a []uint64) (uint64, error) {
	if module == "glovebox" {
		return h.blas(name, m, a)
	}
	switch name {
	case "proc_exit":
		if uint32(a[0]) != 0 {
			return 0, fmt.Errorf("exit code %d", uint32(a[0]))
		}
		return 0, errExit
	case "args_sizes_get":
		m.setU32(a[0], 1)
		m.setU32(a[1], 6)
	case "args_get":
		m.setU32(a[0], a[1])
		copy(m[uint32(a[1]):], "guest\x00")
	case "environ_sizes_get":
		m.setU32(a[0], 0)
		m.setU32(a[1], 0)
	case "environ_get", "fd_close", "fd_fdstat_set_flags", "sched_yield":
	case "clock_time_get":
		h.clock += clockStep
		m.setU64(a[2], h.clock)
	case "random_get":
		for i := range m[uint32(a[0]):][:uint32(a[1])] {
			h.random = h.random*1664525 + 1013904223
			m[uint32(a[0])+uint32(i)] = byte(h.random >> 24)
		}
	case "fd_write":
		h.write(m, a)
	case "fd_fdstat_get":
		clear(m[uint32(a[1]):][:24])
		m[uint32(a[1])] = 2 // a character device
	case "poll_oneoff":
		h.poll(m, a)
	case "fd_seek":
		return spipe, nil
	case "fd_prestat_get", "fd_prestat_dir_name":
		return badf, nil
	default:
		return nosys, nil
	}
	return success, nil
}

func (h *host) write(m memory, a []uint64) {
	var n uint64
	for i := range uint64(uint32(a[2])) {
		at, length := m.u32(a[1]+8*i), m.u32(a[1]+8*i+4)
		h.out = append(h.out, m[at:][:length]...)
		n += length
	}
	m.setU32(a[3], n)
}

// poll lets every subscription happen at once.
func (h *host) poll(m memory, a []uint64) {
	for i := range uint64(uint32(a[2])) {
		from, to := m[uint32(a[0]+48*i):][:48], m[uint32(a[1]+32*i):][:32]
		clear(to)
		copy(to, from[:8])
		to[10] = from[8]
		h.clock += clockStep
	}
	m.setU32(a[3], uint64(uint32(a[2])))
}

func (h *host) blas(name string, m memory, a []uint64) (uint64, error) {
	i := func(arg int) int { return int(int32(a[arg])) }
	f := func(arg int) float32 { return math.Float32frombits(uint32(a[arg])) }
	s := func(arg int) []float32 {
		b := m[uint32(a[arg]):]
		return unsafe.Slice((*float32)(unsafe.Pointer(&b[0])), len(b)/4)
	}
	switch name {
	case "sgemm":
		return 0, blas.Sgemm(i(0) != 0, i(1) != 0, i(2), i(3), i(4), f(5), s(6), i(7), s(8), i(9), f(10), s(11), i(12))
	case "sgemv":
		return 0, blas.Sgemv(i(0) != 0, i(1), i(2), f(3), s(4), i(5), s(6), i(7), f(8), s(9), i(10))
	case "saxpy":
		return 0, blas.Saxpy(i(0), f(1), s(2), i(3), s(4), i(5))
	case "sexp":
		return 0, blas.Sexp(i(0), s(1), s(2))
	default:
		return math.MaxUint64, nil // there are no files
	}
}
