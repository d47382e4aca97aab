// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSelfTestMissesNothing takes each part of the jail out in turn: the self-test finds it, and says what got through.
// The worker's own look at its jail, which is the first to fail, is out as well.
func TestSelfTestMissesNothing(t *testing.T) {
	for part, succeeds := range map[string][]string{
		partFilter: {
			"socket of family 1 AF_UNIX", "socket of family 2 AF_INET", "any system call not listed", "run without a filter", "share memory",
			"write and execute memory", "clone3",
		},
		partLimits:     {"raise the limit of core", "raise the limit of open files", "raise the limit of file size", "raise the limit of cpu"},
		partPrivileges: {"hold a capability"},
		partDumpable:   {"be dumped", "be dumped, still"},
		partRoot:       {"find a file below /", "leave through ../.."},
		"net":          {"share the machine's net namespace"},
		"ipc":          {"share the machine's ipc namespace"},
		"pid":          {"share the machine's pid namespace"},
		partLandlock: {
			"list / through Landlock", "bind TCP through Landlock", "connect TCP through Landlock", "signal process 1 through Landlock",
		},
	} {
		t.Run(part, func(t *testing.T) {
			if part == partLandlock && landlockVersion() == 0 {
				t.Skip("this kernel has no Landlock")
			}
			without(t, part, partVerify)
			st, err := newSpawner(t).SelfTest(t.Context())
			if !errors.Is(err, ErrSelfTest) {
				t.Fatalf("err = %v, want ErrSelfTest", err)
			}
			results := map[string]Attempt{}
			for _, a := range st.Attempts {
				results[a.Try] = a
			}
			for _, name := range succeeds {
				a, ok := results[name]
				if a.Result == notOffered {
					continue
				}
				if !ok || a.Refused || !strings.Contains(err.Error(), name) {
					t.Errorf("%s: %+v", name, a)
				}
			}
		})
	}
	for _, part := range []string{partFilter, partLimits, partPrivileges, partDumpable, partRoot, "net", "ipc", "uts", "pid", partLandlock} {
		t.Run(part+", seen by the worker", func(t *testing.T) {
			if part == partLandlock && landlockVersion() == 0 {
				t.Skip("this kernel has no Landlock")
			}
			without(t, part)
			s := newSpawner(t)
			if _, err := s.SelfTest(t.Context()); !errors.Is(err, ErrIsolation) {
				t.Errorf("self-test: %v, want ErrIsolation", err)
			}
			if o, err := s.Run(t.Context(), spec(wasmModule{}.bytes()), nil); !errors.Is(err, ErrIsolation) || o != nil {
				t.Errorf("run: %+v, %v; want ErrIsolation", o, err)
			}
		})
	}
}

// TestSelfTestSeesChance: what refuses an attempt must be the part of the jail that is there to do it.
func TestSelfTestSeesChance(t *testing.T) {
	for _, err := range []error{unix.EACCES, unix.EFAULT, unix.ENOSYS, unix.EINVAL, nil} {
		if only(unix.EPERM, err) != nil {
			t.Errorf("%v passes for a refusal", err)
		}
	}
	if only(unix.EPERM, unix.EPERM) == nil {
		t.Error("the filter's answer is not taken for a refusal")
	}
}
