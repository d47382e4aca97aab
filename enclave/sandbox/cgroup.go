// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	cgroupRoot   = "/sys/fs/cgroup"
	cgroupPrefix = "glovebox-" // then the spawner's process id, a dash, a number
)

// cgroup is the worker's control group: version 2, version 1 (also on hybrid machines), or none where this user may not
// make one. Without one, resource limits of the processes stand alone, and the stamp says so.
type cgroup struct {
	version int      // 0: none
	dirs    []string // v2: one; v1: memory, pids
}

// stamp is the group's part of the isolation string.
func (g *cgroup) stamp() string {
	if g.version == 0 {
		return "rlimit"
	}
	return "cgroup-v" + strconv.Itoa(g.version)
}

// newCgroup makes a group for a worker without a job, or none where that is not possible. n tells the groups of one
// spawner apart.
func newCgroup(n uint64) *cgroup {
	name := fmt.Sprintf("%s%d-%d", cgroupPrefix, os.Getpid(), n)
	own := ownCgroups()
	for _, g := range []*cgroup{cgroupV2(own, name), cgroupV1(own, name)} {
		if g != nil {
			return g
		}
	}
	return &cgroup{}
}

// limit sets what the processes of the group may use together, in bytes. Once a job has a worker, it is called no more.
func (g *cgroup) limit(memory int64) error {
	v := strconv.FormatInt(memory, 10)
	switch g.version {
	case 1:
		_ = setting(g.dirs[0], "memory.memsw.limit_in_bytes", v) // absent without swap accounting; never below the other
		if err := setting(g.dirs[0], "memory.limit_in_bytes", v); err != nil {
			return fmt.Errorf("limit control group: %w", err)
		}
		_ = setting(g.dirs[0], "memory.memsw.limit_in_bytes", v)
	case 2:
		if err := setting(g.dirs[0], "memory.max", v); err != nil {
			return fmt.Errorf("limit control group: %w", err)
		}
	}
	return nil
}

// ownCgroups maps each version 1 controller, and "" for version 2, to this process's path in that hierarchy.
func ownCgroups() map[string]string {
	own := map[string]string{}
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return own
	}
	for line := range strings.Lines(string(b)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 {
			continue
		}
		for c := range strings.SplitSeq(f[1], ",") {
			own[c] = f[2]
		}
	}
	return own
}

func cgroupV2(own map[string]string, name string) *cgroup {
	path, ok := own[""]
	if _, err := os.Stat(filepath.Join(cgroupRoot, "cgroup.controllers")); !ok || err != nil {
		return nil
	}
	parent := workersParent(filepath.Join(cgroupRoot, path))
	_ = setting(parent, "cgroup.subtree_control", "+memory +pids") // refused where already set or not ours
	g := &cgroup{version: 2, dirs: []string{filepath.Join(parent, name)}}
	if err := g.make(); err != nil {
		return nil
	}
	_ = setting(g.dirs[0], "memory.swap.max", "0") // absent on a machine without swap accounting
	_ = setting(g.dirs[0], "memory.oom.group", "1")
	return g
}

// enclaveGroup is where the enclave and its spawner live below a group of version 2 that was theirs.
const enclaveGroup = "glovebox"

// workersParent is the group of version 2 below which workers get theirs. A group with limits for its children may have no
// process of its own, except the root: where the enclave was started in a group for it alone, or in one that is delegated to
// its service, all processes there move to a child. In any other group nobody is moved, and then there are no groups.
func workersParent(own string) string {
	if filepath.Base(own) == enclaveGroup {
		return filepath.Dir(own)
	}
	if err := setting(own, "cgroup.subtree_control", "+memory +pids"); !errors.Is(err, unix.EBUSY) {
		return own
	}
	b, err := os.ReadFile(filepath.Join(own, "cgroup.procs"))
	if err != nil {
		return own
	}
	pids := strings.Fields(string(b))
	ours := []string{strconv.Itoa(os.Getpid()), strconv.Itoa(os.Getppid())}
	if !delegated(own) && slices.ContainsFunc(pids, func(pid string) bool { return !slices.Contains(ours, pid) }) {
		return own
	}
	inner := filepath.Join(own, enclaveGroup)
	if err := os.Mkdir(inner, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return own
	}
	for _, pid := range pids {
		if err := setting(inner, "cgroup.procs", pid); err != nil {
			return own
		}
	}
	return own
}

