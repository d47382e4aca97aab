// SPDX-License-Identifier: Apache-2.0

package fuel

import (
	"errors"
	"fmt"
	"math"
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
	segment  int32 // in which it stands
	far      int   // the outermost frame that a branch from within leads to
	targeted bool
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

	blocks, loops, inLoops, branches int
}

// scan reads a function's body into f, whose memory it uses again: code is what stands behind its size, at its place in
// the module.
func (m *module) scan(f *body, code []byte, at int, t funcType) error {
	r := &reader{b: code, at: at}
	*f = body{code: code, points: f.points[:0], targets: f.targets[:0], costs: f.costs[:0], frames: f.frames[:0]}
	f.readLocals(r, len(t.params))
	f.start = r.p
	s := &scope{module: m, locals: f.locals}
	f.costs = append(f.costs, 0, int64((f.locals-len(t.params))/localsPerUnit))
	f.current = 1
	f.frames = append(f.frames, frame{op: opBlock, segment: dead, far: math.MaxInt})
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

func (f *body) readLocals(r *reader, params int) {
	f.groups = r.count("groups of locals", maxLocals, 2)
	from := r.p
	total := uint64(params)
	for i := 0; i < f.groups && r.err == nil; i++ {
		total += uint64(r.u32())
		r.valueType()
		if total > maxLocals {
			r.fail(fmt.Errorf("%d locals or more, at most %d", total, maxLocals))
		}
	}
	f.decls, f.locals = r.b[from:r.p], int(total)
}

// step follows one instruction: which segment comes after it, and what the rewrite has to know.
func (f *body) step(m *module, in instruction, at, next int) error {
	p := point{
		at: uint32(at), next: uint32(next), segment: none,
		op: in.op, sub: in.sub, index: in.index, dead: f.current == dead,
	}
	switch in.op {
	case opBlock, opLoop, opIf:
		return f.open(p)
	case opElse:
		return f.otherwise(p)
	case opEnd:
		f.close(p)
		return nil
	case opBr, opBrIf, opBrTable, opReturn:
		return f.branch(p, in)
	case opUnreachable:
		f.points = append(f.points, p)
		f.current = dead
	case opCall, opCallIndirect:
		f.points = append(f.points, p)
	case opTableSet:
		m.fix("table.set")
	case opMemoryGrow:
		f.bulk = true
		f.points = append(f.points, p)
	case opMisc:
		f.misc(m, in, p)
	}
	return nil
}

func (f *body) misc(m *module, in instruction, p point) {
	if in.sub >= miscTableInit && in.sub != miscTableSize {
		m.fix("table or element segments change while it runs")
	}
	if variable(in.op, in.sub) != 0 {
		f.bulk = true
		f.points = append(f.points, p)
	}
}

func (f *body) open(p point) error {
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
	f.frames = append(f.frames, frame{op: p.op, segment: f.current, far: math.MaxInt})
	if p.op != opBlock {
		p.segment = f.begin()
	}
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
func (f *body) close(p point) {
	k := len(f.frames) - 1
	top := f.frames[k]
	f.frames = f.frames[:k]
	if top.op == opLoop {
		f.inLoops--
	}
	if k == 0 {
		f.points = append(f.points, p)
		return
	}
	f.frames[k-1].far = min(f.frames[k-1].far, top.far)
	switch join := top.op == opIf || top.op == opElse || top.op == opBlock && top.targeted; {
	case top.far >= k || top.segment == dead:
		f.current = top.segment
	case join:
		f.current = top.segment
		p.segment = f.begin()
	}
	f.points = append(f.points, p)
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
		f.frames[t].targeted = true
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
	if p.op == opBrIf {
		p.segment = f.begin()
	} else {
		f.current = dead
	}
	f.points = append(f.points, p)
	return nil
}
