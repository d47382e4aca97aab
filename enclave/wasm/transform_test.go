// SPDX-License-Identifier: Apache-2.0

package wasm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"strings"
	"testing"
)

// all is everything that a module of tx/1 may be allowed to import.
var allOfTx = TransformImports{Findings: true, Token: true, Noise: true}

// Indices of the functions that txGuest imports.
const (
	fnFinding = iota
	fnToken
	fnNoise
	fnExit
)

// txGuest is a guest of tx/1 whose batches and configuration come to address 1024. transform has the locals 0, the address, and
// 1, the length, and leaves an i64.
func txGuest(transform ...[]byte) module {
	return module{
		memory: []uint64{4},
		imports: []imported{
			{txModule, "emit_finding", []byte{i32, i32, i32, i32, i32, i32}, nil},
			{txModule, "token", []byte{i32, i32, i32, i32, i32}, []byte{i32}},
			{txModule, "noise_laplace", []byte{i32, i64, i64}, []byte{i64}},
			{wasi, "proc_exit", []byte{i32}, nil},
		},
		funcs: []function{
			{export: txAbiFunction, results: []byte{i32}, code: con32(1)},
			{export: txAllocFunction, params: []byte{i32}, results: []byte{i32}, code: con32(1024)},
			{export: txInitFunction, params: []byte{i32, i32}, results: []byte{i32}, code: con32(0)},
			{export: txTransformFunction, params: []byte{i32, i32}, results: []byte{i64}, code: code(transform...)},
			{export: txFlushFunction, results: []byte{i64}, code: con64(0)},
		},
	}
}

// where leaves a pointer and a length as an answer.
func where(ptr, size uint32) []byte { return con64(int64(uint64(ptr)<<32 | uint64(size))) }

// echoed leaves what came in as the answer.
func echoed() []byte {
	return code(localGet(0), op(0xad), con64(32), op(0x86), localGet(1), op(0xad, 0x84))
}

// found tells a finding of a record whose type is at the beginning of the memory.
func found(record, ptr, size, start, end, score int64) []byte {
	return code(con32(record), con32(ptr), con32(size), con32(start), con32(end), con32(score), callTo(fnFinding))
}

// asked is a TransformHost that says what it was asked for.
type asked struct {
	text        string
	record      uint32
	sens, eps   int64
	refuse      error
	none        bool
	calls, size int
}

func (a *asked) Token(kind uint32, text []byte) ([]byte, bool, error) {
	a.text, a.calls = string(text), a.calls+1
	return bytes.Repeat([]byte{'a' + byte(kind)}, max(a.size, 4)), !a.none, a.refuse
}

func (a *asked) Laplace(record uint32, sensitivity, epsilon int64) (int64, error) {
	a.record, a.sens, a.eps, a.calls = record, sensitivity, epsilon, a.calls+1
	return -7, a.refuse
}

func compileTx(t testing.TB, m module, may TransformImports) *Module {
	t.Helper()
	c, err := CompileTransform(t.Context(), m.bytes(), may)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Transformer(); err != nil {
		t.Fatal(err)
	}
	return c
}

func openTx(t testing.TB, m module, host TransformHost) *Instance {
	t.Helper()
	c := enough()
	c.Transform = host
	i := instantiate(t, compileTx(t, m, allOfTx), c)
	if err := i.OpenTransform(t.Context(), []byte(`{"config":{}}`)); err != nil {
		t.Fatal(err)
	}
	return i
}

func framed(records ...string) (b []byte) {
	for _, r := range records {
		b = append(binary.LittleEndian.AppendUint32(b, uint32(len(r))), r...)
	}
	return b
}

