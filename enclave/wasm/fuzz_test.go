// SPDX-License-Identifier: Apache-2.0

package wasm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
)

// FuzzHostCalls calls any function of the host with any arguments on any memory: it ends as a guest may end, and twice the same.
func FuzzHostCalls(f *testing.F) {
	m := caller()
	m.imports = slices.Concat(m.imports, wasiImports())
	m.funcs = nil
	m = m.forwarding()
	compiled := compile(f, m.bytes())
	for n, fn := range m.funcs {
		f.Add(uint8(n), le(3, 512, 4, 0, 64, 8, 0), []byte("\x00\x02\x00\x00\x10\x00\x00\x00"))
		f.Add(uint8(n), le(0, 0, 2, 2, 2, 0, 0, 2, 64, 2, 0, 128, 2)[:4*len(fn.params)], []byte("file"))
	}
	once := func(t *testing.T, n uint8, raw, memory []byte) (total, []uint64, int64) {
		c, _ := withScratch()
		c.Fuel, c.Files = 1e8, memFiles{"file": []byte("0123456789")}
		i := instantiate(t, compiled, c)
		for at := range uint32(16) { // the same at every 4 KiB, so that most pointers lead to something
			i.guest.Memory().Write(at*4096, memory[:min(len(memory), 4096)])
		}
		fn := m.funcs[int(n)%len(m.funcs)]
		args := make([]uint64, len(fn.params))
		for k := range args {
			raw = append(raw, 0, 0, 0, 0)
			args[k], raw = uint64(binary.LittleEndian.Uint32(raw)), raw[4:]
			if fn.params[k] == i64 && args[k]&1 != 0 {
				args[k] = -args[k]
			}
		}
		v, err := i.Call(t.Context(), fn.export, args...)
		if _, exited := errors.AsType[ErrExit](err); err != nil && !exited && !errors.Is(err, ErrTrap) && !errors.Is(err, ErrFuel) {
			t.Fatalf("%s%v: %v", fn.export, args, err)
		}
		defer i.Close()
		return totalOf(t, i), v, i.Used()
	}
	f.Fuzz(func(t *testing.T, n uint8, raw, memory []byte) {
		s1, v1, used1 := once(t, n, bytes.Clone(raw), memory)
		s2, v2, used2 := once(t, n, bytes.Clone(raw), memory)
		wantSame(t, s2, s1)
		if !slices.Equal(v1, v2) || used1 != used2 || used1 < 0 {
			t.Errorf("%v for %d, then %v for %d", v1, used1, v2, used2)
		}
	})
}
