// SPDX-License-Identifier: Apache-2.0

package wasm

import (
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// scribbler is a guest of train/1 by hand. A record is pairs of four bytes: an address and what to write there, or one of the
// addresses below and its argument.
type scribbler struct {
	pages                    []uint64
	params, gradient, record int64
	count                    int64
}

const (
	doGrow     = 0xffffffff
	doGlobal   = 0xfffffffe
	doTrap     = 0xfffffffd
	doLoop     = 0xfffffffc
	doExit     = 0xfffffffb
	doParams   = 0xfffffffa // the gradient is the parameters
	doGradient = 0xfffffff9 // the gradient is what is there
	doRefuse   = 0xfffffff8
	doBuffer   = 0xfffffff7 // the gradient begins with the record buffer, from the argument on
	doFill     = 0xfffffff6 // all memory
	doCount    = 0xfffffff5 // the gradient begins with what is in memory at the argument, plus one, which it leaves there
)

// scribblers are of all the ways in which memory is put back: compared as a whole, in parts, and made anew.
var scribblers = map[string]scribbler{
	"small":           {[]uint64{4, 10}, 70004, 100_000, 8, 1000},
	"at its maximum":  {[]uint64{4, 4}, 70004, 100_000, 8, 1000},
	"larger":          {[]uint64{64, 80}, 70004, 2_000_004, 3_000_001, 50_000},
	"neighbours":      {[]uint64{64, 80}, 70004, 70004 + 200_000, 70004 + 400_000, 50_000},
	"large, sparse":   {[]uint64{320, 400}, 4 << 20, 9<<20 + 4, 14<<20 + 3, 50_000},
	"at the very end": {[]uint64{64, 80}, 4, 4<<20 - 200_000, 3_000_001, 50_000},
}

// module is the guest.
func (s scribbler) module() module {
	m := module{
		imports: []imported{{wasi, "proc_exit", []byte{i32}, nil}},
		memory:  s.pages, globals: []int64{5},
	}
	fn := func(export string, params, results []byte, c ...[]byte) {
		m.funcs = append(m.funcs, function{export: export, params: params, results: results, code: code(c...)})
	}
	fn(trainOpenFunction, []byte{i32}, []byte{i32}, con32(s.record))
	fn(trainInitFunction, []byte{i32, i32}, []byte{i32}, con32(0))
	fn(trainParamsFunction, nil, []byte{i64}, con64(s.params<<32|s.count))
	fn(trainGradientBufferFunction, nil, []byte{i32}, con32(s.gradient))
	fn(trainRecordBufferFunction, nil, []byte{i32}, con32(s.record))
	m.funcs = append(m.funcs, function{
		export: trainGradientFunction, params: []byte{i32}, results: []byte{i32}, locals: []byte{i32, i32, i32}, code: s.scribble(),
	})
	fn(trainPrepareFunction, []byte{i32}, []byte{i64}, con64(s.record<<32), localGet(0), op(0xad, 0x84)) // the record as it is
	fn(trainPredictFunction, []byte{i32}, []byte{f32}, con32(s.record), op(0x2a, 2, 0))                  // its first four bytes
	return m
}

// scribble does what a record says. Locals: 1 is how far it is, 2 the address, 3 the argument.
func (s scribbler) scribble() []byte {
	memoryCopy := op(0xfc, 10, 0, 0)
	on := func(what int64, c ...[]byte) []byte {
		return code(localGet(2), con32(int64(int32(uint32(what)))), op(0x46, 0x04, 0x40), code(c...), op(0x0c, 1, 0x0b))
	}
	read := func(off byte) []byte { return code(con32(s.record), localGet(1), op(0x6a, 0x28, 0, off)) }
	return code(forever(
		localGet(1), con32(8), op(0x6a), localGet(0), op(0x4b, 0x04, 0x40), con32(0), op(0x0f, 0x0b),
		read(0), localSet(2), read(4), localSet(3), localGet(1), con32(8), op(0x6a), localSet(1),
		on(doGrow, localGet(3), memoryGrow, drop),
		on(doGlobal, localGet(3), op(0xad), globalSet(0)),
		on(doTrap, unreachable),
		on(doLoop, forever()),
		on(doExit, localGet(3), callTo(0)),
		on(doParams, con32(s.gradient), con32(s.params), con32(4*s.count), memoryCopy),
		on(doGradient),
		on(doRefuse, localGet(3), op(0x0f)),
		on(doBuffer, con32(s.gradient), con32(s.record), localGet(3), op(0x6a), con32(16), memoryCopy),
		on(doFill, con32(0), localGet(3), memorySize, con32(16), op(0x74), memoryFill, con32(0), op(0x0f)),
		on(doCount, con32(s.gradient), localGet(3), localGet(3), load32, con32(1), op(0x6a), store32,
			localGet(3), load32, store32),
		localGet(2), localGet(3), op(0x36, 0, 0),
	), unreachable)
}

// orders are a record.
func orders(pairs ...uint32) (b []byte) {
	for _, p := range pairs {
		b = binary.LittleEndian.AppendUint32(b, p)
	}
	return b
}

// open is the guest at its snapshot.
func (s scribbler) open(t testing.TB) *Trainee {
	t.Helper()
	o := training()
	o.RecordBytes, o.RecordFuel = 4096, 1<<26
	return openTrain(t, compile(t, s.module().bytes()), snapshots(t), o)
}

// random is a record of the worst.
func (s scribbler) random(r *rand.Rand) []byte {
	var b []byte
	size := uint32(s.pages[0] * pageBytes)
	for range r.IntN(40) {
		at := r.Uint32N(size)
		switch r.IntN(6) {
		case 0:
			at = uint32(s.gradient) + r.Uint32N(uint32(4*s.count))
		case 1:
			at = uint32(s.params) + r.Uint32N(uint32(4*s.count))
		case 2: // at edges
			edges := []int64{s.params, s.params + 4*s.count, s.gradient, s.gradient + 4*s.count, s.record, s.record + 4096, int64(size)}
			at = uint32(max(edges[r.IntN(len(edges))]-int64(r.IntN(9)), 0))
		}
		b = append(b, orders(at, r.Uint32())...)
		switch r.IntN(30) {
		case 0:
			b = append(b, orders(doGrow, r.Uint32N(8), size+r.Uint32N(3*pageBytes), r.Uint32())...)
		case 1:
			b = append(b, orders(doGlobal, r.Uint32())...)
		case 2:
			b = append(b, orders(doFill, r.Uint32N(255)+1)...)
		}
	}
	return append(b, orders(doTrap-r.Uint32N(6), r.Uint32N(100))...)
}

// TestTrainNothingIsCarried: wherever a record's guest writes, and however it ends, nothing of it is left: memory is, byte for byte,
// that of a guest that never saw it, as are globals, fuel and the rest.
func TestTrainNothingIsCarried(t *testing.T) {
	rounds := 200
	if testing.Short() {
		rounds = 40
	}
	for name, s := range scribblers {
		t.Run(name, func(t *testing.T) {
			fresh, x := totalOf(t, s.open(t).Instance), s.open(t)
			r := rand.New(rand.NewPCG(3, 4))
			changed, ended := 0, 0
			for range rounds {
				record := s.random(r)
				if _, err := x.Gradient(t.Context(), record); err != nil {
					ended++
				}
				if !slices.Equal(x.bytes(buffer{0, x.memory.before}), fresh.Memory) {
					changed++
				}
				if err := x.Restore(); err != nil {
					t.Fatal(err)
				}
				wantSame(t, totalOf(t, x.Instance), fresh)
				if x.memory.size < uint64(len(x.memory.all)) && slices.ContainsFunc(x.memory.all[x.memory.size:], func(b byte) bool { return b != 0 }) {
					t.Fatal("something is left beyond the memory, where it may grow")
				}
				if t.Failed() {
					return
				}
			}
			if changed < rounds/2 || ended < rounds/4 || ended > rounds*19/20 {
				t.Errorf("of %d records %d changed anything, %d ended badly", rounds, changed, ended)
			}
			if large := s.pages[0]*pageBytes > 2*maxCompared; large != (len(x.put.dropped) > 0) {
				t.Errorf("pages are forgotten: %t", !large)
			}
		})
	}
}

// TestTrainReadsThePreviousRecord: a shorter record has nothing of the one before behind it, nor has the gradient.
func TestTrainReadsThePreviousRecord(t *testing.T) {
	for name, s := range scribblers {
		t.Run(name, func(t *testing.T) {
			x := s.open(t)
			for range 10 {
				if _, err := x.Gradient(t.Context(), append(orders(doParams, 0, uint32(s.gradient), 77), slices.Repeat([]byte{9}, 100)...)); err == nil {
					t.Fatal("nines are an address beyond memory")
				}
				if err := x.Restore(); err != nil {
					t.Fatal(err)
				}
				g, err := x.Gradient(t.Context(), orders(doGradient, 0))
				if err != nil || slices.ContainsFunc(g, func(f float32) bool { return f != 0 }) {
					t.Fatalf("the gradient of the record before is there (%v)", err)
				}
				if err := x.Restore(); err != nil {
					t.Fatal(err)
				}
				g, err = x.Gradient(t.Context(), orders(doBuffer, 8))
				if err != nil || slices.ContainsFunc(g, func(f float32) bool { return f != 0 }) {
					t.Fatalf("the record before is there (%v)", err)
				}
				if err := x.Restore(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestTrainCounts: a guest that counts its records in memory counts to one.
func TestTrainCounts(t *testing.T) {
	for name, s := range scribblers {
		t.Run(name, func(t *testing.T) {
			x := s.open(t)
			for _, at := range []uint32{0, 40_000, uint32(s.params) - 4, uint32(s.params+4*s.count) &^ 3, uint32(s.pages[0]*pageBytes - 4)} {
				if at >= uint32(s.gradient) && at < uint32(s.gradient+4*s.count) {
					continue
				}
				for range 2 * lessons {
					g, err := x.Gradient(t.Context(), orders(doCount, at))
					if err != nil || math.Float32bits(g[0]) != 1 {
						t.Fatalf("at %d it counts to %d (%v)", at, math.Float32bits(g[0]), err)
					}
					if err := x.Restore(); err != nil {
						t.Fatal(err)
					}
				}
			}
		})
	}
}

// TestTrainChangesItsParameters: every record finds the host's parameters, whatever the one before made of them, and those that
// were given last.
func TestTrainChangesItsParameters(t *testing.T) {
	for name, s := range scribblers {
		t.Run(name, func(t *testing.T) {
			x := s.open(t)
			for step := range 6 {
				want := make([]float32, s.count)
				raw := make([]byte, 4*s.count)
				for i := range want {
					want[i] = float32(step)*1e6 + float32(i)
					binary.LittleEndian.PutUint32(raw[4*i:], math.Float32bits(want[i]))
				}
				half := int(s.count/2) * 4
				if err := errors.Join(x.SetParams(int64(half/4), raw[half:]), x.SetParams(0, raw[:half])); err != nil {
					t.Fatal(err)
				}
				check := func() {
					t.Helper()
					g, err := x.Gradient(t.Context(), orders(doParams, 0))
					if err != nil || !slices.Equal(g, want) {
						t.Fatalf("step %d: other parameters (%v)", step, err)
					}
					if err := x.Restore(); err != nil {
						t.Fatal(err)
					}
				}
				check()
				for _, end := range [][]byte{nil, orders(doTrap, 0), orders(doFill, 7), orders(doExit, 0), orders(doGrow, 6, doFill, 3)} {
					spoil := append(orders(uint32(s.params), 1, uint32(s.params+4*s.count-4), 1, uint32(s.params)-4, 9), end...)
					_, _ = x.Gradient(t.Context(), spoil)
					if err := x.Restore(); err != nil {
						t.Fatal(err)
					}
					check()
				}
			}
			for at, n := range map[int64]int{-1: 4, s.count: 4, s.count - 1: 8, 0: int(4*s.count) + 4, 1: 3, math.MaxInt64: 4} {
				if err := x.SetParams(at, make([]byte, n)); !errors.Is(err, ErrState) {
					t.Errorf("%d bytes from parameter %d on: %v", n, at, err)
				}
			}
		})
	}
}

// TestTrainRecordEnds: what ends a record ends no other, and has its reason.
func TestTrainRecordEnds(t *testing.T) {
	s := scribblers["larger"]
	o := training()
	o.RecordFuel = 1 << 24
	x := openTrain(t, compile(t, s.module().bytes()), snapshots(t), o)
	for what, want := range map[uint32]error{doTrap: ErrTrap, doLoop: ErrFuel, doRefuse: ErrTrap, 1 << 30: ErrTrap, doGrow: nil} {
		for range 3 {
			if _, err := x.Gradient(t.Context(), orders(what, 5)); !errors.Is(err, want) {
				t.Errorf("%#x: %v, want %v", what, err, want)
			}
			if err := x.Restore(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := x.Gradient(t.Context(), orders(doExit, 0)); !errors.Is(err, ErrExit{}) {
		t.Error(err)
	}
	if err := x.Restore(); err != nil {
		t.Fatal(err)
	}
	if _, err := x.Gradient(t.Context(), make([]byte, 786)); !errors.Is(err, ErrState) {
		t.Errorf("a record longer than said: %v", err)
	}
	if b, err := x.Prepare(t.Context(), []byte("record"), 6); err != nil || string(b) != "record" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := x.Prepare(t.Context(), []byte("record"), 5); !errors.Is(err, ErrAnswer) {
		t.Errorf("longer than said: %v", err)
	}
	if p, err := x.Predict(t.Context(), orders(math.Float32bits(0.5))); err != nil || p != 0.5 {
		t.Errorf("%v, %v", p, err)
	}
}

// TestTrainBuffers: a guest whose buffers cannot be is refused before its first record, with a reason that is its own.
func TestTrainBuffers(t *testing.T) {
	good := scribblers["small"]
	for name, change := range map[string]func(*scribbler){
		"good":                      func(*scribbler) {},
		"no parameters":             func(s *scribbler) { s.count = 0 },
		"too many":                  func(s *scribbler) { s.count++ },
		"parameters not aligned":    func(s *scribbler) { s.params++ },
		"gradient not aligned":      func(s *scribbler) { s.gradient += 2 },
		"nowhere":                   func(s *scribbler) { s.params = 0 },
		"parameters outside":        func(s *scribbler) { s.params = 4*pageBytes - 3996 },
		"gradient outside":          func(s *scribbler) { s.gradient = 4*pageBytes - 3996 },
		"record outside":            func(s *scribbler) { s.record = 4*pageBytes - 4095 },
		"far outside":               func(s *scribbler) { s.gradient = 1<<32 - 4 },
		"gradient is parameters":    func(s *scribbler) { s.gradient = s.params },
		"gradient meets parameters": func(s *scribbler) { s.gradient = s.params + 3996 },
		"record in the gradient":    func(s *scribbler) { s.record = s.gradient + 2000 },
		"parameters in the record":  func(s *scribbler) { s.record = s.params - 4000 },
	} {
		t.Run(name, func(t *testing.T) {
			s := good
			change(&s)
			o := training()
			o.RecordBytes, o.MaxParams = 4096, 1000
			x, err := instantiate(t, compile(t, s.module().bytes()), snapshots(t)).OpenTrain(t.Context(), o)
			if name == "good" {
				if err != nil {
					t.Fatal(err)
				}
				_ = x.Close()
			} else if !errors.Is(err, errTrain) || !errors.Is(err, ErrTrap) {
				t.Errorf("err = %v", err)
			}
		})
	}
}

// TestTrainRefusesItself: a guest that says no, has no room, or ends before its first record is refused.
func TestTrainRefusesItself(t *testing.T) {
	nan := code(con32(70004), con32(0x7fc00000), store32, con32(0))
	for name, c := range map[string]struct {
		f    int // of the module's
		code []byte
		want error
	}{
		"no room for its configuration": {0, con32(0), ErrTrap},
		"configuration outside":         {0, con32(-1), ErrTrap},
		"says no":                       {1, con32(1), ErrTrap},
		"traps":                         {1, unreachable, ErrTrap},
		"loops":                         {1, code(forever(), unreachable), ErrFuel},
		"exits":                         {1, code(con32(0), callTo(0), con32(0)), ErrExit{}},
		"NaN":                           {1, nan, ErrTrap},
		"wants all memory":              {1, code(con32(2000), memoryGrow, drop, unreachable), ErrMemory},
	} {
		t.Run(name, func(t *testing.T) {
			m := scribblers["small"].module()
			m.memory = []uint64{4}
			m.funcs[c.f].code = c.code
			o := training()
			o.Config = []byte("{}")
			big := snapshots(t)
			big.Fuel = 1e9
			if _, err := instantiate(t, compile(t, m.bytes()), big).OpenTrain(t.Context(), o); !errors.Is(err, c.want) {
				t.Errorf("err = %v", err)
			}
		})
	}
}

// TestTrainMovesItsBuffers: where buffers are is asked once, before the first record.
func TestTrainMovesItsBuffers(t *testing.T) {
	s := scribblers["small"]
	m := s.module()
	for _, f := range []int{2, 3, 4} { // each answers otherwise the second time
		m.globals = append(m.globals, 0)
		g := len(m.globals) - 1
		m.funcs[f].code = code(globalGet(g), op(0x50, 0x45, 0x04, 0x40), unreachable, op(0x0b), con64(1), globalSet(g), m.funcs[f].code)
	}
	x := openTrain(t, compile(t, m.bytes()), snapshots(t), training())
	for range 5 {
		if _, err := x.Gradient(t.Context(), orders(doParams, 0)); err != nil {
			t.Fatal(err)
		}
		if err := x.Restore(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestNotTrainer: a module that does not follow train/1 is refused, and says what it lacks.
func TestNotTrainer(t *testing.T) {
	for name, change := range map[string]func(*module){
		"no memory":       func(m *module) { m.memory, m.funcs = nil, m.funcs[:0] },
		"no open":         func(m *module) { m.funcs[0].export = "open" },
		"no gradient":     func(m *module) { m.funcs[5].export = "" },
		"other parameter": func(m *module) { m.funcs[0].params = []byte{i64} },
		"other predict":   func(m *module) { m.funcs[7].results, m.funcs[7].code = []byte{i32}, con32(0) },
	} {
		m := scribblers["small"].module()
		change(&m)
		if err := compile(t, m.bytes()).Trainer(); !errors.Is(err, ErrModule) {
			t.Errorf("%s: %v", name, err)
		}
	}
	m := scribblers["small"].module()
	m.funcs = m.funcs[:6]
	c := compile(t, m.bytes())
	if err := c.Trainer(); err != nil || c.Prepares() || c.Predicts() {
		t.Errorf("without what is optional: %v", err)
	}
}

// answering is code for a number.
func answering(f float32) []byte {
	return append([]byte{0x43}, binary.LittleEndian.AppendUint32(nil, math.Float32bits(f))...)
}

// TestTrainPredicts: a guest that answers -1 to a record of no bytes predicts nothing; any other answer, and a trap, is one that
// does; and what the question left behind is gone before the first record.
func TestTrainPredicts(t *testing.T) {
	for name, c := range map[string]struct {
		code []byte
		want bool
	}{
		"minus one": {answering(-1), false},
		"one":       {answering(1), true},
		"zero":      {answering(0), true},
		"NaN":       {answering(float32(math.NaN())), true},
		"less":      {answering(-2), true},
		"trap":      {unreachable, true},
		"writes":    {code(con32(8), con32(77), op(0x36, 2, 0), answering(-1)), false},
	} {
		t.Run(name, func(t *testing.T) {
			m := scribblers["small"].module()
			m.funcs[7].code = c.code
			x := openTrain(t, compile(t, m.bytes()), snapshots(t), training())
			if x.Predicts() != c.want {
				t.Errorf("predicts: %t", x.Predicts())
			}
			if x.memory.all[8] == 77 {
				t.Error("what was written for the question is there")
			}
		})
	}
	m := scribblers["small"].module()
	m.funcs = m.funcs[:7]
	if x := openTrain(t, compile(t, m.bytes()), snapshots(t), training()); x.Predicts() {
		t.Error("a guest without the function predicts")
	}
}
