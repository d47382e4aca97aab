// SPDX-License-Identifier: Apache-2.0

package fuel_test

import (
	"math"
	"math/rand/v2"
)

// gen makes random valid modules that end: calls lead only to functions further on, loops count down. They may trap.
type gen struct {
	*rand.Rand
	types   [][2][]byte // parameters and results
	funcs   []int       // types of functions
	globals []byte      // types

	self   int // function being made
	locals []byte
	labels [][]byte // what a branch takes, innermost last; nil also for loops
	loops  []int    // labels that are loops
	calls  int      // left to this function
	size   int      // expressions so far
}

const f32 = 0x7d

var scalars = []byte{i32, i64, f32, f64}

func (g *gen) pick() byte { return scalars[g.IntN(len(scalars))] }

func (g *gen) some(most int) []byte {
	v := make([]byte, g.IntN(most+1))
	for i := range v {
		v[i] = g.pick()
	}
	return v
}

// generate makes a module of a seed. Functions, memory and globals are exported: "f0", "memory", "g0".
func generate(seed uint64) []byte {
	g := &gen{Rand: rand.New(rand.NewPCG(seed, 1))}
	g.types = append(g.types, [2][]byte{nil, {i32}})
	for range 4 {
		g.types = append(g.types, [2][]byte{g.some(3), g.some(3)})
	}
	n := 2 + g.IntN(3)
	for range n {
		g.funcs = append(g.funcs, g.IntN(len(g.types)))
	}
	var typeItems, typeIndices, globals, exports, bodies, elements [][]byte
	for _, t := range g.types {
		typeItems = append(typeItems, typ(t[0], t[1]))
	}
	for i := range 5 {
		t := g.pick()
		g.globals = append(g.globals, t)
		globals = append(globals, cat([]byte{t, 1}, g.constant(t), []byte{0x0b}))
		exports = append(exports, export("g"+string(rune('0'+i)), 3, uint64(i)))
	}
	for i, t := range g.funcs {
		typeIndices = append(typeIndices, uleb(uint64(t)))
		exports = append(exports, export("f"+string(rune('0'+i)), 0, uint64(i)))
		elements = append(elements, uleb(uint64(i)))
		bodies = append(bodies, g.function(i))
	}
	exports = append(exports, export("memory", 2, 0))
	return wasm(
		types(typeItems...), sec(3, vec(typeIndices...)),
		sec(4, vec([]byte{0x70, 1, byte(n + 1), 40})), sec(5, vec([]byte{1, 1, 3})),
		sec(6, vec(globals...)), sec(7, vec(exports...)),
		sec(9, vec(cat([]byte{0, 0x41, 0, 0x0b}, vec(elements...)))),
		sec(12, uleb(1)), sec(10, vec(bodies...)),
		sec(11, vec(cat([]byte{1}, str("some data that a function may copy")))),
	)
}

func (g *gen) function(i int) []byte {
	t := g.types[g.funcs[i]]
	g.self, g.calls, g.size = i, 2, 0
	own := cat(g.some(4), []byte{i32, i32, i32}) // the last three count loops
	g.locals = cat(t[0], own)
	g.labels, g.loops = [][]byte{t[1]}, nil
	var groups [][]byte
	for _, v := range own {
		groups = append(groups, []byte{1, v})
	}
	code := g.block(3)
	for _, r := range t[1] {
		code = append(code, g.expr(r, 3)...)
	}
	return fnLocals(vec(groups...), code)
}

// block is some statements.
func (g *gen) block(depth int) []byte {
	var code []byte
	for range 1 + g.IntN(5) {
		code = append(code, g.statement(depth)...)
	}
	return code
}

func (g *gen) statement(depth int) []byte {
	if depth == 0 {
		return g.simple()
	}
	switch g.IntN(9) {
	case 0:
		return g.inside(nil, depth, []byte{0x02, 0x40}, []byte{0x0b})
	case 1:
		return cat(g.expr(i32, 2), g.inside(nil, depth, []byte{0x04, 0x40}, []byte{0x0b}))
	case 2:
		cond := g.expr(i32, 2)
		first := g.inside(nil, depth, []byte{0x04, 0x40}, nil)
		return cat(cond, first, g.inside(nil, depth, []byte{0x05}, []byte{0x0b}))
	case 3:
		return g.loop(depth)
	case 4:
		return g.table(depth)
	case 5:
		return g.branch()
	default:
		return g.simple()
	}
}

// inside is a block of statements within a label.
func (g *gen) inside(label []byte, depth int, before, after []byte) []byte {
	g.labels = append(g.labels, label)
	code := cat(before, g.block(depth-1), after)
	g.labels = g.labels[:len(g.labels)-1]
	return code
}