func TestTransform(t *testing.T) {
	m := txGuest(
		con32(0), con64(int64(binary.LittleEndian.Uint64([]byte("NAME\x00\x00\x00\x00")))), store64,
		found(1, 0, 4, 0, 5, 900), echoed())
	i := openTx(t, m, &asked{})
	batch := framed("a", "hello", "")
	var used int64
	for n := range 3 {
		out, err := i.Transform(t.Context(), batch, 1<<20, len(batch))
		if err != nil || !bytes.Equal(out, batch) {
			t.Fatalf("%q, %v", out, err)
		}
		if n > 0 && i.Used() != used || i.Used() < 1 {
			t.Errorf("%d units, then %d", used, i.Used())
		}
		used = i.Used()
	}
	if f := i.Findings(); !maps.Equal(f, map[string]int64{"NAME": 3}) {
		t.Errorf("findings %v", f)
	}
	if f := i.Findings(); len(f) != 0 {
		t.Errorf("findings %v again", f)
	}
	if out, err := i.Flush(t.Context(), 1<<20, 0); err != nil || len(out) != 0 {
		t.Errorf("flushed %q, %v", out, err)
	}
	if _, err := i.Transform(t.Context(), []byte("abc"), 1<<20, 0); !errors.Is(err, ErrState) {
		t.Errorf("frames that do not add up: %v", err)
	}
}

// TestTransformKeepsState: there is nothing between batches that takes a guest back.
func TestTransformKeepsState(t *testing.T) {
	m := txGuest(globalGet(0), con64(1), op(0x7c), globalSet(0), con32(8), globalGet(0), store64, where(8, 1))
	m.globals = []int64{0}
	i := openTx(t, m, &asked{})
	for n := range byte(3) {
		if out, err := i.Transform(t.Context(), framed("x"), 1<<20, 8); err != nil || out[0] != n+1 {
			t.Errorf("%v, %v", out, err)
		}
	}
}

// TestHostileTransforms: whatever a guest does against tx/1 is a trap, the end of its fuel or too long an answer, and says why.
func TestHostileTransforms(t *testing.T) {
	const page = 64 << 10
	name := code(con32(0), con64(0x454d414e), store64) // "NAME"
	for what, c := range map[string]struct {
		transform []byte
		want      error
		text      string
	}{
		"traps":                      {unreachable, ErrTrap, "unreachable"},
		"exits":                      {code(con32(0), callTo(fnExit), con64(0)), ErrExit{}, "exit code 0"},
		"hangs":                      {code(forever(), con64(0)), ErrFuel, ""},
		"recurses":                   {code(localGet(0), localGet(1), callTo(fnExit+4)), ErrTrap, "stack overflow"},
		"answer outside of memory":   {where(4*page-4, 8), ErrTrap, "outside of the memory"},
		"answer at the end of 4 GiB": {where(1<<32-1, 4), ErrTrap, "outside of the memory"},
		"answer too long":            {where(0, 1<<20+1), ErrAnswer, "at most"},
		"answer of 4 GiB":            {where(0, 1<<32-1), ErrAnswer, "at most"},
		"memory to the limit":        {code(op(0x03, 0x40), con32(1), memoryGrow, con32(-1), op(0x47, 0x0d, 0, 0x0b), unreachable), ErrMemory, ""},
		"finding in no record":       {code(name, found(2, 0, 4, 0, 0, 0), echoed()), ErrTrap, "record 2 of a batch of 2"},
		"finding in record -1":       {code(name, found(-1, 0, 4, 0, 0, 0), echoed()), ErrTrap, "of a batch of 2"},
		"finding's type nowhere":     {code(name, found(0, -2, 4, 0, 0, 0), echoed()), ErrTrap, "outside of the memory"},
		"finding without a type":     {code(name, found(0, 0, 0, 0, 0, 0), echoed()), ErrTrap, "type of 0 bytes"},
		"finding's type too long":    {code(name, found(0, 0, 65, 0, 0, 0), echoed()), ErrTrap, "type of 65 bytes"},
		"finding's type in words":    {code(name, found(0, 0, 5, 0, 0, 0), echoed()), ErrTrap, "other characters"},
		"finding beyond the record":  {code(name, found(0, 0, 4, 0, 6, 0), echoed()), ErrTrap, "from 0 to 6 of 5 bytes"},
		"finding backwards":          {code(name, found(0, 0, 4, 3, 2, 0), echoed()), ErrTrap, "from 3 to 2"},
		"finding with a large score": {code(name, found(0, 0, 4, 0, 1, 1001), echoed()), ErrTrap, "score 1001"},
		"token of nowhere":           {code(con32(0), con32(-1), con32(2), con32(0), con32(64), callTo(fnToken), drop, echoed()), ErrTrap, "outside of the memory"},
		"token to nowhere":           {code(con32(0), con32(0), con32(2), con32(4*page-1), con32(64), callTo(fnToken), drop, echoed()), ErrTrap, "outside of the memory"},
		"token of too much":          {code(con32(0), con32(0), con32(4097), con32(0), con32(64), callTo(fnToken), drop, echoed()), ErrTrap, "4097 bytes, at most 4096"},
		"noise for no record":        {code(con32(2), con64(1), con64(1), callTo(fnNoise), drop, echoed()), ErrTrap, "record 2 of a batch of 2"},
		"noise for nothing":          {code(con32(0), con64(0), con64(1), callTo(fnNoise), drop, echoed()), ErrTrap, "sensitivity 0"},
		"noise for less":             {code(con32(0), con64(1), con64(-1), callTo(fnNoise), drop, echoed()), ErrTrap, "-1 millionths"},
		"noise for too much":         {code(con32(0), con64(1<<40+1), con64(1), callTo(fnNoise), drop, echoed()), ErrTrap, "sensitivity"},
	} {
		t.Run(what, func(t *testing.T) {
			i := openTx(t, txGuest(c.transform), &asked{})
			_, err := i.Transform(t.Context(), framed("hello", "you"), 1<<28, 1<<20)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Fatalf("%v, want %v with %q", err, c.want, c.text)
			}
			if used := i.Used(); used < 0 || used > 1<<28 || c.want == ErrFuel && used != 1<<28 {
				t.Errorf("%d units", used)
			}
		})
	}
}

