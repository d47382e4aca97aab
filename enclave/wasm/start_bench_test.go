// SPDX-License-Identifier: Apache-2.0

package wasm

import "testing"

// BenchmarkCompile measures what a run pays before its first instruction: admission and compilation, then an instance.
func BenchmarkCompile(b *testing.B) {
	for name, build := range map[string]func() []byte{
		"empty": func() []byte { return command().bytes() },
		"go":    func() []byte { return goGuest(b, "hello") },
	} {
		b.Run(name, func(b *testing.B) {
			wasm := build()
			b.SetBytes(int64(len(wasm)))
			for b.Loop() {
				m, err := Compile(b.Context(), wasm)
				if err != nil {
					b.Fatal(err)
				}
				_ = m.Close()
			}
		})
		b.Run(name+"/instance", func(b *testing.B) {
			m := compile(b, build())
			for b.Loop() {
				i, err := m.Instantiate(b.Context(), enough())
				if err != nil {
					b.Fatal(err)
				}
				_ = i.Close()
			}
		})
	}
}

// BenchmarkHostCall measures the cheapest call of the host there and back.
func BenchmarkHostCall(b *testing.B) {
	m := caller()
	m.funcs = append(m.funcs, function{export: "many", params: []byte{i32}, code: forever(
		localGet(0), op(0x45, 0x04, 0x40, 0x0f, 0x0b), localGet(0), con32(1), op(0x6b), localSet(0), con32(-1), callTo(1), drop,
	)})
	c := enough()
	c.Fuel = maxFuel
	i := instantiate(b, compile(b, m.bytes()), c)
	for b.Loop() {
		if _, err := i.Call(b.Context(), "many", 1000); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/call")
}
