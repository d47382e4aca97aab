// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// landlockKnown is the last version of Landlock whose rights this package takes away. A later kernel is used as this one.
const landlockKnown = 6

const (
	landlockStamp = "landlock-"   // then the version in force
	noLandlock    = "no-landlock" // this kernel has none, or the machine keeps it from us
)

// landlockVersion is what of Landlock this kernel offers, at most landlockKnown; 0 is nothing.
func landlockVersion() int {
	v, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0
	}
	return min(int(v), landlockKnown)
}

// landlockRights are all rights of a version, every one of which a worker loses. Sources: the kernel's
// include/uapi/linux/landlock.h and Documentation/userspace-api/landlock.rst.
func landlockRights(version int) unix.LandlockRulesetAttr {
	a := unix.LandlockRulesetAttr{Handled_access_fs: unix.LANDLOCK_ACCESS_FS_MAKE_SYM<<1 - 1}
	if version >= 2 {
		a.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_REFER
	}
	if version >= 3 {
		a.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	if version >= 4 {
		a.Handled_access_net = unix.LANDLOCK_ACCESS_NET_BIND_TCP | unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
	}
	if version >= 5 {
		a.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	}
	if version >= 6 {
		a.Scoped = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL
	}
	return a
}

// restrictThread puts the calling thread, and whatever it starts, into a domain that can read and execute the files this
// very program consists of and nothing else: no file, no directory, no TCP, no signal to a process outside. It returns
// the version in force, 0 where the kernel has no Landlock. The thread must not be able to gain privileges any more.
func restrictThread() (version int, err error) {
	if version = landlockVersion(); version == 0 {
		return 0, nil
	}
	attr := landlockRights(version)
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr), 0)
	if errno != 0 {
		return 0, fmt.Errorf("landlock: rule set: %w", errno)
	}
	defer unix.Close(int(fd))
	own, err := ownFiles()
	if err != nil {
		return 0, fmt.Errorf("landlock: %w", err)
	}
	for _, path := range own {
		if err := admitFile(int(fd), path); err != nil {
			return 0, err
		}
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0); errno != 0 {
		return 0, fmt.Errorf("landlock: restrict: %w", errno)
	}
	return version, nil
}

// admitFile lets the domain read and execute one file.
func admitFile(ruleset int, path string) error {
	file, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("landlock: open a file of this program: %w", err)
	}
	defer unix.Close(file)
	rule := unix.LandlockPathBeneathAttr{
		Allowed_access: unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE, Parent_fd: int32(file),
	}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(ruleset), unix.LANDLOCK_RULE_PATH_BENEATH,
		uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("landlock: rule: %w", errno)
	}
	return nil
}

// ownFiles are the files that this process runs from: its binary and, where that is linked dynamically, the loader and
// libraries. A worker is the same binary, so it needs these to start.
func ownFiles() ([]string, error) {
	b, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return nil, err
	}
	exe, err := os.Readlink(selfExe)
	if err != nil {
		return nil, err
	}
	files := []string{selfExe}
	seen := map[string]bool{exe: true}
	for line := range bytes.Lines(b) {
		_, path, ok := strings.Cut(string(bytes.TrimSpace(line)), " /")
		if path = "/" + strings.TrimSpace(path); !ok || seen[path] || strings.HasSuffix(path, " (deleted)") {
			continue
		}
		seen[path] = true
		files = append(files, path)
	}
	return files, nil
}

// landlockName is the part of the isolation stamp.
func landlockName(version int) string {
	if version == 0 {
		return noLandlock
	}
	return landlockStamp + strconv.Itoa(version)
}

// stampedLandlock reads the version back from an isolation stamp.
func stampedLandlock(isolation string) (int, error) {
	for part := range strings.SplitSeq(isolation, ";") {
		if part == noLandlock {
			return 0, nil
		}
		if v, ok := strings.CutPrefix(part, landlockStamp); ok {
			n, err := strconv.Atoi(v)
			if err != nil || n < 1 || n > landlockKnown {
				return 0, fmt.Errorf("isolation %q", isolation)
			}
			return n, nil
		}
	}
	return 0, errors.New("isolation does not say whether Landlock is in force")
}
