// SPDX-License-Identifier: Apache-2.0

package wasm

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// snapshots is a configuration with a file of its own.
func snapshots(t testing.TB) Config {
	t.Helper()
	f, err := NewSnapshotFile()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	c := enough()
	c.SnapshotFile = f
	return c
}

// total is the whole state of a guest.
type total struct {
	Memory                []byte
	Size                  uint32
	Globals               []uint64
	Clock, Fuel           int64
	Random, Opened, Flags string
}

func totalOf(t testing.TB, i *Instance) total {
	t.Helper()
	random, err := i.random.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	s := total{Clock: i.clock.nanos, Fuel: i.left(), Random: string(random), Opened: fmt.Sprint(i.opened), Flags: fmt.Sprint(i.exited, i.broken, i.frozen, i.memory.denied)}
	if mem := i.guest.Memory(); mem != nil {
		b, _ := mem.Read(0, mem.Size())
		s.Memory, s.Size = slices.Clone(b), mem.Size()
	}
	for _, name := range i.module.admitted.Globals {
		g, err := i.global(name)
		if err != nil {
			t.Fatal(err)
		}
		s.Globals = append(s.Globals, g.Get())
	}
	return s
}

func wantSame(t testing.TB, got, want total) {
	t.Helper()
	switch {
	case got.Size != want.Size:
		t.Errorf("memory of %d bytes, want %d", got.Size, want.Size)
	case !bytes.Equal(got.Memory, want.Memory):
		t.Error("another memory")
	}
	if !slices.Equal(got.Globals, want.Globals) {
		t.Errorf("globals %v, want %v", got.Globals, want.Globals)
	}
	if got.rest() != want.rest() {
		t.Errorf("state\n%s, want\n%s", got.rest(), want.rest())
	}
}

// rest is everything but the memory.
func (s total) rest() string {
	s.Memory = nil
	return fmt.Sprintf("%+v", s)
}

// The carrier is a guest that tries to take one bit from a record to the next. It leaves it by one function and looks for it
// with the other, in every way there is.
const (
	atRandom = iota // imports
	atClock
	atPoll
	atWrite
	atExit
	atOpen
	atSize
	atSeek
	atRenumber
	atRead
	atReadFile
	importsOfCarrier
)

