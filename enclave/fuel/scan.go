// SPDX-License-Identifier: Apache-2.0

package fuel

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
)

// A body is cut into segments: runs of instructions, not always neighbours, of which either all run or none does unless
// the guest stops. Each is charged where it begins. dead is the segment of code that cannot run; it is never charged.
const dead = 0

// point is a place in a body where control flow happens or where the rewrite may have to add something. There may be
// millions: they are small and hold no pointers.
type point struct {
	at, next uint32 // offsets of the instruction and of what follows it
	segment  int32  // that begins at next, or none
	index    uint32 // of a call: the function
	from, to uint32 // of a branch: its targets' frames, in body.targets
	op, sub  byte
	dead     bool // cannot run
}

const none = -1

// frame is a control structure that is open.
type frame struct {
	op       byte
	segment  int32  // in which it stands
	head     int32  // of a loop: the segment that its head begins, or none
	far      int    // the outermost frame that a branch from within leads to
	branches int    // that lead to it
	values   uint32 // weight of what its label takes
}

// body is what scan finds out about a function.
type body struct {
	code    []byte
	start   int // offset of the first instruction
	groups  int // of local variables, and where they lie
	decls   []byte
	locals  int // with parameters
	points  []point
	targets []uint32
	costs   []int64 // of segments
	current int32
	frames  []frame
	bulk    bool // an instruction costs by its operand

	// sets holds, for each open frame, a set of the locals that are assigned within it, of so many words. An engine whose
	// compiler keeps values in registers moves each of them where ways join.
	sets    []uint64
	vectors []uint64 // the set of locals that are vectors
	words   int

	blocks, loops, inLoops, branches, jumps, bulks, moves int
}

// scan reads a function's body into f, whose memory it uses again: code is what stands behind its size, at its place in
// the module.
func (m *module) scan(f *body, code []byte, at int, t funcType) error {
	r := &reader{b: code, at: at}
	*f = body{
		code: code, points: f.points[:0], targets: f.targets[:0], costs: f.costs[:0], frames: f.frames[:0],
		sets: f.sets[:0], vectors: f.vectors[:0],
	}
	f.readLocals(r, t.params)
	f.start = r.p
	s := &scope{module: m, locals: f.locals}
	f.costs = append(f.costs, 0, int64((f.locals-len(t.params))/localsPerUnit))
	f.current = 1
	f.push(frame{op: opBlock, segment: dead})
	for len(f.frames) > 0 && r.err == nil {
		from := r.p
		in := s.next(r)
		if r.err != nil {
			break
		}
		f.costs[f.current] += m.cost(in)
		if err := f.step(m, in, from, r.p); err != nil {
			r.p = from
			r.fail(err)
		}
	}
	r.end("function")
	return r.err
}

func (f *body) readLocals(r *reader, params []byte) {
	for _, t := range params {
		f.declare(1, t)
	}
	f.groups = r.count("groups of locals", maxLocals, 2)
	from := r.p
	for i := 0; i < f.groups && r.err == nil; i++ {
		n := r.u32()
		t := r.valueType()
		if total := uint64(f.locals) + uint64(n); total > maxLocals {
			r.fail(fmt.Errorf("%d locals or more, at most %d", total, maxLocals))
			break
		}
		f.declare(int(n), t)
	}
	f.decls = r.b[from:r.p]
}

func (f *body) declare(n int, t byte) {
	for ; n > 0; n-- {
		if f.locals%64 == 0 {
			f.vectors = append(f.vectors, 0)
			f.words++
		}
		if t == typeV128 {
			f.vectors[f.locals/64] |= 1 << (f.locals % 64)
		}
		f.locals++
	}
}

// push opens a frame with an empty set of assigned locals.
func (f *body) push(top frame) {
	top.far = math.MaxInt
	f.frames = append(f.frames, top)
	n := len(f.sets)
	f.sets = slices.Grow(f.sets, f.words)[:n+f.words]
	clear(f.sets[n:])
}

// pop closes the innermost frame. It returns the weight of the values that may differ between the ways that join there:
// what its label takes, and the locals that are assigned within. They count as assigned in the frame around it, too.
func (f *body) pop() (frame, uint32) {
	k := len(f.frames) - 1
	top := f.frames[k]
	f.frames = f.frames[:k]
	set := f.sets[k*f.words:]
	f.sets = f.sets[:k*f.words]
	values := top.values
	for i, w := range set {
		if w == 0 {
			continue
		}
		values += uint32(bits.OnesCount64(w) + bits.OnesCount64(w&f.vectors[i]))
		if k > 0 {
			f.sets[(k-1)*f.words+i] |= w
		}
	}
	return top, values
}

// step follows one instruction: which segment comes after it, and what the rewrite has to know.
func (f *body) step(m *module, in instruction, at, next int) error {
	p := point{
		at: uint32(at), next: uint32(next), segment: none,
		op: in.op, sub: in.sub, index: in.index, dead: f.current == dead,
	}
	switch in.op {
	case opLocalSet, opLocalTee:
		f.sets[(len(f.frames)-1)*f.words+int(in.index/64)] |= 1 << (in.index % 64)
	case opBlock, opLoop, opIf:
		return f.open(p, in.values)
	case opElse:
		return f.otherwise(p)
	case opEnd:
		return f.close(p)
	case opBr, opBrIf, opBrTable, opReturn:
		return f.branch(p, in)
	case opUnreachable:
		f.points = append(f.points, p)
		f.current = dead
	case opCall, opCallIndirect:
		f.points = append(f.points, p)
		if in.op == opCall && int(in.index) < m.imported {
			return f.leave()
		}
		if in.op == opCallIndirect && m.importTaken {
			return f.jump()
		}
	case opTableSet:
		m.fix("table.set")
	case opRefFunc:
		return f.leave()
	case opMemoryGrow:
		f.bulk = true
		f.points = append(f.points, p)
		return f.leave()
	case opMisc:
		return f.misc(m, in, p)
	}
	return nil
}

