// SPDX-License-Identifier: Apache-2.0

package endorsements_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const offlineEnv = "GLOVEBOX_TEST_OFFLINE"

// runWithoutNetwork runs this test again in a network namespace in which there is nothing, not even a loopback address.
func runWithoutNetwork(t *testing.T, path string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestVerificationUsesNoNetwork$", "-test.v")
	cmd.Env = append(os.Environ(), offlineEnv+"="+path)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Credential:  &syscall.Credential{NoSetGroups: true},
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EACCES) {
			t.Skipf("SKIP 1: this machine allows no network namespace: %v", err)
		}
		t.Fatal(err)
	}
	err := cmd.Wait()
	t.Logf("%s", out.String())
	if err != nil {
		t.Error(err)
	}
}

var errNoNetwork = errors.New("this process has no network")

// refusing counts what is asked of it and refuses.
type refusing struct{ n atomic.Int64 }

func (r *refusing) RoundTrip(q *http.Request) (*http.Response, error) {
	r.n.Add(1)
	return nil, errNoNetwork
}

func (r *refusing) dial(context.Context, string, string) (net.Conn, error) {
	r.n.Add(1)
	return nil, errNoNetwork
}

// verifyOffline is the child.
func verifyOffline(t *testing.T, path string) {
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []trial
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	links, err := net.Interfaces()
	for _, l := range links {
		if l.Flags&net.FlagUp != 0 {
			t.Fatalf("%s is up: this process has a network", l.Name)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	var count refusing
	http.DefaultTransport, http.DefaultClient = &count, &http.Client{Transport: &count}
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: count.dial}
	before := unroutable(t)
	for _, x := range all {
		began := time.Now()
		if got := authentic(t, x.Envelope, x.Now); got != x.Authentic {
			t.Errorf("%s: authentic is %t without a network, and %t with one", x.Name, got, x.Authentic)
		}
		if d := time.Since(began); d > 30*time.Second {
			t.Errorf("%s took %s: something waited", x.Name, d)
		}
	}
	if n := count.n.Load(); n != 0 {
		t.Errorf("%d requests or look-ups were tried", n)
	}
	if n := unroutable(t) - before; n != 0 {
		t.Errorf("the kernel saw %d attempts to reach something", n)
	}
	attempts(t, &count)
	t.Logf("%d pieces of evidence verified or refused without a network: 0 attempts", len(all))
}

// attempts shows that each of the three counters would have seen one.
func attempts(t *testing.T, count *refusing) {
	if _, err := http.Get("https://kdsintf.amd.com/"); !errors.Is(err, errNoNetwork) {
		t.Errorf("http.Get: %v", err)
	}
	if _, err := net.LookupHost("kdsintf.amd.com"); err == nil || count.n.Load() < 2 {
		t.Errorf("a look-up: %v, counted %d", err, count.n.Load())
	}
	for _, network := range []string{"tcp", "udp"} { // of IPv4: kernels do not count what IPv6 cannot connect to
		n := unroutable(t)
		if c, err := (&net.Dialer{Timeout: time.Second}).Dial(network, "192.0.2.1:443"); err == nil {
			c.Close()
			t.Errorf("%s: something was reached", network)
		}
		if unroutable(t) == n {
			t.Errorf("the kernel did not count an attempt by %s", network)
		}
	}
}

// unroutable is how many packets this namespace's kernel had no route for, and how many connections it opened.
func unroutable(t *testing.T) int {
	t.Helper()
	n := 0
	b, err := os.ReadFile("/proc/self/net/snmp")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		names, values := strings.Fields(lines[i]), strings.Fields(lines[i+1])
		for k, name := range names {
			switch names[0] + name {
			case "Ip:OutNoRoutes", "Ip:OutRequests", "Tcp:ActiveOpens", "Udp:OutDatagrams":
				x, err := strconv.Atoi(values[k])
				if err != nil {
					t.Fatal(err)
				}
				n += x
			}
		}
	}
	six, err := os.ReadFile("/proc/self/net/snmp6")
	if errors.Is(err, os.ErrNotExist) {
		return n // a kernel without IPv6
	}
	for _, line := range strings.Split(string(six), "\n") {
		if f := strings.Fields(line); len(f) == 2 && (f[0] == "Ip6OutNoRoutes" || f[0] == "Ip6OutRequests") {
			x, err := strconv.Atoi(f[1])
			if err != nil {
				t.Fatal(err)
			}
			n += x
		}
	}
	return n
}
