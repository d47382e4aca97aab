// SPDX-License-Identifier: Apache-2.0

package wasm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/experimental/sysfs"
	"github.com/tetratelabs/wazero/sys"

	"github.com/glovebox-dev/glovebox/enclave/fuel"
)

// startFunction is what a WASI command exports.
const startFunction = "_start"

// Instance is a guest: a module with a memory, fuel and a world of its own. It serves one caller at a time.
type Instance struct {
	module *Module
	config Config
	env    uint64 // bytes of the environment as environ_get writes it

	memory guestMemory
	world  // what the guest can change outside of its memory and globals
	guest  api.Module
	fuel   api.MutableGlobal

	started bool
	exited  bool // by proc_exit
	broken  bool // a snapshot or restore failed
	closed  bool
	tx      transforming
	frozen  bool  // there is a snapshot
	before  state // as it was then
}

// instanceKey finds the instance of a guest in the context of its calls.
type instanceKey struct{}

// Instantiate makes a guest. No code of it runs: a module with a start section needs [Instance.Start]. It gives ErrMemory if
// the module cannot start within its memory limit, ErrModule if it cannot start at all.
func (m *Module) Instantiate(ctx context.Context, c Config) (*Instance, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	if c.Log == nil {
		c.Log = io.Discard
	}
	i := &Instance{module: m, config: c, world: newWorld(c.Seed)}
	i.memory = guestMemory{limit: min(uint64(c.MemoryBytes)/pageBytes*pageBytes, maxUsable), file: c.SnapshotFile}
	for k, v := range c.Params {
		i.env += uint64(len(k) + len(v) + 6) // a pointer, "=" and a zero byte
	}
	if err := i.instantiate(ctx); err != nil {
		i.memory.close()
		return nil, err
	}
	i.setFuel(c.Fuel)
	return i, nil
}

// instantiate makes the engine's part of the guest, also a second time.
func (i *Instance) instantiate(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("engine: %v", p)
		}
		switch {
		case err != nil && i.memory.denied:
			err = fmt.Errorf("%w: %w", ErrMemory, err)
		case err != nil:
			err = fmt.Errorf("%w: %w", ErrModule, err)
		}
	}()
	ctx = experimental.WithMemoryAllocator(ctx, &i.memory)
	i.guest, err = i.module.runtime.InstantiateModule(ctx, i.module.compiled, i.moduleConfig())
	if err != nil {
		return err
	}
	global, ok := i.guest.ExportedGlobal(fuel.GlobalExport).(api.MutableGlobal)
	if !ok {
		return errors.New("no fuel counter")
	}
	i.fuel = global
	return nil
}

// moduleConfig gives the guest its whole world: its directories, a fake clock, a seeded random source, its parameters.
func (i *Instance) moduleConfig() wazero.ModuleConfig {
	fs := wazero.NewFSConfig()
	for _, m := range i.config.Mounts {
		fs = fs.(sysfs.FSConfig).WithSysFSMount(meteredFS{m.FS, i}, m.Path)
	}
	log := deaf{i.config.Log}
	stdout := log
	if i.config.Stdout != nil {
		stdout = deaf{i.config.Stdout}
	}
	c := wazero.NewModuleConfig().WithName("").WithStartFunctions().WithArgs("guest").WithFSConfig(fs).
		WithStdout(stdout).WithStderr(log).WithRandSource(&i.random).
		WithWalltime(i.clock.walltime, clockStep).WithNanotime(i.clock.nanotime, clockStep).WithNanosleep(i.clock.sleep)
	if i.config.Stdin != nil {
		c = c.WithStdin(i.config.Stdin)
	}
	for _, k := range slices.Sorted(maps.Keys(i.config.Params)) {
		c = c.WithEnv(k, i.config.Params[k])
	}
	return c
}

// deaf is a log whose errors the guest does not see.
type deaf struct{ w io.Writer }

func (d deaf) Write(p []byte) (int, error) {
	_, _ = d.w.Write(p)
	return len(p), nil
}

// Start runs the module's start section, if it has one. It comes before any other call and is needed once.
func (i *Instance) Start(ctx context.Context) error {
	if i.started {
		return fmt.Errorf("%w: started before", ErrState)
	}
	i.started = true
	if !i.module.admitted.Start {
		return nil
	}
	_, err := i.call(ctx, fuel.StartExport)
	return err
}

// flatRun is for a run, whatever the module: even one that does nothing is known to have run.
const flatRun = 1

