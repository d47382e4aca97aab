// SPDX-License-Identifier: Apache-2.0

package wasm

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"runtime"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental/sys"
	"github.com/tetratelabs/wazero/experimental/sysfs"
	wsys "github.com/tetratelabs/wazero/sys"

	"github.com/glovebox-dev/glovebox/enclave/fuel"
)

// wasiImports are all functions of WASI, as the engine has them.
func wasiImports() (all []imported) {
	ctx := context.Background()
	r := wazero.NewRuntime(ctx)
	defer r.Close(ctx)
	_, c, err := wasiModule(ctx, r)
	if err != nil {
		panic(err)
	}
	for name, f := range c.ExportedFunctions() {
		all = append(all, imported{wasi, name, f.ParamTypes(), f.ResultTypes()})
	}
	slices.SortFunc(all, func(a, b imported) int { return slices.Compare([]byte(a.name), []byte(b.name)) })
	return all
}

// wasiCaller is a module that exports all of WASI.
func wasiCaller() module {
	return module{memory: []uint64{1}, imports: wasiImports()}.forwarding()
}

// scratch is a directory in memory with one growing file.
type scratch struct {
	sys.UnimplementedFS
	file *grower
}

func (s scratch) OpenFile(name string, _ sys.Oflag, _ fs.FileMode) (sys.File, sys.Errno) {
	if name == "file" {
		return s.file, 0
	}
	return (&sysfs.AdaptFS{FS: fstest.MapFS{"file": {}}}).OpenFile(name, sys.O_RDONLY, 0)
}

type grower struct {
	sys.File // only Seek
	size, at int64
}

func (g *grower) Dev() (uint64, sys.Errno)       { return 1, 0 }
func (g *grower) Ino() (wsys.Inode, sys.Errno)   { return 1, 0 }
func (g *grower) IsDir() (bool, sys.Errno)       { return false, 0 }
func (g *grower) IsAppend() bool                 { return false }
func (g *grower) SetAppend(bool) sys.Errno       { return 0 }
func (g *grower) Sync() sys.Errno                { return 0 }
func (g *grower) Datasync() sys.Errno            { return 0 }
func (g *grower) Utimens(int64, int64) sys.Errno { return 0 }
func (g *grower) Close() sys.Errno               { return 0 }

func (g *grower) Stat() (st wsys.Stat_t, errno sys.Errno) { return wsys.Stat_t{Size: g.size}, 0 }
func (g *grower) Truncate(n int64) sys.Errno              { g.size = n; return 0 }
func (g *grower) Read(p []byte) (int, sys.Errno)          { return len(p), 0 }
func (g *grower) Write(p []byte) (int, sys.Errno) {
	g.at += int64(len(p))
	g.size = max(g.size, g.at)
	return len(p), 0
}

func (g *grower) Pwrite(p []byte, at int64) (int, sys.Errno) {
	g.size = max(g.size, at+int64(len(p)))
	return len(p), 0
}

// position is a grower as a fs.FS and its fs.File, which is how the engine's adapter takes an io.Seeker.
type position struct{ *grower }

func (p position) Open(string) (fs.File, error) { return p, nil }
func (p position) Stat() (fs.FileInfo, error)   { return nil, fs.ErrInvalid }
func (p position) Read([]byte) (int, error)     { return 0, fs.ErrInvalid }
func (p position) Close() error                 { return nil }
func (p position) Seek(n int64, whence int) (int64, error) {
	if whence == 0 {
		p.at = n
	}
	return p.at, nil
}

func withScratch() (Config, *grower) {
	g := &grower{}
	g.File, _ = (&sysfs.AdaptFS{FS: position{g}}).OpenFile("file", sys.O_RDONLY, 0)
	c := enough()
	c.Fuel = 1e10
	c.Mounts = []Mount{{"/out", scratch{file: g}}}
	c.Params = map[string]string{"A": "1", "LONG": "value"}
	return c, g
}

func TestEveryRuleIsOfAFunction(t *testing.T) {
	var names []string
	for _, i := range wasiImports() {
		names = append(names, i.name)
	}
	if len(names) < 45 {
		t.Errorf("%d functions", len(names))
	}
	for name := range rules {
		if !slices.Contains(names, name) {
			t.Errorf("a rule for %q", name)
		}
	}
}

