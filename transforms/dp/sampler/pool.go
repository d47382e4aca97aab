// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"errors"
	"fmt"
	"sync"
)

// MaxPool bounds the noises of a pool.
const MaxPool = 1 << 26

// ErrPool is a pool that holds less than is asked for. It is no reason to go on with less noise.
var ErrPool = errors.New("sampler: not enough noise was drawn ahead")

// Pool holds noise that was drawn ahead of time. How long it takes to take some depends on how much it is, not on what noise it
// is nor on what it is added to; drawing, which tells by its time what was drawn, is over before. It is safe for concurrent use.
type Pool struct {
	fill    func([]int64) error
	filling sync.Mutex // the source is for one goroutine
	mu      sync.Mutex
	noise   []int64
	left    int // the first of noise; all others are zeros
}

// NewPool makes an empty pool for some noises of one distribution; fill draws them, as [Source.FillRounded] does.
func NewPool(size int, fill func([]int64) error) (*Pool, error) {
	if size < 1 || size > MaxPool || fill == nil {
		return nil, fmt.Errorf("%w: a pool of %d", ErrParameter, size)
	}
	return &Pool{fill: fill, noise: make([]int64, size)}, nil
}

// Refill draws what is missing, while others may take what is there. Call it where time is no secret's: before data is read,
// or between releases.
func (p *Pool) Refill() error {
	p.filling.Lock()
	defer p.filling.Unlock()
	p.mu.Lock()
	fresh := make([]int64, len(p.noise)-p.left)
	p.mu.Unlock()
	defer clear(fresh)
	if err := p.fill(fresh); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left += copy(p.noise[p.left:], fresh)
	return nil
}

// Take moves noise out of the pool: all of dst, or nothing and [ErrPool].
func (p *Pool) Take(dst []int64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(dst) > p.left {
		clear(dst)
		return fmt.Errorf("%w: %d of %d", ErrPool, p.left, len(dst))
	}
	rest := p.left - len(dst)
	copy(dst, p.noise[rest:p.left])
	clear(p.noise[rest:p.left])
	p.left = rest
	return nil
}

// Wipe empties the pool.
func (p *Pool) Wipe() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.noise)
	p.left = 0
}
