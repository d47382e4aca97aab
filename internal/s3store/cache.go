// SPDX-License-Identifier: Apache-2.0

package s3store

import (
	"container/list"
	"context"
	"sync"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// block is an aligned piece of a blob. The last may be short, or empty.
type block struct {
	data []byte
	last bool
}

type place struct {
	blob  envelope.Digest
	index int64
}

// entry is a block, or one that is on its way.
type entry struct {
	at   place
	done chan struct{} // closed when b or err is there
	b    *block
	err  error
}

// cache keeps the blocks used last, and has the next ones fetched when somebody reads on. One block is fetched once, however
// many wait for it.
type cache struct {
	fetch func(context.Context, envelope.Digest, int64) (*block, error)

	mu      sync.Mutex
	entries map[place]*list.Element // of *entry
	used    list.List               // the latest first
}

func newCache(fetch func(context.Context, envelope.Digest, int64) (*block, error)) *cache {
	return &cache{fetch: fetch, entries: map[place]*list.Element{}}
}

// block returns a block, and has those after it fetched if the one before it was read.
func (c *cache) block(ctx context.Context, d envelope.Digest, index int64) (*block, error) {
	for {
		e, mine := c.claim(place{d, index})
		if mine {
			c.load(ctx, e)
		} else {
			select {
			case <-e.done:
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		}
		if e.err == nil {
			c.ahead(ctx, e)
			return e.b, nil
		}
		if mine || ctx.Err() != nil {
			return nil, e.err
		}
		// Somebody else's request failed, perhaps because that reader went away: ask for oneself.
	}
}

// claim finds a block, or makes its entry, which the caller must then load.
func (c *cache) claim(at place) (e *entry, mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if el := c.entries[at]; el != nil {
		c.used.MoveToFront(el)
		return el.Value.(*entry), false
	}
	e = &entry{at: at, done: make(chan struct{})}
	c.entries[at] = c.used.PushFront(e)
	for c.used.Len() > cacheBlocks {
		c.drop(c.used.Back())
	}
	return e, true
}

// drop lets go of a block; whoever waits for it or uses it still has it.
func (c *cache) drop(el *list.Element) {
	delete(c.entries, c.used.Remove(el).(*entry).at)
}

func (c *cache) load(ctx context.Context, e *entry) {
	e.b, e.err = c.fetch(ctx, e.at.blob, e.at.index)
	if e.err != nil {
		c.mu.Lock()
		if el := c.entries[e.at]; el != nil && el.Value.(*entry) == e {
			c.drop(el)
		}
		c.mu.Unlock()
	}
	close(e.done)
}

// ahead fetches what follows e, if what came before it was read too.
func (c *cache) ahead(ctx context.Context, e *entry) {
	if e.b.last {
		return
	}
	c.mu.Lock()
	_, reads := c.entries[place{e.at.blob, e.at.index - 1}]
	c.mu.Unlock()
	if !reads {
		return
	}
	for i := range int64(readAhead) {
		if next, mine := c.claim(place{e.at.blob, e.at.index + 1 + i}); mine {
			go c.load(context.WithoutCancel(ctx), next)
		}
	}
}

// forget drops a blob's blocks.
func (c *cache) forget(d envelope.Digest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for at, el := range c.entries {
		if at.blob == d {
			c.drop(el)
		}
	}
}
