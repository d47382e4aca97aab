// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"container/list"
	"sync"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// cache remembers what verifying signed bytes gave, by the digest of exactly these bytes, signature included. What it
// gives is shared: nobody may change it. Only what verified gets in, so strangers cannot fill it with refusals; the
// oldest makes room.
type cache[V any] struct {
	limit int // bytes, as signed

	mu   sync.Mutex
	held int
	m    map[envelope.Digest]*list.Element
	used list.List // of entry[V], latest first
}

type entry[V any] struct {
	id   envelope.Digest
	size int
	v    V
}

func newCache[V any](limit int) *cache[V] {
	return &cache[V]{limit: limit, m: map[envelope.Digest]*list.Element{}}
}

// verified gives what verify makes of signed, or made of it before.
func (c *cache[V]) verified(signed []byte, verify func([]byte) (V, error)) (V, error) {
	id := envelope.Sum(signed)
	c.mu.Lock()
	if e := c.m[id]; e != nil {
		c.used.MoveToFront(e)
		c.mu.Unlock()
		return e.Value.(entry[V]).v, nil
	}
	c.mu.Unlock()
	v, err := verify(signed)
	if err == nil {
		c.add(entry[V]{id, len(signed), v})
	}
	return v, err
}

func (c *cache[V]) add(e entry[V]) {
	if e.size > c.limit/4 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m[e.id] != nil {
		return
	}
	c.m[e.id] = c.used.PushFront(e)
	for c.held += e.size; c.held > c.limit; {
		last := c.used.Remove(c.used.Back()).(entry[V])
		delete(c.m, last.id)
		c.held -= last.size
	}
}
