// SPDX-License-Identifier: Apache-2.0

package wasm

import (
	"context"
	"errors"
	"fmt"

	"github.com/tetratelabs/wazero/api"
)

// state is an instance at its snapshot, but for its memory, which the snapshot file holds.
type state struct {
	world
	fuel    int64
	globals []uint64
}

// Snapshot makes what the guest is now the state that [Instance.Restore] goes back to. It can be done once, between calls, of an
// instance with a [Config].SnapshotFile and a module whose state is all in its memory and globals: [ErrModule] says why another
// one's is not. It takes as long as there are runs of written pages, and copies nothing. From then on the guest may take up to
// twice its memory: what it changed, and under it the pages of the snapshot.
//
// From then on the guest has nothing that could carry anything past a restore: of WASI it keeps its parameters, clocks and
// waits for clocks, random numbers, exit, and writing to stdout and stderr. Any other call of WASI, and reading the files of the
// host module glovebox, is a trap: whose batches were delivered how often is known outside and is put back by nobody.
func (i *Instance) Snapshot() error {
	switch {
	case i.closed || i.broken || i.exited || i.frozen:
		return fmt.Errorf("%w: the guest has ended or has a snapshot", ErrState)
	case i.config.SnapshotFile == nil:
		return fmt.Errorf("%w: no snapshot file", ErrState)
	case i.module.admitted.Fixed != "":
		return fmt.Errorf("%w: no snapshots: %s", ErrModule, i.module.admitted.Fixed)
	}
	s := state{fuel: i.left(), world: i.world}
	for _, name := range i.module.admitted.Globals {
		g, err := i.global(name)
		if err != nil {
			return err
		}
		s.globals = append(s.globals, g.Get())
	}
	if i.memory.all != nil {
		if err := i.memory.view(); err != nil {
			i.broken = true // what the guest's memory is now, nobody knows
			return err
		}
	}
	i.before, i.memory.before, i.frozen = s, i.memory.size, true
	return nil
}

// Restore puts the guest back to its snapshot, after whatever it did and however it ended: memory and its size, globals, fuel,
// clock, random numbers. It costs as much as pages were touched since. A guest that ended itself, or that made its memory as
// large as its own declaration allows, is instantiated anew, which costs what its data segments and tables do besides.
//
// An error leaves an instance that can only be closed.
func (i *Instance) Restore() error { return i.restore(i.memory.forget) }

// restore is Restore with forget putting the memory back where the guest need not be instantiated anew.
func (i *Instance) restore(forget func() error) (err error) {
	if i.closed || i.broken || !i.frozen {
		return fmt.Errorf("%w: closed, or no snapshot", ErrState)
	}
	defer func() { i.broken = err != nil }()
	if i.exited || !i.shrink() {
		err = i.renew()
	} else {
		err = forget()
	}
	if err != nil {
		return err
	}
	for n, name := range i.module.admitted.Globals {
		g, err := i.global(name)
		if err != nil {
			return err
		}
		g.Set(i.before.globals[n])
	}
	i.world = i.before.world // opened is shared, but nothing opens a file any more
	i.memory.denied = false
	i.setFuel(i.before.fuel)
	return nil
}

// shrink makes the memory as large as it was. The engine knows no way to shrink a memory, but takes the length of what the
// allocator gives it when it asks for more; it does not ask if the module's own maximum is reached.
func (i *Instance) shrink() bool {
	if i.memory.size == i.memory.before {
		return true
	}
	i.memory.shrink = true
	_, ok := i.guest.Memory().Grow(1)
	i.memory.shrink = false
	return ok && uint64(i.guest.Memory().Size()) == i.memory.before
}

// renew replaces the engine's part of the guest and puts the snapshot in the place of the memory that it made.
func (i *Instance) renew() error {
	ctx := context.Background()
	if err := i.guest.Close(ctx); err != nil {
		return err
	}
	if err := i.instantiate(ctx); err != nil {
		return err
	}
	i.exited = false
	if i.memory.all == nil {
		return nil
	}
	if more := i.memory.before - i.memory.size; more > 0 {
		if _, ok := i.guest.Memory().Grow(uint32(more / pageBytes)); !ok {
			return errors.New("memory of the snapshot refused")
		}
	}
	return i.memory.view()
}

func (i *Instance) global(name string) (api.MutableGlobal, error) {
	g, ok := i.guest.ExportedGlobal(name).(api.MutableGlobal)
	if !ok {
		return nil, fmt.Errorf("no global %q", name)
	}
	return g, nil
}
