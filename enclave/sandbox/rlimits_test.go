// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/glovebox-dev/glovebox/enclave/wasm"
)

// slowModule has this many functions full of values that live long, between branches: each is valid, and an optimising
// compiler works on them for long.
func slowModule(functions, blocks, locals int) []byte {
	var body []byte
	for i := range blocks { // block local.get a; br_if 0; local.get b; local.get c; i32.add; local.set d; end
		n := i % locals
		body = slices.Concat(body, []byte{0x02, 0x40, 0x20}, leb(uint64(n)), []byte{0x0d, 0}, []byte{0x20}, leb(uint64((n*7+1)%locals)),
			[]byte{0x20}, leb(uint64((n*13+5)%locals)), []byte{0x6a, 0x21}, leb(uint64((n*3+2)%locals)), []byte{0x0b})
	}
	code := vec(slices.Concat([]byte{1}, leb(uint64(locals)), []byte{0x7f}, body, []byte{0x0b}))
	b := []byte("\x00asm\x01\x00\x00\x00")
	b = append(b, section(1, []byte{0x60, 0, 0})...)
	b = append(b, section(3, slices.Repeat([][]byte{{0}}, functions)...)...)
	b = append(b, section(5, []byte{0, 1})...)
	b = append(b, section(7, append(name("_start"), 0, 0), append(name("memory"), 2, 0))...)
	return append(b, section(10, slices.Repeat([][]byte{code}, functions)...)...)
}

// TestCompilesForEver: a module that takes too long to compile is the module's fault, long before the wall limit.
func TestCompilesForEver(t *testing.T) {
	without(t, partPatience)
	sp := spec(slowModule(2000, 1000, 100))
	sp.Wall = 2 * time.Minute
	o := outcome(t, sp, nil)
	wantReason(t, o, ReasonModule)
	if !strings.Contains(o.Detail, "to compile") || o.CPU > 10*time.Second {
		t.Errorf("%s after %s of CPU time", o.Detail, o.CPU)
	}
}

// TestLimitCompile: within the limit nothing changes, and errors and panics come through.
func TestLimitCompile(t *testing.T) {
	var before, after unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CPU, &before); err != nil {
		t.Fatal(err)
	}
	refused := errors.New("refused")
	if err := limitCompile(func() error { return nil }); err != nil {
		t.Error(err)
	}
	if err := limitCompile(func() error { return refused }); !errors.Is(err, refused) {
		t.Errorf("err = %v", err)
	}
	if err := limitCompile(func() error { panic("compiler") }); !errors.Is(err, wasm.ErrModule) {
		t.Errorf("err = %v", err)
	}
	if err := unix.Getrlimit(unix.RLIMIT_CPU, &after); err != nil || after != before {
		t.Errorf("limit was %v and is %v (%v)", before, after, err)
	}
	inChild(t, func() {
		testOnlySkip = []string{partPatience}
		err := limitCompile(func() error {
			for {
				runtime.Gosched()
			}
		})
		if !errors.Is(err, wasm.ErrModule) {
			t.Errorf("err = %v", err)
		}
	})
}

// TestApplyLimits: a worker can lower its limits to any job's, once; and it refuses a header that makes no sense.
func TestApplyLimits(t *testing.T) {
	for _, h := range []header{
		{},
		{MemoryBytes: pageBytes, OutputBytes: 1},
		{MemoryBytes: maxMemory + 1, OutputBytes: 1, CPUSeconds: 1},
		{MemoryBytes: pageBytes, OutputBytes: maxOutput + 1, CPUSeconds: 1},
		{MemoryBytes: -1, OutputBytes: 1, CPUSeconds: 1},
	} {
		if err := applyLimits(h); err == nil {
			t.Errorf("%+v admitted", h)
		}
	}
	inChild(t, func() {
		if err := limitResources(); err != nil {
			t.Fatal(err)
		}
		if err := applyLimits(header{MemoryBytes: 64 << 20, OutputBytes: 1 << 20, CPUSeconds: 100}); err != nil {
			t.Fatal(err)
		}
		if err := applyLimits(header{MemoryBytes: 64 << 20, OutputBytes: 1 << 20, CPUSeconds: 101}); !errors.Is(err, unix.EPERM) {
			t.Errorf("raised: %v", err)
		}
	})
}

// without takes parts of the jail out of every worker that this test starts.
func without(t *testing.T, parts ...string) {
	t.Helper()
	testOnlyArgs = []string{withoutArg + strings.Join(parts, ",")}
	t.Cleanup(func() { testOnlyArgs = nil })
}