// TestHostileWASI: every function of WASI with arguments from nowhere. The host neither crashes nor allocates.
func TestHostileWASI(t *testing.T) {
	m := wasiCaller()
	compiled := compile(t, m.bytes())
	c, _ := withScratch()
	i := instantiate(t, compiled, c)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	calls := 0
	for _, f := range m.funcs {
		for _, v := range []uint64{0, 1, 3, 5, 8, 65528, 65535, 65536, 1 << 16, 1 << 28, 1<<29 + 1, math.MaxInt32, math.MaxUint32} {
			for odd := range len(f.params) + 1 {
				args := slices.Repeat([]uint64{v}, len(f.params))
				if odd < len(f.params) {
					args[odd] = 3
				}
				if f.export == "proc_exit" {
					continue
				}
				if _, err := i.Call(t.Context(), f.export, args...); err != nil && !errors.Is(err, ErrTrap) {
					t.Fatalf("%s%v: %v", f.export, args, err)
				}
				i.setFuel(c.Fuel)
				calls++
			}
		}
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 256<<20 {
		t.Errorf("%d calls made the host allocate %d MiB", calls, grown>>20)
	}
	if calls < 1000 {
		t.Errorf("only %d calls", calls)
	}
}

// TestWASICosts: what a call costs beside CallImport and the module's own instructions.
func TestWASICosts(t *testing.T) {
	compiled := compile(t, wasiCaller().bytes())
	const iov, result = 1024, 1000
	for _, tt := range []struct {
		name string
		args []int64
		want int64 // units
		code uint64
	}{
		{"random_get", []int64{0, 1000}, 8000, 0},
		{"random_get", []int64{0, -1}, 8 * 65536, wasiFault},
		{"random_get", []int64{0, 0}, 0, 0},
		{"environ_get", []int64{0, 100}, 4 + 4 + 4 + 10 + 6 - 4, 0},
		{"clock_time_get", []int64{0, 0, 0}, 0, 0},
		{"fd_write", []int64{1, iov, 2, result}, 2*flatBuffer + 130, 0},
		{"fd_write", []int64{4, iov, 2, result}, 2*flatBuffer + 130, 0},
		{"fd_write", []int64{99, iov, 2, result}, 2*flatBuffer + 130, wasiBadf},
		{"fd_pwrite", []int64{4, iov, 2, 1000, result}, 2*flatBuffer + 130 + 1000, 0},
		{"fd_pwrite", []int64{4, iov, 2, 1 << 50, result}, 2*flatBuffer + 130 + maxGap, 0},
		{"fd_read", []int64{4, iov, 2, result}, 2*flatBuffer + 130, 0},
		{"fd_read", []int64{4, iov, -1, result}, 0, wasiFault},
		{"fd_read", []int64{4, iov + 16, 1, result}, flatBuffer + 65536, wasiFault},
		{"fd_write", []int64{1, 32768, 4000, result}, 4000 * flatBuffer, 0}, // of no bytes
		{"fd_filestat_set_size", []int64{4, 5000}, 5000, 0},
		{"fd_allocate", []int64{4, 1000, 5000}, 6000, 0},
		{"path_open", []int64{3, 0, 512, 4, 0, 6, 0, 0, result}, flatPath + 4*eachOfPath, 0},
		{"path_open", []int64{3, 0, 32768, maxPathBytes, 0, 6, 0, 0, result}, flatPath + maxPathBytes*eachOfPath, 44},
		{"path_open", []int64{3, 0, 512, maxPathBytes + 1, 0, 6, 0, 0, result}, flatPath, wasiNameTooLong},
		{"path_rename", []int64{3, 512, 4, 3, 512, -1}, flatPath + 4*eachOfPath, wasiNameTooLong},
		{"path_symlink", []int64{512, -1, 3, 512, 4}, flatPath, wasiNameTooLong},
		{"fd_readdir", []int64{3, 2048, 1000, 0, result}, flatList + 1000, 0},
		{"fd_renumber", []int64{4, maxDescriptors}, 0, wasiBadf},
		{"fd_renumber", []int64{4, -1}, 0, wasiBadf},
		{"poll_oneoff", []int64{2048, 4096, maxEvents + 1, result}, 0, wasiInval},
		{"poll_oneoff", []int64{2048, 4096, 2, result}, 2 * flatEvent, 0},
	} {
		c, _ := withScratch()
		i := instantiate(t, compiled, c)
		mem := i.guest.Memory()
		mem.Write(iov, le(4096, 30, 8192, 100, 65000, math.MaxUint32))
		mem.WriteString(512, "file")
		if _, err := i.Call(t.Context(), "path_open", ints(3, 0, 512, 4, 0, 1<<6, 0, 0, 0)...); err != nil {
			t.Fatal(err)
		}
		i.setFuel(c.Fuel)
		v, err := i.Call(t.Context(), tt.name, ints(tt.args...)...)
		if err != nil || v[0] != tt.code {
			t.Errorf("%s%v: %v, %v, want %d", tt.name, tt.args, v, err, tt.code)
		}
		if extra := i.Used() - fuel.CallImport - tt.want; extra < 0 || extra > 200 {
			t.Errorf("%s%v cost %d, want %d and a little", tt.name, tt.args, i.Used()-fuel.CallImport, tt.want)
		}
	}
}

// TestFuelEndsInTheHost: a host call that costs more than is left does nothing.
func TestFuelEndsInTheHost(t *testing.T) {
	compiled := compile(t, wasiCaller().bytes())
	c := enough()
	c.Fuel = fuel.CallImport + 1000
	i := instantiate(t, compiled, c)
	if _, err := i.Call(t.Context(), "random_get", 0, 1000); !errors.Is(err, ErrFuel) {
		t.Fatal(err)
	}
	if b, _ := i.guest.Memory().ReadByte(0); b != 0 || i.Used() != c.Fuel {
		t.Errorf("wrote %d, used %d", b, i.Used())
	}
}

// TestManyDescriptors: a guest that opens files for ever has 1024 of them.
func TestManyDescriptors(t *testing.T) {
	compiled := compile(t, wasiCaller().bytes())
	c, _ := withScratch()
	i := instantiate(t, compiled, c)
	i.guest.Memory().WriteString(512, "file")
	open := func() (uint64, uint32) {
		v, err := i.Call(t.Context(), "path_open", ints(3, 0, 512, 4, 0, 1<<6, 0, 0, 0)...)
		if err != nil {
			t.Fatal(err)
		}
		fd, _ := i.guest.Memory().ReadUint32Le(0)
		return v[0], fd
	}
	opened := 0
	for range 2 * maxDescriptors {
		if errno, _ := open(); errno == 0 {
			opened++
		} else if errno != wasiMfile {
			t.Fatalf("error %d", errno)
		}
	}
	if opened != maxDescriptors-4 {
		t.Errorf("opened %d", opened)
	}
	if _, err := i.Call(t.Context(), "fd_close", 500); err != nil {
		t.Fatal(err)
	}
	if errno, fd := open(); errno != 0 || fd != 500 {
		t.Errorf("error %d, descriptor %d", errno, fd)
	}
}
