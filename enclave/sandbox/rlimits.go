// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// limit is one resource limit of a process.
type limit struct {
	name  string
	which int
	value uint64
}

// jobLimits are the resource limits that depend on the job: memory in bytes, CPU time in seconds.
func jobLimits(memoryBytes, outputBytes, cpuSeconds int64) []limit {
	use := uint64(workerMemory(memoryBytes, outputBytes))
	all := []limit{
		{"cpu", unix.RLIMIT_CPU, uint64(cpuSeconds)},
		{"data", unix.RLIMIT_DATA, use},
		{"address space", unix.RLIMIT_AS, use + reservedAddresses},
	}
	if raceEnabled {
		all = slices.DeleteFunc(all, func(l limit) bool { return l.which != unix.RLIMIT_CPU })
	}
	return all
}

// workerMemory is what all processes of a worker may use together, in bytes: buffers of outputs grow by doubling.
func workerMemory(memoryBytes, outputBytes int64) int64 {
	return memoryBytes + 2*outputBytes + workerOverhead
}

// applyLimits lowers the worker's own limits to those of its job, for good, before it reads a byte of the module. What
// the kernel then reports is what it goes by.
func applyLimits(h header) error {
	if h.MemoryBytes < 1 || h.MemoryBytes > maxMemory || h.OutputBytes < 1 || h.OutputBytes > maxOutput || h.CPUSeconds < 1 {
		return fmt.Errorf("limits out of bounds: memory %d, output %d, cpu %d s", h.MemoryBytes, h.OutputBytes, h.CPUSeconds)
	}
	for _, l := range jobLimits(h.MemoryBytes, h.OutputBytes, h.CPUSeconds) {
		want := unix.Rlimit{Cur: l.value, Max: l.value}
		if err := unix.Setrlimit(l.which, &want); err != nil {
			return fmt.Errorf("limit %s: %w", l.name, err)
		}
		var got unix.Rlimit
		if err := unix.Getrlimit(l.which, &got); err != nil || got != want {
			return fmt.Errorf("limit %s is %v, want %v (%v)", l.name, got, want, err)
		}
	}
	return nil
}