// Run starts a command and runs it to its end. An exit with code 0 is an end like any other.
func (i *Instance) Run(ctx context.Context) error {
	if err := i.module.Command(); err != nil {
		return err
	}
	if !i.started {
		i.setFuel(i.left() - flatRun)
	}
	err := i.Start(ctx)
	if err == nil {
		_, err = i.call(ctx, startFunction)
	}
	if exit, ok := errors.AsType[ErrExit](err); ok && exit.Code == 0 {
		return nil
	}
	return err
}

// Call calls an exported function. After any error but ErrState the guest may be in the middle of something; what can still
// be done with it is Restore, Used and Close. A guest that calls proc_exit, with any code, gives [ErrExit]. An end of the context
// changes nothing: fuel ends a guest, and so does the end of its process.
func (i *Instance) Call(ctx context.Context, name string, args ...uint64) ([]uint64, error) {
	if !i.started && i.module.admitted.Start {
		return nil, fmt.Errorf("%w: not started", ErrState)
	}
	i.started = true
	return i.call(ctx, name, args...)
}

func (i *Instance) call(ctx context.Context, name string, args ...uint64) (results []uint64, err error) {
	if i.closed || i.broken || i.exited { // the engine would run code whose world is gone
		return nil, fmt.Errorf("%w: the guest has ended", ErrState)
	}
	def, ok := i.module.exports[name]
	if !ok {
		return nil, fmt.Errorf("%w: no exported function %q", ErrModule, name)
	}
	if len(def.ParamTypes()) != len(args) {
		return nil, fmt.Errorf("%w: %q takes %d arguments", ErrModule, name, len(def.ParamTypes()))
	}
	defer func() {
		if p := recover(); p != nil {
			results, err = nil, i.ending(fmt.Errorf("engine: %v", p))
		}
	}()
	// A function is made for each call: it keeps its stack, which never shrinks, so that one used before holds up to a hundred
	// megabytes and tells by how deep calls may go how deep they went.
	results, err = i.guest.ExportedFunction(name).Call(context.WithValue(ctx, instanceKey{}, i), args...)
	if err = i.ending(err); err != nil {
		return nil, err
	}
	return results, nil
}

// ending is what a call that ended with the engine's err comes to.
func (i *Instance) ending(err error) error {
	exit, exits := errors.AsType[*sys.ExitError](err)
	i.exited = i.exited || exits
	switch {
	case i.left() < 0 || errors.Is(err, ErrFuel):
		return ErrFuel
	case err == nil:
		return nil
	case exits && exit.ExitCode() == 0:
		return ErrExit{}
	case i.memory.denied && exits:
		return fmt.Errorf("%w: %w", ErrMemory, ErrExit{exit.ExitCode()})
	case exits:
		return ErrExit{exit.ExitCode()}
	case i.memory.denied:
		return fmt.Errorf("%w: %s", ErrMemory, trapText(err))
	}
	return trap{trapText(err), err}
}

// trap is an ErrTrap with a text of its own, beside what caused it.
type trap struct {
	text  string
	cause error
}

func (t trap) Error() string   { return t.text }
func (t trap) Unwrap() []error { return []error{ErrTrap, t.cause} }

// trapText is the engine's text without the host's own stack, which is no business of whoever reads about the guest.
func trapText(err error) string {
	text, _, _ := strings.Cut(err.Error(), "Go runtime stack trace:")
	text = strings.TrimPrefix(strings.TrimSpace(text), "wasm error: ")
	text = strings.ReplaceAll(text, " (recovered by wazero)", "")
	return strings.ToValidUTF8(text[:min(len(text), maxTrapText)], "")
}

// Used is how much fuel the guest has used, from 0 to Config.Fuel; after ErrFuel it is all of it. It is exact: the same for the
// same module, input and seed, also after a trap. A Restore takes it back to what it was at the snapshot.
func (i *Instance) Used() int64 { return i.config.Fuel - max(i.left(), 0) }

func (i *Instance) left() int64        { return int64(i.fuel.Get()) }
func (i *Instance) setFuel(left int64) { i.fuel.Set(uint64(left)) }

// spend charges for work of the host before it is done. Without the fuel for it, it does not return.
func (i *Instance) spend(units int64) {
	left := i.left()
	if units > left {
		i.setFuel(-1)
		panic(ErrFuel)
	}
	i.setFuel(left - units)
}

// Close gives back the guest's memory. Used stays valid.
func (i *Instance) Close() error {
	if i.closed {
		return nil
	}
	i.closed = true
	err := i.guest.Close(context.Background())
	i.memory.close()
	return err
}