// TestHostileInit: guests that do not come to their first batch.
func TestHostileInit(t *testing.T) {
	change := func(n int, c ...[]byte) module {
		m := txGuest(echoed())
		m.funcs[n].code = code(c...)
		return m
	}
	begin := func(c ...[]byte) module {
		m := txGuest(echoed())
		m.funcs = append(m.funcs, function{export: initFunction, code: code(c...)})
		return m
	}
	for what, c := range map[string]struct {
		module module
		want   error
		text   string
	}{
		"another version":        {change(0, con32(2)), ErrTrap, "tx_abi gives 2, want 1"},
		"no room":                {change(1, con32(0)), ErrTrap, "no room"},
		"room outside of memory": {change(1, con32(-1)), ErrTrap, "outside of the memory"},
		"refuses":                {change(2, con32(7)), ErrTrap, "tx_init refuses the configuration: 7"},
		"hangs":                  {change(2, forever(), con32(0)), ErrFuel, ""},
		"a finding too early":    {begin(found(0, 0, 4, 0, 0, 0)), ErrTrap, "record 0 of a batch of 0"},
		"noise too early":        {begin(con32(0), con64(1), con64(1), callTo(fnNoise), drop), ErrTrap, "record 0 of a batch of 0"},
		"traps at once":          {begin(unreachable), ErrTrap, "unreachable"},
	} {
		t.Run(what, func(t *testing.T) {
			cfg := enough()
			cfg.Transform = &asked{}
			i := instantiate(t, compileTx(t, c.module, allOfTx), cfg)
			if err := i.OpenTransform(t.Context(), []byte("{}")); !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Fatalf("%v, want %v with %q", err, c.want, c.text)
			}
		})
	}
	m := txGuest(echoed())
	m.funcs[4].code = code(found(0, 0, 4, 0, 0, 0), con64(0))
	i := openTx(t, m, &asked{})
	if _, err := i.Flush(t.Context(), 1<<20, 0); !errors.Is(err, ErrTrap) {
		t.Errorf("a finding after the last record: %v", err)
	}
}

