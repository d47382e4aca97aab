// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/enclave/sandbox"
)

// hostChannels are ways out of WebAssembly, and what comes in that a job might take for a message.
func hostChannels() []channel {
	return []channel{
		{
			name: "functions of the host", to: "everybody", tries: "imports sock_open, a shell, a near miss", stops: "a module that imports anything else is not admitted",
			arrive: imports,
		},
		stopped("sockets", "everybody", "sends the record on, and accepts from, descriptors 0 to 127", "none is a socket; there is no call to make one", "sockets", ""),
		stopped("descriptors", "everybody", "writes the record to descriptors 0 and 3 to 127", "none but stdout and stderr takes it, and they are the log", "descriptors", ""),
		stopped("other paths", "everybody", "writes the record to a dozen places outside of `/out`", "there is no file system but `/data`, read-only, and `/out`", "write", ""),
		{
			name: "native code in the worker", to: "everybody", tries: "the start-up self-test: sockets of every family, other processes, programs, mounts, inherited descriptors",
			stops: "seccomp, namespaces and limits, should the code break out of WebAssembly; nothing is served unless all are refused", arrive: native,
		},
		stopped("environment", "guest", "looks for arguments, variables, names and ids that are not the job's", "there are none", "environment", ""),
		{
			name: "clock in the guest", to: "guest", tries: "times its reads while the host delays them", stops: "a clock that moves by a microsecond with each look", arrive: clocks,
		},
		{
			name: "random numbers", to: "guest", tries: "draws 64 bytes in two runs", stops: "drawn from the job's seed", arrive: func(l *lab) float64 { return l.same("random", "") },
		},
	}
}

// neighbourChannels are what one job might leave for another.
func neighbourChannels() []channel {
	return []channel{
		{
			name: "another job's memory", to: "later job", tries: "plants the record all over its memory; the next job looks for it in its own", stops: "a worker serves one job and dies; memory starts as zeros",
			arrive: func(l *lab) float64 { return hunted(l) },
		},
		{
			name: "another job's files and environment", to: "later job", tries: "plants the record in files and variables; the next job looks for them", stops: "the same: `/out` and the environment are the worker's own",
			arrive: func(l *lab) float64 { return hunted(l) },
		},
		{
			name: "compiled code of another job", to: "later job", tries: "has a module compiled that differs from the next job's in one constant; the next job says which constant it runs with",
			stops: "nothing compiled is shared: every worker admits, rewrites and compiles by itself, for one run of one buyer, and both digests are attested", arrive: poisoned,
		},
	}
}

// hunted plants a record and then hunts for it, in every world; what is found must not depend on what was planted, and be
// nothing.
func hunted(l *lab) float64 {
	l.t.Helper()
	var views []string
	for _, w := range l.worlds {
		planted, hunt := l.ended(l.run(w, "plant", ""), "plant", ""), l.ended(l.run(w, "hunt", ""), "hunt", "")
		if found := hunt.files["model.bin"]; !strings.HasPrefix(found, "\x00\x00\x00\x00") || strings.Contains(found, "stolen") || hunt.statement.Undeclared != 0 {
			l.t.Logf("found %q", found)
			views = append(views, fmt.Sprint(w.secret))
		}
		if planted.statement.Undeclared == 0 {
			l.t.Error("nothing was planted")
		}
		views = append(views, hunt.rest(true))
	}
	return l.distinct("hunt", views...)
}

// clocks runs the same job before a quick host and a slow one.
func clocks(l *lab) float64 {
	l.t.Helper()
	w := l.worlds[0]
	quick := l.ended(l.run(w, "clock", ""), "clock", "")
	delete(l.runs, fmt.Sprint(w.n, "clock", ""))
	w.delay = 30 * time.Millisecond
	defer func() { w.delay = 0 }()
	slow := l.run(w, "clock", "")
	if slow.took < leakLeaves*w.delay {
		l.t.Errorf("the host was not slow: %v", slow.took)
	}
	return l.distinct("clock", quick.rest(true), slow.rest(true))
}

