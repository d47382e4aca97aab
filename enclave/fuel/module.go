// SPDX-License-Identifier: Apache-2.0

package fuel

import (
	"errors"
	"fmt"
	"strings"
)

// Section numbers of the binary format.
const (
	secCustom = iota
	secType
	secImport
	secFunction
	secTable
	secMemory
	secGlobal
	secExport
	secStart
	secElement
	secCode
	secData
	secDataCount
	sections
)

// Value types of the binary format.
const (
	typeI32       = 0x7f
	typeI64       = 0x7e
	typeF32       = 0x7d
	typeF64       = 0x7c
	typeV128      = 0x7b
	typeFuncref   = 0x70
	typeExternref = 0x6f
	typeFunc      = 0x60
	typeEmpty     = 0x40
)

// section is where a section's contents lie in the module. Absent ones have no present.
type section struct {
	present bool
	at      int // offset of body in the module
	body    []byte
	rest    []byte // body without its leading count, for sections that are copied with items added
	items   int
}

// funcType keeps where its values lie rather than the values: modules repeat them by the thousand.
type funcType struct {
	params, results []byte
	taken, given    uint32 // their weights
}

func (t funcType) both() uint32 { return t.taken + t.given }

// table is a table as the module declares it, with the maximum that it has or gets.
type table struct {
	kind     byte
	min, max uint32
}

type module struct {
	sec [sections]section

	types     []funcType
	imported  int // functions
	functions []uint32
	tables    []table
	memories  int
	globals   int
	mutable   []uint32
	elements  int
	data      int // segments that code may name: what the data count section says
	start     int // function index, -1 for none

	// taken are the functions that segments, globals and exports name: code may take the address of those only. If an
	// imported one is among them, a call_indirect may reach it and is charged like a call of it.
	taken       []bool
	importTaken bool
	fixed       string
}

// parse reads a whole module but for the bodies of its functions, which rewrite reads.
func parse(b []byte, imports Imports) (*module, error) {
	if len(b) > maxModule {
		return nil, fmt.Errorf("%d bytes, at most %d", len(b), maxModule)
	}
	m := &module{start: -1}
	if err := m.split(b); err != nil {
		return nil, err
	}
	steps := []struct {
		name string
		id   int
		read func(*reader, *section)
	}{
		{"type", secType, m.readTypes},
		{"import", secImport, func(r *reader, _ *section) { m.readImports(r, imports) }},
		{"function", secFunction, m.readFunctions},
		{"table", secTable, m.readTables},
		{"memory", secMemory, m.readMemory},
		{"global", secGlobal, m.readGlobals},
		{"export", secExport, m.readExports},
		{"start", secStart, m.readStart},
		{"element", secElement, m.readElements},
		{"data count", secDataCount, m.readDataCount},
		{"data", secData, m.readData},
	}
	for _, s := range steps {
		sec := &m.sec[s.id]
		if !sec.present {
			continue
		}
		r := &reader{b: sec.body, at: sec.at}
		s.read(r, sec)
		r.end("section")
		if r.err != nil {
			return nil, fmt.Errorf("%s section: %w", s.name, r.err)
		}
	}
	if len(m.functions) > m.imported && !m.sec[secCode].present {
		return nil, errors.New("functions without a code section")
	}
	if m.data > 0 && !m.sec[secData].present {
		return nil, errors.New("data count without a data section")
	}
	return m, nil
}

// split finds the sections. Each may come once, in the order of the format; custom ones are dropped.
func (m *module) split(b []byte) error {
	r := &reader{b: b}
	if string(r.bytes(8)) != "\x00asm\x01\x00\x00\x00" {
		return errors.New("not a WebAssembly module of version 1: the first eight bytes differ")
	}
	last := 0
	for r.more() {
		at := r.p
		id := int(r.byte())
		n := r.u32()
		if r.err == nil && int64(n) > int64(r.left()) {
			r.fail(errTruncated)
		}
		start := r.p
		body := r.bytes(int(n))
		if r.err != nil {
			return r.err
		}
		if id == secCustom {
			c := &reader{b: body, at: start}
			if c.name("name of a custom section"); c.err != nil {
				return c.err
			}
			continue
		}
		if id >= sections {
			return fmt.Errorf("at byte %d: unknown section %d%s", at, id, hintSection(id))
		}
		if order(id) <= last {
			return fmt.Errorf("at byte %d: section %d twice or out of order", at, id)
		}
		last = order(id)
		m.sec[id] = section{present: true, at: start, body: body}
	}
	return r.err
}

// order is where a section must stand: data count comes before code.
func order(id int) int {
	if id == secDataCount {
		return 2*secElement + 1
	}
	return 2 * id
}

func hintSection(id int) string {
	if id == 13 {
		return " (exceptions are not supported: build without them)"
	}
	return ""
}