// TestMillionFindings: they are counts, and there are few types of them.
func TestMillionFindings(t *testing.T) {
	million := code(con32(0), con64(0x454d414e), store64, con32(16), con32(1_000_000), store32,
		op(0x03, 0x40), found(0, 0, 4, 0, 0, 0),
		con32(16), con32(16), load32, con32(1), op(0x6b), store32, con32(16), load32, op(0x0d, 0, 0x0b), echoed())
	i := openTx(t, txGuest(million), &asked{})
	if _, err := i.Transform(t.Context(), framed("x"), 1<<40, 64); err != nil {
		t.Fatal(err)
	}
	if f := i.Findings(); !maps.Equal(f, map[string]int64{"NAME": 1_000_000}) {
		t.Errorf("findings %v", f)
	}
	// Each of another type: two letters that count.
	types := code(con32(16), con32(0), store32, op(0x03, 0x40),
		con32(0), con32('A'), con32(16), load32, con32(15), op(0x71, 0x6a), op(0x36, 0, 0), // 'A' + n&15
		con32(1), con32('A'), con32(16), load32, con32(4), op(0x76, 0x6a), op(0x36, 0, 0), // 'A' + n>>4
		found(0, 0, 2, 0, 0, 0),
		con32(16), con32(16), load32, con32(1), op(0x6a), store32, con32(16), load32, con32(400), op(0x49, 0x0d, 0, 0x0b), echoed())
	i = openTx(t, txGuest(types), &asked{})
	_, err := i.Transform(t.Context(), framed("x"), 1<<40, 64)
	if !errors.Is(err, ErrTrap) || !strings.Contains(err.Error(), "more than 256 types of findings") {
		t.Error(err)
	}
	if f := i.Findings(); len(f) != 256 {
		t.Errorf("%d types", len(f))
	}
}

// TestTransformAsks: what a guest asks for comes to the host as it is, and the answer to the guest.
func TestTransformAsks(t *testing.T) {
	ask := func(room int64) module {
		return txGuest(con32(0), con32(1), con32(1028), con32(5), con32(8), con32(room), callTo(fnToken), store32, where(0, 16))
	}
	host := &asked{size: 6}
	i := openTx(t, ask(6), host)
	out, err := i.Transform(t.Context(), framed("hello"), 1<<24, 64)
	if err != nil || host.text != "hello" || string(out) != "\x06\x00\x00\x00\x00\x00\x00\x00bbbbbb\x00\x00" {
		t.Errorf("%q, %v, asked for %q", out, err, host.text)
	}
	if i.Used() < flatAsk {
		t.Errorf("%d units", i.Used())
	}
	for what, h := range map[string]*asked{"no such token": {none: true}, "no room": {size: 7}} {
		if out, err := openTx(t, ask(6), h).Transform(t.Context(), framed("hello"), 1<<24, 64); err != nil || int32(binary.LittleEndian.Uint32(out)) != -1 {
			t.Errorf("%s: %q, %v", what, out, err)
		}
	}
	noise := txGuest(con32(0), con32(1), con64(3), con64(500), callTo(fnNoise), store64, where(0, 8))
	host = &asked{}
	out, err = openTx(t, noise, host).Transform(t.Context(), framed("a", "b"), 1<<24, 64)
	if err != nil || int64(binary.LittleEndian.Uint64(out)) != -7 || host.record != 1 || host.sens != 3 || host.eps != 500 {
		t.Errorf("%v, %v, %+v", out, err, host)
	}
	refused := errors.New("refused")
	for what, m := range map[string]module{"token": ask(6), "noise": noise} {
		_, err := openTx(t, m, &asked{refuse: refused}).Transform(t.Context(), framed("a", "b"), 1<<24, 64)
		if !errors.Is(err, ErrTrap) {
			t.Errorf("%s: %v", what, err)
		}
		host := &asked{}
		if _, err := openTx(t, m, host).Transform(t.Context(), framed("a", "b"), flatAsk/2, 64); !errors.Is(err, ErrFuel) || host.calls != 0 {
			t.Errorf("%s without fuel: %v after %d calls", what, err, host.calls)
		}
	}
}

