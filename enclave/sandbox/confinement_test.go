// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestWorkerConfinement looks at a running worker from outside, every thread of it.
func TestWorkerConfinement(t *testing.T) {
	s := newSpawner(t)
	_, err := during(t, s, 2*time.Second, func() {
		_, worker := workerPids(t, s)
		wantLimits(t, worker)
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", worker))
		if len(threads) == 0 {
			t.Fatal("no threads")
		}
		for _, f := range threads {
			b, err := os.ReadFile(f)
			if err != nil {
				continue // a thread that ended
			}
			for _, want := range []string{
				"CapInh:\t0000000000000000", "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000",
				"CapBnd:\t0000000000000000", "CapAmb:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2",
			} {
				if !strings.Contains(string(b), want+"\n") {
					t.Errorf("%s lacks %q", f, want)
				}
			}
			if os.Getuid() == 0 && !strings.Contains(string(b), "Uid:\t65534\t65534\t65534\t65534\n") {
				t.Errorf("%s: root outside is not nobody", f)
			}
		}
		if os.Getuid() != 0 {
			return // an undumpable process shows the rest to root alone
		}
		for ns := range strings.SplitSeq(namespaceStamp, ",") {
			theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", worker, ns))
			ours, _ := os.Readlink("/proc/self/ns/" + ns)
			if err != nil || theirs == ours {
				t.Errorf("namespace %s is not the worker's own (%v)", ns, err)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// wantLimits reads a worker's resource limits, and its control group where it has one.
func wantLimits(t *testing.T, pid int) {
	t.Helper()
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	for line := range strings.Lines(string(limits)) {
		if len(line) > 26 {
			found[strings.TrimSpace(line[:26])] = strings.Fields(line[26:])
		}
	}
	sp := readerSpec()
	memory := sp.MemoryBytes + 2*sp.OutputBytes + workerOverhead
	data := memory
	if groupOf(t, pid, "memory") != "" { // which then is what holds
		data += reservedAddresses
	}
	want := map[string]int64{
		"Max cpu time": int64(2*2*slowly() + 1), "Max file size": 0, "Max core file size": 0, "Max open files": maxOpenFiles, "Max processes": maxTasks,
		"Max msgqueue size": 0, "Max data size": data, "Max address space": memory + reservedAddresses,
	}
	for name, n := range want {
		if raceEnabled && (name == "Max data size" || name == "Max address space") {
			continue
		}
		if v := strconv.FormatInt(n, 10); len(found[name]) < 2 || found[name][0] != v || found[name][1] != v {
			t.Errorf("%s is %v, want %s, hard", name, found[name], v)
		}
	}
	group, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if os.Getuid() == 0 && os.WriteFile("/sys/fs/cgroup/memory/cgroup.procs", nil, 0) == nil && !strings.Contains(string(group), "glovebox-") {
		t.Errorf("no control group of its own: %s", group)
	}
}

func TestLogsAreBounded(t *testing.T) {
	h := &headBuffer{limit: 10}
	for range 5 {
		if n, err := h.Write([]byte("abcd")); n != 4 || err != nil {
			t.Fatal(n, err)
		}
	}
	if string(h.buf) != "abcdabcdab" {
		t.Errorf("kept %q", h.buf)
	}
}
