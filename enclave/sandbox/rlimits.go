// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/glovebox-dev/glovebox/enclave/wasm"
)

// limit is one resource limit of a process.
type limit struct {
	name  string
	which int
	value uint64
}

// jobLimits are the resource limits that depend on the job: memory in bytes, CPU time in seconds. Address space is
// generous, because the Go runtime reserves much it never touches; data, which counts writable memory, is the limit that
// bites where there is no control group. Where there is one, data is as generous, so that the kernel, which says why, ends a
// worker that uses too much before the runtime does.
func jobLimits(memoryBytes, outputBytes, cpuSeconds int64, grouped bool) []limit {
	use := uint64(workerMemory(memoryBytes, outputBytes))
	data := use
	if grouped {
		data += reservedAddresses
	}
	all := []limit{
		{"cpu", unix.RLIMIT_CPU, uint64(cpuSeconds)},
		{"data", unix.RLIMIT_DATA, data},
		{"address space", unix.RLIMIT_AS, use + reservedAddresses},
	}
	if raceEnabled {
		all = slices.DeleteFunc(all, func(l limit) bool { return l.which != unix.RLIMIT_CPU })
	}
	return all
}

// mostCPU is the CPU time that any job may have, in seconds.
const mostCPU = int64(workerCores*maxWall/time.Second) + 1

// startLimits are those of a worker without a job: the highest that any job may have, and the ones that are the same for
// all.
func startLimits() []limit {
	return append(jobLimits(maxMemory, maxOutput, mostCPU, true),
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
// the kernel then reports is what it goes by. The runtime's own limit is soft: it collects garbage in time.
func applyLimits(h header) error {
	if h.MemoryBytes < 1 || h.MemoryBytes > maxMemory || h.OutputBytes < 1 || h.OutputBytes > maxOutput || h.CPUSeconds < 1 {
		return fmt.Errorf("limits out of bounds: memory %d, output %d, cpu %d s", h.MemoryBytes, h.OutputBytes, h.CPUSeconds)
	}
	for _, l := range jobLimits(h.MemoryBytes, h.OutputBytes, h.CPUSeconds, h.Grouped) {
		want := unix.Rlimit{Cur: l.value, Max: l.value}
		if err := unix.Prlimit(0, l.which, &want, nil); err != nil {
			return fmt.Errorf("limit %s: %w", l.name, err)
		}
		var got unix.Rlimit
		if err := unix.Prlimit(0, l.which, nil, &got); err != nil || got != want {
			return fmt.Errorf("limit %s is %v, want %v (%v)", l.name, got, want, err)
		}
	}
	debug.SetMemoryLimit(workerMemory(0, h.OutputBytes) - workerOverhead/4) // native code has its share
	return nil
}

// compileTime is the CPU time that the admission and compilation of a module may take, rounded up to a second. A Go
// program of 20 MB takes a tenth of it.
func compileTime() time.Duration {
	if skipped(partPatience) {
		return time.Second
	}
	return 20 * time.Second
}

// limitCompile runs compile, which admits and compiles a module, within compileTime. When the kernel's signal comes that
// this is used up, it returns an error that wraps [wasm.ErrModule] while compile, which nobody can interrupt, still runs:
// the worker must then report and die. Otherwise the limit of the job is back in force.
func limitCompile(compile func() error) error {
	var job unix.Rlimit
	if err := unix.Prlimit(0, unix.RLIMIT_CPU, nil, &job); err != nil {
		return fmt.Errorf("cpu limit: %w", err)
	}
	used, err := cpuUsed()
	if err != nil {
		return err
	}
	exceeded := make(chan os.Signal, 1)
	signal.Notify(exceeded, unix.SIGXCPU)
	defer signal.Stop(exceeded)
	soft := min(job.Max, uint64((used+compileTime()+time.Second-1)/time.Second))
	if err := unix.Prlimit(0, unix.RLIMIT_CPU, &unix.Rlimit{Cur: soft, Max: job.Max}, nil); err != nil {
		return fmt.Errorf("cpu limit: %w", err)
	}
	done := make(chan error, 1)
	go func() { done <- recovered(compile) }()
	select {
	case err := <-done:
		if back := unix.Prlimit(0, unix.RLIMIT_CPU, &job, nil); back != nil {
			return fmt.Errorf("cpu limit: %w", back)
		}
		return err
	case <-exceeded:
		return fmt.Errorf("%w: it takes more than %s of CPU time to compile; split its largest functions", wasm.ErrModule, compileTime())
	}
}

// recovered turns a panic of f, in whose goroutine nobody else would, into an error.
func recovered(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: engine: %v", wasm.ErrModule, p)
		}
	}()
	return f()
}

// cpuUsed is the CPU time of this process so far.
func cpuUsed() (time.Duration, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		return 0, fmt.Errorf("cpu time: %w", err)
	}
	return time.Duration(t.Nano()), nil
}