func carrier() module {
	m := module{
		imports: []imported{
			{wasi, "random_get", []byte{i32, i32}, []byte{i32}},
			{wasi, "clock_time_get", []byte{i32, i64, i32}, []byte{i32}},
			{wasi, "poll_oneoff", []byte{i32, i32, i32, i32}, []byte{i32}},
			{wasi, "fd_write", []byte{i32, i32, i32, i32}, []byte{i32}},
			{wasi, "proc_exit", []byte{i32}, nil},
			{hostModule, "open", []byte{i32, i32}, []byte{i32}},
			{hostModule, "size", []byte{i32}, []byte{i64}},
			{wasi, "fd_seek", []byte{i32, i64, i32, i32}, []byte{i32}},
			{wasi, "fd_renumber", []byte{i32, i32}, []byte{i32}},
			{wasi, "fd_read", []byte{i32, i32, i32, i32}, []byte{i32}},
			{hostModule, "read", []byte{i32, i64, i32, i32}, []byte{i32}},
		},
		memory:  []uint64{16, 32},
		globals: []int64{5, 6},
		data:    []byte("\x00\x00\x00\x00other.csv initial"),
	}
	ifBit := func(c ...[]byte) []byte { return code(localGet(0), op(0x04, 0x40), code(c...), op(0x0b)) }
	leave := func(name string, c ...[]byte) {
		m.funcs = append(m.funcs, function{export: "leave " + name, params: []byte{i32}, code: ifBit(c...)})
	}
	find := func(name string, c ...[]byte) {
		m.funcs = append(m.funcs, function{export: "find " + name, results: []byte{i64}, code: code(c...)})
	}
	m.funcs = append(m.funcs, function{export: "init", code: code( // something of everything before the snapshot
		con32(4), con32(9), callTo(atOpen), drop, con32(70000), con64(77), store64, con32(64), con32(8), callTo(atRandom), drop, con32(0), con64(0), con32(80), callTo(atClock), drop, con64(9), globalSet(1), con32(3), memoryGrow, drop,
	)})
	leave("memory", con32(70000), con64(1), store64, con32(900_000), con64(1), store64)
	find("memory", con32(70000), load64, con32(900_000), load64, op(0x7c))
	leave("whole memory", con32(0), con32(1), con32(19*pageBytes), memoryFill)
	find("whole memory", con32(19*pageBytes-8), load64)
	leave("global", con64(1), globalSet(1))
	find("global", globalGet(1))
	leave("size", con32(2), memoryGrow, drop)
	find("size", memorySize, op(0xad))
	leave("grown", con32(2), memoryGrow, drop, con32(20*pageBytes), con64(1), store64)
	find("grown", con32(2), memoryGrow, drop, con32(20*pageBytes), load64)
	leave("beyond", con32(2), memoryGrow, drop, con32(20*pageBytes), con64(1), store64)
	find("beyond", con32(20*pageBytes), load64)
	leave("to the maximum", con32(13), memoryGrow, drop, con32(31*pageBytes), con64(1), store64)
	find("to the maximum", memorySize, op(0xad), con32(13), memoryGrow, op(0xad), con32(31*pageBytes), load64, op(0x7c, 0x7c))
	leave("random", con32(512), con32(5), callTo(atRandom), drop)
	find("random", con32(512), con32(8), callTo(atRandom), drop, con32(512), load64)
	leave("clock", con32(0), con64(0), con32(512), callTo(atClock), drop)
	find("clock", con32(0), con64(0), con32(512), callTo(atClock), drop, con32(512), load64)
	leave("sleep", con32(1032), con64(1e9), op(0x37, 3, 8+8), con32(1024), con32(2048), con32(1), con32(512), callTo(atPoll), drop)
	find("sleep", con32(1), con64(0), con32(512), callTo(atClock), drop, con32(512), load64)
	leave("fuel", con32(0), con32(0), con32(1_000_000), memoryFill)
	find("fuel", con64(0))
	leave("trap", unreachable)
	find("trap", con64(0))
	leave("exit", con32(7), callTo(atExit))
	find("exit", con32(70000), load64, memorySize, op(0xad, 0x7c))
	leave("recursion", callTo(importsOfCarrier+len(m.funcs)), con32(0), op(0x1a))
	m.funcs[len(m.funcs)-1].code = ifBit(con32(1), callTo(importsOfCarrier+len(m.funcs)-1))
	find("recursion", con64(0))
	leave("log", con32(512), con32(4), store32, con32(516), con32(9), store32, con32(1), con32(512), con32(1), con32(520), callTo(atWrite), drop)
	find("log", con32(512), con32(0), store32, con32(516), con32(0), store32, con32(1), con32(512), con32(1), con32(520), callTo(atWrite), op(0xad))
	m.funcs = append(m.funcs, deepCalls(importsOfCarrier+len(m.funcs))...)
	for name, c := range map[string][]byte{
		"seek":     code(con32(3), con64(0), con32(1), con32(512), callTo(atSeek), drop),
		"renumber": code(con32(1), con32(2), callTo(atRenumber), drop),
		"stdin":    code(con32(0), con32(512), con32(1), con32(520), callTo(atRead), drop),
		"file":     code(con32(5), con32(512), con32(1), con32(520), callTo(atWrite), drop),
		"open":     code(con32(4), con32(9), callTo(atOpen), drop),
		"size":     code(con32(1), callTo(atSize), drop),
		"data":     code(con32(1), con64(0), con32(512), con32(1), callTo(atReadFile), drop),
		"poll":     code(con32(1032), con32(1), store32, con32(1024), con32(2048), con32(1), con32(512), callTo(atPoll), drop),
	} {
		m.funcs = append(m.funcs, function{export: "refused " + name, code: c})
	}
	return m
}

// deepCalls are functions, of which the first has the given number, that leave a bit in the engine's stack: a deep recursion with 1.
// With 2 they look for it by a recursion of the same depth below a large frame, which fits or does not, by how large a stack is
// there already.
func deepCalls(first int) []function {
	const wide, depth = 4000, 1_600_000
	h := function{params: []byte{i32}, locals: bytes.Repeat([]byte{i64}, wide)}
	for n := range wide {
		h.code = code(h.code, con32(int64(n)*8), load64, localSet(n+1))
	}
	h.code = code(h.code, localGet(0), callTo(first+1), drop)
	for n := range wide {
		h.code = code(h.code, con32(int64(n)*8), localGet(n+1), store64)
	}
	return []function{
		{export: "leave stack", params: []byte{i32}, code: code(
			localGet(0), con32(1), op(0x46, 0x04, 0x40), con32(depth), callTo(first+1), drop, op(0x0b),
			localGet(0), con32(2), op(0x46, 0x04, 0x40), con32(depth), callTo(first+2), op(0x0b))},
		{params: []byte{i32}, results: []byte{i32}, code: code( // g(n) = n = 0 ? 0 : 1 + g(n-1)
			localGet(0), op(0x45, 0x04, i32), con32(0), op(0x05), con32(1), localGet(0), con32(1), op(0x6b), callTo(first+1), op(0x6a, 0x0b))},
		h,
	}
}

