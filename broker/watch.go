// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"errors"
	"io/fs"
	"os"
	"sync"
	"time"
)

// watched is a file or folder that is read again only when it may have changed. A state that is younger than the
// coarsest time stamps of file systems is never trusted: what is written in the same tick of the clock would not show.
type watched[V any] struct {
	path string
	read func() (V, error)

	mu   sync.Mutex
	seen fs.FileInfo // nil: nothing is held
	v    V
}

// get gives what read made of the present state.
func (w *watched[V]) get() (V, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	st, err := os.Stat(w.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.seen = nil
		var none V
		return none, err
	}
	if err == nil && w.seen != nil && same(w.seen, st) {
		return w.v, nil
	}
	before := time.Now()
	v, err := w.read()
	w.v, w.seen = v, nil
	if err == nil && st != nil && before.Sub(st.ModTime()) > settled {
		w.seen = st
	}
	return v, err
}

// forget makes the next get read.
func (w *watched[V]) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = nil
}

func same(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}