func (r *reader) valueType() byte {
	switch t := r.byte(); t {
	case typeI32, typeI64, typeF32, typeF64, typeV128, typeFuncref, typeExternref:
		return t
	default:
		r.fail(fmt.Errorf("value type %#x", t))
		return 0
	}
}

func (r *reader) refType() byte {
	t := r.byte()
	if t != typeFuncref && t != typeExternref {
		r.fail(fmt.Errorf("reference type %#x", t))
	}
	return t
}

func (r *reader) values(what string) []byte {
	n := r.count(what, maxParams, 1)
	at := r.p
	for i := 0; i < n && r.err == nil; i++ {
		r.valueType()
	}
	if r.err != nil {
		return nil
	}
	return r.b[at:r.p]
}

func (m *module) readTypes(r *reader, s *section) {
	s.items = r.count("types", maxTypes, 3)
	s.rest = r.b[r.p:]
	m.types = make([]funcType, 0, s.items)
	for i := 0; i < s.items && r.err == nil; i++ {
		if form := r.byte(); form != typeFunc {
			r.fail(fmt.Errorf("type form %#x: only function types are supported", form))
		}
		t := funcType{params: r.values("parameters"), results: r.values("results")}
		for _, v := range t.params {
			t.taken += weight(v)
		}
		for _, v := range t.results {
			t.given += weight(v)
		}
		m.types = append(m.types, t)
	}
}

func (m *module) readImports(r *reader, allowed Imports) {
	n := r.count("imports", maxImports, 4)
	for i := 0; i < n && r.err == nil; i++ {
		key := [2]string{r.name("import module"), r.name("import name")}
		if len(key[0]) > maxName || len(key[1]) > maxName {
			r.fail(errors.New("name of an import is too long"))
		}
		kind := r.byte()
		if kind != 0 {
			r.fail(fmt.Errorf("import %s is a %s: only functions may be imported", show(key), kindName(kind)))
			return
		}
		t := r.index("type", len(m.types))
		if r.err != nil {
			return
		}
		if err := checkImport(key, m.types[t], allowed); err != nil {
			r.fail(err)
		}
		m.functions = append(m.functions, t)
		m.imported++
	}
}

func kindName(kind byte) string {
	switch kind {
	case 1:
		return "table"
	case 2:
		return "memory"
	case 3:
		return "global"
	default:
		return fmt.Sprintf("thing of kind %#x", kind)
	}
}

func (m *module) readFunctions(r *reader, s *section) {
	s.items = r.count("functions", maxFunctions, 1)
	m.functions = append(make([]uint32, 0, len(m.functions)+s.items), m.functions...)
	for i := 0; i < s.items && r.err == nil; i++ {
		m.functions = append(m.functions, r.index("type", len(m.types)))
	}
}

func (m *module) readTables(r *reader, _ *section) {
	n := r.count("tables", maxTables, 3)
	total := uint64(0)
	for i := 0; i < n && r.err == nil; i++ {
		t := table{kind: r.refType()}
		t.min, t.max = r.limits("table", 1<<32-1)
		// Engines keep tables outside of what a guest's memory is limited to.
		t.max = max(t.min, min(t.max, uint32(maxTableEntries/n)))
		m.tables = append(m.tables, t)
		if total += uint64(t.min); total > maxTableEntries {
			r.fail(fmt.Errorf("tables of %d entries or more, at most %d", total, maxTableEntries))
		}
	}
}

func (m *module) readMemory(r *reader, _ *section) {
	m.memories = r.count("memories", 1, 2)
	if m.memories == 1 {
		r.limits("memory", maxPages)
	}
}

// limits reads a table's or memory's least size and its greatest: the most that there is if it has none.
func (r *reader) limits(what string, most uint32) (low, high uint32) {
	flag := r.byte()
	if flag > 1 {
		r.fail(fmt.Errorf("%s flags %#x: shared and 64-bit ones are not supported", what, flag))
	}
	low, high = r.u32(), most
	if flag == 1 {
		high = r.u32()
	}
	if r.err == nil && (low > high || high > most) {
		r.fail(fmt.Errorf("%s of %d to %d, at most %d", what, low, high, most))
	}
	return low, high
}

func (m *module) readGlobals(r *reader, s *section) {
	s.items = r.count("globals", maxGlobals, 4)
	s.rest = r.b[r.p:]
	m.globals = s.items
	for i := 0; i < s.items && r.err == nil; i++ {
		t := r.valueType()
		switch mutable := r.byte(); {
		case mutable > 1:
			r.fail(fmt.Errorf("global %d has mutability %#x", i, mutable))
		case mutable == 1 && (t == typeV128 || t == typeFuncref || t == typeExternref):
			m.fix("a mutable global holds a vector or a reference")
		case mutable == 1:
			m.mutable = append(m.mutable, uint32(i))
		}
		m.constant(r)
	}
}

// fix remembers why a snapshot of memory and numeric globals would not restore the module.
func (m *module) fix(why string) {
	if m.fixed == "" {
		m.fixed = why
	}
}