// loop counts a local of its own down, so that it ends whatever happens within.
func (g *gen) loop(depth int) []byte {
	if len(g.loops) == 3 {
		return g.simple()
	}
	counter := uleb(uint64(len(g.locals) - 3 + len(g.loops)))
	g.loops = append(g.loops, len(g.labels))
	g.labels = append(g.labels, nil)
	head := cat(
		[]byte{0x41}, sleb(int64(1+g.IntN(4))), []byte{0x21}, counter, []byte{0x03, 0x40},
		// Every way back to the head passes here.
		[]byte{0x20}, counter, []byte{0x41, 1, 0x6b, 0x22}, counter, []byte{0x41, 0, 0x4a, 0x04, 0x40},
	)
	g.labels = append(g.labels, nil)
	body := g.block(depth - 1)
	if g.IntN(2) == 0 {
		body = append(body, 0x0c, 1)
	}
	g.labels = g.labels[:len(g.labels)-2]
	g.loops = g.loops[:len(g.loops)-1]
	return cat(head, body, []byte{0x0b, 0x0b})
}

// table is a br_table over labels that take nothing.
func (g *gen) table(depth int) []byte {
	var code []byte
	n := 1 + g.IntN(4)
	for range n {
		code = append(code, 0x02, 0x40)
		g.labels = append(g.labels, nil)
	}
	code = append(append(code, g.expr(i32, 2)...), 0x0e)
	code = append(code, uleb(uint64(n-1))...)
	for range n {
		code = append(code, byte(g.IntN(n)))
	}
	for range n {
		code = append(code, 0x0b)
		g.labels = g.labels[:len(g.labels)-1]
		code = append(code, g.block(depth-1)...)
	}
	return code
}

// branch leaves by br, br_if or return, or traps.
func (g *gen) branch() []byte {
	l := g.IntN(len(g.labels))
	want := g.labels[len(g.labels)-1-l]
	var code []byte
	for _, t := range want {
		code = append(code, g.expr(t, 2)...)
	}
	switch g.IntN(8) {
	case 0:
		return append(code, append([]byte{0x0c}, uleb(uint64(l))...)...)
	case 1:
		code = nil
		for _, t := range g.labels[0] {
			code = append(code, g.expr(t, 2)...)
		}
		return append(code, 0x0f)
	case 2:
		if g.IntN(20) == 0 {
			return []byte{0x00}
		}
	}
	code = cat(code, g.expr(i32, 2), []byte{0x0d}, uleb(uint64(l)))
	for range want {
		code = append(code, 0x1a)
	}
	return code
}

// simple is a statement without control flow of its own.
func (g *gen) simple() []byte {
	if g.size > 300 {
		return []byte{0x01}
	}
	switch g.IntN(10) {
	case 0, 1, 2:
		if len(g.locals) == 3 {
			return []byte{0x01}
		}
		l := g.IntN(len(g.locals) - 3)
		return cat(g.expr(g.locals[l], 3), []byte{0x21}, uleb(uint64(l)))
	case 3, 4:
		n := g.IntN(len(g.globals))
		return cat(g.expr(g.globals[n], 3), []byte{0x24}, uleb(uint64(n)))
	case 5, 6:
		t := g.IntN(4)
		return cat(g.address(), g.expr(scalars[t], 2), []byte{[]byte{0x36, 0x37, 0x38, 0x39}[t], 0, byte(g.IntN(100))})
	case 7:
		return g.bulk()
	case 8:
		return g.call()
	default:
		return cat(g.expr(g.pick(), 3), []byte{0x1a})
	}
}

func (g *gen) address() []byte {
	return cat(g.expr(i32, 1), []byte{0x41}, sleb(0x7fff), []byte{0x71})
}

// bulk is an instruction that is charged by its operand.
func (g *gen) bulk() []byte {
	length := cat(g.expr(i32, 1), []byte{0x41}, sleb(int64(1)<<g.IntN(16)-1), []byte{0x71})
	switch g.IntN(8) {
	case 0:
		return cat(g.address(), g.address(), length, []byte{0xfc, 10, 0, 0})
	case 1:
		return cat(g.address(), []byte{0x41, 0, 0x41, byte(g.IntN(37)), 0xfc, 8, 0, 0})
	case 2:
		return cat([]byte{0x41, byte(g.IntN(2)), 0x40, 0, 0x1a})
	case 3:
		return []byte{0x41, byte(g.IntN(3)), 0x41, byte(g.IntN(3)), 0x41, byte(g.IntN(2)), 0xfc, 14, 0, 0}
	case 4:
		return []byte{0xd0, 0x70, 0x41, byte(g.IntN(30)), 0xfc, 15, 0, 0x1a}
	case 5:
		return []byte{0x41, byte(g.IntN(4)), 0x41, 0, 0x25, 0, 0x26, 0}
	default:
		return cat(g.address(), g.expr(i32, 1), length, []byte{0xfc, 11, 0})
	}
}

