// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"sync"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// hub tells watchers that a job changed, and keeps the progress that is not worth a disk write. The zero value is ready.
type hub struct {
	mu       sync.Mutex
	watchers map[envelope.Digest]map[chan struct{}]bool
	count    int
	progress map[envelope.Digest]int64
}

// watch returns a channel that holds a token whenever the job has changed since the last receive.
func (h *hub) watch(id envelope.Digest) (changed <-chan struct{}, stop func(), err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.count >= maxWatchers {
		return nil, nil, fmt.Errorf("%w: %d watchers", ErrBusy, h.count)
	}
	if h.watchers == nil {
		h.watchers = map[envelope.Digest]map[chan struct{}]bool{}
	}
	if h.watchers[id] == nil {
		h.watchers[id] = map[chan struct{}]bool{}
	}
	c := make(chan struct{}, 1)
	h.watchers[id][c] = true
	h.count++
	return c, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.watchers[id], c)
		if len(h.watchers[id]) == 0 {
			delete(h.watchers, id)
		}
		h.count--
	}, nil
}

func (h *hub) notify(id envelope.Digest) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.watchers[id] {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

func (h *hub) setLeaves(id envelope.Digest, n int64) {
	h.mu.Lock()
	if h.progress == nil {
		h.progress = map[envelope.Digest]int64{}
	}
	h.progress[id] = n
	h.mu.Unlock()
	h.notify(id)
}

func (h *hub) leaves(id envelope.Digest) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.progress[id]
}

// forget drops the progress of a job that ended.
func (h *hub) forget(id envelope.Digest) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.progress, id)
}