// leave counts instructions for which compiled code leaves the function: they take the compiler long.
func (f *body) leave() error {
	if f.bulks++; f.bulks > maxBulk {
		return fmt.Errorf("more than %d instructions in a function that call imports, or grow, copy or fill memories or tables: split it", maxBulk)
	}
	return nil
}

// jump counts what becomes a branch, of which compilers take more than linear time.
func (f *body) jump() error {
	if f.jumps++; f.jumps > maxJumps {
		return fmt.Errorf("more than %d branches in a function: simplify or split it", maxJumps)
	}
	return nil
}

func (f *body) misc(m *module, in instruction, p point) error {
	if in.sub <= miscSaturate {
		return nil
	}
	if in.sub >= miscTableInit && in.sub != miscTableSize {
		m.fix("table or element segments change while it runs")
	}
	if variable(in.op, in.sub) != 0 {
		f.bulk = true
		f.points = append(f.points, p)
	}
	return f.leave()
}

func (f *body) open(p point, values uint32) error {
	f.blocks++
	if p.op == opLoop {
		f.loops++
		f.inLoops++
	}
	switch {
	case len(f.frames) > maxNesting:
		return fmt.Errorf("blocks nested deeper than %d", maxNesting)
	case f.blocks > maxBlocks:
		return fmt.Errorf("more than %d blocks in a function", maxBlocks)
	case f.loops > maxLoops || f.inLoops > maxInLoops:
		return fmt.Errorf("more than %d loops in a function, or %d in each other", maxLoops, maxInLoops)
	}
	top := frame{op: p.op, segment: f.current, head: none, values: values}
	if p.op != opBlock {
		p.segment = f.begin()
	}
	if p.op == opLoop {
		top.head = p.segment
	}
	f.push(top)
	f.points = append(f.points, p)
	return nil
}

// begin starts a segment, unless what stands here cannot run.
func (f *body) begin() int32 {
	if f.current == dead {
		return none
	}
	f.costs = append(f.costs, 0)
	f.current = int32(len(f.costs) - 1)
	return f.current
}

func (f *body) otherwise(p point) error {
	top := &f.frames[len(f.frames)-1]
	if top.op != opIf {
		return errors.New("else without an if")
	}
	top.op = opElse
	f.current = top.segment
	p.segment = f.begin()
	f.points = append(f.points, p)
	return nil
}

// close ends a control structure. If nothing leads out of it but its own end, what follows belongs to the segment in which
// it stands. If it only joins nothing, what follows belongs to the segment before. Otherwise a new one begins.
// Where ways join values are moved, and charged with what follows; at a loop's head with what follows that.
func (f *body) close(p point) error {
	top, values := f.pop()
	k := len(f.frames)
	if top.op == opLoop {
		f.inLoops--
	}
	if k == 0 {
		f.points = append(f.points, p)
		return nil
	}
	f.frames[k-1].far = min(f.frames[k-1].far, top.far)
	join := top.op == opIf || top.op == opElse || top.op == opBlock && top.branches > 0
	switch {
	case top.far >= k || top.segment == dead:
		f.current = top.segment
	case join:
		f.current = top.segment
		p.segment = f.begin()
	}
	f.points = append(f.points, p)
	switch {
	case join:
		f.costs[f.current] += joinMoves(values)
	case top.op == opLoop && top.branches > 0 && top.head != none:
		f.costs[top.head] += joinMoves(values)
	case top.op != opLoop || top.branches == 0:
		return nil
	}
	if f.moves += int(values) * (top.branches + 2); f.moves > maxMoves {
		return fmt.Errorf("branches of a function carry more than %d values: assign fewer locals in blocks, or split it", maxMoves)
	}
	return nil
}

func (f *body) branch(p point, in instruction) error {
	labels := in.targets
	switch in.op {
	case opReturn:
		labels = []uint32{uint32(len(f.frames) - 1)}
	case opBr, opBrIf:
		labels = []uint32{in.index}
	}
	p.from = uint32(len(f.targets))
	top := &f.frames[len(f.frames)-1]
	last := none
	for _, l := range labels {
		if int64(l) >= int64(len(f.frames)) {
			return fmt.Errorf("branch to label %d, of %d", l, len(f.frames))
		}
		t := len(f.frames) - 1 - int(l)
		f.frames[t].branches++
		top.far = min(top.far, t)
		if t != last {
			f.targets = append(f.targets, uint32(t))
		}
		last = t
	}
	p.to = uint32(len(f.targets))
	if f.branches += len(labels); f.branches > maxBranches {
		return fmt.Errorf("more than %d branches in a function: simplify or split it", maxBranches)
	}
	if p.op != opReturn && p.op != opBrTable {
		if err := f.jump(); err != nil {
			return err
		}
	}
	if p.op == opBrIf {
		p.segment = f.begin()
	} else {
		f.current = dead
	}
	f.points = append(f.points, p)
	return nil
}