// delegated reports whether systemd leaves what is below a group to the service in it: its mark, docs/CGROUP_DELEGATION.md.
func delegated(group string) bool {
	for _, name := range []string{"user.delegate", "trusted.delegate"} {
		var b [1]byte
		if n, err := unix.Getxattr(group, name, b[:]); n == 1 && err == nil && b[0] == '1' {
			return true
		}
	}
	return false
}

func cgroupV1(own map[string]string, name string) *cgroup {
	g := &cgroup{version: 1}
	for _, c := range []string{"memory", "pids"} {
		path, ok := own[c]
		if !ok {
			return nil
		}
		g.dirs = append(g.dirs, filepath.Join(cgroupRoot, c, path, name))
	}
	if err := g.make(); err != nil {
		return nil
	}
	return g
}

// make creates the directories and writes the limits; on any failure nothing stays behind.
func (g *cgroup) make() error {
	err := func() error {
		for _, d := range g.dirs {
			if err := os.Mkdir(d, 0o755); err != nil {
				return err
			}
		}
		if err := setting(g.dirs[len(g.dirs)-1], "pids.max", strconv.Itoa(maxTasks)); err != nil {
			return err
		}
		return g.limit(idleMemory)
	}()
	if err != nil {
		g.remove()
	}
	return err
}

// setting writes one existing control file.
func setting(dir, name, value string) error {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// add moves a process into the group. A group that was made but cannot be entered is an error, not a downgrade.
func (g *cgroup) add(pid int) error {
	for _, d := range g.dirs {
		if err := setting(d, "cgroup.procs", strconv.Itoa(pid)); err != nil {
			return fmt.Errorf("enter control group: %w", err)
		}
	}
	return nil
}

// killed reports whether the memory limit of the group killed a process of it.
func (g *cgroup) killed() bool {
	if g.version == 0 {
		return false
	}
	file := map[int]string{1: "memory.oom_control", 2: "memory.events"}[g.version]
	return figure(g.dirs[0], file, "oom_kill") > 0
}

// used is the CPU time and the most memory, in bytes, that the processes of the group used together; 0 where the kernel does
// not count it.
func (g *cgroup) used() (cpu time.Duration, peak int64) {
	switch g.version {
	case 1:
		peak = figure(g.dirs[0], "memory.max_usage_in_bytes", "")
	case 2:
		peak = figure(g.dirs[0], "memory.peak", "")
		cpu = time.Duration(figure(g.dirs[0], "cpu.stat", "usage_usec")) * time.Microsecond
	}
	return cpu, peak
}

// figure reads one number of a control file, which stands alone or behind its key; 0 if it is not there.
func figure(dir, name, key string) int64 {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if key != "" && (len(f) != 2 || f[0] != key) || len(f) == 0 {
			continue
		}
		n, err := strconv.ParseInt(f[len(f)-1], 10, 64)
		if err != nil || n < 0 {
			return 0
		}
		return n
	}
	return 0
}

// remove deletes the group. Its processes are dead, but the kernel may take a moment to see it.
func (g *cgroup) remove() {
	for _, d := range g.dirs {
		for range 50 {
			if err := os.Remove(d); err == nil || errors.Is(err, os.ErrNotExist) {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// sweepCgroups removes the groups of spawners that were killed before they could do it themselves.
func sweepCgroups() {
	own := ownCgroups()
	for _, parent := range []string{
		workersParent(filepath.Join(cgroupRoot, own[""])), filepath.Join(cgroupRoot, "memory", own["memory"]), filepath.Join(cgroupRoot, "pids", own["pids"]),
	} {
		names, err := os.ReadDir(parent)
		if err != nil {
			continue
		}
		for _, n := range names {
			rest, ok := strings.CutPrefix(n.Name(), cgroupPrefix)
			pid, _, dash := strings.Cut(rest, "-")
			if _, err := strconv.Atoi(pid); !ok || !dash || err != nil {
				continue
			}
			if _, err := os.Stat("/proc/" + pid); errors.Is(err, os.ErrNotExist) {
				(&cgroup{dirs: []string{filepath.Join(parent, n.Name())}}).remove() // its processes die with their spawner, a moment later
			}
		}
	}
}
