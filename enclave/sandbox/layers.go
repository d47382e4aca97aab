// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// surroundings is what a worker knows of its jail before the filter is loaded.
type surroundings struct {
	outside, inside []string // namespaces of the spawner and its own, in the order of namespaceStamp
	landlock        int      // the version that this kernel offers
	kept            []int    // descriptors it still needs
}

// layer is an attempt that a worker makes before its filter is loaded, so that it is another part of the jail that holds
// it back. Each costs microseconds: every worker makes all of them, not only those of the self-test.
type layer struct {
	name     string
	landlock int // tried only where Landlock has this version
	try      func(*surroundings) error
}

// notOffered is the result of an attempt that only a version of Landlock would refuse that this kernel lacks. Such an
// attempt is not made, and the isolation stamp says which version there is.
const notOffered = "not offered by this kernel"

var layers = func() []layer {
	var all []layer
	for i, name := range strings.Split(namespaceStamp, ",") {
		all = append(all, layer{"share the machine's " + name + " namespace", 0, func(s *surroundings) error { return separate(s, i) }})
	}
	all = append(all,
		layer{"see the machine's name", 0, func(*surroundings) error { return machineName() }},
		layer{"find a file below /", 0, func(*surroundings) error { return emptyTree() }},
		layer{"make a directory", 0, func(*surroundings) error { return unix.Mkdir("/x", 0o700) }},
		layer{"leave through ../..", 0, func(*surroundings) error { return missing("../../../../proc/self") }},
		layer{"hold a capability", 0, func(*surroundings) error { return noCapabilities() }},
		layer{"become another user", 0, func(*surroundings) error { return call(unix.SYS_SETRESUID, 1, 1, 1) }},
		layer{"become another group", 0, func(*surroundings) error { return call(unix.SYS_SETRESGID, 1, 1, 1) }},
		layer{"gain privileges", 0, func(*surroundings) error { return noNewPrivileges() }},
		layer{"be dumped", 0, func(*surroundings) error { return notDumpable() }},
		layer{"keep another descriptor", 0, func(s *surroundings) error { return onlyOpen(s.kept) }},
		layer{"see an environment", 0, func(*surroundings) error { return emptyEnvironment() }},
		layer{"trace process 1", 0, func(*surroundings) error { return unix.PtraceAttach(1) }},
		layer{"list / through Landlock", 1, func(*surroundings) error { return only(unix.EACCES, readable("/", unix.O_DIRECTORY)) }},
		layer{"bind TCP through Landlock", 4, func(*surroundings) error { return only(unix.EACCES, overTCP(unix.Bind)) }},
		layer{"connect TCP through Landlock", 4, func(*surroundings) error { return only(unix.EACCES, overTCP(unix.Connect)) }},
		layer{"signal process 1 through Landlock", 6, func(*surroundings) error { return only(unix.EPERM, unix.Kill(1, 0)) }},
	)
	for _, l := range startLimits() {
		all = append(all, layer{"raise the limit of " + l.name, 0, func(*surroundings) error { return raise(l) }})
	}
	return all
}()

// tryLayers makes every attempt.
func tryLayers(s *surroundings) report {
	var r report
	for _, l := range layers {
		a := Attempt{Try: l.name, Result: notOffered}
		if s.landlock >= l.landlock {
			a = attempted(l.name, l.try(s))
		}
		r = append(r, a)
	}
	return r
}

// ownNamespaces names this process's namespaces, in the order of namespaceStamp.
func ownNamespaces() ([]string, error) {
	var all []string
	for name := range strings.SplitSeq(namespaceStamp, ",") {
		id, err := os.Readlink("/proc/self/ns/" + name)
		if err != nil {
			return nil, fmt.Errorf("namespaces: %w", err)
		}
		all = append(all, id)
	}
	return all, nil
}

// separate demands two different namespaces.
func separate(s *surroundings, i int) error {
	if i < len(s.inside) && i < len(s.outside) && s.inside[i] != "" && s.outside[i] != "" && s.inside[i] != s.outside[i] {
		return probeRefusal("its own")
	}
	return nil
}

// machineName demands the name that the jail gave.
func machineName() error {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil || unix.ByteSliceToString(u.Nodename[:]) != jailHost {
		return nil
	}
	return nothingThere
}

// emptyTree demands that the root is a read-only tmpfs with no inode but its own.
func emptyTree() error {
	var st unix.Statfs_t
	if err := unix.Statfs("/", &st); err != nil {
		return nil
	}
	if st.Type == unix.TMPFS_MAGIC && st.Flags&unix.ST_RDONLY != 0 && st.Files-st.Ffree == 1 {
		return nothingThere
	}
	return nil
}

func missing(path string) error {
	var st unix.Stat_t
	return only(unix.ENOENT, unix.Lstat(path, &st))
}

func noCapabilities() error {
	if c, err := capabilities(); err != nil || c != 0 {
		return nil
	}
	return nothingThere
}

// capabilities is the union of the calling thread's sets.
func capabilities() (uint64, error) {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&head, &data[0]); err != nil {
		return 0, err
	}
	low := data[0].Permitted | data[0].Effective | data[0].Inheritable
	high := data[1].Permitted | data[1].Effective | data[1].Inheritable
	bounding := uint64(0)
	for c := uintptr(0); c < 64; c++ {
		if v, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, c, 0, 0, 0); err == nil && v == 1 {
			bounding |= 1 << c
		}
	}
	return uint64(high)<<32 | uint64(low) | bounding, nil
}

func noNewPrivileges() error {
	if v, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err != nil || v != 1 {
		return nil
	}
	return probeRefusal("off for good")
}

func notDumpable() error {
	if v, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil || v != 0 {
		return nil
	}
	return probeRefusal("not dumpable")
}

func emptyEnvironment() error {
	if len(os.Environ()) == 0 {
		return nothingThere
	}
	return nil
}

// onlyOpen demands that exactly these descriptors are open.
func onlyOpen(kept []int) error {
	for fd := range maxOpenFiles {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if (err == nil) != slices.Contains(kept, fd) {
			return nil
		}
	}
	return nothingThere
}

// overTCP makes a socket in the worker's own empty network and uses it.
func overTCP(use func(int, unix.Sockaddr) error) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return use(fd, &unix.SockaddrInet4{Port: 44444}) // any address, and no port that needs a privilege
}

// raise asks for a little more than the jail gave. That this only lowers a limit that the jail forgot is what shows it.
func raise(l limit) error {
	more := unix.Rlimit{Cur: l.value + 1, Max: l.value + 1}
	return only(unix.EPERM, unix.Prlimit(0, l.which, &more, nil))
}