// TestStacksAreNotKept: a stack that a call made large is not held for the next call of that function.
func TestStacksAreNotKept(t *testing.T) {
	const exports = 5
	m := module{memory: []uint64{1}, funcs: deepCalls(0)}
	for n := range exports {
		m.funcs = append(m.funcs, function{export: fmt.Sprint(n), code: code(con32(1), callTo(0))})
	}
	c := enough()
	c.Fuel = 1e10
	i := instantiate(t, compile(t, m.bytes()), c)
	held := func() int64 {
		var s runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&s)
		return int64(s.HeapAlloc)
	}
	before := held()
	for n := range exports {
		if _, err := i.Call(t.Context(), fmt.Sprint(n)); err != nil {
			t.Fatal(err)
		}
	}
	if more := held() - before; more > 16<<20 {
		t.Errorf("%d MiB are held after the calls", more>>20)
	}
}

// names are the exports with a prefix, without it.
func (m module) names(prefix string) (names []string) {
	for _, f := range m.funcs {
		if n, ok := strings.CutPrefix(f.export, prefix); ok {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names
}

type memFiles map[string][]byte

func (f memFiles) names() []string {
	var names []string
	for n := range f {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

func (f memFiles) Lookup(name string) (int, int64, bool) {
	b, ok := f[name]
	return slices.Index(f.names(), name), int64(len(b)), ok
}

func (f memFiles) ReadAt(index int, p []byte, off int64) (int, error) {
	return copy(p, f[f.names()[index]][off:]), nil
}

// brought is an instance of the carrier at its snapshot.
func brought(t testing.TB, m *Module) *Instance {
	t.Helper()
	c := snapshots(t)
	c.Files = memFiles{"first.csv": []byte("1"), "other.csv": []byte("123")}
	c.Fuel = 1e9
	i := instantiate(t, m, c)
	if _, err := i.Call(t.Context(), "init"); err != nil {
		t.Fatal(err)
	}
	if err := i.Snapshot(); err != nil {
		t.Fatal(err)
	}
	return i
}

// TestNothingIsCarried: what a guest finds in one record does not depend on what it did in the record before, and its state
// is, byte for byte, that of a guest that never saw that record.
func TestNothingIsCarried(t *testing.T) {
	wasm := carrier()
	m := compile(t, wasm.bytes())
	ways := wasm.names("leave ")
	if len(ways) < 14 {
		t.Fatalf("only %d ways", len(ways))
	}
	fresh := totalOf(t, brought(t, m))
	i := brought(t, m) // one guest for all, so that they come one after the other as well
	for _, way := range ways {
		t.Run(way, func(t *testing.T) {
			var found [2]string
			for bit := range uint64(2) {
				_, err := i.Call(t.Context(), "leave "+way, bit)
				if changed := totalOf(t, i); bit == 1 && err == nil && bytes.Equal(changed.Memory, fresh.Memory) && changed.rest() == fresh.rest() {
					t.Error("nothing was left that could be found")
				}
				if err := i.Restore(); err != nil {
					t.Fatal(err)
				}
				wantSame(t, totalOf(t, i), fresh)
				find, args := "find "+way, []uint64(nil)
				if _, ok := m.exports[find]; !ok { // it is looked for by the function that leaves it
					find, args = "leave "+way, []uint64{2}
				}
				v, err := i.Call(t.Context(), find, args...)
				found[bit] = fmt.Sprint(v, err, i.Used())
				if err := i.Restore(); err != nil {
					t.Fatal(err)
				}
				wantSame(t, totalOf(t, i), fresh)
			}
			if found[0] != found[1] {
				t.Errorf("found %s without, %s with", found[0], found[1])
			}
		})
	}
}

// TestRefusedAfterSnapshot: whatever has state that a restore leaves alone is a trap.
func TestRefusedAfterSnapshot(t *testing.T) {
	wasm := carrier()
	i := brought(t, compile(t, wasm.bytes()))
	names := wasm.names("refused ")
	if len(names) < 8 {
		t.Fatal("no names")
	}
	for _, name := range names {
		if _, err := i.Call(t.Context(), "refused "+name); !errors.Is(err, errFrozen) || !errors.Is(err, ErrTrap) {
			t.Errorf("%s: %v", name, err)
		}
		if err := i.Restore(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRandomWalk: after random sequences of everything the guest can do, the state is that of the snapshot.
func TestRandomWalk(t *testing.T) {
	wasm := carrier()
	m := compile(t, wasm.bytes())
	fresh, i := totalOf(t, brought(t, m)), brought(t, m)
	r, rounds := rand.New(rand.NewPCG(1, 2)), 200
	if testing.Short() {
		rounds = 20
	}
	for range rounds {
		for range r.IntN(6) {
			f := wasm.funcs[r.IntN(len(wasm.funcs))]
			_, _ = i.Call(t.Context(), f.export, make([]uint64, len(f.params))...)
			if len(f.params) == 1 {
				_, _ = i.Call(t.Context(), f.export, 1)
			}
		}
		if err := i.Restore(); err != nil {
			t.Fatal(err)
		}
		wantSame(t, totalOf(t, i), fresh)
		if t.Failed() {
			return
		}
	}
}

// TestRefusalIsForgotten: memory that was refused before a restore does not explain a trap after it.
func TestRefusalIsForgotten(t *testing.T) {
	m := module{memory: []uint64{1}, funcs: []function{{export: "grow", code: code(con32(1100), memoryGrow, drop)}, {export: "trap", code: unreachable}}}
	i := instantiate(t, compile(t, m.bytes()), snapshots(t))
	if err := i.Snapshot(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []error{ErrMemory, ErrTrap} {
		if want == ErrMemory {
			if _, err := i.Call(t.Context(), "grow"); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := i.Call(t.Context(), "trap"); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
		if err := i.Restore(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSnapshotOfLittle: modules without a memory, or with an empty one, have snapshots too.
func TestSnapshotOfLittle(t *testing.T) {
	for _, memory := range [][]uint64{nil, {0}, {0, 0}, {0, 1}} {
		m := module{memory: memory, globals: []int64{1}}
		m.funcs = []function{{export: "f", results: []byte{i64}, code: code(globalGet(0), con64(1), op(0x7c), globalSet(0), globalGet(0))}}
		if memory != nil {
			m.funcs[0].code = code(m.funcs[0].code, con32(1), memoryGrow, op(0xac, 0x7c))
		}
		i := instantiate(t, compile(t, m.bytes()), snapshots(t))
		if err := i.Snapshot(); err != nil {
			t.Fatal(err)
		}
		var first []uint64
		for n := range 3 {
			v, err := i.Call(t.Context(), "f")
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				first = v
			}
			if err := i.Restore(); err != nil || v[0] != first[0] || i.memory.size != 0 {
				t.Errorf("%v: %v, first %v, %v, memory of %d", memory, v, first, err, i.memory.size)
			}
		}
	}
}

// TestNoSnapshot: a module whose state is not all in memory and globals has none, and says why.
func TestNoSnapshot(t *testing.T) {
	table := command()
	table.table, table.elems = []uint64{2}, []uint64{0}
	for name, c := range map[string][]byte{
		"table.set": code(con32(0), op(0xd0, 0x70), op(0x26, 0)), "table.grow": code(op(0xd0, 0x70), con32(1), op(0xfc, 15, 0), drop),
		"table.fill": code(con32(0), op(0xd0, 0x70), con32(1), op(0xfc, 17, 0)), "table.copy": code(con32(0), con32(0), con32(1), op(0xfc, 14, 0, 0)),
		"data.drop": op(0xfc, 9, 0),
	} {
		m := table
		if name == "data.drop" {
			m.data, m.passive = nil, []byte("x")
		}
		m.funcs = append(slices.Clone(m.funcs), function{export: "f", code: c})
		i := instantiate(t, compile(t, m.bytes()), snapshots(t))
		err := i.Snapshot()
		if !errors.Is(err, ErrModule) || !strings.Contains(err.Error(), "no snapshots: "+i.module.admitted.Fixed) || i.module.admitted.Fixed == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	i := instantiate(t, compile(t, table.bytes()), enough())
	if err := i.Snapshot(); !errors.Is(err, ErrState) {
		t.Errorf("without a file: %v", err)
	}
	if err := i.Restore(); !errors.Is(err, ErrState) {
		t.Errorf("restore without a snapshot: %v", err)
	}
	c := snapshots(t)
	i = instantiate(t, compile(t, table.bytes()), c)
	if err := errors.Join(i.Snapshot(), i.Restore()); err != nil {
		t.Error(err)
	}
	if err := i.Snapshot(); !errors.Is(err, ErrState) {
		t.Errorf("second snapshot: %v", err)
	}
	if _, err := c.SnapshotFile.WriteAt([]byte("secret"), 5000); err != nil {
		t.Fatal(err)
	}
	if _, err := i.module.Instantiate(t.Context(), c); !errors.Is(err, ErrMemory) {
		t.Errorf("a file that holds something: %v", err)
	}
}
