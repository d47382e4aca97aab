// SPDX-License-Identifier: Apache-2.0

package train

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/glovebox-dev/glovebox/transforms/dp/sampler"
)

// Noise draws. Nobody else may know it.
type Noise interface {
	// Gaussian fills dst with independent draws of a normal distribution of a standard deviation, each rounded to the nearest
	// integer. Added to a sum of integers that is the same as to round the sum with its noise: so it is post-processing of
	// the Gaussian mechanism.
	Gaussian(dst []int64, sigma sampler.Rat) error
}

// NewNoise draws by uniform bytes that nobody else knows: crypto/rand.Reader but in tests. It is for one goroutine.
func NewNoise(r io.Reader) Noise { return &rounded{sampler.NewSource(r)} }

type rounded struct{ source *sampler.Source }

// Gaussian implements Noise.
func (n *rounded) Gaussian(dst []int64, sigma sampler.Rat) error {
	return n.source.FillRounded(dst, sigma)
}

// draws is what noise a training needs: vectors of a length and standard deviation.
type draws struct {
	sigma sampler.Rat
	count int64
}

// ahead draws the noise of the next step while the worker is busy with this one, so that the time a draw takes, which depends
// on what was drawn, is nowhere to be seen. Vectors come in order.
type ahead struct {
	ready chan []int64
	free  chan []int64
	all   [][]int64
	done  sync.WaitGroup
	err   error // once ready is closed
}

// drawAhead draws vectors of n elements.
func drawAhead(ctx context.Context, noise Noise, n int, want draws) *ahead {
	a := &ahead{ready: make(chan []int64), free: make(chan []int64, 2)}
	for range 2 {
		v := make([]int64, n)
		a.all = append(a.all, v)
		a.free <- v
	}
	a.done.Go(func() {
		defer close(a.ready)
		for range want.count {
			var v []int64
			select {
			case v = <-a.free:
			case <-ctx.Done():
				a.err = context.Cause(ctx)
				return
			}
			if err := noise.Gaussian(v, want.sigma); err != nil {
				a.err = fmt.Errorf("%w: %w", ErrSeam, err)
				return
			}
			select {
			case a.ready <- v:
			case <-ctx.Done():
				a.err = context.Cause(ctx)
				return
			}
		}
	})
	return a
}

// add adds the next vector to a sum, and forgets it.
func (a *ahead) add(sum []int64) error {
	v, ok := <-a.ready
	if !ok {
		if a.err == nil {
			return fmt.Errorf("%w: more noise than was planned", ErrSeam)
		}
		return a.err
	}
	for i, z := range v {
		sum[i] += z
	}
	clear(v)
	a.free <- v
	return nil
}

// spent wants nothing to be left, once all steps are done: noise that was planned and is in no sum is missing from one.
func (a *ahead) spent() error {
	if _, more := <-a.ready; more {
		return fmt.Errorf("%w: less noise was added than was planned", ErrSeam)
	}
	return a.err
}

// stop ends the drawing and wipes what was drawn.
func (a *ahead) stop(cancel context.CancelFunc) {
	cancel()
	a.done.Wait()
	for _, v := range a.all {
		clear(v)
	}
}
