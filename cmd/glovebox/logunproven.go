// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/glovebox-dev/glovebox/internal/tlog"
)

// A checkpoint that is still not proven after so many looks and so long is a finding.
const (
	unprovenLooks = 3
	unprovenTime  = 5 * time.Minute
)

// errFalseTiles means that a place's own files are not those of the signed tree.
var errFalseTiles = errors.New("its files contradict the signed checkpoint")

// unprovenHead is a checkpoint that a place showed, and of which nobody has proven yet that it belongs to the log as known.
type unprovenHead struct {
	Checkpoint string `json:"checkpoint"`
	Since      int64  `json:"since"` // Unix seconds
	Looks      int    `json:"looks"` // those that reached somebody who ought to have had the tiles
}

// doubt keeps a place's first checkpoint that could not be proven, so that showing another one later does not undo it.
func (w *watcher) doubt(p place, text string) {
	if _, ok := w.state.Unproven[p.name]; !ok {
		w.state.Unproven[p.name] = unprovenHead{Checkpoint: text, Since: w.now().Unix()}
	}
}

// settle asks once more for the proofs that are missing. shown is what each place that this look reached shows.
func (w *watcher) settle(ctx context.Context, shown map[string]tlog.Checkpoint, missed []string) ([]string, *watchFinding) {
	for _, name := range slices.Sorted(maps.Keys(w.state.Unproven)) {
		u := w.state.Unproven[name]
		cp, err := w.log.ParseCheckpoint(u.Checkpoint)
		if err != nil {
			return append(missed, fmt.Sprintf("%s: what was remembered of it: %v", name, err)), nil
		}
		f, err := w.settleOne(ctx, name, &u, cp, shown)
		switch {
		case ctx.Err() != nil:
			return missed, nil
		case f != nil:
			w.state.Unproven[name] = u
			return missed, f
		case err == nil:
			w.proved(name, u.Checkpoint, cp)
			continue
		}
		w.state.Unproven[name] = u
		if shown[name] != cp { // else it is among them
			missed = append(missed, fmt.Sprintf("%s: earlier %v", name, err))
			w.say("%s: earlier %v", name, err)
		}
	}
	return missed, nil
}

func (w *watcher) settleOne(ctx context.Context, name string, u *unprovenHead, cp tlog.Checkpoint, shown map[string]tlog.Checkpoint) (*watchFinding, error) {
	known, text := w.known(), w.state.Checkpoint
	p := w.place(name)
	f, err := w.compare(ctx, p, u.Checkpoint, cp)
	if f != nil || err == nil || !w.owed(p, cp, known, shown) || ctx.Err() != nil {
		return f, err
	}
	u.Looks++
	u.Since = min(u.Since, w.now().Unix())
	small, large, root := text, u.Checkpoint, known.Root
	if cp.Size < known.Size {
		small, large, root = u.Checkpoint, text, cp.Root
	}
	if _, seen := shown[name]; seen && cp.Size > known.Size && errors.Is(err, errFalseTiles) {
		return &watchFinding{fmt.Sprintf("%s: it showed %d entries, signed, and its own files contradict that: %v", name, cp.Size, err), w.evidence(small, large, root, nil)}, nil
	}
	if age := w.now().Sub(time.Unix(u.Since, 0)); u.Looks >= unprovenLooks && age >= unprovenTime {
		return &watchFinding{fmt.Sprintf("%s: not proven in %d looks and %s: %v", name, u.Looks, age.Truncate(time.Second), err), w.evidence(small, large, root, nil)}, nil
	}
	return nil, err
}

// owed says that this look reached somebody who ought to have the tiles that are missing: a host, whose log signed both
// checkpoints; who shows that much; or the place that showed this one itself. A mirror that lags behind while the host is
// away owes nothing.
func (w *watcher) owed(p place, cp, known tlog.Checkpoint, shown map[string]tlog.Checkpoint) bool {
	return slices.ContainsFunc(w.places, func(o place) bool {
		now, ok := shown[o.name]
		own := o.name == p.name && cp.Size > known.Size
		return ok && !o.witness && (o.host || own || now.Size >= max(cp.Size, known.Size))
	})
}

// proved ends a doubt; the place has still shown that much.
func (w *watcher) proved(name, text string, cp tlog.Checkpoint) {
	if then, err := w.log.ParseCheckpoint(w.state.Places[name]); err != nil || then.Size < cp.Size {
		w.state.Places[name] = text
	}
	delete(w.state.Unproven, name)
	w.say("%s: %d entries, not proven before: consistent", name, cp.Size)
}

// most is the largest checkpoint that a place has shown, proven or not. Error: it has shown none.
func (w *watcher) most(name string) (text string, cp tlog.Checkpoint, err error) {
	a, errA := w.log.ParseCheckpoint(w.state.Places[name])
	b, errB := w.log.ParseCheckpoint(w.state.Unproven[name].Checkpoint)
	if errB == nil && (errA != nil || b.Size > a.Size) {
		return w.state.Unproven[name].Checkpoint, b, nil
	}
	return w.state.Places[name], a, errA
}

func (w *watcher) known() tlog.Checkpoint {
	cp, err := w.log.ParseCheckpoint(w.state.Checkpoint)
	if err != nil {
		return tlog.Checkpoint{}
	}
	return cp
}

// place finds a place that is watched; one that was watched before has no tiles now.
func (w *watcher) place(name string) place {
	if i := slices.IndexFunc(w.places, func(p place) bool { return p.name == name }); i >= 0 {
		return w.places[i]
	}
	return place{name: name, witness: true}
}