// TestTransformRefused: what is no guest of tx/1, and imports that a step does not allow.
func TestTransformRefused(t *testing.T) {
	for what, may := range map[string]TransformImports{
		"token": {Findings: true, Noise: true}, "noise_laplace": {Findings: true, Token: true}, "emit_finding": {},
	} {
		_, err := CompileTransform(t.Context(), txGuest(echoed()).bytes(), may)
		_, admitErr := admit(t.Context(), txGuest(echoed()).bytes(), may.modules())
		for _, err := range []error{err, admitErr} {
			if !errors.Is(err, ErrModule) || !strings.Contains(err.Error(), "unknown import") {
				t.Errorf("%s is not allowed: %v", what, err)
			}
		}
	}
	unknown := txGuest(echoed())
	unknown.imports[3] = imported{hostModule, "read", []byte{i32, i64, i32, i32}, []byte{i32}}
	if _, err := CompileTransform(t.Context(), unknown.bytes(), allOfTx); !errors.Is(err, ErrModule) {
		t.Errorf("an import of a job's: %v", err)
	}
	for n := range 5 {
		m := txGuest(echoed())
		m.funcs[n].export = "other"
		wantNoTransformer(t, m)
		m = txGuest(echoed())
		m.funcs[n].params = append(m.funcs[n].params, i32)
		wantNoTransformer(t, m)
	}
	m := txGuest(echoed())
	m.memory = nil
	m.funcs[3].code = con64(0)
	wantNoTransformer(t, m)
}

func wantNoTransformer(t *testing.T, m module) {
	t.Helper()
	c, err := CompileTransform(t.Context(), m.bytes(), allOfTx)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Transformer(); !errors.Is(err, ErrModule) {
		t.Errorf("%v", err)
	}
}

// TestCommandReadsStdin: a command gets the bytes of its configuration, and stdout is apart from stderr.
func TestCommandReadsStdin(t *testing.T) {
	m := command( // buffers at 0: one of 8 bytes at 64
		con32(0), con32(64), store32, con32(4), con32(8), store32,
		con32(0), con32(0), con32(1), con32(16), callTo(0), drop,
		con32(4), con32(16), load32, store32,
		con32(1), con32(0), con32(1), con32(20), callTo(1), drop,
		con32(2), con32(0), con32(1), con32(20), callTo(1), drop)
	m.imports = []imported{
		{wasi, "fd_read", []byte{i32, i32, i32, i32}, []byte{i32}},
		{wasi, "fd_write", []byte{i32, i32, i32, i32}, []byte{i32}},
	}
	compiled, err := CompileTransform(t.Context(), m.bytes(), TransformImports{})
	if err != nil {
		t.Fatal(err)
	}
	defer compiled.Close()
	for in, want := range map[string]string{"": "", "abc": "abc", "0123456789": "01234567"} {
		var out, log bytes.Buffer
		c := enough()
		c.Stdin, c.Stdout, c.Log = strings.NewReader(in), &out, &log
		if err := instantiate(t, compiled, c).Run(t.Context()); err != nil || out.String() != want || log.String() != want {
			t.Errorf("%q: %q and %q, %v", in, out.String(), log.String(), err)
		}
	}
}

// TestTransformHasNoFiles: a guest of tx/1 finds no file, directory or socket behind any number.
func TestTransformHasNoFiles(t *testing.T) {
	m := module{memory: []uint64{1}}
	for _, f := range wasiImports() {
		if strings.HasPrefix(f.name, "path_") || strings.HasPrefix(f.name, "fd_") || strings.HasPrefix(f.name, "sock_") {
			m.imports = append(m.imports, f)
		}
	}
	m = m.forwarding()
	compiled, err := CompileTransform(t.Context(), m.bytes(), allOfTx)
	if err != nil {
		t.Fatal(err)
	}
	defer compiled.Close()
	if len(m.funcs) < 30 {
		t.Fatalf("%d functions", len(m.funcs))
	}
	i := instantiate(t, compiled, enough())
	for _, f := range m.funcs {
		for fd := uint64(3); fd < 10; fd++ {
			args := make([]uint64, len(f.params))
			args[0] = fd
			if out, err := i.Call(t.Context(), f.export, args...); err != nil || out[0] == wasiSuccess {
				t.Errorf("%s(%d): %v, %v", f.export, fd, out, err)
			}
		}
	}
}
