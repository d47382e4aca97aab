// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"fmt"
	"os"
	"os/signal"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// limit is one resource limit of a process.
type limit struct {
	name  string
	which int
	value uint64
}

// jobLimits are the resource limits that depend on the job: memory in bytes, CPU time in seconds. Address space is
// generous, because the Go runtime reserves much it never touches; data, which counts writable memory, is the limit that
// bites where there is no control group.
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

// startLimits are those of a worker without a job: the highest that any job may have, and the ones that are the same for
// all.
func startLimits() []limit {
	return append(jobLimits(maxMemory, maxOutput, int64(workerCores*maxWall/time.Second)+1),
		limit{"file size", unix.RLIMIT_FSIZE, 0},
		limit{"core", unix.RLIMIT_CORE, 0},
		limit{"open files", unix.RLIMIT_NOFILE, maxOpenFiles},
		limit{"processes", unix.RLIMIT_NPROC, maxTasks},
		limit{"locked memory", unix.RLIMIT_MEMLOCK, 0},
		limit{"message queues", unix.RLIMIT_MSGQUEUE, 0},
		limit{"pending signals", unix.RLIMIT_SIGPENDING, maxTasks},
		limit{"real-time priority", unix.RLIMIT_RTPRIO, 0},
		limit{"nice", unix.RLIMIT_NICE, 0},
	)
}

// workerMemory is what all processes of a worker may use together, in bytes: buffers of outputs grow by doubling.
func workerMemory(memoryBytes, outputBytes int64) int64 {
	return memoryBytes + 2*outputBytes + workerOverhead
}

// limitResources sets hard limits that the worker inherits and can only lower.
func limitResources() error {
	if skipped(partLimits) {
		return nil
	}
	for _, l := range startLimits() {
		if err := unix.Setrlimit(l.which, &unix.Rlimit{Cur: l.value, Max: l.value}); err != nil {
			return fmt.Errorf("jail: limit %s: %w", l.name, err)
		}
	}
	return nil
}

// applyLimits lowers the worker's own limits to those of its job, for good, before it reads a byte of the module. What
// the kernel then reports is what it goes by.
func applyLimits(h header) error {
	if h.MemoryBytes < 1 || h.MemoryBytes > maxMemory || h.OutputBytes < 1 || h.OutputBytes > maxOutput || h.CPUSeconds < 1 {
		return fmt.Errorf("limits out of bounds: memory %d, output %d, cpu %d s", h.MemoryBytes, h.OutputBytes, h.CPUSeconds)
	}
	for _, l := range jobLimits(h.MemoryBytes, h.OutputBytes, h.CPUSeconds) {
		want := unix.Rlimit{Cur: l.value, Max: l.value}
		if err := unix.Prlimit(0, l.which, &want, nil); err != nil {
			return fmt.Errorf("limit %s: %w", l.name, err)
		}
		var got unix.Rlimit
		if err := unix.Prlimit(0, l.which, nil, &got); err != nil || got != want {
			return fmt.Errorf("limit %s is %v, want %v (%v)", l.name, got, want, err)
		}
	}
	return nil
}

// compileSeconds is the CPU time that the compilation of a module may take. A Go program of 20 MB takes a tenth of it.
const compileSeconds = 20

// limitCompile bounds the CPU time of what follows, until stop, by compileSeconds: the kernel's signal that they are used
// up arrives on exceeded. The engine cannot be told to give up, so the worker must then report and die. stop brings the limit
// of the job back and reports whether exceeded came first.
func limitCompile() (exceeded <-chan os.Signal, stop func() (over bool, err error), err error) {
	var job unix.Rlimit
	if err := unix.Prlimit(0, unix.RLIMIT_CPU, nil, &job); err != nil {
		return nil, nil, fmt.Errorf("cpu limit: %w", err)
	}
	used, err := cpuUsed()
	if err != nil {
		return nil, nil, err
	}
	c := make(chan os.Signal, 1)
	signal.Notify(c, unix.SIGXCPU)
	soft := min(job.Max, uint64((used+compileSeconds*time.Second+time.Second-1)/time.Second))
	if err := unix.Prlimit(0, unix.RLIMIT_CPU, &unix.Rlimit{Cur: soft, Max: job.Max}, nil); err != nil {
		return nil, nil, fmt.Errorf("cpu limit: %w", err)
	}
	return c, func() (bool, error) {
		signal.Stop(c)
		now, err := cpuUsed()
		if err != nil {
			return false, err
		}
		return now >= time.Duration(soft)*time.Second, unix.Prlimit(0, unix.RLIMIT_CPU, &job, nil)
	}, nil
}

// cpuUsed is the CPU time of this process so far.
func cpuUsed() (time.Duration, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		return 0, fmt.Errorf("cpu time: %w", err)
	}
	return time.Duration(t.Nano()), nil
}
