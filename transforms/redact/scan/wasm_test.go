// SPDX-License-Identifier: Apache-2.0

package scan_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/glovebox-dev/glovebox/enclave/wasm"
	"github.com/glovebox-dev/glovebox/transforms/redact/scan"
)

// guest is the scanner in WebAssembly, with fuel counted.
type guest struct {
	t testing.TB
	i *wasm.Instance
}

func newGuest(t testing.TB) *guest {
	t.Helper()
	out := filepath.Join(t.TempDir(), "guest.wasm")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-buildmode=c-shared", "-ldflags=-s -w", "-o", out, "./testdata/guest")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	module, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	m, err := wasm.Compile(t.Context(), module)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	i, err := m.Instantiate(t.Context(), wasm.Config{Fuel: 1 << 50, MemoryBytes: 256 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = i.Close() })
	if err := i.Initialize(t.Context()); err != nil {
		t.Fatal(err)
	}
	return &guest{t, i}
}

func (g *guest) put(text []byte) {
	g.t.Helper()
	at, err := g.i.Call(g.t.Context(), "room", uint64(len(text)))
	if err != nil {
		g.t.Fatal(err)
	}
	if err := g.i.Write(uint32(at[0]), text); err != nil {
		g.t.Fatal(err)
	}
}

func (g *guest) call(name string) uint64 {
	g.t.Helper()
	got, err := g.i.Call(g.t.Context(), name)
	if err != nil {
		g.t.Fatal(err)
	}
	return got[0]
}

// digest is what the guest gives, of native findings.
func digest(text []byte) uint64 {
	found := scan.New(scan.Options{}).Scan(nil, text)
	h := uint64(len(found))
	mix := func(v uint64) { h = (h ^ v) * 1099511628211 }
	for i := range found {
		f := &found[i]
		mix(uint64(f.Start))
		mix(uint64(f.End))
		mix(uint64(f.Score))
		mix(uint64(f.Why))
		for _, b := range []byte(f.Type) {
			mix(uint64(b))
		}
		for _, b := range []byte(f.Rule) {
			mix(uint64(b))
		}
	}
	return h
}

// TestWebAssemblyAgrees: the same source finds the same on both.
func TestWebAssemblyAgrees(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles a Go program to WebAssembly; the long tests do")
	}
	g := newGuest(t)
	texts := [][]byte{prose(1 << 16), logs(1 << 16), {}}
	for _, s := range seeds {
		texts = append(texts, []byte(s))
	}
	for _, text := range texts {
		g.put(text)
		g.call("scan")
		if got, want := g.call("digest"), digest(text); got != want {
			t.Errorf("%.80q: WebAssembly finds other than native code", text)
		}
	}
}

func benchmarkWasm(b *testing.B, text []byte) {
	g := newGuest(b)
	g.put(text)
	g.call("scan") // room for the findings
	used := g.i.Used()
	b.SetBytes(int64(len(text)))
	b.ResetTimer()
	for b.Loop() {
		g.call("scan")
	}
	b.ReportMetric(float64(g.i.Used()-used)/float64(b.N)/float64(len(text)), "fuel/byte")
}

func BenchmarkWasmProse(b *testing.B) { benchmarkWasm(b, prose(1<<20)) }

func BenchmarkWasmDense(b *testing.B) { benchmarkWasm(b, logs(1<<20)) }