// constant reads a constant expression: one instruction and an end.
func (m *module) constant(r *reader) {
	switch op := r.byte(); op {
	case opI32Const:
		r.signed(32)
	case opI64Const:
		r.signed(64)
	case opF32Const:
		r.bytes(4)
	case opF64Const:
		r.bytes(8)
	case opGlobalGet:
		r.index("global", m.globals)
	case opRefNull:
		r.refType()
	case opRefFunc:
		m.take(r.index("function", len(m.functions)))
	case opVector:
		if sub := r.byte(); sub != 12 {
			r.fail(fmt.Errorf("vector instruction %#x in a constant expression", sub))
		}
		r.bytes(16)
	default:
		r.fail(fmt.Errorf("instruction %#x in a constant expression", op))
	}
	if op := r.byte(); r.err == nil && op != opEnd {
		r.fail(fmt.Errorf("a constant expression goes on with instruction %#x: extended ones are not supported", op))
	}
}

// take notes that a function is named outside of code.
func (m *module) take(f uint32) {
	if m.taken == nil {
		m.taken = make([]bool, len(m.functions))
	}
	if int(f) < len(m.taken) {
		m.taken[f] = true
		m.importTaken = m.importTaken || int(f) < m.imported
	}
}

func (m *module) readExports(r *reader, s *section) {
	s.items = r.count("exports", maxExports, 3)
	s.rest = r.b[r.p:]
	seen := make(map[string]bool, s.items)
	sizes := []int{len(m.functions), len(m.tables), m.memories, m.globals}
	for i := 0; i < s.items && r.err == nil; i++ {
		name := r.name("name of an export")
		switch {
		case len(name) > maxName:
			r.fail(errors.New("name of an export is too long"))
		case strings.HasPrefix(name, reserved):
			r.fail(fmt.Errorf("export %q: names that begin with %q are reserved", name, reserved))
		case seen[name]:
			r.fail(fmt.Errorf("export %q twice", name))
		}
		seen[name] = true
		kind := r.byte()
		if int(kind) >= len(sizes) {
			r.fail(fmt.Errorf("export %q is a %s", name, kindName(kind)))
			return
		}
		if i := r.index("exported item", sizes[kind]); kind == 0 {
			m.take(i)
		}
	}
}

func (m *module) readStart(r *reader, _ *section) {
	f := r.index("function", len(m.functions))
	if r.err != nil {
		return
	}
	if t := m.types[m.functions[f]]; len(t.params)+len(t.results) > 0 {
		r.fail(errors.New("start function with parameters or results"))
		return
	}
	if int(f) < m.imported {
		r.fail(errors.New("start function is an import: call it from a function of the module"))
		return
	}
	m.start = int(f)
}

func (m *module) readElements(r *reader, _ *section) {
	m.elements = r.count("element segments", maxElements, 3)
	items := 0
	for i := 0; i < m.elements && r.err == nil; i++ {
		flags := r.u32()
		if flags > 7 {
			r.fail(fmt.Errorf("element segment flags %#x", flags))
			return
		}
		if flags&1 == 0 {
			if table := uint32(0); flags&2 != 0 {
				r.index("table", len(m.tables))
			} else if r.err == nil && len(m.tables) == 0 {
				r.fail(fmt.Errorf("table %d, of 0", table))
			}
			m.constant(r)
		}
		expressions := flags&4 != 0
		if flags&3 != 0 {
			if expressions {
				r.refType()
			} else if k := r.byte(); k != 0 {
				r.fail(fmt.Errorf("element kind %#x", k))
			}
		}
		n := r.count("elements", maxElemItems, 1)
		if items += n; items > maxElemItems {
			r.fail(fmt.Errorf("%d elements, at most %d", items, maxElemItems))
		}
		for j := 0; j < n && r.err == nil; j++ {
			if expressions {
				m.constant(r)
			} else {
				m.take(r.index("function", len(m.functions)))
			}
		}
	}
}

func (m *module) readDataCount(r *reader, _ *section) {
	n := r.u32()
	if n > maxData {
		r.fail(fmt.Errorf("%d data segments, at most %d", n, maxData))
	}
	m.data = int(n)
}

func (m *module) readData(r *reader, _ *section) {
	n := r.count("data segments", maxData, 2)
	if m.sec[secDataCount].present && n != m.data {
		r.fail(fmt.Errorf("%d data segments, but the data count section says %d", n, m.data))
	}
	for i := 0; i < n && r.err == nil; i++ {
		flags := r.u32()
		if flags > 2 {
			r.fail(fmt.Errorf("data segment flags %#x", flags))
			return
		}
		if flags == 2 {
			r.index("memory", 1)
		}
		if flags != 1 {
			if m.memories == 0 {
				r.fail(errors.New("data segment without a memory"))
			}
			m.constant(r)
		}
		size := r.u32()
		if int64(size) > int64(r.left()) {
			r.fail(errTruncated)
			return
		}
		r.bytes(int(size))
	}
}