// native is the spawner's self-test.
func native(l *lab) float64 {
	l.t.Helper()
	st, err := l.spawner.SelfTest(l.t.Context())
	check(l.t, err)
	escaped := 0.0
	for _, a := range st.Attempts {
		if !a.Refused {
			escaped++
		}
	}
	if len(st.Attempts) < 20 {
		l.t.Errorf("only %d attempts", len(st.Attempts))
	}
	return escaped
}

// imports offers modules that ask for more than there is.
func imports(l *lab) float64 {
	l.t.Helper()
	admitted := 0.0
	for _, name := range [][2]string{
		{"wasi_snapshot_preview1", "sock_open"},
		{"wasi_snapshot_preview1", "sock_connect"},
		{"wasi_snapshot_preview1", "fd_writev"},
		{"wasi_unstable", "fd_write"},
		{"env", "system"},
		{"glovebox", "send"},
	} {
		o, err := l.spawner.Run(l.t.Context(), leakSpec(importing(name[0], name[1])), nil)
		check(l.t, err)
		if o.Reason != sandbox.ReasonModule {
			l.t.Logf("%s %s: %q", name[0], name[1], o.Reason)
			admitted++
		}
	}
	return admitted
}

func leakSpec(module []byte) sandbox.Spec {
	return sandbox.Spec{
		Module: module, Outputs: []sandbox.Output{{Name: "model.bin", MaxBytes: 1 << 10}}, MemoryBytes: 64 << 20, OutputBytes: 1 << 16,
		Fuel: 1 << 36, Wall: time.Minute, Params: map[string]string{"TRY": "model"},
	}
}

// importing is a module that imports one function and exports an empty _start.
func importing(module, name string) []byte {
	text := func(s string) []byte { return append(binary.AppendUvarint(nil, uint64(len(s))), s...) }
	section := func(id byte, b ...[]byte) []byte {
		body := slices.Concat(b...)
		return append(append([]byte{id}, binary.AppendUvarint(nil, uint64(len(body)))...), body...)
	}
	return slices.Concat([]byte("\x00asm\x01\x00\x00\x00"),
		section(1, []byte{2, 0x60, 0, 0, 0x60, 3, 0x7f, 0x7f, 0x7f, 1, 0x7f}),
		section(2, []byte{1}, text(module), text(name), []byte{0, 1}),
		section(3, []byte{1, 0}), section(5, []byte{1, 0, 1}),
		section(7, []byte{1}, text("_start"), []byte{0, 1}),
		section(10, []byte{1, 2, 0, 0x0b}))
}

// nodata is for guests that read nothing.
type nodata struct{}

func (nodata) Range(context.Context, int, int64, int) ([]byte, int, error) {
	return nil, 0, errNotPermitted
}

// poisoned runs two modules of one length that differ in one constant, the second alone and after the first.
func poisoned(l *lab) float64 {
	l.t.Helper()
	honest, err := leaker()
	check(l.t, err)
	other := bytes.Replace(honest, []byte("constant: honest"), []byte("constant: poison"), -1)
	if bytes.Equal(honest, other) {
		l.t.Fatal("the guest has no such constant")
	}
	one := func(s *sandbox.Spawner, module []byte) string {
		spec := leakSpec(module)
		spec.Params["TRY"] = "constant"
		o, err := s.Run(l.t.Context(), spec, nodata{})
		check(l.t, err)
		if o.Reason != usage.ReasonNone || len(o.Outputs) != 1 {
			l.t.Fatalf("reason %q: %s", o.Reason, o.Detail)
		}
		return fmt.Sprint(string(o.Outputs[0].Data), o.Original, o.Rewritten, o.Fuel)
	}
	alone, err := sandbox.StartSpawner(sandbox.Config{})
	check(l.t, err)
	defer alone.Close()
	want := one(alone, honest)
	first := one(l.spawner, other)
	if first == want {
		l.t.Fatal("the modules do not differ")
	}
	return l.distinct("constant", want, one(l.spawner, honest), one(alone, honest))
}
