// SPDX-License-Identifier: Apache-2.0

package fuel

import "fmt"

// rewrite writes the module again with fuel. Nothing that the module can name changes its number: what is added (a
// global, types, locals) comes after all of its own, and its own indices were checked against their counts.
func (m *module) rewrite() ([]byte, error) {
	code, types, err := m.rewriteCode()
	if err != nil {
		return nil, err
	}
	out := append(make([]byte, 0, len(code)+1<<16), "\x00asm\x01\x00\x00\x00"...)
	for _, id := range []int{
		secType, secImport, secFunction, secTable, secMemory, secGlobal, secExport, secElement, secDataCount, secCode, secData,
	} {
		s := &m.sec[id]
		switch id {
		case secType:
			out = s.extend(out, id, types.count, types.bytes)
		case secTable:
			if s.present {
				out = appendSection(out, id, m.tableSection())
			}
		case secGlobal:
			out = s.extend(out, id, 1, []byte{typeI64, 1, opI64Const, 0, opEnd})
		case secExport:
			n, added := m.addedExports()
			out = s.extend(out, id, n, added)
		case secCode:
			if s.present {
				out = appendSection(out, id, code)
			}
		default:
			if s.present {
				out = appendSection(out, id, s.body)
			}
		}
	}
	return out, nil
}

func appendSection(out []byte, id int, body []byte) []byte {
	return append(appendU(append(out, byte(id)), uint64(len(body))), body...)
}

// extend writes a section with so many items added at its end.
func (s *section) extend(out []byte, id, n int, added []byte) []byte {
	if !s.present && n == 0 {
		return out
	}
	count := appendU(nil, uint64(s.items+n))
	out = appendU(append(out, byte(id)), uint64(len(count)+len(s.rest)+len(added)))
	return append(append(append(out, count...), s.rest...), added...)
}

// tableSection is the table section with a maximum for every table.
func (m *module) tableSection() []byte {
	b := appendU(nil, uint64(len(m.tables)))
	for _, t := range m.tables {
		b = appendU(appendU(append(b, t.kind, 1), uint64(t.min)), uint64(t.max))
	}
	return b
}

func (m *module) addedExports() (int, []byte) {
	one := func(b []byte, name string, kind byte, index uint64) []byte {
		return appendU(append(appendName(b, name), kind), index)
	}
	n, b := 1, one(nil, GlobalExport, 3, uint64(m.globals))
	if m.start >= 0 {
		n, b = n+1, one(b, StartExport, 0, uint64(m.start))
	}
	for _, g := range m.mutable {
		n, b = n+1, one(b, globalName(g), 3, uint64(g))
	}
	return n, b
}

// addedTypes are the block types that functions of two results or more need: no parameters, the function's results.
type addedTypes struct {
	first int
	count int
	bytes []byte
	of    map[uint32]uint64 // by the function's type
}

// block appends the block type of a function of type t.
func (a *addedTypes) block(b []byte, t uint32, results []byte) []byte {
	switch len(results) {
	case 0:
		return append(b, typeEmpty)
	case 1:
		return append(b, results[0])
	}
	i, ok := a.of[t]
	if !ok {
		i = uint64(a.first + a.count)
		a.of[t] = i
		a.count++
		a.bytes = append(a.bytes, typeFunc, 0)
		a.bytes = append(appendU(a.bytes, uint64(len(results))), results...)
	}
	return appendS(b, int64(i))
}

func (m *module) rewriteCode() ([]byte, *addedTypes, error) {
	types := &addedTypes{first: len(m.types), of: make(map[uint32]uint64)}
	s := &m.sec[secCode]
	if !s.present {
		return nil, types, nil
	}
	r := &reader{b: s.body, at: s.at}
	n := r.count("function bodies", maxFunctions, 2)
	own := m.functions[m.imported:]
	if r.err == nil && n != len(own) {
		return nil, nil, fmt.Errorf("code section: %d bodies for %d functions", n, len(own))
	}
	out := appendU(make([]byte, 0, len(s.body)*2), uint64(n))
	var f body
	var e emitter
	for i := 0; i < n && r.err == nil; i++ {
		size := r.u32()
		if size > maxBody {
			r.fail(fmt.Errorf("function %d has %d bytes, at most %d", m.imported+i, size, maxBody))
		}
		at := r.p
		code := r.bytes(int(size))
		if r.err != nil {
			break
		}
		t := own[i]
		if err := m.scan(&f, code, s.at+at, m.types[t]); err != nil {
			return nil, nil, fmt.Errorf("function %d: %w", m.imported+i, err)
		}
		b := e.emit(m, &f, types, t)
		if len(out)+len(b) > maxRewritten {
			return nil, nil, fmt.Errorf("code is too large once it counts fuel: function %d passes %d bytes", m.imported+i, maxRewritten)
		}
		out = append(appendU(out, uint64(len(b))), b...)
	}
	r.end("section")
	if r.err != nil {
		return nil, nil, fmt.Errorf("code section: %w", r.err)
	}
	return out, types, nil
}
