// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/glovebox-dev/glovebox/host/client/tiles"
	"github.com/glovebox-dev/glovebox/internal/tlog"
)

// errRefused means that a place was reached, and that what it shows as checkpoint does not verify. Asking again does not help.
var errRefused = errors.New("its checkpoint does not verify")

// refusedHead is the first checkpoint of a place that did not verify in this watch.
type refusedHead struct {
	why  string
	last bool // the place's last look was refused too
}

// seen reads and verifies a place's checkpoint. Errors: [errRefused]; what could not be read.
func (w *watcher) seen(ctx context.Context, p place) (string, tlog.Checkpoint, error) {
	text, err := p.Checkpoint(ctx)
	if errors.Is(err, tiles.ErrTile) { // larger than any checkpoint
		return "", tlog.Checkpoint{}, fmt.Errorf("%w: %w", errRefused, err)
	}
	if err != nil {
		return "", tlog.Checkpoint{}, err
	}
	cp, err := w.log.ParseCheckpoint(text)
	if err != nil {
		return "", tlog.Checkpoint{}, fmt.Errorf("%w: %w", errRefused, err)
	}
	if p.witness {
		if _, _, err := p.cosigner.Cosigned(w.log, text); err != nil {
			// The log signed it all the same: it is compared with the others.
			w.refuse(p.name, fmt.Errorf("%w: %w", errRefused, err))
			return text, cp, nil
		}
	}
	w.accept(p.name)
	return text, cp, nil
}

// refuse keeps the finding, and says it once until the place shows a good checkpoint again.
func (w *watcher) refuse(name string, err error) {
	if w.refused == nil {
		w.refused = map[string]refusedHead{}
	}
	r, known := w.refused[name]
	if !r.last {
		w.say("%s: finding: %v", name, err)
	}
	if !known {
		r.why = err.Error()
	}
	r.last = true
	w.refused[name] = r
}

func (w *watcher) accept(name string) {
	if r, ok := w.refused[name]; ok {
		r.last = false
		w.refused[name] = r
	}
}

// verdict is the error of a watch that ends without a contradiction: what did not verify comes before what was not seen.
func (w *watcher) verdict(missed []string) error {
	var refused []string
	for _, name := range slices.Sorted(maps.Keys(w.refused)) {
		refused = append(refused, name+": "+w.refused[name].why)
	}
	switch {
	case len(refused) > 0 && len(missed) > 0:
		missed = append(refused, "not seen: "+strings.Join(missed, "; "))
	case len(refused) > 0:
		missed = refused
	case len(missed) > 0:
		return Errorf(KindTryAgain, "see that they run and can be reached").because("not everything was seen: %s", strings.Join(missed, "; "))
	default:
		return nil
	}
	return Errorf(KindVerify, "check the address and the keys given (--trust, --witness); if they are right, somebody altered it: keep a copy, tell the operator, and do not rely on that place").
		because("%s", strings.Join(missed, "; "))
}