// call calls a function further on, by name or through the table, and drops what it returns.
func (g *gen) call() []byte {
	if g.self+1 >= len(g.funcs) || g.calls == 0 {
		return []byte{0x01}
	}
	g.calls--
	f := g.self + 1 + g.IntN(len(g.funcs)-g.self-1)
	t := g.types[g.funcs[f]]
	var code []byte
	for _, p := range t[0] {
		code = append(code, g.expr(p, 2)...)
	}
	if g.IntN(2) == 0 {
		code = append(append(code, 0x10), uleb(uint64(f))...)
	} else {
		at := f
		if g.IntN(25) == 0 {
			at = len(g.funcs) + g.IntN(3) // nothing there
		}
		code = append(append(append(code, 0x41), sleb(int64(at))...), 0x11, byte(g.funcs[f]), 0)
	}
	for range t[1] {
		code = append(code, 0x1a)
	}
	return code
}

func (g *gen) constant(t byte) []byte {
	switch t {
	case i32:
		return append([]byte{0x41}, sleb(int64(int32(g.Uint32()))>>g.IntN(32))...)
	case i64:
		return append([]byte{0x42}, sleb(int64(g.Uint64())>>g.IntN(64))...)
	case f32:
		b := math.Float32bits(float32(g.IntN(1000)-500) / 8)
		return []byte{0x43, byte(b), byte(b >> 8), byte(b >> 16), byte(b >> 24)}
	default:
		b := math.Float64bits(float64(g.IntN(100000)-50000) / 64)
		return []byte{0x44, byte(b), byte(b >> 8), byte(b >> 16), byte(b >> 24), byte(b >> 32), byte(b >> 40), byte(b >> 48), byte(b >> 56)}
	}
}

// expr leaves one value.
func (g *gen) expr(t byte, depth int) []byte {
	if g.size++; depth == 0 || g.size > 300 {
		return g.leaf(t)
	}
	binary := map[byte][]byte{
		i32: {0x6a, 0x6b, 0x6c, 0x71, 0x72, 0x73, 0x74, 0x76, 0x77}, i64: {0x7c, 0x7d, 0x7e, 0x83, 0x85, 0x86, 0x88, 0x89},
		f32: {0x92, 0x93, 0x94}, f64: {0xa0, 0xa1, 0xa2},
	}[t]
	switch g.IntN(9) {
	case 0, 1, 2:
		return cat(g.expr(t, depth-1), g.expr(t, depth-1), []byte{binary[g.IntN(len(binary))]})
	case 3:
		return cat(g.expr(t, depth-1), g.expr(t, depth-1), g.expr(i32, depth-1), []byte{0x1b})
	case 4:
		return cat(g.address(), []byte{map[byte]byte{i32: 0x28, i64: 0x29, f32: 0x2a, f64: 0x2b}[t], 0, 0})
	case 5: // if with a result
		cond := g.expr(i32, depth-1)
		g.labels = append(g.labels, []byte{t})
		code := cat(cond, []byte{0x04, t}, g.expr(t, depth-1), []byte{0x05}, g.block(0), g.expr(t, depth-1), []byte{0x0b})
		g.labels = g.labels[:len(g.labels)-1]
		return code
	case 6: // block that a value may leave early
		g.labels = append(g.labels, []byte{t})
		code := cat([]byte{0x02, t}, g.expr(t, depth-1), g.expr(i32, depth-1), []byte{0x0d, 0}, []byte{0x0b})
		g.labels = g.labels[:len(g.labels)-1]
		return code
	case 7:
		return g.convert(t, depth)
	default:
		return g.leaf(t)
	}
}

func (g *gen) convert(t byte, depth int) []byte {
	switch t {
	case i32:
		if g.IntN(3) == 0 {
			divisor := g.expr(i32, depth-1)
			if g.IntN(30) != 0 { // else it may trap
				divisor = append(divisor, 0x41, 15, 0x71, 0x41, 1, 0x72)
			}
			return cat(g.expr(i32, depth-1), divisor, []byte{[]byte{0x6d, 0x6e, 0x6f, 0x70}[g.IntN(4)]})
		}
		return cat(g.expr(i64, depth-1), []byte{[]byte{0xa7, 0x50}[g.IntN(2)]})
	case i64:
		return cat(g.expr(i32, depth-1), []byte{[]byte{0xac, 0xad}[g.IntN(2)]})
	case f32:
		return cat(g.expr(i32, depth-1), []byte{0xb2})
	default:
		return cat(g.expr(i64, depth-1), []byte{0xb9})
	}
}

func (g *gen) leaf(t byte) []byte {
	from := g.IntN(len(g.locals) + 1)
	for i := range g.locals {
		if l := (i + from) % len(g.locals); g.locals[l] == t {
			return append([]byte{0x20}, uleb(uint64(l))...)
		}
	}
	if n := g.IntN(len(g.globals)); g.globals[n] == t {
		return append([]byte{0x23}, uleb(uint64(n))...)
	}
	return g.constant(t)
}
