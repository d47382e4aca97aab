// SPDX-License-Identifier: Apache-2.0

package fuel

// state is what is known at a place of a body, on the worst of the ways that lead there.
type state struct {
	reached bool
	owed    int64 // units charged that no comparison with zero has covered
	dirty   bool  // the local holds less than the global
}

func (s *state) join(o state) {
	if o.reached {
		s.reached, s.owed, s.dirty = true, max(s.owed, o.owed), s.dirty || o.dirty
	}
}

// emitter writes a function's body again. While a function runs, its fuel is in a local: the global is read when it begins
// and after calls, and written before calls, where the function ends, and wherever the local is compared with zero.
type emitter struct {
	out    []byte
	m      *module
	f      *body
	fuel   uint64 // the local
	temp   uint64 // a local for operands, if f.bulk
	now    state
	opens  []open
	copied uint32 // of f.code
}

// open is a frame that is open, as the emitter sees it.
type open struct {
	op   byte
	end  state // arrives at its end by branches and from a first arm
	skip state // of an if without an else so far: arrives where its condition is false
}

// emit returns the body, valid until the next call.
func (e *emitter) emit(m *module, f *body, types *addedTypes, t uint32) []byte {
	*e = emitter{out: e.out[:0], opens: e.opens[:0], m: m, f: f, fuel: uint64(f.locals), temp: uint64(f.locals) + 1}
	if f.free() {
		return f.code
	}
	e.locals()
	e.load()
	e.out = append(e.out, opBlock, typeEmpty, opBlock)
	e.out = types.block(e.out, t, m.types[t].results)
	e.copied = uint32(f.start)
	// Whoever called may have charged up to so much since it compared.
	e.now = state{reached: true, owed: unchecked}
	e.push(opBlock)
	e.charge(1)
	for i := range f.points {
		e.point(&f.points[i])
	}
	e.out = append(e.out, opReturn, opEnd)
	e.store()
	e.out = append(e.out, opUnreachable, opEnd)
	return e.out
}

// free says that nothing has to be added.
func (f *body) free() bool {
	for _, c := range f.costs[1:] {
		if c != 0 {
			return false
		}
	}
	for i := range f.points {
		if f.points[i].op == opLoop {
			return false
		}
	}
	return true
}

func (e *emitter) locals() {
	groups := e.f.groups + 1
	if e.f.bulk {
		groups++
	}
	e.out = appendU(e.out, uint64(groups))
	e.out = append(append(e.out, e.f.decls...), 1, typeI64)
	if e.f.bulk {
		e.out = append(e.out, 1, typeI32)
	}
}

// point copies the body up to and with an instruction, with what has to stand before and after it.
func (e *emitter) point(p *point) {
	if p.dead {
		e.now = state{}
	}
	switch p.op {
	case opBlock, opLoop, opIf:
		e.upTo(p.next)
		e.push(p.op)
	case opElse:
		e.otherwise(p)
	case opEnd:
		e.end(p)
	case opBr, opBrIf, opBrTable:
		e.upTo(p.next)
		e.branch(e.f.targets[p.from:p.to])
	case opReturn:
		e.upTo(p.at)
		e.save()
		e.upTo(p.next)
	case opCall, opCallIndirect:
		e.call(p)
	case opMemoryGrow, opMisc:
		e.bulk(p)
	}
	switch {
	case p.segment == none || !e.now.reached:
	case p.op == opLoop:
		e.head(p.segment)
	default:
		e.charge(p.segment)
	}
}

func (e *emitter) push(op byte) {
	o := open{op: op}
	if op == opIf {
		o.skip = e.now
	}
	e.opens = append(e.opens, o)
}

func (e *emitter) otherwise(p *point) {
	top := &e.opens[len(e.opens)-1]
	top.end.join(e.now)
	e.now, top.skip = top.skip, state{}
	e.upTo(p.next)
}

func (e *emitter) end(p *point) {
	top := e.opens[len(e.opens)-1]
	e.opens = e.opens[:len(e.opens)-1]
	e.now.join(top.end)
	e.now.join(top.skip)
	e.upTo(p.next)
	if len(e.opens) == 0 {
		e.save()
	}
}

// branch brings the state to the ends of frames. A branch to a loop leads to its head, which expects the worst.
func (e *emitter) branch(targets []uint32) {
	for _, t := range targets {
		if e.opens[t].op != opLoop {
			e.opens[t].end.join(e.now)
		}
	}
}

// call lets a function have the fuel and takes back what it left. A host function must not run on debt.
func (e *emitter) call(p *point) {
	e.upTo(p.at)
	host := p.op == opCall && int(p.index) < e.m.imported
	if e.now.reached {
		if e.now.owed > 0 && (host || p.op == opCallIndirect && e.m.importTaken) {
			e.check()
		}
		e.save()
	}
	e.upTo(p.next)
	if !e.now.reached {
		return
	}
	e.load()
	e.now = state{reached: true, owed: unchecked}
	if host {
		e.now.owed = 0
	}
}

// bulk charges an instruction by its last operand, before it runs.
func (e *emitter) bulk(p *point) {
	e.upTo(p.at)
	if e.now.reached {
		e.local(opLocalTee, e.temp)
		e.local(opLocalGet, e.fuel)
		e.local(opLocalGet, e.temp)
		e.out = append(e.out, opExtendU)
		if factor := variable(p.op, p.sub); factor != 1 {
			e.out = append(appendS(append(e.out, opI64Const), factor), opI64Mul)
		}
		e.out = append(e.out, opI64Sub)
		e.local(opLocalSet, e.fuel)
		e.check()
	}
	e.upTo(p.next)
}

// charge takes a segment's cost, where it begins.
func (e *emitter) charge(segment int32) {
	c := e.f.costs[segment]
	if c == 0 {
		return
	}
	e.subtract(c)
	e.now.owed += c
	e.now.dirty = true
	if e.now.owed > unchecked {
		e.check()
	}
}

// head charges what follows a loop's head, which is compared each time round.
func (e *emitter) head(segment int32) {
	if c := e.f.costs[segment]; c > 0 {
		e.subtract(c)
	}
	e.check() // even if nothing: the last round charged something
}

func (e *emitter) subtract(c int64) {
	e.local(opLocalGet, e.fuel)
	e.out = append(appendS(append(e.out, opI64Const), c), opI64Sub)
	e.local(opLocalSet, e.fuel)
}

// check leaves the function for its last lines, which stop the guest, if the fuel has fallen below zero. It also writes the
// global, so that what the host sees after a trap lacks no more than what was not compared.
func (e *emitter) check() {
	e.local(opLocalGet, e.fuel)
	e.out = append(e.out, opI64Const, 0, opI64LtS, opBrIf)
	e.out = appendU(e.out, uint64(len(e.opens)))
	e.store()
	e.now.owed, e.now.dirty = 0, false
}

// save writes the global if the local holds less.
func (e *emitter) save() {
	if e.now.reached && e.now.dirty {
		e.store()
		e.now.dirty = false
	}
}

func (e *emitter) store() {
	e.local(opLocalGet, e.fuel)
	e.local(opGlobalSet, uint64(e.m.globals))
}

func (e *emitter) load() {
	e.local(opGlobalGet, uint64(e.m.globals))
	e.local(opLocalSet, e.fuel)
}

// local appends an instruction with an index.
func (e *emitter) local(op byte, index uint64) { e.out = appendU(append(e.out, op), index) }

// upTo copies the body up to an offset.
func (e *emitter) upTo(to uint32) {
	e.out = append(e.out, e.f.code[e.copied:to]...)
	e.copied = to
}
